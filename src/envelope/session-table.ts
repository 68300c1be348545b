import { type Clock, compare, dayMs, type Did, hex, hourMs, MeshError, utf8 } from '../base/index.ts'
import type { LocalBox } from '../crypto/index.ts'
import { del, put, putLater, type Store, type StoreOp } from '../store/index.ts'
import { type SkippedKey, skippedName } from './ratchet.ts'
import { fromStored, type Session, sessionCodec, skippedCodec, toStored } from './session-record.ts'

/** Keys kept for frames that come late, of all sessions with one peer; the oldest go first. Source: klp/v1 section 3.2. */
export const skippedPerPeerMax = 2_000
/** Such keys of all peers; past it those who hold most lose their oldest. */
export const skippedMax = 65_536
export const skippedKeptMs = 7 * dayMs
/** Sessions held with one peer: those that cross, and the last ones before. */
export const sessionsPerPeerMax = 4
/** Sessions in all; those that nothing came on for longest are forgotten, and their peers begin anew. */
export const sessionsMax = 65_536
/** A session that nothing came on for so long is erased. */
export const sessionKeptMs = 8 * dayMs
/** What is past its time is looked for this often. */
const sweepEveryMs = hourMs

export interface PeerSessions {
  /** Best first. */
  readonly sessions: Session[]
  /** Of our last fresh encapsulation to them. */
  healedAt: number
  /** Messages sent since. */
  sentSince: number
}

/** All sessions, by tag and by peer, within their bounds; and what of them is kept at rest. */
export interface SessionTable {
  held(tag: Uint8Array): Session | undefined
  peer(did: Did): PeerSessions | undefined
  /** Takes a session in, and lets go what no longer fits: never the one that carried its offer. */
  add(session: Session, carrier?: Session): StoreOp[]
  /** Something came on a session: it stays longest. */
  touch(session: Session): void
  write(session: Session): StoreOp
  keepSkipped(session: Session, keys: readonly SkippedKey[]): StoreOp[]
  /** The key of a late frame, while it may be used. */
  findSkipped(session: Session, name: string): Uint8Array | undefined
  dropSkipped(session: Session, name: string): StoreOp[]
  /** Erases what is past its time; when `now` is not set, only once an hour. */
  sweep(options?: { readonly now?: boolean }): StoreOp[]
  readonly count: number
  readonly skippedCount: number
}

export interface SessionTableOptions {
  readonly store: Store
  readonly box: LocalBox
  readonly clock: Clock
}

const nameOf = ({ ratchet }: Session): string => hex(ratchet.receiveTag)
const recordKey = (session: Session): string => `s/${nameOf(session)}`
const skippedKey = (session: Session, name: string): string => `k/${nameOf(session)}/${name}`
/** What both sides know decides, so that two sessions that crossed are settled alike. */
const byRank = (a: Session, b: Session): number => b.generation - a.generation || compare(a.opening, b.opening)

