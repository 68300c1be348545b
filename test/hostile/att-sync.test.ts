import { describe, expect, test } from 'vitest'
import { compare, createSeededRandom, createVirtualClock, type Did, didFromKey, MeshError, type Random, randomInt, silentLogger } from '../../src/base/index.ts'
import type { StreamHandler } from '../../src/net/index.ts'
import { createScope, createSequence, type SyncEntry, type SyncReport, type SyncSession, syncWith } from '../../src/protocols/att-sync/index.ts'
import { syncTakenBytesMax } from '../../src/protocols/att-sync/ask.ts'
import { type SyncAnswer, syncAnswerCodec, syncFrameBytesMax, type SyncQuestion, syncQuestionCodec } from '../../src/protocols/att-sync/frames.ts'
import { answerRanges, firstQuestion, type Range } from '../../src/protocols/att-sync/ranges.ts'
import { firstPlace, lastPlace } from '../../src/protocols/att-sync/sequence.ts'
import { syncSessionsPerMinuteMax, syncSessionsServedMax } from '../../src/protocols/att-sync/serve.ts'
import { hostTo, served } from '../helpers/att-sync.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { createStreamPair } from '../helpers/stream-pair.ts'

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 5_000 : 250_000
const clock = createVirtualClock()
const liveAt = clock.now()
const keys = createSeededRandom(5)
const [anna, ben]: readonly [Did, Did] = [didFromKey(keys.bytes(32)), didFromKey(keys.bytes(32))]
const scope = createScope([anna])
const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'ok',
    (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
  )
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function statements(count: number, random: Random): SyncEntry[] {
  return Array.from({ length: count }, () => ({
    kind: 'attestation' as const,
    id: random.bytes(32),
    issuedAt: liveAt - randomInt(random, 1_000_000),
    expiresAt: liveAt + 1,
    bytes: random.bytes(40),
  })).toSorted((a, b) => a.issuedAt - b.issuedAt || compare(a.id, b.id))
}
const held = statements(60, createSeededRandom(1))
const holder = (entries: readonly SyncEntry[] = held): StreamHandler => served({ clock, logger: silentLogger, entries: () => entries, heads: async () => [] })
const plain: SyncQuestion = { scope: scope.name, tags: scope.tags, liveAt, headsAfter: undefined, ranges: [], wants: [] }
const own = createSequence(held.slice(0, 40))
const question = syncQuestionCodec.encode({ ...plain, ranges: firstQuestion(own, lastPlace), wants: [held[50]?.id.subarray(0, 16) ?? new Uint8Array(16)] })

/** A holder that says what it likes. */
const liar =
  (say: (question: SyncQuestion, count: number) => readonly (SyncAnswer | Uint8Array)[]): StreamHandler =>
  async (stream) => {
    let count = 0
    for await (const frame of stream.frames) {
      for (const answer of say(syncQuestionCodec.decode(frame), count++)) {
        await stream.send(answer instanceof Uint8Array ? answer : syncAnswerCodec.encode(answer))
      }
    }
  }
const answer = (fields: Partial<SyncAnswer>): SyncAnswer => ({ known: true, more: false, ranges: [], items: [], ...fields })
const ask = (serve: StreamHandler, changed: Partial<SyncSession> = {}): Promise<SyncReport> =>
  syncWith(hostTo(serve), ben, { clock, scope, own, liveAt, take: async () => undefined, ...changed })

describe('malformed', () => {
  test('questions each end their stream and nothing else', async () => {
    const random = createSeededRandom(1)
    let answered = 0
    for (let round = 0; round < inputs / 15; round++) {
      // A fresh holder now and then: one takes so many sessions a minute.
      const handler = holder()
      for (let count = 0; count < 15; count++) {
        const [mine, peer] = createStreamPair(anna, ben)
        const bytes = fuzzed([question], random)
        await peer.send(bytes)
        const done = handler(mine)
        await nextTurn()
        await peer.close()
        await done
        if (mine.sent.length > 0) answered++
        for (const frame of mine.sent) expect(frame.length).toBeLessThanOrEqual(syncFrameBytesMax)
      }
    }
    expect(answered).toBeLessThan(inputs / 2)
  })

  test('answers are coded errors to the one who asked', async () => {
    const random = createSeededRandom(2)
    const samples = [
      syncAnswerCodec.encode(answer({ ranges: answerRanges(createSequence(held), firstQuestion(own, lastPlace)) })),
      syncAnswerCodec.encode(answer({ more: true, items: [{ kind: 'head', bytes: new Uint8Array(40) }] })),
      syncAnswerCodec.encode(answer({ known: false })),
    ]
    let taken = 0
    for (let count = 0; count < inputs; count++) {
      try {
        const [mine, theirs] = createStreamPair(anna, ben)
        void Promise.resolve(liar((_, at) => (at === 0 ? [fuzzed(samples, random)] : []))(theirs)).catch(() => undefined)
        const asking = syncWith({ open: async () => mine } as never, ben, { clock, scope, own, liveAt, take: async () => undefined })
        asking.catch(() => undefined)
        await nextTurn()
        await theirs.close()
        await asking
        taken++
      } catch (error) {
        if (!(error instanceof MeshError) || error.code === 'ERR_INTERNAL') throw error
      }
    }
    expect(taken).toBeLessThan(inputs / 2)
  })
})

