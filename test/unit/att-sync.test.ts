import { describe, expect, test } from 'vitest'
import { compare, createSeededRandom, createVirtualClock, type Did, didFromKey, hex, randomInt, silentLogger } from '../../src/base/index.ts'
import { createScope, createSequence, type SyncEntry, type SyncReport, type SyncSession, syncWith } from '../../src/protocols/att-sync/index.ts'
import { hostTo, served } from '../helpers/att-sync.ts'

const liveAt = Date.UTC(2026, 0, 1)
const statementBytes = 320

/** Statements nobody signed: what is compared are names and times. */
function statements(count: number, seed: number, spanMs = 1_000_000_000): SyncEntry[] {
  const random = createSeededRandom(seed)
  return Array.from({ length: count }, () => random.bytes(32))
    .map((id) => ({
      kind: 'attestation' as const,
      id,
      issuedAt: liveAt - randomInt(random, spanMs),
      expiresAt: liveAt + 1,
      bytes: Uint8Array.from({ length: statementBytes }, (_, at) => (at < 32 ? (id[at] ?? 0) : 0)),
    }))
    .sort(inOrder)
}
const inOrder = (a: SyncEntry, b: SyncEntry): number => a.issuedAt - b.issuedAt || compare(a.id, b.id)
const issuersOf = (count: number): readonly Did[] => {
  const random = createSeededRandom(99)
  return Array.from({ length: count }, () => didFromKey(random.bytes(32)))
}
const [ben] = issuersOf(1) as [Did]

interface Ran extends SyncReport {
  readonly got: readonly string[]
  /** The same again, with the same holder. */
  again(changed?: Partial<SyncSession>): Promise<Ran>
}

/** One session over streams in memory; gives the report and what came. */
async function session(
  own: readonly SyncEntry[],
  theirs: readonly SyncEntry[],
  { issuers = issuersOf(1), ...given }: Partial<SyncSession> & { readonly issuers?: readonly Did[] } = {},
): Promise<Ran> {
  const clock = createVirtualClock()
  const serve = served({ clock, logger: silentLogger, entries: () => theirs, heads: async () => [] })
  const scope = createScope(issuers)
  async function again(changed: Partial<SyncSession> = {}): Promise<Ran> {
    const got: string[] = []
    const report = await syncWith(hostTo(serve), ben, {
      clock,
      scope,
      own: createSequence(own),
      liveAt,
      async take(items) {
        for (const { bytes } of items) got.push(hex(bytes.subarray(0, 32)))
      },
      ...given,
      ...changed,
    })
    return { ...report, got, again }
  }
  return await again()
}

describe('two who compare 35,000 statements', () => {
  const all = statements(35_000, 1)
  const without = (count: number): SyncEntry[] => {
    const random = createSeededRandom(count)
    const left = [...all]
    for (let gone = 0; gone < count; gone++) left.splice(randomInt(random, left.length), 1)
    return left
  }
  const overhead = (report: SyncReport): number => report.bytesIn + report.bytesOut - report.taken * statementBytes

  test('and have the same need one round and less than 1 KiB', async () => {
    const report = await session(all, all)
    expect(report).toMatchObject({ rounds: 1, missing: 0, taken: 0, isWhole: true })
    expect(overhead(report)).toBeLessThan(1_024)
  })
  test('of 4,000 issuers say whose only once', async () => {
    const report = await session(all, all, { issuers: issuersOf(4_000) })
    expect(report).toMatchObject({ rounds: 2, missing: 0, isWhole: true })
    const again = await report.again()
    expect(again).toMatchObject({ rounds: 1, missing: 0, isWhole: true })
    expect(overhead(again)).toBeLessThan(1_024)
  })
  test('and differ in 10 need few rounds', async () => {
    const report = await session(without(10), all)
    expect(report).toMatchObject({ missing: 10, taken: 10, isWhole: true })
    expect(report.rounds).toBeLessThanOrEqual(5)
    expect(overhead(report)).toBeLessThan(24 << 10)
  })
  test('and differ in 1,000 need few more', async () => {
    const report = await session(without(1_000), all)
    expect(report).toMatchObject({ missing: 1_000, taken: 1_000, isWhole: true })
    expect(report.rounds).toBeLessThanOrEqual(6)
    expect(overhead(report)).toBeLessThan(400 << 10)
  })
})

test('whatever two hold, the asker gets exactly what it lacks, also of many signed in one instant', async () => {
  for (let seed = 1; seed <= 80; seed++) {
    const random = createSeededRandom(seed)
    const all = statements(randomInt(random, 600), seed, seed % 3 === 0 ? 3 : 1_000_000)
    const [mine, common] = [random.fraction(), random.fraction()]
    const own = all.filter(() => random.fraction() < mine || random.fraction() < common)
    const theirs = all.filter(() => random.fraction() < 0.8)
    const lacking = theirs.filter(({ id }) => !own.some((other) => other.id === id)).map(({ id }) => hex(id))
    const report = await session(own, theirs)
    expect(report.got.toSorted(), `seed ${seed}`).toEqual(lacking.toSorted())
    expect(report.rounds, `seed ${seed}`).toBeLessThanOrEqual(6)
    expect(report.isWhole).toBe(true)
  }
})

test('one who begins with nothing gets the newest first, so many in a session, until it has all', async () => {
  const theirs = statements(5_000, 7)
  let own: readonly SyncEntry[] = []
  for (const left of [2_952, 904, 0]) {
    const report = await session(own, theirs)
    expect(report.isWhole).toBe(left === 0)
    const got = new Set(report.got)
    own = theirs.filter(({ id }) => got.has(hex(id)) || own.some((held) => held.id === id))
    expect(theirs.length - own.length).toBe(left)
  }
})

test('what was refused once is not fetched again, and what has ended is not spoken of', async () => {
  const theirs = statements(100, 8)
  const [bad, ended] = theirs as [SyncEntry, SyncEntry]
  const refused = new Set([hex(bad.id.subarray(0, 16))])
  const report = await session([], theirs.with(1, { ...ended, expiresAt: liveAt }), { refused })
  expect(report.got).toHaveLength(98)
  expect(report.got).not.toContain(hex(bad.id))
  expect(report.got).not.toContain(hex(ended.id))
})
