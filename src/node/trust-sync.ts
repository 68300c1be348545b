import { type Clock, type Did, type Logger, secondMs, toMeshError, within, createTally, minuteMs } from '../base/index.ts'
import type { GossipMessage, GossipVerdict, Host } from '../net/index.ts'
import { fetchStatements } from '../protocols/att/index.ts'
import { headRecordKey, type TrustBook, type TrustItem, verifiedHeadOf } from '../trust/index.ts'
import type { Heads } from './trust-heads.ts'

export const headNamespace = 'kindmesh-head'
export const headTopic = '/kindmesh/heads/1'
/** Introducers asked in one refresh. Source: trust/v1 section 5. */
export const introducersAskedMax = 32
/** Other peers asked for the statements of an issuer that does not answer. */
export const holdersAskedMax = 4
/** Time one refresh may take. */
export const refreshTimeoutMs = 4 * secondMs
/** Rounds of a refresh: each may find introducers of the next remove. */
export const refreshRoundsMax = 4

/** Pulls of one issuer that gossip may cause per minute. */
export const headPullsMax = 30

/** Which identity a key speaks for, and under which key one is reached. */
export interface Reach {
  subject(key: Did): Did
  currentKnown(did: Did): Did
  current(did: Did, options: { readonly signal: AbortSignal }): Promise<Did>
}

export interface TrustSyncOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  readonly book: TrustBook
  readonly self: Did
  readonly reach: Reach
  readonly heads: Heads
}

/** Carries statements between books: positive ones are asked for, news of heads travel by gossip and DHT. */
export interface TrustSync {
  /** Fetches news of everybody who may introduce in `scope`, unless they were asked within `maxAgeMs`. Never throws: what is not reached stays as it was known. */
  refresh(scope: string, options: { readonly maxAgeMs: number; readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Takes what a peer has to say about us or, when it may introduce, about others. */
  pull(peer: Did): Promise<void>
  /** Takes evidence a peer shows about itself. */
  take(peer: Did, items: readonly TrustItem[]): Promise<void>
  /** Tells others that we have new statements. */
  announce(): Promise<void>
}

export function createTrustSync({ host, clock, logger, book, self, reach, heads }: TrustSyncOptions): TrustSync {
  /** Up to which seq we have everything of an issuer whom we follow. */
  const followed = new Map<Did, number>()
  const askedAt = new Map<Did, number>()
  const pulling = new Map<Did, Promise<void>>()
  const pulls = createTally<Did>({ clock, most: headPullsMax, windowMs: minuteMs })

  const isFollowed = (issuer: Did): boolean => book.certifies(issuer)

  /** How many were wanted and refused. */
  async function acceptAll(items: readonly TrustItem[], wanted: (item: TrustItem) => boolean): Promise<number> {
    let refused = 0
    for (const item of items) {
      if (!wanted(item)) continue
      try {
        await book.accept(item)
      } catch (error) {
        const { code, message } = toMeshError(error)
        logger.info('statement refused', { kind: item.kind, code, message })
        refused++
      }
    }
    return refused
  }
  /** Everything of `issuer` that `holder` has and we have not. */
  async function fetchAll(holder: Did, issuer: Did, signal: AbortSignal): Promise<void> {
    const items = await fetchStatements(host, await reach.current(holder, { signal }), { issuer, afterSeq: followed.get(issuer) ?? 0, signal })
    const all = isFollowed(issuer)
    const refused = await acceptAll(items, (item) => {
      const parties = book.parties(item)
      return parties !== undefined && parties.from === issuer && (all || item.kind === 'head' || parties.to === self)
    })
    // Somebody else may have left out what he does not like: only the issuer's own list is a whole one.
    if (all && holder === issuer && refused === 0) followed.set(issuer, book.newestSeq(issuer))
  }
  async function ask(issuer: Did, signal: AbortSignal): Promise<void> {
    askedAt.set(issuer, clock.monotonic())
    try {
      await fetchAll(issuer, issuer, signal)
      return
    } catch (error) {
      logger.debug('issuer does not answer', { issuer, code: toMeshError(error).code })
    }
    await heads.newest(issuer, { signal })
    for (const { did } of host.peers().slice(0, holdersAskedMax)) {
      await fetchAll(reach.subject(did), issuer, signal).catch(() => undefined)
    }
  }
  async function refresh(scope: string, { maxAgeMs, signal }: { readonly maxAgeMs: number; readonly signal?: AbortSignal | undefined }): Promise<void> {
    const deadline = within(clock, refreshTimeoutMs, signal, 'refreshing trust')
    for (let round = 0; round < refreshRoundsMax && !deadline.aborted; round++) {
      const now = clock.monotonic()
      const due = book
        .introducers(scope)
        .filter((issuer) => now - (askedAt.get(issuer) ?? -Infinity) > maxAgeMs)
        .slice(0, introducersAskedMax)
      if (due.length === 0) return
      await Promise.allSettled(due.map((issuer) => ask(issuer, deadline)))
    }
  }
  function pull(key: Did): Promise<void> {
    const peer = reach.subject(key)
    const running = pulling.get(peer)
    if (running !== undefined) return running
    const done = fetchAll(peer, peer, clock.timeout(refreshTimeoutMs, 'fetching statements'))
      .catch((error: unknown) => logger.debug('nothing pulled', { peer, code: toMeshError(error).code }))
      .finally(() => pulling.delete(peer))
    pulling.set(peer, done)
    return done
  }
  function judge({ data }: GossipMessage): GossipVerdict {
    const item = { kind: 'head', bytes: data } as const
    const signer = verifiedHeadOf(item, clock.now())
    if (signer === undefined) return 'reject'
    const issuer = reach.subject(signer)
    const isNear = host.peers().some(({ did }) => reach.subject(did) === issuer)
    if (!isFollowed(issuer) && !isNear) return 'ignore'
    if (pulls.count(issuer)) void pull(issuer)
    return 'accept'
  }
  host.subscribe(headTopic, judge)

  return {
    refresh,
    pull,
    async take(peer, items) {
      // Only what certified issuers say about the very peer: nobody else can make us keep anything.
      await acceptAll(items, (item) => {
        const parties = book.parties(item)
        if (parties === undefined || !isFollowed(parties.from)) return false
        return item.kind === 'head' || parties.to === reach.subject(peer)
      })
    },
    async announce() {
      const head = await book.head(self)
      if (head === undefined) return
      const results = await Promise.allSettled([
        host.gossip(headTopic, head.bytes),
        host.publish(headNamespace, headRecordKey(host.did), head.bytes, { signal: clock.timeout(10 * secondMs, 'publishing the head') }),
      ])
      for (const result of results) if (result.status === 'rejected') logger.debug('head not announced', { code: toMeshError(result.reason).code })
    },
  }
}
