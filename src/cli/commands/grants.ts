import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import type { Client } from '../../client/index.ts'
import { limitsHint, parseDuration, parseLimits } from '../parse.ts'
import type { AddCommand } from '../program.ts'

interface IssueOptions {
  readonly command: string
  readonly expires?: string
  readonly proof?: string
  readonly cap?: readonly string[]
  readonly limit?: string
  readonly isolation?: string
  readonly code?: readonly string[]
  readonly host?: readonly string[]
  readonly secret?: readonly string[]
  readonly root?: readonly string[]
  readonly out?: string
}

type Body = Parameters<Client['issueGrant']>[0]
type Grant = Awaited<ReturnType<Client['grant']>>
/** Longest text of a token, and the room of a line end. */
const fileCharsMax = 8_192

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, ...value.split(',')]
const day = (at: number): string => new Date(at).toISOString().replace(/:\d\d\.\d+Z$/, 'Z')

/** The text of a token, or its id, from a file of that name or as it stands. @throws ERR_USAGE */
export async function readGrant(given: string): Promise<string> {
  if (given.startsWith('kmgrant:') || /^[0-9a-f]{4,64}$/.test(given)) return given
  const text = await readFile(given, 'utf8').catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${given} is no token, no id of one, and cannot be read as a file`, { cause })
  })
  if (text.length > fileCharsMax) throw new MeshError('ERR_USAGE', `${given} holds no token`)
  return text.trim()
}

const lineOf = ({ id, kind, state, audience, owner, command, expiresAt }: Grant): string =>
  `${id.slice(0, 12)}  ${kind === 'issued' ? `for  ${audience}` : `from ${owner}`}  ${command}  ${state}  until ${day(expiresAt)}`

function textOf(grant: Grant): string {
  const { id, state, reason, issuer, audience, owner, command, caveats, issuedAt, expiresAt, chainLength } = grant
  return [
    `token     ${id}`,
    `state     ${state}${reason === '' ? '' : `: ${reason}`}`,
    `allows    ${command} at ${owner}`,
    `given     to ${audience} by ${issuer}${chainLength > 1 ? `, handed on ${chainLength - 1} times` : ''}`,
    `valid     ${day(issuedAt)} to ${day(expiresAt)}`,
    ...Object.entries(caveats).map(([name, value]) => `only      ${name}: ${JSON.stringify(value)}`),
    grant.text,
  ].join('\n')
}

export function addGrantCommands(program: Command, add: AddCommand): void {
  const grant = program.command('grant').description('who may do what here, and capability tokens')
  add<readonly [string], IssueOptions>(
    grant,
    'issue <peer>',
    'give a peer a capability token, or hand one on; from then on what it says is what the peer may',
    (command) =>
      command
        .requiredOption('--command <path>', 'what it allows: /task/run, /file/read, …; a path stands for all below it')
        .option('--expires <duration>', 'at most 400d; an hour, or as long as --proof, unless given')
        .option('--proof <token>', 'a token of somebody else’s to hand on: a file, its text, or the id of an imported one')
        .option('--cap <capability>', 'a task may ask for these at most; repeatable', collect)
        .option('--limit <limits>', `a task may ask for so much at most: ${limitsHint}`)
        .option('--isolation <level>', 'a task runs at this level or a stronger one')
        .option('--code <hash>', 'only this code, BLAKE3 in hexadecimal; repeatable', collect)
        .option('--host <name>', 'where a task may connect: a name or *.suffix; repeatable', collect)
        .option('--secret <name>', 'a secret it may read; repeatable', collect)
        .option('--root <name>', 'a folder of the operator’s it may reach; repeatable', collect)
        .option('--out <file>', 'write the token there too'),
    async ({ client, print, say, signal }, [audience], { command, expires, proof, cap, limit, isolation, code, host, secret, root, out }) => {
      const caveats = given({
        capabilities: cap,
        limits: limit === undefined ? undefined : parseLimits(limit),
        isolation,
        code,
        hosts: host,
        secrets: secret,
        roots: root,
      })
      const body = given({
        audience,
        command,
        caveats,
        lifetimeMs: expires === undefined ? undefined : parseDuration(expires),
        proof: proof === undefined ? undefined : await readGrant(proof),
      }) as unknown as Body
      const answer = await (await client()).issueGrant(body, { signal })
      if (out !== undefined) await writeFile(out, `${answer.text}\n`, { mode: 0o600 })
      print('grant-issue', answer, ({ text }) => text)
      say(`${answer.id.slice(0, 12)}: ${answer.command} for ${answer.audience} until ${day(answer.expiresAt)}`)
    },
  )
  add<readonly [string], { readonly command: string }>(
    grant,
    'check <peer>',
    'may a peer do this here now, and why',
    (command) => command.requiredOption('--command <path>', 'such as /task/run or /vault/access'),
    async ({ client, print, signal }, [did], { command }) => {
      print('grant-check', await (await client()).checkGrant({ did, command }, { signal }), ({ allow, reason, reasons, next }) =>
        [
          `${allow ? 'yes' : 'no'}: ${reason}`,
          ...Object.entries(reasons).map(([part, { holds, text }]) => `  ${part.padEnd(8)} ${holds ? 'yes' : 'no '}  ${text}`),
          ...(next === '' ? [] : [`next: ${next}`]),
        ].join('\n'),
      )
    },
  )
  for (const [name, what] of [
    ['show [id]', 'one token, or all that were given here and to this node'],
    ['list', 'all tokens that were given here and to this node'],
  ] as const) {
    add<readonly [string?]>(
      grant,
      name,
      what,
      (command) => command,
      async ({ client, print, signal }, [id]) => {
        const node = await client()
        if (typeof id === 'string') print('grant-show', await node.grant(id, { signal }), textOf)
        else {
          print(
            name === 'list' ? 'grant-list' : 'grant-show',
            await node.grants({ signal }),
            ({ grants }) => grants.map(lineOf).join('\n') || 'no tokens: `kindmesh grant issue <peer> --command /task/run`',
          )
        }
      },
    )
  }
  add<readonly [string], { readonly hard?: boolean }>(
    grant,
    'revoke <id>',
    'withdraw a token; what runs by it is stopped',
    (command) => command.option('--hard', 'the key was compromised: void all it signed from now on'),
    async ({ client, print, signal }, [id], { hard }) => {
      const answer = await (await client()).revokeGrant({ id, kind: hard === true ? 'hard' : 'soft' }, { signal })
      print('grant-revoke', answer, (view) => `revoked ${view.id}`)
    },
  )
  add<readonly [string]>(
    grant,
    'forget <id>',
    'put away a token that ended: its peer is not held to it any more',
    (command) => command,
    async ({ client, print, signal }, [id]) => {
      print('grant-forget', await (await client()).forgetGrant(id, { signal }), (view) => `forgotten ${view.id}`)
    },
  )
  add<readonly [string]>(
    grant,
    'import <token>',
    'keep a token that was given to this node: a file or its text',
    (command) => command,
    async ({ client, print, signal }, [token]) => {
      print('grant-import', await (await client()).importGrant(await readGrant(token), { signal }), ({ id, command, owner }) => `${id}: ${command} at ${owner}`)
    },
  )
  const policy = program.command('policy').description('what this node allows whom')
  add(
    policy,
    'show',
    'the policy in force, and where each word of it came from',
    (command) => command,
    async ({ client, print, signal }) => {
      print('policy-show', await (await client()).policy({ signal }), ({ commands, isolation, limits, requireToken, native, assigned, sources }) => {
        const rows = commands.map(
          ({ command, byLevel }) =>
            `${command.padEnd(18)} ${Object.entries(byLevel)
              .map(([level, answer]) => `${level} ${answer}`)
              .join('  ')}`,
        )
        const said = Object.entries(sources).filter(([, from]) => from !== 'built in')
        return [
          ...rows,
          `isolation from     ${Object.entries(isolation)
            .map(([level, floor]) => `${level} ${floor}`)
            .join('  ')}`,
          `limits up to       ${Object.entries(limits)
            .map(([name, most]) => `${name} ${most}`)
            .join('  ')}`,
          `token needed for   ${requireToken.join(' ') || 'nothing'}`,
          `native for         ${native.join(' ') || 'nobody'}`,
          `roles              ${
            Object.entries(assigned)
              .map(([did, role]) => `${did} ${role}`)
              .join('  ') || 'none given'
          }`,
          `not built in       ${said.map(([path, from]) => `${path} (${from})`).join('  ') || 'nothing'}`,
        ].join('\n')
      })
    },
  )
}

/** The same without what was not given. */
const given = <T extends object>(fields: T): Partial<T> => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>
