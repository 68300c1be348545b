import type { Command } from 'commander'
import type { Context, SharedOptions } from '../context.ts'
import { parseCount, parseDuration } from '../parse.ts'
import { MeshError } from '../../base/index.ts'
import type { AddCommand } from '../program.ts'
import { addSeedCommands } from './proofs.ts'
import { addTrustComputeCommand } from './trust-compute.ts'
import { addTrustGraphCommand } from './trust-graph.ts'
import { levelOf, levelWords } from './trust-level.ts'
import { addTrustSimulateCommand } from './trust-simulate.ts'
import { called, explanationText, saidLevel, simulationText } from './trust-text.ts'
import { addTrustWordsCommands } from './trust-words.ts'

interface AttestOptions {
  readonly level: string
  readonly depth?: string
  readonly scope: readonly string[]
  readonly expires: string
  readonly dryRun?: boolean
}

const defaultScope = '/task/run'
const scopesDefault: readonly string[] = [defaultScope]

export function addTrustCommands(program: Command, add: AddCommand): void {
  add<readonly [string], AttestOptions>(
    program,
    'attest <peer>',
    'sign how far you trust somebody',
    (command) =>
      command
        .requiredOption('--level <level>', levelWords.join(', '))
        .option('--depth <n>', 'how many further introductions you answer for; 0 for basic and verified, 1 for trusted, 2 for authority unless given')
        .option(
          '--scope <path>',
          'command path, repeatable',
          (value: string, all: readonly string[]) => (all === scopesDefault ? [value] : [...all, value]),
          scopesDefault,
        )
        .option('--expires <duration>', 'at most 400d', '90d')
        .option('--dry-run', 'only say whose level would change in the first scope'),
    async ({ client, print, signal }, [subject], { level, depth, scope, expires, dryRun }) => {
      const body = {
        subject,
        level: levelOf(level),
        scopes: [...scope],
        lifetimeMs: parseDuration(expires),
        ...(depth === undefined ? {} : { depth: parseCount(depth, '--depth', 4) }),
      }
      const api = await client()
      if (dryRun === true) {
        const { lifetimeMs: _unsigned, ...supposed } = body
        print('attest', { dryRun: true, ...(await api.simulateTrust({ scope: scope[0] ?? defaultScope, add: [supposed] }, { signal })) }, simulationText)
        return
      }
      const answer = await api.attest(body, { signal })
      print('attest', answer, ({ id }) => `signed ${id}`)
    },
  )
  add<readonly [string], RevokeOptions>(
    program,
    'revoke <id|peer>',
    'withdraw a statement of yours, or all you say of a peer',
    (command) =>
      command
        .option('--hard', 'the key was compromised: void all it signed from now on')
        .option('--yes', 'do not ask')
        .option('--dry-run', 'only say whose level would change')
        .option('--scope <path>', 'with --dry-run: where', defaultScope),
    revoke,
  )
  const trust = program.command('trust').description('whom this node trusts, and why')
  addTrustWordsCommands(trust, add)
  addSeedCommands(trust, add)
  add<readonly [string], { readonly scope: string }>(
    trust,
    'explain <peer>',
    'how far somebody is trusted, and why',
    (command) => command.option('--scope <path>', 'command path', defaultScope),
    async ({ client, print, signal }, [subject], { scope }) => {
      print('trust-explain', await (await client()).explain({ subject, scope }, { signal }), (why) => explanationText(why, why.names))
    },
  )
  addTrustGraphCommand(trust, add)
  addTrustSimulateCommand(trust, add)
  addTrustComputeCommand(trust, add)
}

interface RevokeOptions {
  readonly hard?: boolean
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly scope: string
}

/** One statement by its id goes at once; several, or what a name stands for, only when told so. @throws ERR_USAGE, ERR_NOT_FOUND */
async function revoke(context: Context, [text]: readonly [string], { hard, yes, dryRun, scope }: RevokeOptions & SharedOptions): Promise<void> {
  const { client, print, signal } = context
  const api = await client()
  const kind = hard === true ? 'hard' : 'soft'
  const { attestations, names } = await api.attestations({ mine: 'true', match: text }, { signal })
  const ids = attestations.map(({ id }) => id)
  if (dryRun === true) {
    print('revoke', { dryRun: true, ...(await api.simulateTrust({ scope, revoke: ids, kind }, { signal })) }, simulationText)
    return
  }
  const isNamed = !ids.every((id) => id.startsWith(text))
  if (isNamed && yes !== true) {
    const list = attestations.map(({ id, level, scopes }) => `${id.slice(0, 12)} ${saidLevel(level)} ${scopes.join(' ')}`).join(', ')
    const about = called(attestations[0]?.subject ?? text, names)
    if (!context.mayAsk) {
      throw new MeshError('ERR_USAGE', `${ids.length} of your statements about ${about}: ${list}`, { hint: 'add --yes to withdraw them all, or give one id' })
    }
    const { confirm } = await import('@clack/prompts')
    if ((await confirm({ message: `Withdraw ${list} about ${about}?`, initialValue: false })) !== true) {
      throw new MeshError('ERR_ABORTED', 'nothing was revoked')
    }
  }
  const revocations: { readonly id: string; readonly revoked: string }[] = []
  for (const id of ids) revocations.push({ ...(await api.revoke({ id, kind }, { signal })), revoked: id })
  const [first] = revocations
  print('revoke', { ...(revocations.length === 1 ? first : {}), revocations }, () => revocations.map(({ revoked }) => `revoked ${revoked}`).join('\n'))
}
