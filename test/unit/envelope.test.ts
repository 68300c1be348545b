import { describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, dayMs, equal, hourMs, MeshError, minuteMs, realRandom, utf8 } from '../../src/base/index.ts'
import { openBox, openBundle, openPrekeys, openReplayGuard, type PrekeyRing, sealBox } from '../../src/envelope/index.ts'
import { pad, padmeLength, unpad } from '../../src/envelope/padding.ts'
import { openStatement, type Signed, signStatement } from '../../src/identity/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const [anna, ben] = [keyringOf(1), keyringOf(2)]
const random = createSeededRandom(1)
const code = (expected: string): Error => expect.objectContaining({ code: expected }) as Error

const ring = (clock = createVirtualClock(), store = createMemoryStore(), keyring = ben): Promise<PrekeyRing> =>
  openPrekeys({ store, keyring, clock, random: realRandom })
function message(now: number, lifetimeMs = minuteMs): Signed {
  return signStatement('message', { to: ben.did, type: 'text', payload: utf8('hi'), issuedAt: now, expiresAt: now + lifetimeMs }, { keyring: anna, random })
}

describe('padding', () => {
  test('adds at most 12 %, and lengths of one size class look the same', () => {
    for (let length = 16; length < 70_000; length += 37) {
      const padded = padmeLength(length)
      expect(padded).toBeGreaterThanOrEqual(length)
      expect(padded).toBeLessThanOrEqual(Math.ceil(length * 1.12))
    }
    // Examples of the Padmé paper: 9 becomes 10, 100 becomes 104, 1,000 becomes 1,024.
    expect([9, 100, 1_000].map(padmeLength)).toEqual([10, 104, 1_024])
  })

  test('is taken off again and refused when it is not ours', () => {
    for (const length of [0, 1, 5, 100, 5_000]) expect(unpad(pad(random.bytes(length)))).toHaveLength(length)
    const padded = pad(utf8('hello world, this is padded'))
    const dirty = padded.slice()
    dirty[dirty.length - 1] = 1
    const longer = Uint8Array.from([...padded, 0])
    const lying = padded.slice()
    lying.set([0xff, 0xff, 0xff, 0xff])
    for (const bytes of [dirty, longer, lying, new Uint8Array(3), new Uint8Array()]) expect(() => unpad(bytes)).toThrow(code('ERR_WIRE_MALFORMED'))
  })
})

describe('box', () => {
  test('opens for its recipient only, and twice sealed is not twice the same', async () => {
    const clock = createVirtualClock()
    const own = await ring(clock)
    const other = await ring(clock, createMemoryStore(), anna)
    const { bundle } = await own.current()
    const content = utf8('secret')
    const [one, two] = [0, 1].map(() => sealBox(content, { bundle, now: clock.now(), random: realRandom }))
    expect(openBox(one ?? content, own)).toEqual(content)
    expect(equal(one ?? content, two ?? content)).toBe(false)
    await other.current()
    expect(() => openBox(one ?? content, other)).toThrow(code('ERR_SEAL_PREKEY'))
  })

  test('does not open when any part of it, or the bundle it was sealed to, was changed', async () => {
    const clock = createVirtualClock()
    const own = await ring(clock)
    const { bundle } = await own.current()
    const sealed = sealBox(utf8('secret'), { bundle, now: clock.now(), random: realRandom })
    for (let at = 0; at < sealed.length; at += 7) {
      const altered = sealed.slice()
      altered[at] = (altered[at] ?? 0) ^ 0x04
      expect(() => openBox(altered, own)).toThrow(MeshError)
    }
    // Sealed to a bundle stripped of what it says about suites: the same key, other bytes.
    const stripped = sealBox(utf8('secret'), { bundle: { ...bundle, sealInfo: utf8('klp/1/seal of another bundle') }, now: clock.now(), random: realRandom })
    expect(() => openBox(stripped, own)).toThrow(code('ERR_CRYPTO_OPEN'))
  })

  test('is not sealed to a bundle past its time or without a common suite', async () => {
    const clock = createVirtualClock()
    const { bundle } = await (await ring(clock)).current()
    const options = { now: clock.now(), random: realRandom }
    expect(() => sealBox(utf8('x'), { bundle, ...options, now: bundle.expiresAt + 1 })).toThrow(code('ERR_STATEMENT_EXPIRED'))
    expect(() => sealBox(utf8('x'), { bundle: { ...bundle, suites: [9] }, ...options })).toThrow(code('ERR_SEAL_SUITE'))
    expect(() => sealBox(utf8('x'), { bundle: { ...bundle, minSuite: 3 }, ...options })).toThrow(code('ERR_SEAL_SUITE'))
  })

  test('uses ChaCha20-Poly1305 where the recipient takes nothing else', async () => {
    const clock = createVirtualClock()
    const own = await ring(clock)
    const { bundle } = await own.current()
    const sealed = sealBox(utf8('secret'), { bundle: { ...bundle, suites: [2] }, now: clock.now(), random: realRandom })
    expect(openBox(sealed, own)).toEqual(utf8('secret'))
  })
})

