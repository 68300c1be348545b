import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, dayMs, type Did, didFromKey, hourMs } from '../../src/base/index.ts'
import { newKeyPair } from '../../src/envelope/ratchet.ts'
import type { Session } from '../../src/envelope/session-record.ts'
import { openSessionTable, sessionsMax, type SessionTable, skippedMax, skippedPerPeerMax } from '../../src/envelope/session-table.ts'
import { createMemoryStore, type Store, type StoreOp } from '../../src/store/index.ts'
import { keysOf } from '../helpers/sessions.ts'

const random = createSeededRandom(11)
const pair = newKeyPair(random)
const bytes32 = new Uint8Array(32)
/** A number as so many bytes. */
function numbered(value: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}
const didOf = (value: number): Did => didFromKey(numbered(value, 32))
function sessionOf(peer: number, { generation = 1, tag = peer, usedAt = 0, isConfirmed = true } = {}): Session {
  const ratchet = {
    suite: 1,
    sendTag: numbered(tag, 8),
    receiveTag: numbered(tag, 8).toReversed(),
    mix: bytes32,
    root: bytes32,
    own: pair,
    peer: bytes32,
    sending: undefined,
    sent: 0,
    previous: 0,
    receiving: undefined,
  } as const
  return {
    peer: didOf(peer),
    generation,
    opening: bytes32,
    heals: undefined,
    isConfirmed,
    isReceiveOnly: false,
    isDoubted: false,
    usedAt,
    ratchet: { ...ratchet },
    skipped: new Map(),
  }
}
const skippedOf = (count: number, from = 0) => Array.from({ length: count }, (_, index) => ({ dh: bytes32, n: from + index, key: bytes32 }))

interface World {
  readonly clock: ReturnType<typeof createVirtualClock>
  readonly store: Store
  open(): Promise<SessionTable>
}
function createWorld(): World {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  return { clock, store, open: () => openSessionTable({ store, box: keysOf(1).box('sessions'), clock }) }
}
const keysIn = async (store: Store): Promise<string[]> => {
  const keys: string[] = []
  for await (const [key] of store.range({})) keys.push(key)
  return keys
}

test('a full table forgets whom nothing came from for longest, and never holds more', async () => {
  const { clock, open } = createWorld()
  const table = await open()
  for (let peer = 0; peer < sessionsMax; peer++) table.add(sessionOf(peer, { usedAt: clock.now() }))
  expect(table.count).toBe(sessionsMax)
  // The first is the oldest, but something came from it.
  const [first] = table.peer(didOf(0))?.sessions ?? []
  if (first === undefined) throw new Error('nobody is there')
  table.touch(first)
  const ops = table.add(sessionOf(sessionsMax, { usedAt: clock.now() }))
  expect(table.count).toBe(sessionsMax)
  expect([0, 1, 2].map((peer) => table.peer(didOf(peer))?.sessions.length ?? 0)).toEqual([1, 0, 1])
  expect(ops.map(({ type }) => type)).toEqual(['del', 'put'])
})

test('late keys of all peers are bounded; who holds most loses most, who holds few loses none', async () => {
  const { open } = createWorld()
  const table = await open()
  const modest = sessionOf(0)
  table.add(modest)
  table.keepSkipped(modest, skippedOf(20))
  for (let peer = 1; peer <= 40; peer++) {
    const session = sessionOf(peer)
    table.add(session)
    table.keepSkipped(session, skippedOf(skippedPerPeerMax))
    expect(table.skippedCount).toBeLessThanOrEqual(skippedMax)
  }
  expect(modest.skipped.size).toBe(20)
  // What is dropped from memory is dropped from the disk by the same writes.
  const session = sessionOf(99)
  const [record] = table.add(session)
  expect(record?.type).toBe('put')
  const ops: StoreOp[] = [...table.keepSkipped(session, skippedOf(1_500)), ...table.keepSkipped(session, skippedOf(1_500, 1_500))]
  expect(ops.filter(({ type }) => type === 'put').length - ops.filter(({ type, key }) => type === 'del' && key.includes(hexOf(session))).length).toBe(
    session.skipped.size,
  )
})
const hexOf = ({ ratchet }: Session): string => Buffer.from(ratchet.receiveTag).toString('hex')

