import { type Clock, minuteMs } from '../base/index.ts'
import type { Store, StoreOp } from '../store/index.ts'
import type { BookRecords } from './book-record.ts'

/** How coarse the highest time seen is kept while nothing else is written. Source: trust/v1 section 6. */
export const timeKeptEveryMs = minuteMs

/** The time by which statements end: never earlier than any time seen before, also after a restart. A clock set back revives nothing. */
export interface SteadyTime {
  now(): number
  /** Keeps the time, with something else that is written. */
  op(): StoreOp
  /** Keeps the time by itself when it was not kept for a while. Failing is no harm: the next write has it. */
  keep(): void
}

export interface SteadyTimeOptions {
  readonly clock: Pick<Clock, 'now'>
  readonly store: Store
  readonly records: Pick<BookRecords, 'putTime'>
  /** The highest time known from before. */
  readonly start: number
}

export function createSteadyTime({ clock, store, records, start }: SteadyTimeOptions): SteadyTime {
  let highest = start
  let kept = start
  const now = (): number => (highest = Math.max(highest, clock.now()))
  const op = (): StoreOp => {
    kept = now()
    return records.putTime(kept)
  }
  return {
    now,
    op,
    keep() {
      if (now() - kept >= timeKeptEveryMs) store.batch([op()]).catch(() => undefined)
    },
  }
}
