import { type Clock, type Did, hex, type Logger, MeshError, minuteMs, type Random, secondMs, toMeshError, utf8 } from '../base/index.ts'
import { openPlacesMax, type Order } from '../envelope/index.ts'
import { type Composed, type Keyring, readStatement } from '../identity/index.ts'
import type { Carried } from '../protocols/klp/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesUpTo, codec, did, instant, oneOf, row, uintUpTo } from '../wire/index.ts'

/** Messages that wait for one receiver, and for all; more are refused, none is dropped. Source: message/v1 section 4. */
export const outboxPerReceiverMax = 10_000
export const outboxMessagesMax = 100_000
/** Bytes of all that waits. */
export const outboxBytesMax = 256 * 1024 * 1024
/** Of these, bytes for one receiver: one that is off leaves room for the others. */
export const outboxBytesPerReceiverMax = 64 * 1024 * 1024
/** Waits between tries double from the first to the last, each by chance between half and the whole of it. */
export const retryFirstMs = secondMs
export const retryLastMs = 5 * minuteMs
/** Messages given up are listed so long that a person can see them. */
export const undeliveredKeptMax = 1_000

const itemCodec = codec(
  'outbox item',
  row({
    kind: oneOf(['message', 'receipt']),
    to: did,
    body: bytesUpTo(80 * 1024),
    seq: uintUpTo(Number.MAX_SAFE_INTEGER),
    priority: uintUpTo(9),
    tries: uintUpTo(0xffff_ffff),
    deposits: uintUpTo(255),
    expiresAt: instant,
  }),
  96 * 1024,
)

export type OutboxStatus = 'queued' | 'deposited' | 'expired' | 'refused'

/** What waits for a receiver. */
export interface OutboxItem {
  readonly key: string
  /** The identity; the statement is to the key that was in force for it. */
  readonly to: Did
  statement: Carried
  readonly seq: number
  readonly priority: number
  readonly expiresAt: number
  tries: number
  /** Holders that gave a receipt for it. */
  deposits: number
}

/** A place in what goes to one receiver. */
export interface Place {
  readonly order: Order
  done(): void
}

export interface OutboxEntry {
  /** Statement id, hexadecimal. */
  readonly id: string
  readonly to: Did
  readonly kind: 'message' | 'receipt'
  readonly status: OutboxStatus
  readonly tries: number
  readonly expiresAt: number
  /** Why it was given up. */
  readonly code?: string
}

/** Statements on their way: on disk before anybody is told that they will be tried, in order for each receiver. */
export interface Outbox {
  /** The next place among what goes to a receiver; it is open until `done` is called, or the statement added with it is gone. */
  nextPlace(to: Did): Place
  /** Takes a statement in. The writes belong into a durable batch of the caller's; until that lands the item is tried all the same. @throws ERR_OVERLOADED */
  add(
    to: Did,
    statement: Carried,
    options: { readonly place?: Place; readonly priority: number },
  ): { readonly item: OutboxItem; readonly ops: readonly StoreOp[] }
  /** All that waits for a receiver: by priority, oldest first. */
  line(to: Did): readonly OutboxItem[]
  /** Gives up what has expired, and gives it back. */
  expire(to: Did): readonly OutboxItem[]
  receivers(): readonly Did[]
  find(ref: string): OutboxItem | undefined
  /** The same message, written anew: to another key, or by one. */
  replace(item: OutboxItem, statement: Carried): void
  /** Delivered: gone. */
  done(item: OutboxItem): void
  /** Given up, and listed as such. */
  fail(item: OutboxItem, reason: { readonly status: 'expired' | 'refused'; readonly code: string }): void
  /** Notes tries and deposits. Durable. */
  note(items: readonly OutboxItem[]): Promise<void>
  list(): readonly OutboxEntry[]
}

export interface OutboxOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  onUndelivered(entry: OutboxEntry): void
}