test('the oldest late keys go first, also after a restart', async () => {
  const { clock, store, open } = createWorld()
  let table = await open()
  const session = sessionOf(1, { usedAt: clock.now() })
  await store.durable(table.add(session))
  // Later places first: order is by time, not by name.
  await store.durable(table.keepSkipped(session, skippedOf(5, 900)))
  await clock.advance(hourMs)
  await store.durable(table.keepSkipped(session, skippedOf(5, 100)))
  table = await open()
  const [read] = table.peer(didOf(1))?.sessions ?? []
  if (read === undefined) throw new Error('nobody is there')
  expect([...read.skipped.keys()].map((name) => Number(name.split('/')[1]) >= 900)).toEqual([...Array<boolean>(5).fill(true), ...Array<boolean>(5).fill(false)])
  table.keepSkipped(read, skippedOf(skippedPerPeerMax - 5, 2_000))
  expect([...read.skipped.keys()].filter((name) => Number(name.split('/')[1]) < 1_000).length).toBe(5)
})

test('what outranks nothing leaves nothing behind: the disk holds what memory holds', async () => {
  const { clock, store, open } = createWorld()
  const table = await open()
  for (let tag = 1; tag <= 50; tag++) {
    const session = sessionOf(1, { tag, generation: (tag * 7) % 13, usedAt: clock.now() })
    await store.durable([...table.add(session), ...table.keepSkipped(session, skippedOf(3))])
    expect(table.peer(didOf(1))?.sessions.length).toBeLessThanOrEqual(4)
  }
  expect((await keysIn(store)).toSorted()).toEqual(
    (table.peer(didOf(1))?.sessions ?? [])
      .flatMap((session) => [`s/${hexOf(session)}`, ...[...session.skipped.keys()].map((name) => `k/${hexOf(session)}/${name}`)])
      .toSorted(),
  )
})

test('the session that carried an offer stays, however low', async () => {
  const { open } = createWorld()
  const table = await open()
  const carrier = sessionOf(1, { tag: 1, generation: 1 })
  table.add(carrier)
  for (let tag = 2; tag < 12; tag++) table.add(sessionOf(1, { tag, generation: tag }), carrier)
  expect(table.peer(didOf(1))?.sessions.map(({ generation }) => generation)).toEqual([11, 10, 9, 1])
})

test('the one that is sent on stays while offers in boxes go unanswered', async () => {
  const { open } = createWorld()
  const table = await open()
  table.add(sessionOf(1, { tag: 1, generation: 1 }))
  for (let tag = 2; tag < 12; tag++) table.add(sessionOf(1, { tag, generation: tag, isConfirmed: false }))
  expect(table.peer(didOf(1))?.sessions.map(({ generation }) => generation)).toEqual([11, 10, 9, 1])
})

test('records that do not open, of sessions that are gone, or under the key of another are erased, and the rest is read', async () => {
  const { clock, store, open } = createWorld()
  const table = await open()
  const [good, other] = [sessionOf(1, { usedAt: clock.now() }), sessionOf(2, { usedAt: clock.now() })]
  await store.durable([...table.add(good), ...table.add(other), ...table.keepSkipped(good, skippedOf(1))])
  const record = await store.get(`s/${hexOf(other)}`)
  if (record === undefined) throw new Error('no record')
  await store.durable([
    { type: 'put', key: 's/00', value: record },
    { type: 'put', key: `s/${hexOf(other)}`, value: record.with(20, (record[20] ?? 0) ^ 1) },
    { type: 'put', key: `k/${hexOf(other)}/00/1`, value: record },
  ])
  expect((await open()).count).toBe(1)
  expect((await keysIn(store)).map((key) => key.slice(0, 18))).toEqual([`k/${hexOf(good)}`, `s/${hexOf(good)}`])
})

test('a sweep erases what is past its time, and looks once an hour', async () => {
  const { clock, open } = createWorld()
  const table = await open()
  const session = sessionOf(1, { usedAt: clock.now() })
  table.add(session)
  table.keepSkipped(session, skippedOf(3))
  await clock.advance(7 * dayMs + 1)
  table.touch(session)
  expect(table.sweep().map(({ type }) => type)).toEqual(['del', 'del', 'del'])
  await clock.advance(hourMs - 1)
  table.keepSkipped(session, skippedOf(1))
  clock.jump(8 * dayMs)
  expect(table.sweep().length).toBe(2)
  expect([table.count, table.skippedCount]).toEqual([0, 0])
  expect(table.sweep()).toEqual([])
})
