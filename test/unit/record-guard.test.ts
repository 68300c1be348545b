import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, utf8 } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import type { Contradiction } from '../../src/net/index.ts'
import { createRecordGuard, recordMemoryMs, recordsHeldMax } from '../../src/net/record-guard.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { headRecordKey, headRecordRule } from '../../src/trust/index.ts'
import { encode } from '../../src/wire/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'
import { testRecord, testRules } from '../helpers/net-hosts.ts'

test('a memory that is full takes strangers` records again once old ones are forgotten, without a restart', async () => {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  const guard = await createRecordGuard({ store, clock, rules: testRules })
  const expiresAt = clock.now() + 1_000
  // As if strangers had filled it: their rate is another limit, passed by here.
  for (let index = 0; index < recordsHeldMax; index++) await guard.admit('test-rec', utf8(`k${index}`), testRecord(1, '', expiresAt), { own: true })
  const late = (key: string): Promise<unknown> =>
    guard.admit('test-rec', utf8(key), testRecord(1)).then(
      () => 'taken',
      ({ code }: { readonly code: string }) => code,
    )
  expect(await late('new')).toBe('ERR_OVERLOADED')
  await clock.advance(recordMemoryMs)
  expect(await late('new')).toBe('ERR_OVERLOADED')
  await clock.advance(3_600_000)
  expect([await late('new'), await late('newer')]).toEqual(['taken', 'taken'])
})

test('under a head`s key nothing goes back by its seq or its time, also after a restart; two heads of one seq that differ are shown', async () => {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  const random = createSeededRandom(1)
  const anna = keyringOf(1)
  const head = (seq: number, fingerprint = seq): Uint8Array => {
    const payload = encode([1, seq, seq, new Uint8Array(32).fill(fingerprint)])
    const fields = { to: anna.did, type: 'head', payload, issuedAt: clock.now(), expiresAt: clock.now() + 1_000_000 }
    return signStatement('head', fields, { keyring: anna, random }).bytes
  }
  const key = headRecordKey(anna.did)
  const rules = { heads: headRecordRule(clock) }
  const seen: Contradiction[] = []
  const open = async () => {
    const guard = await createRecordGuard({ store, clock, rules })
    guard.onContradiction((pair) => seen.push(pair))
    return async (value: Uint8Array): Promise<string> =>
      await guard.admit('heads', key, value).then(
        () => 'taken',
        ({ code }: { readonly code: string }) => code,
      )
  }
  const before = await open()
  const early = head(5)
  await clock.advance(1)
  const held = head(5)
  expect([await before(early), await before(held), await before(early)]).toEqual(['taken', 'taken', 'ERR_RECORD_ROLLBACK'])
  await clock.advance(1)
  const after = await open()
  // Signed later, and all the same it goes back.
  expect([await after(early), await after(head(4)), await after(head(5))]).toEqual(['ERR_RECORD_ROLLBACK', 'ERR_RECORD_ROLLBACK', 'taken'])
  await clock.advance(1)
  expect(await after(head(6))).toBe('taken')
  expect(seen).toEqual([])
  await clock.advance(1)
  const other = head(6, 7)
  expect(await after(other)).toBe('ERR_RECORD_ROLLBACK')
  expect(seen).toEqual([{ namespace: 'heads', key, held: expect.any(Uint8Array) as Uint8Array, offered: other }])
})
