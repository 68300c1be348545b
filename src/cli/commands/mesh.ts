import type { Command } from 'commander'
import type { AddCommand } from '../program.ts'

const levelNames = ['distrust', 'unknown', 'basic', 'verified', 'trusted', 'authority'] as const
export const nameOfLevel = (level: number): string => levelNames[level + 1] ?? String(level)

const given = (timeoutMs: number | undefined): { readonly timeoutMs?: number } => (timeoutMs === undefined ? {} : { timeoutMs })

export function addMeshCommands(program: Command, add: AddCommand): void {
  add(
    program,
    'status',
    'how the running node does',
    (command) => command,
    async ({ client, print, signal }) => {
      const status = await (await client()).status({ signal })
      print('status', status, ({ did, addresses, peers, agents, capabilities, roles, presence, sandboxes, startedAt }) =>
        [
          did,
          ...addresses.map((address) => `address   ${address}`),
          `up since  ${new Date(startedAt).toISOString()}`,
          `peers     ${peers}`,
          `agents    ${agents.join(', ') || 'none'}`,
          `offers    ${capabilities.join(', ')}`,
          `as        ${roles.join(', ')}, ${presence}`,
          ...sandboxes.map(({ level, backend, lacks }) => `sandbox   ${level}: ${backend ?? 'none'}${lacks === null ? '' : ` (${lacks})`}`),
        ].join('\n'),
      )
    },
  )
  add(
    program,
    'peers',
    'connected peers',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).peers({ signal })
      print(
        'peers',
        answer,
        ({ peers, away }) =>
          [
            ...peers.map(({ did, route, level, name = '', presence = '' }) => `${did}  ${route}  ${nameOfLevel(level)}  ${name}  ${presence}`.trimEnd()),
            ...away.map(({ did, lastSeen }) => `${did}  away, last seen ${new Date(lastSeen).toISOString()}`),
          ].join('\n') || 'no peers: `kindmesh dial <ticket>`',
      )
    },
  )
  add(
    program,
    'dial <target>',
    'connect to a multiaddr, DID or ticket',
    (command) => command,
    async ({ client, print, signal, timeoutMs }, [target]) => {
      const answer = await (await client()).dial({ target: target ?? '', ...given(timeoutMs) }, { signal })
      print('dial', answer, ({ did, route, rttMs }) => `${did}  ${route}  ${rttMs.toFixed(1)} ms`)
    },
  )
  add(
    program,
    'ping <peer>',
    'round trip to a peer and the route taken',
    (command) => command,
    async ({ client, print, signal, timeoutMs }, [peer]) => {
      const answer = await (await client()).ping({ peer: peer ?? '', ...given(timeoutMs) }, { signal })
      print('ping', answer, ({ rttMs, route }) => `${rttMs.toFixed(1)} ms  ${route}`)
    },
  )
}
