import { createRequire } from 'node:module'
import { DirectedGraph } from 'graphology'
import createNgraph from 'ngraph.graph'
import { createSeededRandom, randomInt } from '../../../src/base/index.ts'
import { type Attestation, createLedger, type Ledger, type TrustSnapshot } from '../../../src/trust/index.ts'
import { buildGraph } from '../../../src/trust/graph.ts'
import { createSift } from '../../../src/trust/sift.ts'
import { settle } from '../../../src/trust/strata.ts'
import { alternate, type Bench, median, row, type Row, usPerCall } from '../harness.ts'
import { advogato, allYesterday, asStatements, bitcoinotc, busiest, epinions, now, synthetic, type Word } from '../trust-graphs.ts'

const require = createRequire(import.meta.url)
const ngraphPagerank = require('ngraph.pagerank') as (graph: unknown) => unknown
const graphologyPagerank = require('graphology-metrics/centrality/pagerank') as (graph: DirectedGraph) => unknown

const scope = '/task/run'
const memoryCount = 100_000
const [syntheticFull, syntheticQuick] = [1_000_000, 50_000]
/** Of the time that a PageRank of 35,600 edges takes. */
const goal = 1 / 50

/** All four levels of everybody from the statements held, against PageRank of the same edges, which has no levels and no say in who cheats. */
export async function* trust(bench: Bench): AsyncIterable<Row> {
  const isQuick = bench.rounds(2) === 1
  const otc = bitcoinotc()
  const sets = [
    { id: 'bitcoinotc', words: otc === undefined ? undefined : allYesterday(otc), goal },
    { id: 'advogato', words: advogato() },
    { id: 'epinions', words: isQuick ? undefined : epinions() },
    { id: 'synthetic', words: synthetic(isQuick ? syntheticQuick : syntheticFull) },
  ]
  for (const { id, words, goal: wanted } of sets) {
    if (words === undefined) process.stderr.write(`${id}: left out, ${isQuick ? 'this is a quick run or ' : ''}its data are not there\n`)
    else yield* levels(bench, id, words, wanted)
  }
  const explained = otc === undefined ? synthetic(syntheticQuick) : allYesterday(otc)
  yield* explaining(bench, explained)
  yield* replay(otc ?? synthetic(syntheticQuick))
  const memory = bench.start(new URL('../peers/trust-memory.ts', import.meta.url), ['--expose-gc'])
  const bytes = await memory.ask<{ readonly ledger: number; readonly scope: number }>('bytes', memoryCount)
  const perEdge = [(bytes.scope / memoryCount) | 0]
  const what = `memory of ${memoryCount} statements, their ids with them`
  yield row({
    id: 'trust-memory',
    what,
    unit: 'MB',
    figures: [bytes.ledger / 1e6],
    against: 'a scope once asked for, bytes a statement',
    others: perEdge,
    othersUnit: 'B',
  })
}

function filled(statements: readonly Attestation[], words: readonly Word[]): Ledger {
  const ledger = createLedger({ root: busiest(words) })
  for (const statement of statements) ledger.add(statement)
  return ledger
}

const ms = (act: () => unknown): number => usPerCall(1, act) / 1_000

