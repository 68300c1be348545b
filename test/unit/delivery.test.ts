import { expect, test } from 'vitest'
import type { Courier } from '../../src/agents/courier.ts'
import { createDelivery, type Delivery, type Outcome } from '../../src/agents/delivery.ts'
import { openOutbox, type Outbox, type OutboxEntry, type OutboxItem } from '../../src/agents/outbox.ts'
import { createSeededRandom, createVirtualClock, dayMs, hourMs, MeshError, minuteMs, silentLogger, utf8, type VirtualClock } from '../../src/base/index.ts'
import type { PrekeyBundle } from '../../src/envelope/index.ts'
import { batchStatementsMax, composeStatement } from '../../src/identity/index.ts'
import type { Carried } from '../../src/protocols/klp/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const [own, peer] = [keyringOf(1), keyringOf(2)]
/** What the receiver does with a message of that text; a code refuses it. */
type Receiver = (text: string) => Promise<string | MeshError | undefined>

interface Stage {
  readonly clock: VirtualClock
  readonly outbox: Outbox
  readonly delivery: Delivery
  /** Texts that reached the receiver, each time, with the time. */
  readonly tries: { readonly text: string; readonly at: number }[]
  readonly deposited: string[]
  readonly undelivered: OutboxEntry[]
  give(text: string, options?: { readonly lifetimeMs?: number; readonly priority?: number; readonly bytes?: number }): OutboxItem
  /** As a caller does who waits. */
  send(text: string, options?: { readonly lifetimeMs?: number }): Promise<Outcome>
}

async function createStage(receiver: Receiver, { mailboxes = false, linked = true } = {}): Promise<Stage> {
  const clock = createVirtualClock()
  const random = createSeededRandom(1)
  const [tries, deposited, undelivered]: [Stage['tries'], string[], OutboxEntry[]] = [[], [], []]
  const outbox = await openOutbox({
    store: createMemoryStore(),
    keyring: own,
    clock,
    random,
    logger: silentLogger,
    onUndelivered: (entry) => undelivered.push(entry),
  })
  const textOf = ({ statement }: Carried): string => new TextDecoder().decode(statement.payload).replace(/ +$/, '')
  const courier: Courier = {
    async post(_to, statement, { signal }) {
      tries.push({ text: textOf(statement), at: clock.monotonic() })
      const answer = await Promise.race([
        receiver(textOf(statement)),
        new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })),
      ])
      if (answer instanceof MeshError) throw answer
      return statement
    },
    sealStored: async (_to, statement) => utf8(textOf(statement)),
    sealAnswers: async () => new Uint8Array(),
  }
  const delivery = createDelivery({
    outbox,
    courier,
    clock,
    random,
    logger: silentLogger,
    bundleOf: async () => ({ mailboxes: mailboxes ? [peer.did] : [] }) as unknown as PrekeyBundle,
    isLinked: () => linked,
    keyOf: async (to) => to,
    readdress: () => undefined,
    deposit: async ({ sealed }) => {
      deposited.push(new TextDecoder().decode(sealed))
      return [1]
    },
    checkAnswer: () => undefined,
    onDelivered: () => undefined,
  })
  const give: Stage['give'] = (text, { lifetimeMs = 7 * dayMs, priority = 5, bytes = 0 } = {}) => {
    const [issuedAt, place] = [clock.now(), outbox.nextPlace(peer.did)]
    const fields = { from: own.did, to: peer.did, type: 'text', payload: utf8(text.padEnd(bytes)), refs: [], issuedAt, expiresAt: issuedAt + lifetimeMs }
    return outbox.add(peer.did, { ...composeStatement('message', fields, random), kind: 'message' }, { place, priority }).item
  }
  return {
    clock,
    outbox,
    delivery,
    tries,
    deposited,
    undelivered,
    give,
    send: (text, options) => delivery.attempt(give(text, options), { signal: clock.timeout(30_000) }),
  }
}
const numbered = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `message ${index}`)
const overloaded = (retryAfterMs: number): MeshError => new MeshError('ERR_OVERLOADED', 'full', { details: { retryAfterMs } })

test('nothing is tried before the receiver said, neither what it refused nor what is new, by a kick or by the clock', async () => {
  let isFull = true
  const { clock, delivery, tries, send, outbox } = await createStage(async () => (isFull ? overloaded(90_000) : undefined))
  const first = send('one')
  await clock.advance(10)
  expect(await first).toEqual({ status: 'queued' })
  isFull = false
  const second = send('two')
  await clock.advance(10)
  expect(await second).toEqual({ status: 'queued' })
  for (let passed = 0; passed < 89; passed++) {
    delivery.kick(peer.did)
    await clock.advance(1_000)
  }
  expect(tries.map(({ text }) => text)).toEqual(['one'])
  await clock.advance(2_000)
  expect(tries.map(({ text }) => text)).toEqual(['one', 'one', 'two'])
  expect(outbox.list()).toEqual([])
})

