import { compare, concat, createSeededRandom, createVirtualClock, didFromKey, randomInt, silentLogger } from '../../../src/base/index.ts'
import { sha256 } from '../../../src/crypto/index.ts'
import { createSimulator } from '../../../src/net/index.ts'
import { createScope, createSequence, serveAttSync, type SyncEntry, type SyncReport, syncWith } from '../../../src/protocols/att-sync/index.ts'
import { createMemoryStore } from '../../../src/store/index.ts'
import { alternate, type Bench, row, type Row } from '../harness.ts'

const held = 35_000
const issuers = 4_814
/** An attestation with one scope takes about so much. */
const statementBytes = 320
const nameBytes = 16
const goals = { 0: 0.005, 10: 12, 1_000: 2.5 } as const

/** Anti-entropy between two books of 35,000 statements that differ in 0, 10 and 1,000, against sending what is missing and no more, or all names. */
export async function* trustSync(bench: Bench): AsyncIterable<Row> {
  const random = createSeededRandom(1)
  const clock = createVirtualClock()
  const liveAt = clock.now()
  const all: SyncEntry[] = Array.from({ length: held }, () => ({
    kind: 'attestation' as const,
    id: random.bytes(32),
    issuedAt: liveAt - randomInt(random, 150_000_000_000),
    expiresAt: liveAt + 1,
    bytes: new Uint8Array(statementBytes),
  })).toSorted((a, b) => a.issuedAt - b.issuedAt || compare(a.id, b.id))
  const names = concat(...all.map(({ id }) => id))
  const scope = createScope(Array.from({ length: issuers }, () => didFromKey(random.bytes(32))).slice(0, 4_096))
  const simulator = createSimulator({ seed: 1, clock, latencyMs: [20, 20] })
  const [holder, asker] = await Promise.all([1, 2].map((fill) => simulator.host(new Uint8Array(32).fill(fill), { store: createMemoryStore(), rules: {} })))
  if (holder === undefined || asker === undefined) throw new Error('no hosts')
  serveAttSync({ host: holder, clock, logger: silentLogger, entries: () => all, heads: async () => [] })
  await clock.run(asker.dial({ addresses: holder.addresses() }))

  async function compared(missing: number): Promise<SyncReport & { readonly ms: number; readonly rttMs: number }> {
    const own = [...all]
    for (let gone = 0; gone < missing; gone++) own.splice(randomInt(random, own.length), 1)
    // One takes so many sessions of a peer a minute.
    await clock.advance(60_000)
    const [start, before] = [performance.now(), clock.monotonic()]
    const report = await clock.run(
      syncWith(asker as NonNullable<typeof asker>, (holder as NonNullable<typeof holder>).did, {
        clock,
        scope,
        own: createSequence(own),
        liveAt,
        take: async () => undefined,
      }),
    )
    return { ...report, ms: performance.now() - start, rttMs: clock.monotonic() - before }
  }
  // The first says whose statements; later ones need not.
  await compared(0)
  for (const missing of [0, 10, 1_000] as const) {
    const found: SyncReport[] = []
    const figures = await alternate(bench.rounds(5), {
      ms: async () => {
        const report = await compared(missing)
        found.push(report)
        return report.ms
      },
      hash: () => {
        const start = performance.now()
        sha256(names)
        return performance.now() - start
      },
    })
    const what = `comparing ${held} statements of which the asker lacks ${missing}`
    const bytes = found.map(({ bytesIn, bytesOut }) => bytesIn + bytesOut)
    const least = missing === 0 ? held * nameBytes : missing * statementBytes
    yield row({
      id: `trust.sync-${missing}-bytes`,
      what: `${what}, both ways`,
      unit: 'B',
      against: missing === 0 ? 'the names of all' : 'the statements that are missing',
      figures: bytes,
      others: bytes.map(() => least),
      goal: goals[missing],
    })
    yield row({
      id: `trust.sync-${missing}-rounds`,
      what,
      unit: 'round trips',
      against: 'asking for all there is',
      figures: found.map(({ rounds }) => rounds),
      others: found.map(() => 1),
      goal: missing === 0 ? 1 : 6,
    })
    yield row({
      id: `trust.sync-${missing}-ms`,
      what: `${what}, work of both sides without the signatures`,
      unit: 'ms',
      against: 'hashing all ids once',
      figures: figures.ms,
      others: figures.hash,
    })
  }
  await simulator.stop()
}
