import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { openShelf, type Shelf } from '../../src/agents/mailbox-shelf.ts'
import { createVirtualClock, dayMs, fromUtf8, hourMs, silentLogger, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { createLevelStore, createMemoryStore, type Store } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const [owner, other, depositor, stranger] = [keyringOf(1).did, keyringOf(2).did, keyringOf(3).did, keyringOf(4).did]

/** One disk; `reopen` is a restart of the node on it. */
interface Disk {
  open(): Promise<Store>
  reopen(): Promise<Store>
}
const folders: string[] = []
const open: Store[] = []
const disks: Readonly<Record<string, () => Promise<Disk>>> = {
  async memory() {
    const store = createMemoryStore()
    return {
      open: async () => store,
      reopen: async () => {
        store.crash()
        return store
      },
    }
  },
  async level() {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-shelf-'))
    folders.push(folder)
    let store: Store
    const start = async (): Promise<Store> => {
      store = await createLevelStore(join(folder, 'store'))
      open.push(store)
      return store
    }
    return {
      open: start,
      async reopen() {
        await store.close()
        return await start()
      },
    }
  },
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((store) => store.close().catch(() => undefined)))
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })))
})

describe.each(Object.keys(disks))('a shelf on %s', (kind) => {
  async function createShelf() {
    const clock = createVirtualClock()
    const disk = await disks[kind]?.()
    if (disk === undefined) throw new RangeError(kind)
    const on = (store: Store): Promise<Shelf> => openShelf({ store: store.sub('held'), clock, logger: silentLogger })
    const shelf = await on(await disk.open())
    await shelf.register(owner, { items: 10, bytes: 1_000, until: clock.now() + dayMs, registeredAt: clock.now() })
    return { clock, shelf, restart: async () => await on(await disk.reopen()) }
  }
  const keep = (shelf: Shelf, text: string, expiresAt: number, from = depositor, to = owner): Promise<Uint8Array> =>
    shelf.keep(to, utf8(text), { itemHash: sha256(utf8(text)), depositor: from, isStranger: from === stranger, expiresAt }, (seq) => utf8(`receipt ${seq}`))
  const seqs = (shelf: Shelf, after = 0): readonly number[] => shelf.list(owner, after).held.map(({ seq }) => seq)

  test('numbers items from 1, gives back what it took, and the same receipt for the same item', async () => {
    const { shelf, clock } = await createShelf()
    const end = clock.now() + hourMs
    expect(fromUtf8(await keep(shelf, 'one', end))).toBe('receipt 1')
    expect(fromUtf8(await keep(shelf, 'two', end))).toBe('receipt 2')
    expect(seqs(shelf)).toEqual([1, 2])
    expect(seqs(shelf, 1)).toEqual([2])
    expect(fromUtf8((await shelf.read(owner, 2)) ?? utf8('nothing'))).toBe('two')
    expect(fromUtf8((await shelf.receiptOf(owner, sha256(utf8('one')))) ?? utf8('nothing'))).toBe('receipt 1')
    expect(await shelf.receiptOf(other, sha256(utf8('one')))).toBeUndefined()
  })

  test('has after a restart what it had, counts it right and goes on numbering, also when all was acknowledged', async () => {
    const { shelf, clock, restart } = await createShelf()
    const end = clock.now() + hourMs
    await keep(shelf, 'one', end)
    await keep(shelf, 'three', end, stranger)
    await keep(shelf, 'seven', end)
    await shelf.drop(owner, [1, 1, 99])
    const again = await restart()
    expect(seqs(again)).toEqual([2, 3])
    const box = again.box(owner)
    expect(box).toMatchObject({ items: 10, bytes: 1_000, lastSeq: 3, used: { items: 2, bytes: 10 }, strangers: { items: 1, bytes: 5 } })
    expect([box?.usedBy(depositor), box?.usedBy(stranger), box?.usedBy(other)]).toEqual([
      { items: 1, bytes: 5 },
      { items: 1, bytes: 5 },
      { items: 0, bytes: 0 },
    ])
    expect(again.used).toEqual({ items: 2, bytes: 10 })
    await again.drop(owner, [2, 3])
    const third = await restart()
    expect(third.used).toEqual({ items: 0, bytes: 0 })
    expect(fromUtf8(await keep(third, 'four', end))).toBe('receipt 4')
  })

  test('sweeps what is past its time and nothing else; a wall clock that leaps ahead drops nothing', async () => {
    const { shelf, clock, restart } = await createShelf()
    await keep(shelf, 'soon', clock.now() + hourMs)
    await keep(shelf, 'later', clock.now() + 3 * hourMs)
    clock.jump(30 * dayMs)
    await shelf.sweep(0)
    expect(seqs(shelf)).toEqual([1, 2])
    clock.jump(-30 * dayMs)
    await clock.advance(2 * hourMs)
    expect(seqs(shelf)).toEqual([2])
    expect(shelf.used.items).toBe(2)
    await shelf.sweep(0)
    expect(shelf.used).toEqual({ items: 1, bytes: 5 })
    expect(await shelf.read(owner, 1)).toBeUndefined()
    // A sweep that a power cut took back is done again.
    const again = await restart()
    await again.sweep(0)
    expect(again.used).toEqual({ items: 1, bytes: 5 })
  })

  test('forgets an empty mailbox long after its registration ended, and one with items not', async () => {
    const { shelf, clock, restart } = await createShelf()
    await shelf.register(other, { items: 1, bytes: 1, until: clock.now() + dayMs, registeredAt: clock.now() })
    await keep(shelf, 'here', clock.now() + 7 * dayMs)
    await shelf.sweep(clock.now() + dayMs)
    expect(shelf.boxes).toBe(2)
    await shelf.sweep(clock.now() + dayMs + 1)
    expect([shelf.boxes, shelf.box(other)]).toEqual([1, undefined])
    const again = await restart()
    expect(again.boxes).toBe(1)
    expect(again.box(owner)?.used.items).toBe(1)
  })

  test('says nothing of an item on its way to the disk, nor of what came after it', async () => {
    const { shelf, clock } = await createShelf()
    await keep(shelf, 'one', clock.now() + hourMs)
    const writing = keep(shelf, 'two', clock.now() + hourMs)
    expect(shelf.list(owner, 0)).toMatchObject({ held: [{ seq: 1 }], last: 1 })
    // The same item meanwhile has the receipt of the first.
    expect(await shelf.receiptOf(owner, sha256(utf8('two')))).toEqual(await writing)
    expect(shelf.list(owner, 0)).toMatchObject({ held: [{ seq: 1 }, { seq: 2 }], last: 2 })
  })

  test('keeps mailboxes apart', async () => {
    const { shelf, clock } = await createShelf()
    await shelf.register(other, { items: 10, bytes: 1_000, until: clock.now() + dayMs, registeredAt: clock.now() })
    await keep(shelf, 'same', clock.now() + hourMs)
    await keep(shelf, 'same', clock.now() + hourMs, depositor, other)
    await shelf.drop(other, [1])
    expect(seqs(shelf)).toEqual([1])
    expect(shelf.used.items).toBe(1)
  })

  test('refuses to keep for somebody who is not registered', async () => {
    const { shelf, clock } = await createShelf()
    expect(() => keep(shelf, 'lost', clock.now() + hourMs, depositor, other)).toThrow(expect.objectContaining({ code: 'ERR_MAILBOX_UNKNOWN' }))
  })
})
