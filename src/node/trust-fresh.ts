import { type Clock, type Did, type Logger, minuteMs, type Random, secondMs, toMeshError } from '../base/index.ts'
import type { Host } from '../net/index.ts'
import { headAgeMsMax, type Level, type TrustBook } from '../trust/index.ts'
import type { Pull } from './trust-pull.ts'
import type { Reach } from './trust-reach.ts'

/** How often a node looks whose head grows old. Source: trust/v1 section 5.6. */
export const freshEveryMs = 5 * minuteMs
/** Issuers asked in one such look, those longest not asked first. */
export const freshAskedMax = 16
/** Time one look may take. */
export const freshMsMax = 20 * secondMs

export interface FreshOptions {
  readonly host: Pick<Host, 'peers'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly book: Pick<TrustBook, 'head' | 'evidence'>
  readonly pull: Pick<Pull, 'ask' | 'askedAt'>
  readonly reach: Pick<Reach, 'subject'>
  /** Everybody whose word may count here, with the highest level they hold. */
  followed(): ReadonlyMap<Did, Level>
  /** Those whose word about this node it shows to others. */
  witnesses(): Iterable<Did>
}

/** Asks for a head before what leans on it goes stale: when half the time is over for which it is fresh at its signer's level. */
export function keepHeadsFresh({ host, clock, random, logger, book, pull, reach, followed, witnesses }: FreshOptions): () => void {
  let cancel = (): void => undefined
  let isStopped = false

  async function due(): Promise<readonly Did[]> {
    const near = new Set(host.peers().map(({ did }) => reach.subject(did)))
    const levels = new Map<Did, Level>([...[...witnesses()].map((did) => [did, 2] as const), ...followed()])
    const found: Did[] = []
    for (const [issuer, level] of levels) {
      // Who is here costs one frame to ask; a subject shows the head to others who may need it fresher.
      const ageMax = near.has(issuer) ? headAgeMsMax[3] : (headAgeMsMax[Math.max(level, 1) - 1] ?? headAgeMsMax[3])
      const head = await book.head(issuer)
      const isOld = head === undefined || clock.now() - head.statement.issuedAt > ageMax / 2 - freshEveryMs
      // Nobody is asked all the time who does not answer.
      const isAskedLately = clock.monotonic() - pull.askedAt(issuer) < Math.min(ageMax / 4, freshEveryMs)
      if (isOld && !isAskedLately) found.push(issuer)
    }
    return found.toSorted((a, b) => Number(near.has(b)) - Number(near.has(a)) || pull.askedAt(a) - pull.askedAt(b)).slice(0, freshAskedMax)
  }
  async function look(): Promise<void> {
    try {
      const signal = clock.timeout(freshMsMax, 'asking for heads')
      await Promise.allSettled((await due()).map((issuer) => pull.ask(issuer, signal)))
    } catch (error) {
      logger.warn('heads not looked after', { code: toMeshError(error).code })
    }
    next()
  }
  function next(): void {
    if (!isStopped) cancel = clock.after(freshEveryMs * (0.75 + random.fraction() / 2), () => void look())
  }
  next()
  return () => {
    isStopped = true
    cancel()
  }
}
