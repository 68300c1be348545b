import type { Command } from 'commander'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'

const short = (hash: string): string => hash.slice(0, 12)

export function addGroupCommands(program: Command, add: AddCommand): void {
  const group = program.command('group').description('closed groups: signed rosters, sealed messages to all members')
  add<readonly [string], { readonly member: readonly string[] }>(
    group,
    'create <name>',
    'make a group; this node is its first admin',
    (command) => command.option('--member <did...>', 'who is in from the beginning', []),
    async ({ client, print, signal }, [name], { member }) => {
      const answer = await (await client()).createGroup({ name, members: [...member] }, { signal })
      print('group', answer, ({ id, members }) => `${name}  ${id}  ${members.length} member${members.length === 1 ? '' : 's'}`)
    },
  )
  const changes = [
    ['add', 'add members; they read what is said from now on'],
    ['remove', 'remove members; the others change their keys'],
    ['admin', 'name further admins; nobody removes who was named before him'],
  ] as const
  for (const [action, description] of changes) {
    add<readonly [string, readonly string[]]>(
      group,
      `${action} <group> <did...>`,
      description,
      (command) => command,
      async ({ client, print, signal }, [name, members]) => {
        const answer = await (await client()).changeGroup(action, { group: name, members: [...members] }, { signal })
        print('group', answer, ({ name: title, members: now, head }) => `${title}  ${now.length} members  epoch ${short(head)}`)
      },
    )
  }
  add<readonly [string, string], { readonly type: string }>(
    group,
    'send <group> <text>',
    'say something to all members, also those that are off',
    (command) => command.option('--type <type>', 'message type', 'text'),
    async ({ client, print, signal }, [name, body], { type }) => {
      const answer = await (await client()).sendToGroup({ group: name, body, type }, { signal })
      print('group-send', answer, ({ id, recipients }) => [`sent  ${id}`, ...recipients.map(({ did, status }) => `${status.padEnd(13)} ${did}`)].join('\n'))
    },
  )
  add(
    group,
    'list',
    'groups this node is or was in',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).groups({ signal })
      print(
        'group-list',
        answer,
        ({ groups }) =>
          groups
            .flatMap(({ id, name, status, members, admins, head, fork, heads }) => [
              `${short(id)}  ${name}  ${status}  ${members.length} members  epoch ${short(head)}`,
              ...members.map((did) => `  ${admins.includes(did) ? 'admin ' : 'member'}  ${did}`),
              ...(fork
                ? [
                    `  FORK: ${heads.length} ends, ${heads.map((end) => short(end.head)).join(', ')}; the first counts until an admin runs: kindmesh group merge ${short(id)}`,
                  ]
                : []),
            ])
            .join('\n') || 'no groups: `kindmesh group create <name> --member <did>`',
      )
    },
  )
  add<readonly [string], { readonly limit: string }>(
    group,
    'messages <group>',
    'messages of a group, oldest first',
    (command) => command.option('--limit <n>', 'how many of the last', '50'),
    async ({ client, print, signal }, [name], { limit }) => {
      const answer = await (await client()).groupMessages({ group: name, limit: parseCount(limit, '--limit', 1_000) }, { signal })
      print(
        'group-messages',
        answer,
        ({ messages }) =>
          messages.map(({ from, type, body, receivedAt }) => `${new Date(receivedAt).toISOString()}  ${from}  ${type}  ${body}`).join('\n') || 'no messages',
      )
    },
  )
  add<readonly [string]>(
    group,
    'merge <group>',
    'end a fork of the roster; admins only',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const answer = await (await client()).mergeGroup({ group: name }, { signal })
      print('group', answer, ({ head, lost = [] }) =>
        [`merged  epoch ${short(head)}`, ...lost.map((did) => `not in any more, add again if wanted: ${did}`)].join('\n'),
      )
    },
  )
  add<readonly [string]>(
    group,
    'leave <group>',
    'leave a group; said again, it is forgotten here',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const answer = await (await client()).leaveGroup({ group: name }, { signal })
      print('group-leave', answer, () => `left ${name}`)
    },
  )
}
