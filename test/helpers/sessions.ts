import { type Clock, createSeededRandom, dayMs, type Did, fromUtf8, MeshError, type Random, utf8, type VirtualClock } from '../../src/base/index.ts'
import { openPrekeys, openSessions, type Opened, type PrekeyRing, type Sealed, type Sessions } from '../../src/envelope/index.ts'
import { sessionCodec } from '../../src/envelope/session-record.ts'
import { composeStatement, createKeyring, type Keyring } from '../../src/identity/index.ts'
import { createMemoryStore, type MemoryStore, type StoreOp } from '../../src/store/index.ts'

export const weekMs = 7 * dayMs

/** One end of sessions on a store of its own; what it means to write waits in `pending` until `flush`. */
export interface Side {
  readonly name: string
  readonly clock: VirtualClock
  readonly keyring: Keyring
  readonly random: Random
  store: MemoryStore
  prekeys: PrekeyRing
  sessions: Sessions
  pending: (readonly StoreOp[])[]
}

/** The same keys from the same seed: also those of a thief. */
export function keysOf(seed: number): Keyring {
  const random = createSeededRandom(seed)
  return createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, createSeededRandom(seed + 1_000_003))
}

export interface SideOptions {
  readonly name: string
  readonly seed: number
  readonly clock: VirtualClock
  readonly store?: MemoryStore
  readonly keyring?: Keyring
}
export async function createSide({ name, seed, clock, store = createMemoryStore(), keyring = keysOf(seed) }: SideOptions): Promise<Side> {
  const random = createSeededRandom(seed * 7_919 + 13)
  return { name, clock, keyring, random, store, pending: [], ...(await opened({ store, keyring, clock, random })) }
}

async function opened({ store, keyring, clock, random }: { store: MemoryStore; keyring: Keyring; clock: Clock; random: Random }) {
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
  return { prekeys, sessions: await openSessions({ store: store.sub('sessions'), keyring, prekeys, clock, random }) }
}

/** Everything pending, or the first `count` of it, reaches the disk. */
export async function flush(side: Side, count = side.pending.length): Promise<void> {
  await side.store.durable(side.pending.splice(0, count).flat())
}
/** The process dies; what was not written is gone. */
export async function restart(side: Side, store: MemoryStore = side.store): Promise<void> {
  side.pending = []
  side.store = store
  Object.assign(side, await opened(side))
}
/** Every entry as it lies on the disk. */
export async function copyOf(store: MemoryStore): Promise<MemoryStore> {
  const copy = createMemoryStore()
  const ops: StoreOp[] = []
  for await (const [key, value] of store.range({})) ops.push({ type: 'put', key, value })
  await copy.durable(ops)
  return copy
}

export const say = (from: Side, to: Pick<Side, 'keyring'>, text: string, lifetimeMs: number = weekMs) => ({
  ...composeStatement(
    'message',
    { from: from.keyring.did, to: to.keyring.did, type: 'text', payload: utf8(text), issuedAt: from.clock.now(), expiresAt: from.clock.now() + lifetimeMs },
    from.random,
  ),
  kind: 'message' as const,
})

export interface SealHow {
  readonly noBundle?: boolean
  readonly lifetimeMs?: number
}
/** Seals as the message plane does: with the newest bundle wherever one is asked for. */
export async function seal(from: Side, to: Side, texts: string | readonly string[], { noBundle = false, lifetimeMs }: SealHow = {}): Promise<Sealed> {
  const needed = from.sessions.needsBundle(to.keyring.did) && !noBundle
  const bundle = needed ? (await to.prekeys.current()).bundle : undefined
  const items = [texts].flat().map((text) => say(from, to, text, lifetimeMs))
  const sealed = from.sessions.seal(to.keyring.did, items, { bundle })
  from.pending.push(sealed.ops)
  return sealed
}
export function open(to: Side, sealed: { readonly bytes: Uint8Array }): Opened {
  const result = to.sessions.open(sealed.bytes, { lifetimeMsMax: weekMs })
  to.pending.push(result.ops)
  return result
}
export const textsOf = ({ items }: Opened): string[] => items.map((item) => (item instanceof MeshError ? item.code : fromUtf8(item.statement.payload)))
/** What it says, or the code it is refused with. */
export function read(to: Side, sealed: { readonly bytes: Uint8Array }): string {
  try {
    return textsOf(open(to, sealed)).join()
  } catch (error) {
    if (error instanceof MeshError) return error.code
    throw error
  }
}
export async function tell(from: Side, to: Side, text: string, how?: SealHow): Promise<string> {
  return read(to, await seal(from, to, text, how))
}

/** Keys and values as the next start would find them if everything pending were written. */
export async function entriesOf(side: Side, prefix = 'sessions/'): Promise<Map<string, Uint8Array>> {
  const entries = new Map<string, Uint8Array>()
  for await (const [key, value] of side.store.range({})) entries.set(key, value)
  for (const op of side.pending.flat()) {
    if (op.type === 'put') entries.set(op.key, op.value)
    else entries.delete(op.key)
  }
  return new Map([...entries].filter(([key]) => key.startsWith(prefix)).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
/** The records of a side, opened with its own key. */
export async function recordsOf(side: Side): Promise<(ReturnType<typeof sessionCodec.decode> & { readonly peer: Did })[]> {
  const box = side.keyring.box('sessions')
  return [...(await entriesOf(side, 'sessions/s/'))].map(([key, value]) => sessionCodec.decode(box.open(value, utf8(key.slice('sessions/'.length)))))
}
