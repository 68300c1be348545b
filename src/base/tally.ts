import type { Clock } from './clock.ts'

/** Counts per key in a window, for what may be written down only so often: what one stranger causes must not fill a disk. */
export interface Tally<K> {
  /** True while `key` has been counted at most `most` times in its window. */
  count(key: K): boolean
}

/** Keys counted at a time; all are forgotten when there are more. */
export const tallyKeysMax = 10_000

export function createTally<K>({
  clock,
  most,
  windowMs,
}: {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly most: number
  readonly windowMs: number
}): Tally<K> {
  const tallies = new Map<K, { readonly since: number; count: number }>()
  return {
    count(key) {
      const now = clock.monotonic()
      const known = tallies.get(key)
      if (known !== undefined && now - known.since < windowMs) return ++known.count <= most
      if (tallies.size >= tallyKeysMax) tallies.clear()
      tallies.set(key, { since: now, count: 1 })
      return most > 0
    },
  }
}