async function* levels(bench: Bench, id: string, words: readonly Word[], wanted: number | undefined): AsyncIterable<Row> {
  const statements = asStatements(words)
  const root = busiest(words)
  const sift = createSift(root)
  for (const statement of statements) sift.add(statement)
  const graph = buildGraph(sift, { scope, now, depthMax: 4, headAt: () => Infinity, groups: undefined })

  const ngraph = createNgraph()
  const graphology = new DirectedGraph()
  for (const { from, to } of words) {
    ngraph.addLink(from, to)
    graphology.mergeEdge(from, to)
  }
  const ledger = filled(statements, words)
  const last = statements.at(-1)
  let seq = Number.MAX_SAFE_INTEGER - 1_000_000
  const rounds = bench.rounds(words.length > 200_000 ? 5 : 15)
  const figures = await alternate(rounds, {
    levels: () => ms(() => settle(graph)),
    again: () =>
      ms(() => {
        seq++
        // The root says something new about somebody.
        if (last !== undefined) ledger.add({ ...last, issuer: root, id: `new ${seq}`, seq, level: seq % 2 === 0 ? 2 : 3 })
        ledger.snapshot({ scope, now })
      }),
    idle: () => usPerCall(1_000, () => ledger.snapshot({ scope, now })),
    cold: () => ms(() => filled(statements, words).snapshot({ scope, now })),
    ngraph: () => ms(() => ngraphPagerank(ngraph)),
    graphology: () => ms(() => graphologyPagerank(graphology)),
  })
  const what = `all levels of ${sift.nodes.length} in ${words.length} statements`
  const [inNgraph, inGraphology] = ['ngraph.pagerank of the same edges', 'graphology-metrics pagerank of the same edges']
  const goals = wanted === undefined ? {} : { goal: wanted }
  yield row({ id: `trust-${id}-ngraph`, what, unit: 'ms', figures: figures.levels, against: inNgraph, others: figures.ngraph, ...goals })
  yield row({ id: `trust-${id}-graphology`, what, unit: 'ms', figures: figures.levels, against: inGraphology, others: figures.graphology, ...goals })
  const changed = 'after one statement of the root: graph built anew, all levels'
  yield row({ id: `trust-${id}-changed`, what: changed, unit: 'ms', figures: figures.again, against: inNgraph, others: figures.ngraph })
  const cold = 'the same from nothing: every statement sifted, graph, all levels'
  yield row({ id: `trust-${id}-cold`, what: cold, unit: 'ms', figures: figures.cold, against: inNgraph, others: figures.ngraph })
  const idle = figures.idle
  const ratioOf = (figure: number, other: number): number => figure / (other * 1_000)
  yield row({
    id: `trust-${id}-idle`,
    what: 'asked again, nothing changed',
    unit: 'us',
    figures: idle,
    against: 'computing all levels',
    others: figures.levels,
    othersUnit: 'ms',
    ratioOf,
  })
}

async function* explaining(bench: Bench, words: readonly Word[]): AsyncIterable<Row> {
  const ledger = filled(asStatements(words), words)
  const snapshot = ledger.snapshot({ scope, now })
  const byLevel = new Map(([1, 2, 3] as const).map((level) => [level, snapshot.subjects().filter((one) => snapshot.level(one) === level)]))
  const random = createSeededRandom(2)
  const first = ms(() => snapshot.explain(byLevel.get(1)?.[0] ?? (snapshot.subjects()[0] as Attestation['issuer'])))
  for (const [level, subjects] of byLevel) {
    if (subjects.length === 0) continue
    const figures = await alternate(bench.rounds(7), {
      explain: () => usPerCall(bench.calls, () => snapshot.explain(subjects[randomInt(random, subjects.length)] as Attestation['issuer'])),
    })
    const what = `explain somebody at level ${level}`
    yield row({
      id: `trust-explain-${level}`,
      what,
      unit: 'us',
      figures: figures.explain,
      against: 'the first explanation of a snapshot',
      others: figures.explain.map(() => first * 1_000),
    })
  }
}

/** Statements as they came in time: what share provably changes nothing, and what it costs to know. */
async function* replay(words: readonly Word[]): AsyncIterable<Row> {
  const statements = asStatements(words)
  const ledger = createLedger({ root: busiest(words) })
  const ask = (at: number): TrustSnapshot => ledger.snapshot({ scope, now: at })
  let [told, without, spentMs] = [0, 0, 0]
  for (const statement of statements) {
    const start = performance.now()
    const isWithout = !ledger.matters(statement)
    spentMs += performance.now() - start
    told++
    if (isWithout) without++
    ledger.add(statement)
    if (!isWithout || told === 1) ask(statement.issuedAt)
  }
  const share = [(without * 100) / told]
  const each = [(spentMs * 1_000) / told]
  yield row({
    id: 'trust-irrelevant',
    what: `of ${told} statements as they came, decided at once to change nothing`,
    unit: '%',
    figures: share,
    against: 'deciding it takes',
    others: [median(each)],
    othersUnit: 'us',
  })
}
