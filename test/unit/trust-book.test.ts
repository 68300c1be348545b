import { expect, test } from 'vitest'
import { createSeededRandom, dayMs, type Did, hex, hourMs } from '../../src/base/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createBookRecords, recordKeyOf } from '../../src/trust/book-record.ts'
import { type BookChange, makeWarrant, type SignedItem } from '../../src/trust/index.ts'
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

test('a contradiction first shown after the time from which an issuer calls its key lost is held against the thief, not the issuer', async () => {
  const { open, clock, here, there } = await twoFaced()
  const book = await open(me)
  await book.attest({ ...saying(anna.did, 4), lifetimeMs: 30 * dayMs })
  const [said] = statementsOf(here) as [SignedItem]
  const [other] = statementsOf(there) as [SignedItem]
  await book.accept(said)
  await clock.advance(hourMs)
  // The owner of the key says since when it is lost; what the thief dated back was seen after that.
  const owner = await open(anna)
  await owner.withdraw({ id: 'ab'.repeat(32), subject: anna.did, kind: 'hard' })
  const [head, lost] = (await listed(owner, anna.did)) as [SignedItem, SignedItem]
  await clock.advance(hourMs)
  expect(await book.acceptWarrant(makeWarrant(said, other))).toBe(true)
  await book.accept(head)
  expect(book.explain(ben.did, bookScope).ignored.map(({ reason }) => reason)).toContain('banned')
  await book.accept(lost)
  expect(book.explain(ben.did, bookScope).level).toBe(2)
  expect(book.warrants()).toHaveLength(1)
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

test('what waits for its issuer counts for nothing, and is taken in link by link when the first one is certified', async () => {
  const { open } = createBookShelf()
  const book = await open(me)
  const chain = [anna, ben, cleo]
  const said: SignedItem[] = []
  for (const [index, keyring] of chain.entries()) {
    const theirs = await open(keyring)
    await theirs.attest(saying([ben, cleo, dora][index]?.did as Did, 3))
    said.push(...(await listed(theirs, keyring.did)))
  }
  // The last link first; nothing here is known to anybody.
  const { kept, known, refused } = await book.acceptAll(said.toReversed())
  expect([kept, known, refused.length, book.asideCount()]).toEqual([0, 6, 0, 6])
  expect([...book.items()]).toEqual([])
  expect(book.explain(dora.did, bookScope)).toMatchObject({ level: 0, ignored: [] })
  await book.attest(saying(anna.did, 4, ['/', '/authority']))
  await book.attest(saying(ben.did, 3))
  await book.attest(saying(cleo.did, 3))
  await book.settle()
  expect(book.asideCount()).toBe(0)
  expect([...book.items()]).toHaveLength(6)
  expect(book.explain(dora.did, bookScope).level).toBe(1)
})

test('a head shown without the distrust or revocation it names does not make its issuer fresh', async () => {
  const { open, clock } = createBookShelf()
  const theirs = await open(anna)
  const book = await open(me)
  const long = { lifetimeMs: 30 * dayMs }
  await book.attest({ ...saying(anna.did, 4), ...long })
  const first = await theirs.attest({ ...saying(ben.did, 3), ...long })
  await book.acceptAll(await listed(theirs, anna.did))
  await book.settle()
  expect(book.explain(ben.did, bookScope).level).toBeGreaterThanOrEqual(1)
  expect(book.coverage(anna.did)).toMatchObject({ count: 1, isWhole: true })

  await clock.advance(2 * hourMs)
  await theirs.revoke(first.ref, 'soft')
  const [head, attestation, revocation] = (await listed(theirs, anna.did)) as [SignedItem, SignedItem, SignedItem]
  // The holder in between passes the new head on, day after day, and keeps the revocation.
  expect(await book.accept(head)).toBe(true)
  expect(book.coverage(anna.did)).toMatchObject({ count: 1, isWhole: false })
  await clock.advance(8 * dayMs)
  const [late] = (await listed(theirs, anna.did)) as [SignedItem]
  expect(await book.accept(late)).toBe(true)
  const { level, ignored } = book.explain(ben.did, bookScope)
  expect([level, ignored.map(({ reason }) => reason)]).toEqual([0, expect.arrayContaining(['stale'])])
  await book.acceptAll([attestation, revocation])
  expect(book.coverage(anna.did)).toMatchObject({ count: 2, isWhole: true })
  expect(book.explain(ben.did, bookScope).ignored.map(({ reason }) => reason)).toContain('revoked')
  expect(book.explain(anna.did, bookScope).level).toBeGreaterThanOrEqual(3)
})

test('a clock set back revives no statement, also after a restart', async () => {
  const { open, clock } = createBookShelf()
  const store = createMemoryStore()
  const book = await open(me, store)
  await book.attest({ ...saying(anna.did, 3), lifetimeMs: hourMs })
  await book.attest({ ...saying(ben.did, 3), lifetimeMs: 30 * dayMs })
  await clock.advance(2 * hourMs)
  const level = (of: typeof book): number => of.snapshot(bookScope).level(anna.did)
  expect([level(book), book.snapshot(bookScope).level(ben.did)]).toEqual([0, 3])
  await clock.advance(0)
  clock.jump(-3 * hourMs)
  expect(level(book)).toBe(0)
  const again = await open(me, store)
  expect([level(again), again.snapshot(bookScope).level(ben.did)]).toEqual([0, 3])
  // Without the time on disk the statements themselves say how late it was.
  const [key] = ['~time']
  await store.batch([{ type: 'put', key, value: new Uint8Array([1, 2, 3]) }])
  await expect(open(me, store)).resolves.toBeDefined()
})

test('a book is read without checking a signature twice, and every turned bit in it is noticed or does no harm', async () => {
  const { open } = createBookShelf()
  const store = createMemoryStore()
  const theirs = await open(anna)
  await theirs.attest(saying(ben.did, 3))
  await theirs.attest(saying(cleo.did, -1))
  const book = await open(me, store)
  await book.attest(saying(anna.did, 4))
  await book.attest(saying(dora.did, 2))
  await book.acceptAll(await listed(theirs, anna.did))
  const facts = [...book.items()].map(({ id }) => id).toSorted()
  const records: (readonly [string, Uint8Array])[] = []
  for await (const entry of store.range({})) records.push(entry)
  expect(records.map(([key]) => key).filter((key) => !key.startsWith('did:key:'))).toEqual(['~time'])
  const random = createSeededRandom(9)
  let noticed = 0
  for (let round = 0; round < 300; round++) {
    const [key, value] = records[round % records.length] as readonly [string, Uint8Array]
    const at = Math.floor(random.fraction() * value.length)
    const isCut = round % 5 === 0
    const altered = isCut ? value.slice(0, at) : value.with(at, (value[at] ?? 0) ^ (1 << Math.floor(random.fraction() * 8)))
    const copy = createMemoryStore()
    await copy.batch(records.map(([name, bytes]) => ({ type: 'put', key: name, value: name === key ? altered : bytes })))
    const again = await open(me, copy).catch((error: unknown) => error as { readonly code: string })
    if ('code' in again) {
      expect([again.code, key.startsWith(me.did)]).toEqual(['ERR_TRUST_DAMAGED', true])
      noticed++
      continue
    }
    if (key.startsWith(anna.did)) {
      expect(again.damaged).toEqual([anna.did])
      noticed++
      // She is heard again when all that her head names is here.
      expect(again.explain(ben.did, bookScope).level).toBe(0)
      if (round === 1) {
        await again.acceptAll(await listed(theirs, anna.did))
        expect(again.explain(ben.did, bookScope).level).toBe(book.explain(ben.did, bookScope).level)
      }
    }
    const ids = [...again.items()].map(({ id }) => id)
    expect(ids.filter((id) => !facts.includes(id))).toEqual([])
    if (!key.startsWith('did:key:')) expect(ids.toSorted()).toEqual(facts)
  }
  expect(noticed).toBeGreaterThan(200)

  // A mark stands for the signature, and only under this node's key.
  const [item] = statementsOf(await listed(theirs, anna.did)) as [SignedItem]
  const forged = { ...item, bytes: item.bytes.with(40, (item.bytes[40] ?? 0) ^ 1) }
  const { statement } = createBookRecords(me).open(...(records.find(([key]) => key.startsWith(anna.did) && !key.endsWith('head')) as [string, Uint8Array])).held
  const put = (keyring: typeof me) =>
    createBookRecords(keyring).put({ item: forged, statement, firstSeenAt: 5 }) as { readonly key: string; readonly value: Uint8Array }
  expect(createBookRecords(me).open(recordKeyOf(statement), put(me).value).isMarked).toBe(true)
  expect(() => createBookRecords(me).open(recordKeyOf(statement), put(ben).value)).toThrow(expect.objectContaining({ code: 'ERR_TRUST_DAMAGED' }) as Error)
})

test('good news of others come together and late, bad news and the own word at once, and news that change nothing not at all', async () => {
  const { open, clock } = createBookShelf()
  const annas = await open(anna)
  const book = await open(me)
  await book.attest(saying(anna.did, 4))
  await annas.attest(saying(ben.did, 3))
  await book.acceptAll(await listed(annas, anna.did))
  await clock.advance(100)
  const heard: BookChange[] = []
  book.onChange((change) => heard.push(change))
  const before = book.snapshot(bookScope)

  await clock.advance(1)
  await annas.attest(saying(cleo.did, 3))
  await book.acceptAll(statementsOf(await listed(annas, anna.did)))
  expect(book.snapshot(bookScope)).toBe(before)
  expect(heard).toEqual([])
  await clock.advance(100)
  const after = book.snapshot(bookScope)
  expect([before.level(cleo.did), after.level(cleo.did) > 0]).toEqual([0, true])
  expect(heard).toEqual([{ kind: 'attestation', issuer: anna.did, subject: cleo.did, urgent: false }])

  // About a scope that nobody asks for: no answer is computed anew for it.
  await annas.attest(saying(dora.did, 3, ['/other']))
  await book.acceptAll(statementsOf(await listed(annas, anna.did)))
  await clock.advance(1_000)
  expect(book.snapshot(bookScope)).toBe(after)

  await clock.advance(1)
  await annas.attest(saying(cleo.did, -1))
  await book.acceptAll(statementsOf(await listed(annas, anna.did)))
  expect(book.snapshot(bookScope).level(cleo.did)).toBeLessThan(after.level(cleo.did))
  expect(heard.at(-1)).toMatchObject({ issuer: anna.did, subject: cleo.did, urgent: true })
  await book.attest(saying(dora.did, 2))
  expect(book.snapshot(bookScope).level(dora.did)).toBe(2)
})
