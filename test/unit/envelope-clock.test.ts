import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, minuteMs, realRandom } from '../../src/base/index.ts'
import { openBox, openPrekeys, openReplayGuard, sealBox } from '../../src/envelope/index.ts'
import { type Signed, signStatement } from '../../src/identity/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const keyring = keyringOf(1)
const random = createSeededRandom(1)

const message = (now: number, lifetimeMs = minuteMs): Signed =>
  signStatement('message', { to: keyring.did, type: 'text', payload: new Uint8Array(), issuedAt: now, expiresAt: now + lifetimeMs }, { keyring, random })
const replayed = expect.objectContaining({ code: 'ERR_REPLAYED' }) as Error

test('a clock that leaps ahead and is set right again revives no message', async () => {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  const guard = await openReplayGuard({ store, clock })
  const first = message(clock.now())
  await store.durable(guard.claim(first).ops)
  clock.jump(60 * minuteMs)
  for (let count = 0; count < 10; count++) await store.durable(guard.claim(message(clock.now())).ops)
  clock.jump(-60 * minuteMs)
  expect(() => guard.claim(first)).toThrow(replayed)
  // On disk too.
  const again = await openReplayGuard({ store, clock })
  expect(() => again.claim(first)).toThrow(replayed)
})

test('what has expired by both clocks is forgotten, on disk as well', async () => {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  const guard = await openReplayGuard({ store, clock })
  for (let count = 0; count < 20; count++) await store.durable(guard.claim(message(clock.now())).ops)
  await clock.advance(10 * minuteMs)
  for (let count = 0; count < 5; count++) await store.durable(guard.claim(message(clock.now())).ops)
  let left = 0
  for await (const _entry of store.range({})) left++
  expect(left).toBe(5)
})

test('a clock set back by the skew that is allowed revives nothing that had just expired', async () => {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  const guard = await openReplayGuard({ store, clock })
  const first = message(clock.now())
  await store.durable(guard.claim(first).ops)
  await clock.advance(minuteMs + 3 * minuteMs + 59_000)
  for (let count = 0; count < 10; count++) await store.durable(guard.claim(message(clock.now())).ops)
  clock.jump(-2 * minuteMs)
  expect(() => guard.claim(first)).toThrow(replayed)
})

test('prekeys open again after the clock was set back, and what was sealed to them with them', async () => {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  const options = { store, keyring, clock, random }
  const { bundle } = await (await openPrekeys(options)).current()
  const sealed = sealBox(Uint8Array.of(1, 2, 3), { bundle, now: clock.now(), random: realRandom })
  clock.jump(-60 * minuteMs)
  const again = await openPrekeys(options)
  expect(openBox(sealed, again)).toEqual(Uint8Array.of(1, 2, 3))
  expect((await again.current()).bundle.seq).toBe(bundle.seq)
  clock.jump(-365 * 24 * 60 * minuteMs)
  const later = await openPrekeys(options)
  // A bundle that readers of this clock take, and that nobody mistakes for a rollback.
  const made = (await later.current()).bundle
  expect(made.seq).toBeGreaterThan(bundle.seq)
  expect(made.expiresAt).toBeLessThan(clock.now() + 3 * 86_400_000)
})

test('a failed write of a new bundle is not shown to anybody, and the next call makes one', async () => {
  const clock = createVirtualClock()
  let isFull = true
  const store = createMemoryStore({ fault: () => (isFull ? 'fail' : undefined) })
  const ring = await openPrekeys({ store, keyring, clock, random })
  await expect(ring.current()).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' })
  isFull = false
  const { bundle } = await ring.current()
  store.crash()
  expect((await openPrekeys({ store, keyring, clock, random })).find(bundle.kid)?.bundle.seq).toBe(bundle.seq)
})

test('callers at one time get one bundle', async () => {
  const clock = createVirtualClock()
  const ring = await openPrekeys({ store: createMemoryStore(), keyring, clock, random })
  const made = await Promise.all(Array.from({ length: 20 }, () => ring.current()))
  expect(new Set(made.map(({ bundle }) => bundle.seq)).size).toBe(1)
})