export async function openSessionTable({ store, box, clock }: SessionTableOptions): Promise<SessionTable> {
  const byTag = new Map<string, Session>()
  /** The one that something came from last is last. */
  const peers = new Map<Did, PeerSessions>()
  let skippedCount = 0
  let sweptAt = clock.now()

  /** Bound to its key: no record stands for another. */
  const sealed = (key: string, record: Uint8Array): StoreOp => put(key, box.seal(record, utf8(key)))
  /** What the session is when the write is made, not when it is asked for. */
  const write = (session: Session): StoreOp => {
    const key = recordKey(session)
    return putLater(key, () => box.seal(sessionCodec.encode(toStored(session)), utf8(key)))
  }

  function add(session: Session, carrier?: Session): StoreOp[] {
    const peer = peers.get(session.peer) ?? { sessions: [], healedAt: Number.NEGATIVE_INFINITY, sentSince: 0 }
    peers.delete(session.peer)
    peers.set(session.peer, peer)
    peer.sessions.push(session)
    byTag.set(nameOf(session), session)
    peer.sessions.sort(byRank)
    const ops: StoreOp[] = []
    // The new one stays, whatever its rank: a peer that lost its state knows no higher. So do those that are spoken in until offers are answered.
    const inUse = peer.sessions.find((other) => other !== session && other.isConfirmed)
    const others = peer.sessions.filter((other) => other !== session && other !== inUse && other !== carrier)
    for (const outranked of others.slice(Math.max(0, others.length - (peer.sessions.length - sessionsPerPeerMax)))) ops.push(...drop(outranked))
    for (const [oldest, { sessions }] of peers) {
      if (byTag.size <= sessionsMax || oldest === session.peer) break
      for (const forgotten of [...sessions]) ops.push(...drop(forgotten))
    }
    return ops
  }
  function drop(session: Session): StoreOp[] {
    const peer = peers.get(session.peer)
    peer?.sessions.splice(peer.sessions.indexOf(session), 1)
    if (peer?.sessions.length === 0) peers.delete(session.peer)
    byTag.delete(nameOf(session))
    return [del(recordKey(session)), ...[...session.skipped.keys()].flatMap((name) => dropSkipped(session, name))]
  }
  function dropSkipped(session: Session, name: string): StoreOp[] {
    if (session.skipped.delete(name)) skippedCount--
    return [del(skippedKey(session, name))]
  }
  function remember(session: Session, name: string, key: Uint8Array, until: number): void {
    if (!session.skipped.has(name)) skippedCount++
    session.skipped.set(name, { key, until })
  }
  /** Lets a peer keep `most` late keys; those of its lowest sessions go first, the oldest of each. */
  function trim({ sessions }: PeerSessions, most: number): StoreOp[] {
    const ops: StoreOp[] = []
    const now = clock.now()
    let count = sessions.reduce((sum, { skipped }) => sum + skipped.size, 0)
    for (const session of sessions.toReversed()) {
      for (const [name, { until }] of session.skipped) {
        if (count <= most && until >= now) break
        ops.push(...dropSkipped(session, name))
        count--
      }
    }
    return ops
  }
  /** By halves, so that those who hold little lose nothing to one who holds much; to seven eighths, so that it is not due again at once. */
  function trimAll(): StoreOp[] {
    const ops: StoreOp[] = []
    if (skippedCount <= skippedMax) return ops
    for (let most = skippedPerPeerMax >> 1; skippedCount > (skippedMax / 8) * 7; most >>= 1) for (const peer of peers.values()) ops.push(...trim(peer, most))
    return ops
  }
  function sweep({ now: isNow = false }: { readonly now?: boolean } = {}): StoreOp[] {
    const now = clock.now()
    if (!isNow && Math.abs(now - sweptAt) < sweepEveryMs) return []
    sweptAt = now
    const stale = [...byTag.values()].filter(({ usedAt }) => usedAt + sessionKeptMs < now)
    return [...stale.flatMap(drop), ...[...peers.values()].flatMap((peer) => trim(peer, skippedPerPeerMax))]
  }
  /** Unreadable: it can only be begun anew, which its absence does. */
  function read<T>(key: string, sealed: Uint8Array, decode: (bytes: Uint8Array) => T): T | undefined {
    try {
      return decode(box.open(sealed, utf8(key)))
    } catch (error) {
      if (error instanceof MeshError) return undefined
      throw error
    }
  }

  async function load(): Promise<StoreOp[]> {
    const ops: StoreOp[] = []
    const stored: Session[] = []
    for await (const [key, sealed] of store.range({ gte: 's/', lt: 's0' })) {
      const record = read(key, sealed, sessionCodec.decode)
      if (record === undefined) ops.push(del(key))
      else stored.push(fromStored(record))
    }
    for (const session of stored.sort((a, b) => a.usedAt - b.usedAt)) ops.push(...add(session))
    const keys: { readonly session: Session; readonly name: string; readonly key: Uint8Array; readonly until: number }[] = []
    for await (const [key, sealed] of store.range({ gte: 'k/', lt: 'k0' })) {
      const [, tag = '', dh = '', n = ''] = key.split('/')
      const session = byTag.get(tag)
      const record = session === undefined ? undefined : read(key, sealed, skippedCodec.decode)
      if (session === undefined || record === undefined) ops.push(del(key))
      else keys.push({ session, name: `${dh}/${n}`, ...record })
    }
    for (const { session, name, key, until } of keys.sort((a, b) => a.until - b.until)) remember(session, name, key, until)
    return [...ops, ...sweep({ now: true }), ...trimAll()]
  }
  const gone = await load()
  if (gone.length > 0) await store.batch(gone)

  return {
    held: (tag) => byTag.get(hex(tag)),
    peer: (did) => peers.get(did),
    add: (session, carrier) => [...add(session, carrier), write(session)],
    touch(session) {
      session.usedAt = clock.now()
      const peer = peers.get(session.peer)
      if (peer === undefined) return
      peers.delete(session.peer)
      peers.set(session.peer, peer)
    },
    write,
    keepSkipped(session, keys) {
      if (keys.length === 0) return []
      const until = clock.now() + skippedKeptMs
      const ops = keys.map(({ dh, n, key }) => {
        const name = skippedName(dh, n)
        remember(session, name, key, until)
        return sealed(skippedKey(session, name), skippedCodec.encode({ key, until }))
      })
      const peer = peers.get(session.peer)
      return [...ops, ...(peer === undefined ? [] : trim(peer, skippedPerPeerMax)), ...trimAll()]
    },
    findSkipped(session, name) {
      const kept = session.skipped.get(name)
      return kept !== undefined && kept.until >= clock.now() ? kept.key : undefined
    },
    dropSkipped,
    sweep,
    get count() {
      return byTag.size
    },
    get skippedCount() {
      return skippedCount
    },
  }
}
