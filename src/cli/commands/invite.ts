import type { Command } from 'commander'
import { renderUnicodeCompact } from 'uqr'
import { paint } from '../context.ts'
import { parseCount, parseDuration } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { givenLevel, levelsGiven } from './people.ts'

const scopesDefault: readonly string[] = ['/task/run']

interface InviteOptions {
  readonly level: string
  readonly scope: readonly string[]
  readonly expires: string
  readonly for?: string
  readonly uses?: string
  readonly yes?: boolean
}

/** A ticket from the command line; `-` reads it from stdin, where no list of processes shows it. */
async function ticketFrom(text: string): Promise<string> {
  if (text !== '-') return text
  let read = ''
  for await (const chunk of process.stdin.setEncoding('utf8') as AsyncIterable<string>) {
    read += chunk
    if (read.length > 4_096) break
  }
  return read.trim()
}

const minute = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')

/** The value given replaces the one that stands unless one is given. */
const collectScopes = (value: string, all: readonly string[]): readonly string[] => (all === scopesDefault ? [value] : [...all, value])

export function addInviteCommands(program: Command, add: AddCommand): void {
  add<readonly [], InviteOptions>(
    program,
    'invite',
    'make a ticket: who joins by it and you then trust each other as it says',
    (command) =>
      command
        .option('--level <level>', levelsGiven.join(', '), 'verified')
        .option('--scope <path>', 'command path, repeatable', collectScopes, scopesDefault)
        .option('--expires <duration>', 'how long somebody may join, at most 30d', '1d')
        .option('--for <duration>', 'how long the trust lasts, at most 400d; 90d unless given')
        .option('--uses <n>', 'how many may join; 1 unless given')
        .option('--yes', 'hand out AUTHORITY all the same'),
    async ({ client, print, signal }, _args, { level, scope, expires, for: lasting, uses, yes = false }) => {
      const body = {
        level: givenLevel(level),
        scopes: [...scope],
        openMs: parseDuration(expires),
        ...(lasting === undefined ? {} : { lifetimeMs: parseDuration(lasting) }),
        ...(uses === undefined ? {} : { uses: parseCount(uses, '--uses', 32) }),
        confirmed: yes,
      }
      const answer = await (await client()).invite(body, { signal })
      print('invite', answer, ({ ticket, name, levelName, scopes, expiresAt }) =>
        [
          ...(process.stdout.isTTY ? [renderUnicodeCompact(ticket)] : []),
          ticket,
          '',
          paint('dim', `invite ${name}: ${levelName.toUpperCase()} in ${scopes.join(' ')} both ways, open until ${minute(expiresAt)} UTC`),
          paint('dim', 'the ticket is a secret. The other side runs: kindmesh join <ticket>'),
        ].join('\n'),
      )
    },
  )
  const invite = program.commands.find((command) => command.name() === 'invite') ?? program
  add(
    invite,
    'list',
    'invites, without their tickets',
    (command) => command,
    async ({ client, print, signal }) => {
      print(
        'invite-list',
        await (await client()).invites({ signal }),
        ({ invites }) =>
          invites
            .map(
              ({ name, status, levelName, scopes, expiresAt, uses, joined }) =>
                `${name}  ${status}  ${levelName}  ${scopes.join(' ')}  until ${minute(expiresAt)}  ${joined.length}/${uses}  ${joined.map(({ did }) => did).join(' ')}`,
            )
            .join('\n') || 'no invites: `kindmesh invite`',
      )
    },
  )
  add<readonly [string]>(
    invite,
    'revoke <name>',
    'end an invite; what it gave stays',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      print('invite-revoke', await (await client()).revokeInvite(name, { signal }), ({ status }) => `${name}  ${status}`)
    },
  )
  add<readonly [string], { readonly yes?: boolean }>(
    program,
    'join <ticket>',
    'join by a ticket, - reads it from stdin: both sides sign what it says of each other',
    (command) => command.option('--yes', 'take somebody on as AUTHORITY all the same'),
    async ({ client, print, signal, timeoutMs }, [text], { yes = false }) => {
      const body = { ticket: await ticketFrom(text), confirmed: yes, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
      const answer = await (await client()).join(body, { signal })
      print(
        'join',
        answer,
        ({ did, levelName, scopes, until }) => `${did}\n${levelName.toUpperCase()} in ${scopes.join(' ')} both ways until ${minute(until)} UTC`,
      )
    },
  )
}