describe('a holder that lies costs its budget and no more', () => {
  const other = createSeededRandom(9)
  const noise = (until: Range['until']): Range => ({ until, what: 'fingerprint', bytes: other.bytes(16) })

  test('when nothing is ever the same', async () => {
    const all = createSequence(statements(5_000, createSeededRandom(3)))
    const report = await ask(
      liar(({ ranges }) => [answer({ ranges: ranges.map(({ until, what, bytes }) => (what === 'skip' ? { until, what, bytes } : noise(until))) })]),
      { own: all },
    )
    expect(report).toMatchObject({ taken: 0, missing: 0, isWhole: false })
    expect(report.rounds).toBeLessThanOrEqual(12)
    expect(report.bytesOut).toBeLessThan(syncTakenBytesMax)
  })
  test('when it speaks of what was not asked, or in too many parts', async () => {
    const places = Array.from({ length: 17 }, (_, index) => ({ ...firstPlace, time: index + 1 }))
    expect(await codeOf(ask(liar(() => [answer({ ranges: places.map(noise) })])))).toBe('ERR_PROTOCOL')
    const again = liar((_, count) => [answer({ ranges: count === 0 ? places.slice(0, 2).map(noise) : places.slice(5, 6).map(noise) })])
    expect(await codeOf(ask(again))).toBe('ERR_PROTOCOL')
    expect(await codeOf(ask(liar(() => [answer({ ranges: [noise(places[1] ?? lastPlace), noise(places[1] ?? lastPlace)] })])))).toBe('ERR_PROTOCOL')
  })
  test('when it names statements without end and sends none, or others', async () => {
    const named = liar(({ ranges, wants }) => [
      answer(wants.length > 0 ? {} : { ranges: ranges.map(({ until }) => ({ until, what: 'names' as const, bytes: other.bytes(512) })) }),
    ])
    expect(await ask(named)).toMatchObject({ missing: 32, taken: 0 })
    const sent = liar(({ wants }) => [
      answer(wants.length > 0 ? { more: true } : { ranges: [{ until: lastPlace, what: 'names', bytes: other.bytes(32) }] }),
      ...(wants.length > 0 ? [answer({ items: Array.from({ length: 3 }, () => ({ kind: 'head' as const, bytes: other.bytes(40) })) })] : []),
    ])
    expect(await codeOf(ask(sent))).toBe('ERR_PROTOCOL')
  })
  test('when its answer does not end, or brings nothing on and on', async () => {
    const frame = answer({ more: true, ranges: [] })
    expect(await codeOf(ask(liar(() => Array.from({ length: 3 }, () => frame))))).toBe('ERR_PROTOCOL')
    const endless = liar(() => [
      answer({ more: true }),
      ...Array.from({ length: 600 }, () => answer({ more: true, items: [{ kind: 'head', bytes: new Uint8Array(40) }] })),
    ])
    expect(await codeOf(ask(endless, { headsAfter: 0 }))).toBe('ERR_PROTOCOL')
  })
  test('when it knows no scope however often it is told', async () => {
    expect(await codeOf(ask(liar(() => [answer({ known: false })])))).toBe('ERR_PROTOCOL')
  })
  test('when it is silent', async () => {
    const asked = codeOf(ask(liar(() => [])))
    await clock.advance(30_000)
    expect(await asked).toBe('ERR_TIMEOUT')
  })
})

describe('an asker', () => {
  test('gets so many sessions a minute, and all together so many at a time', async () => {
    const handler = holder()
    const opened = Array.from({ length: syncSessionsServedMax + 1 }, () => createStreamPair(anna, ben))
    const serving = opened.map(([mine]) => handler(mine))
    await nextTurn()
    await expect(opened.at(-1)?.[1].send(question)).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
    for (const [, peer] of opened.slice(0, -1)) await peer.close()
    for (const one of serving) await one
    let served_ = 0
    for (let count = opened.length; count < 2 * syncSessionsPerMinuteMax; count++) {
      const [mine, peer] = createStreamPair(anna, ben)
      await peer.send(question)
      const done = handler(mine)
      await nextTurn()
      await peer.close()
      await done
      if (mine.sent.length > 0) served_++
    }
    expect(served_).toBe(syncSessionsPerMinuteMax - opened.length)
  })
  test('that has the same compared again and again, or is silent, is left', async () => {
    const [mine, peer] = createStreamPair(anna, ben)
    const serving = holder()(mine)
    for (let count = 0; count < 1_000; count++) {
      await peer.send(syncQuestionCodec.encode({ ...plain, ranges: firstQuestion(own, lastPlace) })).catch(() => undefined)
    }
    await serving
    expect(mine.sent.length).toBeLessThan(200)
    await expect(peer.send(question)).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
    const [idle, quiet] = createStreamPair(anna, ben)
    const waiting = holder()(idle)
    await clock.advance(60_000)
    await waiting
    await expect(quiet.send(question)).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
  })
  test('that changes what a session is about is left', async () => {
    const [mine, peer] = createStreamPair(anna, ben)
    const serving = holder()(mine)
    await peer.send(question)
    await peer.send(syncQuestionCodec.encode({ ...plain, liveAt: 0 }))
    await serving
    expect(mine.sent).toHaveLength(2)
    await expect(peer.send(question)).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
  })
})
