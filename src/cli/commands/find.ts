import type { Command } from 'commander'
import { MeshError, realClock } from '../../base/index.ts'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { nameOfLevel } from './mesh.ts'

const states = ['online', 'busy', 'away'] as const

export function addFindCommands(program: Command, add: AddCommand): void {
  add<readonly [], { readonly capability: string; readonly limit?: string }>(
    program,
    'find',
    'peers that offer a capability, such as task, mailbox or agent:echo',
    (command) =>
      command.requiredOption('--capability <name>', 'what they are to offer; a bare name also finds agents').option('--limit <n>', 'at most so many'),
    async ({ client, print, signal, timeoutMs }, _args, { capability, limit }) => {
      const most = limit === undefined ? {} : { limit: parseCount(limit, 'the limit', 100) }
      const patience = timeoutMs === undefined ? signal : AbortSignal.any([signal, realClock.timeout(timeoutMs, 'the search')])
      const answer = await (await client()).find({ capability, ...most }, { signal: patience })
      print('find', answer, ({ peers }) => {
        const lines = peers.map(({ did, route, presence, level, roles }) => `${did}  ${route}  ${presence}  ${nameOfLevel(level)}  ${roles.join(', ')}`)
        return lines.join('\n') || `nobody found that offers ${capability}: dial more peers, or see \`kindmesh peers\``
      })
    },
  )
  add(
    program,
    'presence <state>',
    'how this node says it is: online, busy or away',
    (command) => command,
    async ({ client, print, signal }, [state]) => {
      const presence = states.find((one) => one === state)
      if (presence === undefined) throw new MeshError('ERR_USAGE', `'${state ?? ''}' is no presence`, { hint: states.join(', ') })
      print('presence', await (await client()).setPresence({ presence }, { signal }), (answer) => answer.presence)
    },
  )
}
