import { type Clock, type Did, hex, type Logger, MeshError, minuteMs, type Random, secondMs, toMeshError, utf8 } from '../base/index.ts'
import type { Order } from '../envelope/index.ts'
import { type Composed, type Keyring, readStatement } from '../identity/index.ts'
import type { Carried } from '../protocols/klp/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesUpTo, codec, did, instant, oneOf, row, uintUpTo } from '../wire/index.ts'

/** Messages that wait for one receiver, and for all; more are refused, none is dropped. Source: message/v1 section 4. */
export const outboxPerReceiverMax = 10_000
export const outboxMessagesMax = 100_000
/** Bytes of all that waits. */
export const outboxBytesMax = 256 * 1024 * 1024
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
  /** The next place among what goes to a receiver. */
  nextOrder(to: Did): Order
  /** Takes a statement in. The writes belong into a durable batch of the caller's; until that lands the item is tried all the same. @throws ERR_OVERLOADED */
  add(
    to: Did,
    statement: Carried,
    options: { readonly seq: number; readonly priority: number },
  ): { readonly item: OutboxItem; readonly ops: readonly StoreOp[] }
  /** Oldest first, at most `limit`, nothing that has expired; expired ones are given up. */
  due(to: Did, limit: number): readonly OutboxItem[]
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
  /** A new run at each start: numbers of an older copy of this disk are never given twice. */
  const run = random.bytes(8)
  const nextSeq = new Map<Did, number>()
  const ofThisRun = new WeakSet<OutboxItem>()
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
    bytes += item.statement.body.length
  }
  function remove(item: OutboxItem): boolean {
    const line = lines.get(item.to)
    const index = line?.indexOf(item) ?? -1
    if (line === undefined || index === -1) return false
    line.splice(index, 1)
    if (line.length === 0) lines.delete(item.to)
    byRef.delete(item.statement.ref)
    bytes -= item.statement.body.length
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
    nextOrder(to) {
      const seq = (nextSeq.get(to) ?? 0) + 1
      nextSeq.set(to, seq)
      const pending = (lines.get(to) ?? []).filter((item) => item.seq > 0 && ofThisRun.has(item))
      return { run, seq, floor: Math.min(seq, ...pending.map((item) => item.seq)) }
    },
    add(to, statement, { seq, priority }) {
      const line = lines.get(to)
      const details = { details: { retryAfterMs: retryLastMs } }
      if ((line?.length ?? 0) >= outboxPerReceiverMax) throw new MeshError('ERR_OVERLOADED', `${outboxPerReceiverMax} messages wait for ${to}`, details)
      if (byRef.size >= outboxMessagesMax || bytes + statement.body.length > outboxBytesMax) {
        throw new MeshError('ERR_OVERLOADED', 'the outbox is full', details)
      }
      const key = String(nextKey++).padStart(16, '0')
      const item: OutboxItem = { key, to, statement, seq, priority, expiresAt: statement.statement.expiresAt, tries: 0, deposits: 0 }
      ofThisRun.add(item)
      insert(item)
      return { item, ops: store.qualify([put(key, encoded(item))]) }
    },
    due(to, limit) {
      const now = clock.now()
      for (const item of [...(lines.get(to) ?? [])]) if (item.expiresAt <= now) fail(item, { status: 'expired', code: 'ERR_STATEMENT_EXPIRED' })
      return (lines.get(to) ?? []).slice(0, limit)
    },
    receivers: () => [...lines.keys()],
    find: (ref) => byRef.get(ref),
    replace(item, statement) {
      byRef.delete(item.statement.ref)
      bytes += statement.body.length - item.statement.body.length
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

const carriedOf = (composed: Composed): Carried => ({ ...composed, kind: composed.kind === 'receipt' ? 'receipt' : 'message' })
