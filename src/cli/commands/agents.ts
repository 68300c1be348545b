import type { Command } from 'commander'
import type { AddCommand } from '../program.ts'

export function addAgentCommands(program: Command, add: AddCommand): void {
  const agent = program.command('agent').description('agents that live at this node')
  add(
    agent,
    'add <name>',
    'register a built-in agent: echo',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const answer = await (await client()).addAgent(name ?? '', { signal })
      print('agent-add', answer, () => `${name ?? ''} lives here now`)
    },
  )
  add(
    agent,
    'list',
    'who lives here',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).agents({ signal })
      print('agent-list', answer, ({ agents }) => agents.join('\n') || 'no agents: `kindmesh agent add echo`')
    },
  )
}
