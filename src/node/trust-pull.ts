import { type Clock, type Did, type Logger, secondMs, toMeshError, within } from '../base/index.ts'
import type { Host } from '../net/index.ts'
import { fetchStatements } from '../protocols/att/index.ts'
import type { TrustBook, TrustItem } from '../trust/index.ts'
import type { Heads } from './trust-heads.ts'
import { isNews } from './trust-news.ts'
import type { Reach } from './trust-reach.ts'

/** Introducers asked in one refresh. Source: trust/v1 section 5. */
export const introducersAskedMax = 32
/** Other peers asked for the statements of an issuer that does not answer. */
export const holdersAskedMax = 4
/** Time one refresh may take. */
export const refreshTimeoutMs = 4 * secondMs
/** Rounds of a refresh: each may find introducers of the next remove. */
export const refreshRoundsMax = 4

export interface PullOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  readonly book: TrustBook
  readonly self: Did
  readonly reach: Reach
  readonly heads: Heads
  /** Somebody whose word may count here. */
  isFollowed(issuer: Did): boolean
  /** Bad news came that others may not have heard. */
  onNews(item: TrustItem): void
}

/** Asks issuers, and those who hold what issuers said, one issuer at a time. */
export interface Pull {
  /** Fetches news of everybody who may introduce in `scope`, unless they were asked within `maxAgeMs`. Never throws. */
  refresh(scope: string, options: { readonly maxAgeMs: number; readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Takes what a peer has to say about us or, when it may introduce, about others. Never throws. */
  pull(peer: Did): Promise<void>
  /** The same of an issuer who may be away: its head is looked up, and others are asked for what they hold. Never throws. */
  ask(issuer: Did, signal: AbortSignal): Promise<void>
  /** When an issuer was last asked, on the monotonic clock. */
  askedAt(issuer: Did): number
  /** Takes those of the items that are wanted; gives how many of these were refused. */
  take(items: readonly TrustItem[], from: Did, wanted: (item: TrustItem, parties: { readonly from: Did; readonly to: Did }) => boolean): Promise<number>
}

export function createPull({ host, clock, logger, book, self, reach, heads, isFollowed, onNews }: PullOptions): Pull {
  /** Up to which seq we have everything of an issuer whom we follow. */
  const followed = new Map<Did, number>()
  const asked = new Map<Did, number>()
  const pulling = new Map<Did, Promise<void>>()

  async function take(
    items: readonly TrustItem[],
    from: Did,
    wanted: (item: TrustItem, parties: { readonly from: Did; readonly to: Did }) => boolean,
  ): Promise<number> {
    const chosen = items.filter((item) => {
      const parties = book.parties(item)
      return parties !== undefined && wanted(item, parties)
    })
    const { refused } = await book.acceptAll(chosen, { from })
    for (const { item, error } of refused) {
      const { code, message } = toMeshError(error)
      logger.info('statement refused', { kind: item.kind, code, message })
    }
    return refused.length
  }
  /** Everything of `issuer` that `holder` has and we have not. */
  async function fetchAll(holder: Did, issuer: Did, signal: AbortSignal): Promise<void> {
    const before = book.newestSeq(issuer)
    const key = await reach.current(holder, { signal })
    const items = await fetchStatements(host, key, { issuer, afterSeq: followed.get(issuer) ?? 0, signal })
    const all = isFollowed(issuer)
    const refused = await take(items, key, (item, { from, to }) => from === issuer && (all || item.kind === 'head' || to === self))
    // Somebody else may have left out what he does not like: only the issuer's own list is a whole one.
    if (all && holder === issuer && refused === 0) followed.set(issuer, book.newestSeq(issuer))
    if (all && book.newestSeq(issuer) > before) for (const item of items) if (item.kind !== 'head' && isNews(item)) onNews(item)
  }
  async function ask(issuer: Did, signal: AbortSignal): Promise<void> {
    asked.set(issuer, clock.monotonic())
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
  return {
    take,
    ask,
    askedAt: (issuer) => asked.get(issuer) ?? -Infinity,
    async refresh(scope, { maxAgeMs, signal }) {
      const deadline = within(clock, refreshTimeoutMs, signal, 'refreshing trust')
      for (let round = 0; round < refreshRoundsMax && !deadline.aborted; round++) {
        const now = clock.monotonic()
        const due = book
          .introducers(scope)
          .filter((issuer) => now - (asked.get(issuer) ?? -Infinity) > maxAgeMs)
          .slice(0, introducersAskedMax)
        if (due.length === 0) return
        await Promise.allSettled(due.map((issuer) => ask(issuer, deadline)))
      }
    },
    pull(key) {
      const peer = reach.subject(key)
      const running = pulling.get(peer)
      if (running !== undefined) return running
      const done = fetchAll(peer, peer, clock.timeout(refreshTimeoutMs, 'fetching statements'))
        .catch((error: unknown) => logger.debug('nothing pulled', { peer, code: toMeshError(error).code }))
        .finally(() => pulling.delete(peer))
      pulling.set(peer, done)
      return done
    },
  }
}
