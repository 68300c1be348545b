import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import { type Did, MeshError, realClock } from '../../base/index.ts'
import { computeTrustFromCsv, csvColumns, type Explanation, trustPolicies, type TrustPolicy } from '../../trust/index.ts'
import type { Context } from '../context.ts'
import { parseInstant, plainText } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { nameOfLevel } from './mesh.ts'
import { explanationText } from './trust-text.ts'

interface Options {
  readonly graph: string
  readonly root: string
  readonly scope: string
  readonly now?: string
  readonly policy: TrustPolicy
  readonly rely?: readonly string[]
  readonly explain?: readonly string[]
}

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

function relianceOf(text: string): readonly [Did, number] {
  const [, id, amount] = /^(.+)=(\d{1,3})$/.exec(text) ?? []
  if (id === undefined || !(Number(amount) <= 120)) {
    throw new MeshError('ERR_USAGE', `'${text}' is no reliance`, { hint: 'write an id, =, and an amount from 0 to 120, such as anna=60' })
  }
  return [id as Did, Number(amount)]
}

/** `trust compute`: the rule of the node over a CSV, without a node, a profile or a network. */
export function addTrustComputeCommand(trust: Command, add: AddCommand): void {
  add<readonly [], Options>(
    trust,
    'compute',
    'levels from a CSV of statements, offline, by the rule of the node',
    (command) =>
      command
        .requiredOption('--graph <file>', `CSV with the columns ${csvColumns.join(',')}; - for stdin`)
        .requiredOption('--root <id>', 'from whose point of view')
        .option('--scope <path>', 'command path', '/task/run')
        .option('--now <time>', 'the instant asked about, such as 2026-01-31T12:00:00Z')
        .addOption(new Option('--policy <policy>', 'flow also weighs by amounts; never more than gate').choices(trustPolicies).default('gate'))
        .option('--rely <id=amount>', 'with --policy flow: how far an introducer is relied on, 0 to 120; repeatable', collect)
        .option('--explain <id>', 'say why, repeatable', collect),
    async (context, _args, { graph, root, scope, now, policy, rely = [], explain: asked = [] }) => {
      const at = now === undefined ? realClock.now() : parseInstant(now, '--now')
      const { snapshot, statements, later, levels } = await computeTrustFromCsv(readGraph(graph, context), {
        root,
        scope,
        now: at,
        policy,
        reliance: new Map(rely.map(relianceOf)),
        signal: context.signal,
      })
      const explanations = asked.map((id) => snapshot.explain(id as Did))
      const answer = {
        ...{ root, scope, policy, now: new Date(at).toISOString(), statements, later, validUntil: snapshot.validUntil ?? null, levels },
        ...(explanations[0] === undefined ? {} : { explanation: explanations[0], explanations }),
      }
      context.print('trust-compute', answer, () => (explanations.length > 0 ? explanations.map(told).join('\n') : tableOf(levels)))
      if (later > 0) context.say(`${later} statements are later than ${answer.now} and were left out`)
    },
  )
}

const told = (why: Explanation): string => `${plainText(why.subject)}  ${explanationText(why, {})}`

function tableOf(levels: Readonly<Record<string, number>>): string {
  const rows = Object.entries(levels).toSorted(([, a], [, b]) => b - a)
  return rows.map(([id, level]) => `${nameOfLevel(level).padEnd(9)}  ${plainText(id)}`).join('\n')
}

/** The file in pieces, with a line that says how far it is where somebody looks. */
async function* readGraph(file: string, { isTalking, signal }: Context): AsyncGenerator<Uint8Array> {
  const isShown = isTalking && process.stderr.isTTY
  const total = file === '-' ? 0 : await stat(file).then(({ size }) => size, unreadable)
  const stream = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 1 << 20, signal })
  let done = 0
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      yield piece
      done += piece.length
      if (isShown) process.stderr.write(`\r\x1b[2Kread ${(done / 1e6).toFixed(1)} MB${total > 0 ? `, ${Math.floor((done / total) * 100)} %` : ''}`)
    }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Error && 'syscall' in error) unreadable(error)
    throw error
  } finally {
    if (isShown && done > 0) process.stderr.write('\r\x1b[2K')
  }

  function unreadable(cause: unknown): never {
    throw new MeshError('ERR_USAGE', `${file} cannot be read: ${cause instanceof Error ? cause.message : ''}`, {
      cause,
      hint: 'give --graph the path of a CSV file',
    })
  }
}
