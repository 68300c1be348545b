import { type Clock, dayMs, equal, hex, hourMs, MeshError, TokenBucket } from '../base/index.ts'
import { del, put, type Store } from '../store/index.ts'
import type { Contradiction, RecordRule } from './host.ts'

/** Largest DHT record taken from anybody. net/v1 section 4. */
export const recordBytesMax = 8_192
/** Longest key behind the namespace. net/v1 section 4. */
export const recordKeyBytesMax = 128
/** Records of others held at a time; beyond it only known keys are updated. net/v1 section 4. */
export const recordsHeldMax = 20_000
/** New or newer records taken from others per second on average, and at once. net/v1 section 4. */
export const recordRatePerSecond = 200
export const recordBurst = 2_000
/** How long the memory of an expired record is kept, so that an older one with a longer life does not come back. net/v1 section 4. */
export const recordMemoryMs = 90 * dayMs

/** What is full is swept again no sooner than this: a sweep reads it all. */
const sweepPauseMs = hourMs

/** The newest record ever seen under a key. */
export interface HeldRecord {
  readonly seq: number
  readonly expiresAt: number
  readonly value: Uint8Array
}

export interface RecordGuard {
  /**
   * Judges a record somebody served or wants stored, and remembers it durably before resolving.
   * `own` skips the quotas for strangers. @throws ERR_RECORD_INVALID, ERR_RECORD_ROLLBACK, ERR_OVERLOADED
   */
  admit(namespace: string, key: Uint8Array, value: Uint8Array, options?: { readonly own?: boolean }): Promise<HeldRecord>
  /** The newest record ever seen, unless it has expired since. */
  held(namespace: string, key: Uint8Array): Promise<HeldRecord | undefined>
  /** Sequence number and expiry of a record as its rule reads it, without the memory. @throws ERR_RECORD_INVALID */
  check(namespace: string, key: Uint8Array, value: Uint8Array): { readonly seq: number; readonly expiresAt: number }
  /** Calls `listener` with each contradiction met; returns the remover. */
  onContradiction(listener: (pair: Contradiction) => void): () => void
}

export interface RecordGuardOptions {
  readonly store: Store
  readonly clock: Clock
  readonly rules: Readonly<Record<string, RecordRule>>
}

/**
 * The memory that makes a DHT record go only forward. js kad-dht's PUT never asks the selector, so a replayed old record
 * overwrites a newer one at every node whose validator has no memory. Source: net/v1 section 4, js-libp2p#3377.
 */
export async function createRecordGuard({ store: root, clock, rules }: RecordGuardOptions): Promise<RecordGuard> {
  const store = root.sub('dht')
  const queues = new Map<string, Promise<unknown>>()
  let count = 0
  const bucket = new TokenBucket(clock, recordRatePerSecond, recordBurst)
  let sweptAt = -Infinity
  const listeners = new Set<(pair: Contradiction) => void>()

  /** Forgets what has been expired for long; counts the rest. */
  async function sweep(): Promise<void> {
    sweptAt = clock.monotonic()
    const forgotten: string[] = []
    let left = 0
    for await (const [name, bytes] of store.range({})) {
      if (decodeHeld(bytes).expiresAt + recordMemoryMs < clock.now()) forgotten.push(name)
      else left++
    }
    if (forgotten.length > 0) await store.batch(forgotten.map(del))
    count = left
  }
  await sweep()

  const check: RecordGuard['check'] = (namespace, key, value) => {
    const rule = Object.hasOwn(rules, namespace) ? rules[namespace] : undefined
    if (rule === undefined) throw new MeshError('ERR_RECORD_INVALID', `no rule for records in /${namespace}`)
    if (value.length > recordBytesMax) throw new MeshError('ERR_RECORD_INVALID', `a record of ${value.length} bytes exceeds ${recordBytesMax}`)
    if (key.length === 0 || key.length > recordKeyBytesMax) throw new MeshError('ERR_RECORD_INVALID', `a key of ${key.length} bytes`)
    const facts = rule.check(key, value)
    if (!Number.isSafeInteger(facts.seq) || facts.seq < 0) throw new MeshError('ERR_RECORD_INVALID', 'the sequence number is not a whole number')
    if (facts.expiresAt <= clock.now()) throw new MeshError('ERR_RECORD_INVALID', 'the record has expired')
    return facts
  }
  const admitInTurn: RecordGuard['admit'] = async (namespace, key, value, { own = false } = {}) => {
    const { seq, expiresAt } = check(namespace, key, value)
    const name = nameOf(namespace, key)
    const bytes = await store.get(name)
    const known = bytes === undefined ? undefined : decodeHeld(bytes)
    if (known !== undefined && !equal(value, known.value)) {
      const order = rules[namespace]?.order?.(known.value, value)
      if (order === 'contradiction') for (const listener of listeners) listener({ namespace, key, held: known.value, offered: value })
      if (order === 'contradiction') throw new MeshError('ERR_RECORD_ROLLBACK', 'the record contradicts one seen before')
      if (order === 'back') throw new MeshError('ERR_RECORD_ROLLBACK', 'the record goes back behind one seen before')
    }
    if (known !== undefined && seq < known.seq) throw new MeshError('ERR_RECORD_ROLLBACK', `record ${seq} is older than ${known.seq}, seen before`)
    if (known !== undefined && seq === known.seq) {
      if (!equal(value, known.value)) throw new MeshError('ERR_RECORD_ROLLBACK', `two different records with sequence number ${seq}`)
      // Put again by a rule that counts a record's life from its last check; a step is worth a write, each look is not.
      if (expiresAt < known.expiresAt + hourMs) return known
    }
    if (!own) {
      if (known === undefined && count >= recordsHeldMax && clock.monotonic() - sweptAt >= sweepPauseMs) await sweep()
      if (known === undefined && count >= recordsHeldMax) throw new MeshError('ERR_OVERLOADED', `already holding ${count} records`)
      if (!bucket.take()) throw new MeshError('ERR_OVERLOADED', 'too many records at once')
    }
    const held: HeldRecord = { seq, expiresAt, value: Uint8Array.from(value) }
    await store.durable([put(name, encodeHeld(held))])
    if (known === undefined) count++
    return held
  }
  return {
    check,
    onContradiction(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    // One record of a key at a time: two writers must not both pass by the same memory.
    admit(namespace, key, value, options) {
      const name = nameOf(namespace, key)
      const before = queues.get(name) ?? Promise.resolve()
      const mine = before.then(() => admitInTurn(namespace, key, value, options))
      const settled = mine.then(
        () => undefined,
        () => undefined,
      )
      queues.set(name, settled)
      void settled.then(() => {
        if (queues.get(name) === settled) queues.delete(name)
      })
      return mine
    },
    async held(namespace, key) {
      const bytes = await store.get(nameOf(namespace, key))
      const known = bytes === undefined ? undefined : decodeHeld(bytes)
      return known === undefined || known.expiresAt <= clock.now() ? undefined : known
    },
  }
}

const nameOf = (namespace: string, key: Uint8Array): string => `${namespace}/${hex(key)}`

const headerBytes = 16

function encodeHeld({ seq, expiresAt, value }: HeldRecord): Uint8Array {
  const bytes = new Uint8Array(headerBytes + value.length)
  const view = new DataView(bytes.buffer)
  view.setFloat64(0, seq)
  view.setFloat64(8, expiresAt)
  bytes.set(value, headerBytes)
  return bytes
}

function decodeHeld(bytes: Uint8Array): HeldRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return { seq: view.getFloat64(0), expiresAt: view.getFloat64(8), value: bytes.slice(headerBytes) }
}
