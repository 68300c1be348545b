import { type Clock, type Did, hex, keyFromDid, type Logger, MeshError, toMeshError } from '../base/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bool, bytesOf, bytesUpTo, codec, did, instant, row, uintUpTo } from '../wire/index.ts'
import { mailboxStatementBytesMax } from '../protocols/mailbox/index.ts'

const count = uintUpTo(Number.MAX_SAFE_INTEGER)
const boxCodec = codec('stored mailbox', row({ owner: did, items: count, bytes: count, until: instant, registeredAt: instant, lastSeq: count }), 256)
const metaCodec = codec(
  'stored item',
  row({ itemHash: bytesOf(32), bytes: count, depositor: did, isStranger: bool, expiresAt: instant, receipt: bytesUpTo(mailboxStatementBytesMax) }),
  mailboxStatementBytesMax + 256,
)

export interface Held {
  readonly seq: number
  readonly itemHash: Uint8Array
  readonly bytes: number
  readonly depositor: Did
  /** Paid with work, not with a delegation. */
  readonly isStranger: boolean
  readonly expiresAt: number
}

export interface Used {
  readonly items: number
  readonly bytes: number
}

/** The mailbox of one recipient. */
export interface Box {
  readonly owner: Did
  /** Its quota. */
  readonly items: number
  readonly bytes: number
  /** When the registration ends. */
  readonly until: number
  /** When the registration in force was signed. */
  readonly registeredAt: number
  /** The highest number given out. */
  readonly lastSeq: number
  readonly used: Used
  readonly strangers: Used
  usedBy(depositor: Did): Used
}

/** What a node keeps for others: on disk before anything is said about it, and counted in memory. */
export interface Shelf {
  readonly boxes: number
  readonly used: Used
  box(owner: Did): Box | undefined
  /** Opens a mailbox or changes its quota and time; durable. */
  register(owner: Did, terms: Pick<Box, 'items' | 'bytes' | 'until' | 'registeredAt'>): Promise<void>
  /** The receipt for an item that is there or on its way, undefined at once when there is none; the promise gives undefined when it went meanwhile. */
  receiptOf(owner: Did, itemHash: Uint8Array): Promise<Uint8Array | undefined> | undefined
  /** Gives the item the next number, has `sign` write its receipt, and resolves with that once both are on disk. Throws what the store throws; then nothing was kept that was told. */
  keep(owner: Did, item: Uint8Array, facts: Omit<Held, 'seq' | 'bytes'>, sign: (seq: number) => Uint8Array): Promise<Uint8Array>
  /** What is held with a seq above `after`, in order, and up to which seq that is the whole truth. */
  list(owner: Did, after: number): { readonly held: readonly Held[]; readonly last: number }
  /** The item itself; undefined when the disk lost it. */
  read(owner: Did, seq: number): Promise<Uint8Array | undefined>
  /** Forgets items; durable. Numbers that are not there are none. */
  drop(owner: Did, seqs: readonly number[]): Promise<void>
  /** Forgets what is past its time, and mailboxes empty and unregistered since before `closedBefore`. */
  sweep(closedBefore: number): Promise<void>
}

interface MutableUsed {
  items: number
  bytes: number
}
interface Entry extends Held {
  readonly ref: string
  /** Monotonic clock before which it does not expire: a wall clock that leaps ahead drops nothing. */
  readonly from: number
  /** On its way to the disk. */
  writing: Promise<Uint8Array> | undefined
}
interface State {
  readonly owner: Did
  terms: Pick<Box, 'items' | 'bytes' | 'until' | 'registeredAt'>
  lastSeq: number
  readonly entries: Map<number, Entry>
  readonly byHash: Map<string, Entry>
  readonly used: MutableUsed
  readonly strangers: MutableUsed
  readonly byDepositor: Map<Did, MutableUsed>
}