export async function openOutbox({ store, keyring, clock, random, logger, onUndelivered }: OutboxOptions): Promise<Outbox> {
  const box = keyring.box('outbox')
  const lines = new Map<Did, OutboxItem[]>()
  const byRef = new Map<string, OutboxItem>()
  const failed: OutboxEntry[] = []
  /** Begun anew at each start: numbers of an older copy of this disk are never given twice. */
  const runs = new Map<Did, Run>()
  const places = new WeakMap<OutboxItem, Place>()
  const bytesOf = new Map<Did, number>()
  let bytes = 0
  let nextKey = 0

  const encoded = ({ statement: { kind, body }, to, seq, priority, tries, deposits, expiresAt }: OutboxItem): Uint8Array =>
    box.seal(itemCodec.encode({ kind, to, body, seq, priority, tries, deposits, expiresAt }), utf8('outbox'))
  function insert(item: OutboxItem): void {
    const line = lines.get(item.to) ?? []
    lines.set(item.to, line)
    // Sooner by priority, in order of time within one.
    const after = line.findIndex(({ priority }) => priority < item.priority)
    line.splice(after === -1 ? line.length : after, 0, item)
    byRef.set(item.statement.ref, item)
    weigh(item, item.statement.body.length)
  }
  function weigh({ to }: OutboxItem, by: number): void {
    bytes += by
    const all = (bytesOf.get(to) ?? 0) + by
    if (all > 0) bytesOf.set(to, all)
    else bytesOf.delete(to)
  }
  function remove(item: OutboxItem): boolean {
    const line = lines.get(item.to)
    const index = line?.indexOf(item) ?? -1
    if (line === undefined || index === -1) return false
    line.splice(index, 1)
    if (line.length === 0) lines.delete(item.to)
    byRef.delete(item.statement.ref)
    weigh(item, -item.statement.body.length)
    places.get(item)?.done()
    store.batch([del(item.key)]).catch((error: unknown) => logger.warn('a delivered message stays in the outbox', { code: toMeshError(error).code }))
    return true
  }
  const entryOf = ({ statement: { kind, statement }, to, tries, deposits, expiresAt }: OutboxItem): OutboxEntry => ({
    id: hex(statement.id),
    to,
    kind,
    status: deposits > 0 ? 'deposited' : 'queued',
    tries,
    expiresAt,
  })
  function fail(item: OutboxItem, { status, code }: Parameters<Outbox['fail']>[1]): void {
    if (!remove(item)) return
    const entry: OutboxEntry = { ...entryOf(item), status, code }
    failed.push(entry)
    if (failed.length > undeliveredKeptMax) failed.shift()
    onUndelivered(entry)
  }

  for await (const [key, sealed] of store.range({})) {
    const { kind, body, ...rest } = itemCodec.decode(box.open(sealed, utf8('outbox')))
    insert({ key, ...rest, statement: carriedOf(readStatement(kind, body)) })
    nextKey = Number(key) + 1
  }

  return {
    nextPlace(to) {
      let current = runs.get(to)
      // One that has been open for so long that the receiver could not remember all after it keeps its run, and others begin the next.
      if (current === undefined || current.seq - floorOf(current) >= openPlacesMax / 2) current = { run: random.bytes(8), seq: 0, open: new Set() }
      runs.set(to, current)
      const { run, open } = current
      const seq = ++current.seq
      open.add(seq)
      return { order: { run, seq, floor: floorOf(current) }, done: () => void open.delete(seq) }
    },
    add(to, statement, { place, priority }) {
      const size = statement.body.length
      const details = { details: { retryAfterMs: retryLastMs } }
      if ((lines.get(to)?.length ?? 0) >= outboxPerReceiverMax) {
        throw new MeshError('ERR_OVERLOADED', `${outboxPerReceiverMax} messages wait for ${to}`, details)
      }
      if ((bytesOf.get(to) ?? 0) + size > outboxBytesPerReceiverMax) {
        throw new MeshError('ERR_OVERLOADED', `${outboxBytesPerReceiverMax} bytes wait for ${to}`, details)
      }
      if (byRef.size >= outboxMessagesMax || bytes + size > outboxBytesMax) throw new MeshError('ERR_OVERLOADED', 'the outbox is full', details)
      const key = String(nextKey++).padStart(16, '0')
      const item: OutboxItem = { key, to, statement, seq: place?.order.seq ?? 0, priority, expiresAt: statement.statement.expiresAt, tries: 0, deposits: 0 }
      if (place !== undefined) places.set(item, place)
      insert(item)
      return { item, ops: store.qualify([put(key, encoded(item))]) }
    },
    line: (to) => lines.get(to) ?? [],
    expire(to) {
      const now = clock.now()
      const over = (lines.get(to) ?? []).filter(({ expiresAt }) => expiresAt <= now)
      for (const item of over) fail(item, { status: 'expired', code: 'ERR_STATEMENT_EXPIRED' })
      return over
    },
    receivers: () => [...lines.keys()],
    find: (ref) => byRef.get(ref),
    replace(item, statement) {
      byRef.delete(item.statement.ref)
      weigh(item, statement.body.length - item.statement.body.length)
      item.statement = statement
      byRef.set(statement.ref, item)
    },
    done: (item) => void remove(item),
    fail,
    async note(items) {
      const there = items.filter((item) => byRef.get(item.statement.ref) === item)
      if (there.length > 0) await store.durable(there.map((item) => put(item.key, encoded(item))))
    },
    list: () => [...lines.values()].flat().map(entryOf).concat(failed),
  }
}

/** Messages to one receiver that are counted together. */
interface Run {
  readonly run: Uint8Array
  seq: number
  /** Places not done with, lowest first. */
  readonly open: Set<number>
}
const floorOf = ({ seq, open }: Run): number => open.values().next().value ?? seq + 1

const carriedOf = (composed: Composed): Carried => ({ ...composed, kind: composed.kind === 'receipt' ? 'receipt' : 'message' })
