import type { Command } from 'commander'
import { parseCount, parseDuration } from '../parse.ts'
import { MeshError } from '../../base/index.ts'
import type { AddCommand } from '../program.ts'
import { nameOfLevel } from './mesh.ts'
import { addTrustComputeCommand } from './trust-compute.ts'

const levels = ['distrust', 'caution', 'basic', 'verified', 'trusted', 'authority'] as const
type LevelText = (typeof levels)[number]

interface AttestOptions {
  readonly level: string
  readonly depth?: string
  readonly scope: readonly string[]
  readonly expires: string
}

function levelOf(text: string): LevelText {
  const found = levels.find((level) => level === text.toLowerCase())
  if (found === undefined) throw new MeshError('ERR_USAGE', `'${text}' is no level`, { hint: `one of ${levels.join(', ')}` })
  return found
}

const defaultScope = '/task/run'

export function addTrustCommands(program: Command, add: AddCommand): void {
  add<readonly [string], AttestOptions>(
    program,
    'attest <peer>',
    'sign how far you trust somebody',
    (command) =>
      command
        .requiredOption('--level <level>', levels.join(', '))
        .option('--depth <n>', 'how many further introductions you answer for; 0 for basic and verified, 1 for trusted, 2 for authority unless given')
        .option(
          '--scope <path>',
          'command path, repeatable',
          (value: string, all: readonly string[]) => (all[0] === defaultScope && all.length === 1 ? [value] : [...all, value]),
          [defaultScope],
        )
        .option('--expires <duration>', 'at most 400d', '90d'),
    async ({ client, print, signal }, [subject], { level, depth, scope, expires }) => {
      const body = {
        subject,
        level: levelOf(level),
        scopes: [...scope],
        lifetimeMs: parseDuration(expires),
        ...(depth === undefined ? {} : { depth: parseCount(depth, '--depth', 4) }),
      }
      const answer = await (await client()).attest(body, { signal })
      print('attest', answer, ({ id }) => `signed ${id}`)
    },
  )
  add<readonly [string], { readonly hard?: boolean }>(
    program,
    'revoke <id>',
    'withdraw a statement of yours',
    (command) => command.option('--hard', 'the key was compromised: void all it signed from now on'),
    async ({ client, print, signal }, [id], { hard }) => {
      const answer = await (await client()).revoke({ id, kind: hard === true ? 'hard' : 'soft' }, { signal })
      print('revoke', { ...answer, revoked: id }, () => `revoked ${id}`)
    },
  )
  const trust = program.command('trust').description('whom this node trusts, and why')
  add(
    trust,
    'show',
    'statements known here',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).attestations({ signal })
      print(
        'trust-show',
        answer,
        ({ attestations }) =>
          attestations
            .map(
              ({ id, issuer, subject, level, scopes, expiresAt }) =>
                `${id.slice(0, 12)}  ${issuer} -> ${subject}  ${nameOfLevel(level)}  ${scopes.join(' ')}  until ${new Date(expiresAt).toISOString().slice(0, 10)}`,
            )
            .join('\n') || 'no statements: `kindmesh attest <peer> --level verified`',
      )
    },
  )
  add<readonly [string], { readonly scope: string }>(
    trust,
    'explain <peer>',
    'how far somebody is trusted, and why',
    (command) => command.option('--scope <path>', 'command path', defaultScope),
    async ({ client, print, signal }, [subject], { scope }) => {
      print('trust-explain', await (await client()).explain({ subject, scope }, { signal }), ({ sentence }) => sentence)
    },
  )
  addTrustComputeCommand(trust, add)
}