describe('prekeys', () => {
  test('are replaced after a day, open what was sealed to the old ones for eight, and then no more', async () => {
    const clock = createVirtualClock()
    const own = await ring(clock)
    const first = await own.current()
    const sealed = sealBox(utf8('secret'), { bundle: first.bundle, now: clock.now(), random: realRandom })
    await clock.advance(23 * hourMs)
    expect((await own.current()).bundle.seq).toBe(first.bundle.seq)
    await clock.advance(2 * hourMs)
    const second = await own.current()
    expect(second.bundle.seq).toBeGreaterThan(first.bundle.seq)
    expect(openBox(sealed, own)).toEqual(utf8('secret'))
    await clock.advance(8 * dayMs)
    await own.current()
    expect(() => openBox(sealed, own)).toThrow(code('ERR_SEAL_PREKEY'))
  })

  test('survive a restart, sealed on disk, and are erased from it after their time', async () => {
    const clock = createVirtualClock()
    const store = createMemoryStore()
    const own = await ring(clock, store)
    const { bundle } = await own.current()
    const sealed = sealBox(utf8('secret'), { bundle, now: clock.now(), random: realRandom })
    store.crash()
    const again = await ring(clock, store)
    expect((await again.current()).bundle.seq).toBe(bundle.seq)
    expect(openBox(sealed, again)).toEqual(utf8('secret'))
    for (let day = 0; day < 12; day++) {
      await clock.advance(dayMs)
      await again.current()
    }
    const kept: string[] = []
    for await (const [key, value] of store.range({})) {
      kept.push(key)
      expect(Buffer.from(value).includes(Buffer.from(bundle.kem.bytes.subarray(0, 64)))).toBe(false)
    }
    expect(kept.length).toBeLessThanOrEqual(9)
    expect(kept).not.toContain(String(bundle.seq).padStart(16, '0'))
  })

  test('a clock set back makes no second bundle with an older seq', async () => {
    const clock = createVirtualClock()
    const own = await ring(clock)
    const first = await own.current()
    clock.jump(-3 * dayMs)
    expect((await own.current()).bundle.seq).toBeGreaterThan(first.bundle.seq)
  })

  test('a bundle is good only in the name of who signed it', async () => {
    const clock = createVirtualClock()
    const { bundle } = await (await ring(clock)).current()
    expect(openBundle(bundle.bytes, clock.now()).owner).toBe(ben.did)
    for (let at = 0; at < bundle.bytes.length; at += 11) {
      const altered = bundle.bytes.slice()
      altered[at] = (altered[at] ?? 0) ^ 1
      expect(() => openBundle(altered, clock.now())).toThrow(MeshError)
    }
    expect(() => openBundle(bundle.bytes, clock.now() + 3 * dayMs)).toThrow(code('ERR_STATEMENT_EXPIRED'))
  })
})

describe('statements', () => {
  test('a signature of one kind stands for no other', () => {
    const now = Date.UTC(2026, 0, 1)
    const { bytes } = message(now)
    const text = Buffer.from(bytes).toString('latin1').replace('klp/message@1', 'klp/receipt@1')
    expect(() => openStatement('receipt', new Uint8Array(Buffer.from(text, 'latin1')), { now, lifetimeMsMax: hourMs })).toThrow(code('ERR_STATEMENT_SIGNATURE'))
  })

  test('two minutes of skew are taken, more is refused with the offset', () => {
    const now = Date.UTC(2026, 0, 1)
    const open = (issuedAt: number, lifetimeMs = minuteMs): Signed =>
      openStatement('message', message(issuedAt, lifetimeMs).bytes, { now, lifetimeMsMax: hourMs })
    expect(open(now + 2 * minuteMs).statement.from).toBe(anna.did)
    expect(open(now - 3 * minuteMs).statement.from).toBe(anna.did)
    expect(() => open(now + 2 * minuteMs + 1)).toThrow(expect.objectContaining({ code: 'ERR_STATEMENT_FUTURE', details: { offsetMs: 2 * minuteMs + 1 } }))
    expect(() => open(now - 3 * minuteMs - 1)).toThrow(expect.objectContaining({ code: 'ERR_STATEMENT_EXPIRED', details: { offsetMs: 2 * minuteMs + 1 } }))
    expect(() => open(now, hourMs + 1)).toThrow(code('ERR_STATEMENT_LIFETIME'))
    expect(() => open(now, 0)).toThrow(code('ERR_STATEMENT_LIFETIME'))
  })

  test('a payload over its limit is refused where it is signed', () => {
    expect(() =>
      signStatement('message', { to: ben.did, type: 'text', payload: new Uint8Array(64 * 1024 + 1), issuedAt: 0, expiresAt: 1 }, { keyring: anna, random }),
    ).toThrow(code('ERR_WIRE_TOO_LARGE'))
  })
})

describe('the replay guard', () => {
  test('takes a statement once, also after a restart, and forgets it only when it has expired', async () => {
    const clock = createVirtualClock()
    const store = createMemoryStore()
    const guard = await openReplayGuard({ store: store.sub('replay'), clock })
    const signed = message(clock.now())
    await store.durable(guard.claim(signed).ops)
    expect(() => guard.claim(signed)).toThrow(code('ERR_REPLAYED'))
    store.crash()
    const again = await openReplayGuard({ store: store.sub('replay'), clock })
    expect(() => again.claim(signed)).toThrow(code('ERR_REPLAYED'))
    await clock.advance(hourMs)
    for (let count = 0; count < 3; count++) await store.durable(again.claim(message(clock.now())).ops)
    const left: string[] = []
    for await (const [key] of store.range({})) left.push(key)
    expect(left).not.toContain(`replay/${signed.ref}`)
  })

  test('a claim whose write failed is released and may be made again', async () => {
    const clock = createVirtualClock()
    const guard = await openReplayGuard({ store: createMemoryStore(), clock })
    const signed = message(clock.now())
    await guard.claim(signed).release()
    expect(guard.claim(signed).ops).not.toHaveLength(0)
  })
})
