import type { Command } from 'commander'
import { parseDuration } from '../parse.ts'
import type { AddCommand } from '../program.ts'

interface CreateOptions {
  readonly surface: string
  readonly right: readonly string[]
  readonly expires?: string
}

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]
const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

export function addTokenCommands(program: Command, add: AddCommand): void {
  const token = program.command('token').description('tokens with which programs of this machine use the API')
  add<readonly [], CreateOptions>(
    token,
    'create',
    'make a token for one program; its text is shown once',
    (command) =>
      command
        .requiredOption('--surface <name>', 'the program it is for, such as mcp; shown as another, it is refused')
        .requiredOption('--right <right>', 'what it may do, such as /api/read, repeatable', collect)
        .option('--expires <duration>', 'how long it counts, such as 30d; 30 days unless given'),
    async ({ client, print, signal }, _args, { surface, right, expires }) => {
      const body = { surface, rights: [...right], ...(expires === undefined ? {} : { lifetimeMs: parseDuration(expires) }) }
      print('token-created', await (await client()).createToken(body, { signal }), ({ id, token: text, expiresAt }) =>
        [text, `id ${id}, until ${day(expiresAt)}; keep the text, it is not shown again`].join('\n'),
      )
    },
  )
  add(
    token,
    'list',
    'tokens that were made, without their texts',
    (command) => command,
    async ({ client, print, signal }) => {
      print(
        'token-list',
        await (await client()).tokens({ signal }),
        ({ tokens }) =>
          tokens
            .map(({ id, surface, rights, expiresAt, madeBy }) => `${id}  ${surface}  until ${day(expiresAt)}  ${rights.join(' ')}  by ${madeBy}`)
            .join('\n') || 'no tokens',
      )
    },
  )
  add<readonly [string]>(
    token,
    'revoke <id>',
    'end a token at once, and those made with it',
    (command) => command,
    async ({ client, print, signal }, [id]) => {
      print('token', await (await client()).revokeToken(id, { signal }), (gone) => `${gone.id}  ${gone.surface}  revoked`)
    },
  )
}