const nothing: Used = { items: 0, bytes: 0 }
const boxKey = (owner: Did): string => `box/${hex(keyFromDid(owner))}`
const placeOf = (owner: Did, seq: number): string => `${hex(keyFromDid(owner))}/${String(seq).padStart(16, '0')}`
// Apart, so that a start reads what is counted and not what is kept.
const metaKey = (owner: Did, seq: number): string => `meta/${placeOf(owner, seq)}`
const itemKey = (owner: Did, seq: number): string => `item/${placeOf(owner, seq)}`
const deletesPerBatch = 512

export async function openShelf({ store, clock, logger }: { readonly store: Store; readonly clock: Clock; readonly logger: Logger }): Promise<Shelf> {
  const states = new Map<Did, State>()
  const total: MutableUsed = { items: 0, bytes: 0 }

  const monotonicEnd = (expiresAt: number): number => clock.monotonic() + Math.max(0, expiresAt - clock.now())
  function account(state: State, { bytes, depositor, isStranger }: Held, sign: 1 | -1): void {
    const mine = state.byDepositor.get(depositor) ?? { items: 0, bytes: 0 }
    for (const used of [total, state.used, mine, ...(isStranger ? [state.strangers] : [])]) {
      used.items += sign
      used.bytes += sign * bytes
    }
    if (mine.items === 0) state.byDepositor.delete(depositor)
    else state.byDepositor.set(depositor, mine)
  }
  function add(state: State, entry: Entry): void {
    state.entries.set(entry.seq, entry)
    state.byHash.set(entry.ref, entry)
    account(state, entry, 1)
  }
  function remove(state: State, entry: Entry): void {
    if (!state.entries.delete(entry.seq)) return
    if (state.byHash.get(entry.ref) === entry) state.byHash.delete(entry.ref)
    account(state, entry, -1)
  }
  const stateOf = (owner: Did): State => {
    const state = states.get(owner)
    if (state === undefined) throw new MeshError('ERR_MAILBOX_UNKNOWN', 'this node holds no mail for that recipient')
    return state
  }
  const blank = (owner: Did, terms: State['terms'], lastSeq: number): State => ({
    owner,
    terms,
    lastSeq,
    entries: new Map(),
    byHash: new Map(),
    used: { items: 0, bytes: 0 },
    strangers: { items: 0, bytes: 0 },
    byDepositor: new Map(),
  })
  const boxOp = ({ owner, terms, lastSeq }: State): StoreOp => put(boxKey(owner), boxCodec.encode({ owner, ...terms, lastSeq }))

  for await (const [, value] of store.range({ gte: 'box/', lt: 'box0' })) {
    const { owner, lastSeq, ...terms } = boxCodec.decode(value)
    states.set(owner, blank(owner, terms, lastSeq))
  }
  for (const state of states.values()) {
    for await (const [key, value] of store.range({ gte: metaKey(state.owner, 0), lt: `meta/${hex(keyFromDid(state.owner))}0` })) {
      const { receipt: _, ...facts } = metaCodec.decode(value)
      const seq = Number(key.slice(key.lastIndexOf('/') + 1))
      add(state, { seq, ...facts, ref: hex(facts.itemHash), from: monotonicEnd(facts.expiresAt), writing: undefined })
    }
  }

  async function receiptAt(state: State, entry: Entry): Promise<Uint8Array | undefined> {
    if (entry.writing !== undefined) return await entry.writing
    const meta = await store.get(metaKey(state.owner, entry.seq))
    if (meta !== undefined) return metaCodec.decode(meta).receipt
    if (state.entries.get(entry.seq) === entry) throw new MeshError('ERR_OVERLOADED', 'that item is being removed', { details: { retryAfterMs: 1_000 } })
    return undefined
  }
  const deletion = (owner: Did, seqs: readonly number[]): readonly StoreOp[] => seqs.flatMap((seq) => [del(metaKey(owner, seq)), del(itemKey(owner, seq))])
  const isOver = ({ expiresAt, from }: Entry, now: number): boolean => expiresAt <= now && from <= clock.monotonic()

  return {
    get boxes() {
      return states.size
    },
    used: total,
    box(owner) {
      const state = states.get(owner)
      if (state === undefined) return undefined
      const { terms, lastSeq, used, strangers } = state
      return { owner, ...terms, lastSeq, used, strangers, usedBy: (depositor) => state.byDepositor.get(depositor) ?? nothing }
    },
    async register(owner, terms) {
      const state = states.get(owner) ?? blank(owner, terms, 0)
      const before = states.has(owner) ? state.terms : undefined
      // At once: an item that is written behind it writes the mailbox too.
      state.terms = terms
      states.set(owner, state)
      try {
        await store.durable([boxOp(state)])
      } catch (error) {
        if (before !== undefined) state.terms = before
        else if (state.entries.size === 0) states.delete(owner)
        throw error
      }
    },
    // Not async: who finds nothing keeps its copy in the same turn, so that two at once are stored once.
    receiptOf(owner, itemHash) {
      const state = states.get(owner)
      const entry = state?.byHash.get(hex(itemHash))
      return state === undefined || entry === undefined ? undefined : receiptAt(state, entry)
    },
    keep(owner, item, facts, sign) {
      const state = stateOf(owner)
      const seq = ++state.lastSeq
      const held: Held = { ...facts, seq, bytes: item.length }
      const { promise: writing, resolve, reject } = Promise.withResolvers<Uint8Array>()
      const entry: Entry = { ...held, ref: hex(facts.itemHash), from: monotonicEnd(facts.expiresAt), writing }
      add(state, entry)
      const write = async (): Promise<Uint8Array> => {
        const receipt = sign(seq)
        const { itemHash, bytes, depositor, isStranger, expiresAt } = held
        const meta = metaCodec.encode({ itemHash, bytes, depositor, isStranger, expiresAt, receipt })
        await store.durable([boxOp(state), put(metaKey(owner, seq), meta), put(itemKey(owner, seq), item)])
        return receipt
      }
      write().then(
        (receipt) => {
          entry.writing = undefined
          resolve(receipt)
        },
        (error: unknown) => {
          // A write that failed may have landed all the same: then it is held, though nobody was told.
          store.has(metaKey(owner, seq)).then(
            (landed) => {
              if (!landed) remove(state, entry)
              entry.writing = undefined
              reject(toMeshError(error))
            },
            () => {
              remove(state, entry)
              entry.writing = undefined
              reject(toMeshError(error))
            },
          )
        },
      )
      return writing
    },
    list(owner, after) {
      const state = stateOf(owner)
      const now = clock.now()
      const held: Held[] = []
      let last = state.lastSeq
      for (const entry of state.entries.values()) {
        // Nothing is said about what is not on disk yet, nor about what came after it.
        if (entry.writing !== undefined) {
          last = entry.seq - 1
          break
        }
        if (entry.seq > after && !isOver(entry, now)) held.push(entry)
      }
      return { held, last }
    },
    read: (owner, seq) => store.get(itemKey(owner, seq)),
    async drop(owner, seqs) {
      const state = stateOf(owner)
      const there = [...new Set(seqs)].flatMap((seq) => {
        const entry = state.entries.get(seq)
        return entry === undefined || entry.writing !== undefined ? [] : [entry]
      })
      if (there.length === 0) return
      await store.durable(
        deletion(
          owner,
          there.map(({ seq }) => seq),
        ),
      )
      for (const entry of there) remove(state, entry)
    },
    async sweep(closedBefore) {
      const now = clock.now()
      for (const state of [...states.values()]) {
        const over = [...state.entries.values()].filter((entry) => entry.writing === undefined && isOver(entry, now))
        for (let start = 0; start < over.length; start += deletesPerBatch) {
          const some = over.slice(start, start + deletesPerBatch)
          await store.batch(
            deletion(
              state.owner,
              some.map(({ seq }) => seq),
            ),
          )
          for (const entry of some) remove(state, entry)
        }
        if (state.entries.size > 0 || state.terms.until >= closedBefore) continue
        states.delete(state.owner)
        await store.durable([del(boxKey(state.owner))])
      }
      logger.debug('mailboxes swept', { items: total.items, bytes: total.bytes })
    },
  }
}
