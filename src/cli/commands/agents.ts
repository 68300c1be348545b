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
      print('agent-add', answer, ({ did }) => `${name ?? ''} lives here now\n${did}`)
    },
  )
  add(
    agent,
    'list',
    'who lives here',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).agents({ signal })
      print('agent-list', answer, ({ agents, keys }) => {
        const didOf = (name: string): string => keys.find((key) => key.name === name)?.did ?? ''
        return agents.map((name) => `${name.padEnd(16)} ${didOf(name)}`.trimEnd()).join('\n') || 'no agents: `kindmesh agent add echo`'
      })
    },
  )
  add(
    agent,
    'rotate <name>',
    'replace the key of an agent: its DID stays',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const answer = await (await client()).rotateAgent(name ?? '', { signal })
      print('agent-rotate', answer, ({ did, seq }) => `${did}  key number ${seq}`)
    },
  )
  add(
    agent,
    'remove <name>',
    'send an agent away and forget its key',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const answer = await (await client()).removeAgent(name ?? '', { signal })
      print('agent-remove', answer, () => `${name ?? ''} is gone`)
    },
  )
}
