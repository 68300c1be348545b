import type { Did } from '../base/index.ts'
import { type Columns, flag } from './columns.ts'
import { quotaSubjectsMax, quotaWindowMs } from './limits.ts'
import type { Pairs } from './pairs.ts'

/** A subject of one issuer, by the instant this node first saw the issuer speak of it. */
interface FirstSeen {
  readonly at: number
  readonly subject: string
  readonly pair: number
}

/**
 * The instants from which an issuer's subjects count, `quotaSubjectsMax` in any `quotaWindowMs`, in order of first seen.
 * A subject over the quota waits for its turn instead of being lost. Source: trust/v1 section 2.3.
 */
function admissions(seen: FirstSeen[]): Map<number, number> {
  const admitted = new Map<number, number>()
  if (seen.length <= quotaSubjectsMax) return admitted
  seen.sort((a, b) => a.at - b.at || (a.subject < b.subject ? -1 : 1))
  const turns: number[] = []
  for (const { at, pair } of seen) {
    const freed = (turns[turns.length - quotaSubjectsMax] ?? -Infinity) + quotaWindowMs
    const turn = Math.max(at, freed)
    turns.push(turn)
    if (turn > at) admitted.set(pair, turn)
  }
  return admitted
}

interface Quota {
  /** Something of this issuer changed. */
  touch(issuer: number): void
  settle(): void
  hasWaiting(): boolean
  /** -Infinity for a pair that never waited. */
  countsFrom(pair: number): number
}

interface QuotaParts {
  readonly nodes: readonly Did[]
  readonly columns: Columns
  readonly pairs: Pairs
  readonly isMute: (pair: number) => boolean
}

/** Keeps the turns of each issuer; whoever speaks of few costs nothing. The root and every AUTHORITY are exempt, which only the caller can know. */
export function createQuota({ nodes, columns, pairs, isMute }: QuotaParts): Quota {
  const waiting = new Map<number, number>()
  const waitingOf = new Map<number, readonly number[]>()
  const dirty = new Set<number>()

  function firstSeen(pair: number): number {
    let least = Infinity
    for (let at = pairs.first[pair] ?? -1; at >= 0; at = columns.next[at] ?? -1) {
      if (((columns.flags[at] ?? 0) & flag.isVoid) === 0) least = Math.min(least, columns.firstSeenAt[at] ?? Infinity)
    }
    return least
  }
  function settleIssuer(issuer: number): void {
    for (const pair of waitingOf.get(issuer) ?? []) waiting.delete(pair)
    waitingOf.delete(issuer)
    const seen: FirstSeen[] = []
    for (let pair = pairs.firstOf(issuer); pair >= 0; pair = pairs.sibling[pair] ?? -1) {
      const at = isMute(pair) ? Infinity : firstSeen(pair)
      if (at < Infinity) seen.push({ at, subject: nodes[pairs.subject[pair] ?? 0] as string, pair })
    }
    const admitted = admissions(seen)
    if (admitted.size === 0) return
    for (const [pair, from] of admitted) waiting.set(pair, from)
    waitingOf.set(issuer, [...admitted.keys()])
  }
  return {
    touch(issuer) {
      if (issuer !== 0 && (pairs.countOf(issuer) > quotaSubjectsMax || waitingOf.has(issuer))) dirty.add(issuer)
    },
    settle() {
      for (const issuer of dirty) settleIssuer(issuer)
      dirty.clear()
    },
    hasWaiting: () => waiting.size > 0,
    countsFrom: (pair) => (waiting.size === 0 ? -Infinity : (waiting.get(pair) ?? -Infinity)),
  }
}
