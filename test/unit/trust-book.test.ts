import { expect, test } from 'vitest'
import { hex, type Did } from '../../src/base/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { makeWarrant, type SignedItem } from '../../src/trust/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { bookScope, createBookShelf, listed, saying } from '../helpers/trust-book.ts'

const [me, anna, ben, cleo, dora] = [keyringOf(81), keyringOf(82), keyringOf(83), keyringOf(84), keyringOf(85)]
const statementsOf = (items: readonly SignedItem[]): readonly SignedItem[] => items.filter(({ kind }) => kind !== 'head')

/** Two books of one key, as somebody has who says one thing here and another there. */
async function twoFaced() {
  const shelf = createBookShelf()
  const [here, there] = [await shelf.open(anna), await shelf.open(anna)]
  await here.attest(saying(ben.did, 3))
  await there.attest(saying(cleo.did, 3))
  return { ...shelf, here: await listed(here, anna.did), there: await listed(there, anna.did) }
}

test('two statements for one place silence their issuer at once, are kept with both signatures, and convince others', async () => {
  const { open, here, there, changes } = await twoFaced()
  const store = createMemoryStore()
  const book = await open(me, store)
  await book.attest(saying(anna.did, 3))
  await book.acceptAll(here)
  expect(book.snapshot(bookScope).level(ben.did)).toBe(0)
  await book.attest(saying(dora.did, 2))
  await book.settle()
  const before = book.explain(ben.did, bookScope).level
  const [second] = statementsOf(there)
  await expect(book.accept(second as SignedItem)).rejects.toThrow(expect.objectContaining({ code: 'ERR_TRUST_INVALID' }) as Error)
  expect(book.explain(ben.did, bookScope).level).toBeLessThanOrEqual(before)
  expect(book.explain(ben.did, bookScope).level).toBe(0)
  const [warrant] = book.warrants()
  expect(warrant).toMatchObject({ issuer: anna.did })
  expect(changes.filter(({ event }) => event === 'contradicted').map(({ issuer, id }) => [issuer, hex(id)])).toEqual([[anna.did, warrant?.id]])
  // It is there after a restart, and somebody else needs no more than its bytes.
  expect((await open(me, store)).warrants().map(({ id }) => id)).toEqual([warrant?.id])
  const other = await open(cleo)
  await other.attest(saying(anna.did, 3))
  expect(await other.acceptWarrant(warrant?.bytes ?? new Uint8Array())).toBe(true)
  expect(await other.acceptWarrant(warrant?.bytes ?? new Uint8Array())).toBe(false)
  await other.acceptAll(here)
  expect(other.explain(ben.did, bookScope).level).toBe(0)
})

test('two heads that count differently up to one place are a warrant too; a forged one is none', async () => {
  const { open, here, there } = await twoFaced()
  const book = await open(me)
  await book.attest(saying(anna.did, 3))
  const [[one], [other]] = [here, there].map((items) => items.filter(({ kind }) => kind === 'head')) as [SignedItem[], SignedItem[]]
  const bytes = makeWarrant(one as SignedItem, other as SignedItem)
  expect(await codeOf(book.acceptWarrant(bytes.with(40, (bytes[40] ?? 0) ^ 1)))).toBe('ERR_STATEMENT_SIGNATURE')
  expect(await codeOf(book.acceptWarrant(bytes.subarray(1)))).toBe('ERR_WIRE_MALFORMED')
  expect(book.warrants()).toEqual([])
  expect(await book.acceptWarrant(bytes)).toBe(true)
  expect(book.warrants()).toHaveLength(1)
})

test('what an issuer withdraws that is no statement about trust is void from then on, here and where it is told', async () => {
  const { open, clock } = createBookShelf()
  const [mine, theirs] = [await open(anna), await open(me)]
  const token = 'ab'.repeat(32)
  await theirs.attest(saying(anna.did, 2))
  await mine.withdraw({ id: token, subject: ben.did, kind: 'soft' })
  expect(mine.revokedAt(anna.did, token)).toBe(clock.now())
  const told: (Did | undefined)[] = []
  theirs.onChange(({ kind, issuer }) => told.push(kind === 'revocation' ? issuer : undefined))
  await theirs.acceptAll(await listed(mine, anna.did))
  expect(told).toContain(anna.did)
  expect(theirs.revokedAt(anna.did, token)).toBe(clock.now())
  expect(theirs.revokedAt(ben.did, token)).toBeUndefined()
  // A lost key: also what it signs from then on under another name.
  await mine.withdraw({ id: 'cd'.repeat(32), subject: ben.did, kind: 'hard' })
  const other = 'ef'.repeat(32)
  expect(mine.revokedAt(anna.did, other, { issuedAt: clock.now() + 1 })).toBe(0)
  expect(mine.revokedAt(anna.did, other, { issuedAt: clock.now() - 1, firstSeenAt: clock.now() - 1 })).toBeUndefined()
  expect(mine.revokedAt(anna.did, other, { issuedAt: clock.now() - 1, firstSeenAt: clock.now() + 1 })).toBe(0)
  expect(mine.revokedAt(anna.did, other)).toBe(clock.now())
})
