import { type Clock, createTally, type Did, type Logger, minuteMs, type Random, secondMs, toMeshError } from '../base/index.ts'
import type { Host } from '../net/index.ts'
import { headRecordKey, type Level, type TrustBook, type TrustItem, TrustLevel } from '../trust/index.ts'
import { createCatchUp } from './trust-catch-up.ts'
import { keepHeadsFresh } from './trust-fresh.ts'
import { createNews } from './trust-news.ts'
import type { Heads } from './trust-heads.ts'
import { createPull, type Pull } from './trust-pull.ts'
import { headNamespace, type Reach } from './trust-reach.ts'

/** Pulls of one issuer that gossip may cause per minute. */
export const headPullsMax = 30
/** A head that everybody hears at once is not followed by everybody at once. */
const pullSoonMs = secondMs

export interface TrustSyncOptions {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly book: TrustBook
  readonly self: Did
  readonly reach: Reach
  readonly heads: Heads
  /** Scopes whose introducers are worth following. */
  readonly scopes: readonly string[]
}

/** Carries statements between books: bad news and heads by gossip, good words when they are asked for, and what was missed by comparing. */
export interface TrustSync extends Pick<Pull, 'refresh' | 'pull'> {
  /** Takes evidence a peer shows about itself, then what it has to say. */
  meet(peer: Did, items: readonly TrustItem[]): Promise<void>
  /** Tells others that there is something to fetch. Own bad news are told without being asked. */
  announce(): Promise<void>
  stop(): void
}

export function createTrustSync({ host, clock, random, logger, book, self, reach, heads, scopes }: TrustSyncOptions): TrustSync {
  const pulls = createTally<Did>({ clock, most: headPullsMax, windowMs: minuteMs })

  const levelOf = (issuer: Did): Level => scopes.reduce<Level>((best, scope) => Math.max(best, book.snapshot(scope).level(issuer)) as Level, TrustLevel.UNKNOWN)
  const isFollowed = (issuer: Did): boolean => issuer !== self && levelOf(issuer) >= TrustLevel.VERIFIED
  const followed = (): ReadonlyMap<Did, Level> => new Map(scopes.flatMap((scope) => book.introducers(scope)).map((issuer) => [issuer, levelOf(issuer)]))

  const news = createNews({
    host,
    clock,
    random,
    logger,
    book,
    self,
    subject: reach.subject,
    isFollowed,
    onHead(issuer) {
      if (book.coverage(issuer).isWhole || !pulls.count(issuer)) return
      clock.after(pullSoonMs * random.fraction(), () => void pull.pull(issuer))
    },
  })
  const onNews = (item: TrustItem): void => news.tell(item)
  const pull = createPull({ host, clock, logger, book, self, reach, heads, isFollowed, onNews })
  const catchUp = createCatchUp({ host, clock, random, logger, book, reach, isFollowed, followed: () => followed().keys(), onNews })
  const stopFresh = keepHeadsFresh({
    host,
    clock,
    random,
    logger,
    book,
    pull,
    reach,
    followed,
    witnesses: () =>
      new Set(
        book
          .show()
          .filter(({ subject, issuer }) => subject === self && issuer !== self)
          .map(({ issuer }) => issuer),
      ),
  })

  let told = book.newestSeq(self)
  /** What we said since we last told. */
  async function tellOwn(): Promise<void> {
    const after = told
    told = book.newestSeq(self)
    for await (const item of book.list(self, after)) if (item.kind !== 'head') news.tell(item, { isOwn: true })
  }
  const stopListening = book.onChange(({ kind, issuer }) => {
    if (kind === 'warrant') for (const { bytes } of book.warrants().filter((warrant) => warrant.issuer === issuer)) onNews({ kind, bytes })
    if (issuer !== self || book.newestSeq(self) <= told) return
    tellOwn().catch((error: unknown) => logger.warn('own statements not told', { code: toMeshError(error).code }))
  })

  return {
    refresh: pull.refresh,
    pull: pull.pull,
    async meet(peer, items) {
      // Only what certified issuers say about the very peer: nobody else can make us keep anything.
      await pull.take(items, peer, (item, { from, to }) => isFollowed(from) && (item.kind === 'head' || to === reach.subject(peer)))
      await pull.pull(peer)
    },
    async announce() {
      const head = await book.head(self)
      if (head === undefined) return
      news.tell({ kind: 'head', bytes: head.bytes }, { isOwn: true })
      await host
        .publish(headNamespace, headRecordKey(host.did), head.bytes, { signal: clock.timeout(10 * secondMs, 'publishing the head') })
        .catch((error: unknown) => logger.debug('head not published', { code: toMeshError(error).code }))
    },
    stop() {
      stopListening()
      news.stop()
      catchUp.stop()
      stopFresh()
    },
  }
}