test('messages that fail each time, more than one request holds, keep nobody behind them waiting', async () => {
  const { clock, tries, give, delivery, outbox } = await createStage(async (text) =>
    text.startsWith('bad') ? new MeshError('ERR_INTERNAL', 'odd') : undefined,
  )
  for (let index = 0; index < 3 * batchStatementsMax; index++) give(`bad ${index}`)
  for (const text of numbered(100)) give(text)
  delivery.start()
  await clock.advance(10)
  expect(tries.map(({ text }) => text).filter((text) => !text.startsWith('bad'))).toEqual(numbered(100))
  expect(outbox.line(peer.did)).toHaveLength(3 * batchStatementsMax)
  const before = tries.length
  await clock.advance(hourMs)
  // Each by itself, ever more seldom.
  expect(tries.length - before).toBeLessThan(3 * batchStatementsMax * 30)
  expect(tries.length - before).toBeGreaterThan(3 * batchStatementsMax * 10)
})

test('one that never gets an answer does not hold up those behind it', async () => {
  const { clock, give, delivery, outbox } = await createStage(async (text) => (text === 'mute' ? await new Promise(() => undefined) : undefined))
  give('mute')
  for (const text of numbered(100)) give(text)
  delivery.start()
  await clock.advance(2 * minuteMs)
  expect(outbox.line(peer.did)).toHaveLength(1)
})

test('messages too large for one request go one request after another: what the first is refused nothing overtakes', async () => {
  const taken: string[] = []
  let isFirst = true
  const { clock, give, delivery } = await createStage(async (text) => {
    if (isFirst) {
      isFirst = false
      return overloaded(1_000)
    }
    taken.push(text)
    return undefined
  })
  for (const text of numbered(5)) give(text, { bytes: 60_000 })
  delivery.start()
  await clock.advance(minuteMs)
  expect(taken).toEqual(numbered(5))
})

test('all that waits for a peer that is off lies in its mailboxes, and what is sent later too, each once', async () => {
  const { clock, send, deposited, give, delivery } = await createStage(async () => new MeshError('ERR_NET_UNREACHABLE', 'off'), {
    mailboxes: true,
    linked: false,
  })
  for (const text of numbered(200)) give(text)
  delivery.start()
  await clock.advance(minuteMs)
  expect(deposited).toEqual(numbered(200))
  expect(await clock.run(send('one more'))).toEqual({ status: 'deposited' })
  expect(deposited).toHaveLength(201)
})

test('a message whose time is over is given up then, and whoever waits is told', async () => {
  const { clock, send, undelivered, give, delivery } = await createStage(async () => await new Promise(() => undefined))
  give('short', { lifetimeMs: 7 * minuteMs })
  delivery.start()
  await clock.advance(6 * minuteMs)
  expect(undelivered).toEqual([])
  await clock.advance(2 * minuteMs)
  expect(undelivered).toMatchObject([{ status: 'expired' }])
  // One that came into the line of a round that takes longer.
  const told = codeOf(send('shorter', { lifetimeMs: 10 }))
  await clock.advance(minuteMs)
  expect(await told).toBe('ok')
  expect(undelivered).toHaveLength(2)
})

test('stopping tells everybody who waits, at once, and who comes after', async () => {
  const { clock, send, delivery } = await createStage(async () => await new Promise(() => undefined))
  const sends = numbered(50).map((text) => send(text))
  await clock.advance(10)
  delivery.stop()
  expect(new Set((await Promise.all(sends)).map(({ status }) => status))).toEqual(new Set(['queued']))
  expect(await send('late')).toEqual({ status: 'queued' })
})

test('whoever no longer wants to wait does not', async () => {
  const { delivery, give } = await createStage(async () => await new Promise(() => undefined))
  expect(await delivery.attempt(give('x'), { signal: AbortSignal.abort(new Error('no')) })).toEqual({ status: 'queued' })
})

test('one receiver that is off leaves room in the outbox for the others', async () => {
  const { give, outbox, clock } = await createStage(async () => undefined)
  let given = 0
  expect(() => {
    for (; given < 2_000; given++) give('large', { bytes: 64_000 })
  }).toThrow(expect.objectContaining({ code: 'ERR_OVERLOADED', details: { retryAfterMs: 5 * minuteMs } }) as Error)
  expect(given).toBeGreaterThan(900)
  const other = keyringOf(3).did
  const fields = { from: own.did, to: other, type: 'text', payload: new Uint8Array(64_000), refs: [], issuedAt: clock.now(), expiresAt: clock.now() + dayMs }
  const statement = { ...composeStatement('message', fields, createSeededRandom(4)), kind: 'message' } as const
  expect(outbox.add(other, statement, { place: outbox.nextPlace(other), priority: 5 }).item.to).toBe(other)
})
