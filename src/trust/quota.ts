import { quotaSubjectsMax, quotaWindowMs } from './limits.ts'

/** A subject of one issuer, by the instant this node first saw the issuer speak of it. */
export interface FirstSeen {
  readonly at: number
  readonly subject: string
  readonly pair: number
}

/**
 * The instants from which an issuer's subjects count, `quotaSubjectsMax` in any `quotaWindowMs`, in order of first seen.
 * A subject over the quota waits for its turn instead of being lost. Source: trust/v1 section 2.3.
 */
export function admissions(seen: FirstSeen[]): Map<number, number> {
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
