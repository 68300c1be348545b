import { type Audit, peerRejected } from '../audit/index.ts'
import { type Clock, createTally, type Did, hourMs, type Logger, MeshError, minuteMs, toMeshError } from '../base/index.ts'
import { type Decision, taskScope } from '../policy/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { bool, codec, type Decoded, did, instant, row, textUpTo, uintUpTo } from '../wire/index.ts'

/** Strangers on the list of those who wait; who asked longest ago makes room. Source: join/v1 section 9. */
export const pendingPeersMax = 256
/** Strangers new on the list per hour: a crowd of fresh identities needs hours to push the others out. Source: join/v1 section 9. */
export const pendingNewMax = 30
/** Strangers turned away for good who are remembered as such. Source: join/v1 section 9. */
export const rejectedPeersMax = 1_024
/** How often the count of one who asks again is written. */
export const pendingWriteEveryMs = minuteMs

const shape = row({ did, scope: textUpTo(64), times: uintUpTo(Number.MAX_SAFE_INTEGER), firstAt: instant, lastAt: instant, rejected: bool })
const stored = codec('pending peer', shape, 512)
type Entry = Decoded<typeof shape>

/** A peer that asked for something and is trusted too little for it. Times in ms since 1970. */
export type PendingPeer = Omit<Entry, 'rejected'>

/** Who waits to be let in. */
export interface Pending {
  /** The last to ask first. */
  list(): readonly PendingPeer[]
  /** The entry of a peer. @throws ERR_NOT_FOUND */
  get(did: Did): PendingPeer
  /** Takes a peer off the list after it was let in. */
  settle(did: Did): Promise<void>
  /** Takes a peer off the list for good. @throws ERR_NOT_FOUND */
  reject(did: Did): Promise<PendingPeer>
  /** Passes a decision on; one that more trust would turn puts the peer on the list. */
  watch<T>(from: Did, scope: string, decision: Decision<T>): Decision<T>
}

export interface PendingOptions {
  readonly store: Store
  readonly clock: Clock
  readonly audit: Audit
  readonly logger: Logger
  readonly self: Did
  subject(key: Did): Did
  /** Whoever is distrusted does not wait. */
  isDistrusted(did: Did, scope: string): boolean
  onNew(peer: PendingPeer): void
}

export async function openPending({ store, clock, audit, logger, self, subject, isDistrusted, onNew }: PendingOptions): Promise<Pending> {
  /** In order of the last time each asked. */
  const waiting = new Map<Did, Entry>()
  const rejected = new Map<Did, Entry>()
  const writtenAt = new Map<Did, number>()
  const fresh = createTally<'all'>({ clock, most: pendingNewMax, windowMs: hourMs })
  const kept: Entry[] = []
  for await (const [, bytes] of store.range({})) kept.push(stored.decode(bytes))
  for (const entry of kept.toSorted((a, b) => a.lastAt - b.lastAt)) (entry.rejected ? rejected : waiting).set(entry.did, entry)

  const view = ({ did: who, scope, times, firstAt, lastAt }: Entry): PendingPeer => ({ did: who, scope, times, firstAt, lastAt })
  function get(given: Did): Entry {
    const entry = waiting.get(subject(given))
    if (entry === undefined) throw new MeshError('ERR_NOT_FOUND', `${given} does not wait here`, { hint: 'see `kindmesh pending list`' })
    return entry
  }
  /** What is lost of it in a power cut is asked again. */
  function write(entry: Entry, gone?: Did): void {
    writtenAt.set(entry.did, clock.monotonic())
    const ops = [put(entry.did, stored.encode(entry)), ...(gone === undefined ? [] : [del(gone)])]
    store.batch(ops).catch((error: unknown) => logger.warn('a pending peer is not on disk', { code: toMeshError(error).code }))
  }
  function note(from: Did, scope: string): void {
    const who = subject(from)
    if (rejected.has(who) || isDistrusted(who, scope)) return
    const before = waiting.get(who)
    if (before === undefined && !fresh.count('all')) return
    const now = clock.now()
    const entry = { did: who, scope, times: (before?.times ?? 0) + 1, firstAt: before?.firstAt ?? now, lastAt: now, rejected: false }
    waiting.delete(who)
    waiting.set(who, entry)
    const oldest = waiting.size > pendingPeersMax ? waiting.keys().next().value : undefined
    if (oldest !== undefined) {
      waiting.delete(oldest)
      writtenAt.delete(oldest)
    }
    const isDue = clock.monotonic() - (writtenAt.get(who) ?? -Infinity) >= pendingWriteEveryMs
    if (before === undefined || before.scope !== scope || isDue) write(entry, oldest)
    if (before === undefined) onNew(view(entry))
  }
  return {
    list: () => [...waiting.values()].reverse().map(view),
    get: (who) => view(get(who)),
    async settle(given) {
      const who = subject(given)
      if (!waiting.has(who) && !rejected.has(who)) return
      await store.durable([del(who)])
      waiting.delete(who)
      rejected.delete(who)
      writtenAt.delete(who)
    },
    async reject(given) {
      const entry = { ...get(given), rejected: true }
      const oldest = rejected.size >= rejectedPeersMax ? rejected.keys().next().value : undefined
      const ops = [put(entry.did, stored.encode(entry)), ...(oldest === undefined ? [] : [del(oldest)])]
      await audit.record(peerRejected({ did: self, peer: entry.did, scope: entry.scope }), store.qualify(ops))
      if (oldest !== undefined) rejected.delete(oldest)
      waiting.delete(entry.did)
      rejected.set(entry.did, entry)
      return view(entry)
    },
    watch(from, scope, decision) {
      // Of a task too much may be asked for; of messages and files nothing but the level decides.
      if (!decision.allow && (decision.code === 'ERR_TRUST_LOW' || (scope !== taskScope && decision.code === 'ERR_POLICY_DENIED'))) note(from, scope)
      return decision
    },
  }
}
