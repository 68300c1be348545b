import { expect, test } from 'vitest'
import { createSeededRandom, dayMs, keyFromDid } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { poolMax } from '../../src/trust/book-pool.ts'
import { attestationCodec } from '../../src/trust/statements.ts'
import type { SignedItem } from '../../src/trust/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { bookScope, createBookShelf, listed, saying } from '../helpers/trust-book.ts'

const [me, anna, ben, cleo, mallory] = [keyringOf(91), keyringOf(92), keyringOf(93), keyringOf(94), keyringOf(95)]
const flood = 100_000

/** One well-formed statement that others are made from: other key, other subject, no signature that matches. */
function forgeries(now: number) {
  const payload = attestationCodec.encode({ version: 1, level: 2, scopes: [bookScope], depth: 2, evidence: undefined, seq: 7, prev: undefined })
  const { bytes } = signStatement(
    'attestation',
    { to: ben.did, type: 'attestation', payload, issuedAt: now, expiresAt: now + dayMs },
    { keyring: mallory, random: createSeededRandom(1) },
  )
  const placeOf = (part: Uint8Array): number => Buffer.from(bytes).indexOf(part)
  const [from, to] = [placeOf(keyFromDid(mallory.did)), placeOf(keyFromDid(ben.did))]
  return (count: number, issuer?: Uint8Array): SignedItem => {
    const copy = bytes.slice()
    const view = new DataView(copy.buffer)
    if (issuer === undefined) view.setUint32(from + 8, count)
    else copy.set(issuer, from)
    view.setUint32(to + 8, count)
    return { kind: 'attestation', bytes: copy }
  }
}

test('100,000 statements of nobody leave a bounded heap, no write, and what honest peers brought', { timeout: 60_000 }, async () => {
  const { open, clock, changes } = createBookShelf()
  let writes = 0
  const book = await open(me, createMemoryStore({ fault: () => void writes++ }))
  await book.attest(saying(anna.did, 3))
  // Ben is not known yet; what he says came with honest peers, before the flood.
  const [annas, bens] = [await open(anna), await open(ben)]
  await annas.attest(saying(ben.did, 3))
  await annas.attest(saying(ben.did, 3, ['/']))
  await bens.attest(saying(cleo.did, 2))
  await book.acceptAll(await listed(bens, ben.did), { from: cleo.did })
  const asideBefore = book.asideCount()
  const [written, entries] = [writes, changes.length]

  const forge = forgeries(clock.now())
  const started = process.cpuUsage()
  for (let start = 0; start < flood; start += 10_000) {
    const items = Array.from({ length: 10_000 }, (_, index) => forge(start + index))
    const { kept, refused } = await book.acceptAll(items, { from: mallory.did })
    expect([kept, refused.length]).toEqual([0, 0])
    expect(book.asideCount()).toBeLessThanOrEqual(poolMax)
  }
  // Nothing was verified: that alone would take half a minute.
  expect(process.cpuUsage(started).user).toBeLessThan(20_000_000)
  expect([writes, changes.length]).toEqual([written, entries])
  expect(book.asideCount()).toBeGreaterThan(poolMax * 0.9)
  expect(asideBefore).toBe(2)

  await book.acceptAll(await listed(annas, anna.did), { from: cleo.did })
  await book.settle()
  expect(book.snapshot(bookScope).level(ben.did)).toBeGreaterThan(0)
  expect(book.about(cleo.did)).toHaveLength(0)
  await book.attest(saying(ben.did, 3))
  await book.settle()
  expect(book.about(cleo.did)).toHaveLength(1)
})

test('forgeries in the name of one who will be trusted are dropped when he is, and their bearer is not listened to for a while', async () => {
  const { open, clock } = createBookShelf()
  const book = await open(me)
  const bens = await open(ben)
  await bens.attest(saying(cleo.did, 3))
  const forge = forgeries(clock.now())
  const forged = Array.from({ length: 500 }, (_, index) => forge(index, keyFromDid(anna.did)))
  const annas = await open(anna)
  await annas.attest(saying(ben.did, 3))
  await book.acceptAll(forged, { from: mallory.did })
  await book.acceptAll(await listed(annas, anna.did), { from: cleo.did })
  expect(book.asideCount()).toBe(502)
  await book.attest(saying(anna.did, 3))
  await book.settle()
  expect(book.asideCount()).toBe(0)
  expect(new Set([...book.items()].map(({ issuer }) => issuer))).toEqual(new Set([me.did, anna.did]))
  expect([...book.items({ issuers: new Set([anna.did]) })]).toHaveLength(1)
  const fresh = forge(1_000, keyFromDid(anna.did))
  expect(await codeOf(book.accept(fresh, { from: mallory.did }))).toBe('ERR_OVERLOADED')
  expect(await codeOf(book.accept(fresh, { from: cleo.did }))).toBe('ERR_STATEMENT_SIGNATURE')
  await clock.advance(61_000)
  expect(await codeOf(book.accept(fresh, { from: mallory.did }))).toBe('ERR_STATEMENT_SIGNATURE')
})
