import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, type Did, MeshError } from '../../src/base/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { openTrustBook, type TrustBook, type TrustItem } from '../../src/trust/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const scope = '/task/run'
const [me, anna, annaAfter, ben] = [keyringOf(81), keyringOf(82), keyringOf(83), keyringOf(84)]
const clock = createVirtualClock({ start: 1_000_000 })

/** Which key speaks for whom, changed by the test as it goes. */
function keyBook() {
  const owners = new Map<Did, Did>()
  const until = new Map<Did, number>()
  return {
    owners,
    until,
    subject: (key: Did): Did => owners.get(key) ?? key,
    check(key: Did, signedAt: number): void {
      if (signedAt >= (until.get(key) ?? Infinity)) throw new MeshError('ERR_IDENTITY_SUPERSEDED', 'replaced')
    },
  }
}

const open = (keyring: typeof me, keys: ReturnType<typeof keyBook>, store = createMemoryStore()): Promise<TrustBook> =>
  openTrustBook({ store, keyring, clock, random: createSeededRandom(6), keys, commit: async (_change, ops) => await store.durable(ops) })

async function all(book: TrustBook, issuer: Did): Promise<readonly TrustItem[]> {
  const items: TrustItem[] = []
  for await (const item of book.list(issuer, 0)) items.push(item)
  return items
}

const attest = (subject: Did, level: 2 | 3 = 2) => ({ subject, level, scopes: [scope], lifetimeMs: 86_400_000 })

test('what was said of any key of an identity, and by any of its keys in its time, counts for the identity', async () => {
  const keys = keyBook()
  const store = createMemoryStore()
  const book = await open(me, keys, store)
  await book.attest(attest(anna.did, 3))
  const [early, late] = [await open(anna, keyBook()), await open(annaAfter, keyBook())]
  await early.attest(attest(ben.did))
  for (const item of await all(early, anna.did)) await book.accept(item)
  expect(book.snapshot(scope).level(annaAfter.did)).toBe(0)
  expect(book.snapshot(scope).level(anna.did)).toBe(3)

  await clock.advance(10_000)
  keys.owners.set(annaAfter.did, anna.did)
  keys.until.set(anna.did, clock.now())
  book.rekey([anna.did, annaAfter.did])
  // Before, it was the word of a stranger; now it is hers.
  await clock.advance(10_000)
  await late.attest(attest(keyringOf(85).did))
  for (const item of await all(late, annaAfter.did)) await book.accept(item)
  expect(book.show().filter(({ issuer }) => issuer === anna.did)).toHaveLength(2)
  expect(book.newestSeq(annaAfter.did)).toBe(book.newestSeq(anna.did))
  expect((await all(book, annaAfter.did)).filter(({ kind }) => kind === 'attestation')).toHaveLength(2)

  // The thief of the old key signs on: refused with its own code, and gone after a restart too.
  await early.attest(attest(keyringOf(86).did))
  const [stolen] = (await all(early, anna.did)).filter(({ kind }) => kind === 'attestation').slice(-1)
  await expect(book.accept(stolen as TrustItem)).rejects.toThrow(expect.objectContaining({ code: 'ERR_IDENTITY_SUPERSEDED' }) as Error)
  const again = await open(me, keys, store)
  expect(again.show().filter(({ issuer }) => issuer === anna.did)).toHaveLength(2)
  expect(again.snapshot(scope).level(anna.did)).toBe(3)
})

test('two keys found out to be of one identity rate each other no more', async () => {
  const keys = keyBook()
  const book = await open(me, keys)
  await book.attest(attest(annaAfter.did, 3))
  const other = await open(annaAfter, keyBook())
  await other.attest(attest(anna.did))
  const items = (await all(other, annaAfter.did)).filter(({ kind }) => kind === 'attestation')
  for (const item of items) await book.accept(item)
  const theirs = () => book.show().filter(({ issuer }) => issuer !== me.did)
  expect(theirs()).toHaveLength(1)
  keys.owners.set(annaAfter.did, anna.did)
  book.rekey([anna.did, annaAfter.did])
  expect(theirs()).toEqual([])
  const fresh = await open(me, keys)
  for (const item of items) await expect(fresh.accept(item)).rejects.toThrow(expect.objectContaining({ code: 'ERR_TRUST_INVALID' }) as Error)
})
