import { type Clock, minuteMs } from '../base/index.ts'

/** How far a stored moment may lie ahead of the clock before it is taken for one of another life. */
export const clockSlackMs = 2 * minuteMs

/** A moment on both clocks: the wall may jump, the other goes forward only. */
export interface Moment {
  /** ms since 1970 */
  readonly at: number
  readonly tick: number
}

export const moment = (clock: Clock): Moment => ({ at: clock.now(), tick: clock.monotonic() })

/** A moment that was kept on disk; undefined when it lies in the future: the clock went back since. */
export function keptMoment(clock: Clock, at: number): Moment | undefined {
  const age = clock.now() - at
  return age < -clockSlackMs ? undefined : { at, tick: clock.monotonic() - Math.max(0, age) }
}

/** Time since a moment by whichever clock says more: setting the wall clock back makes nothing younger. */
export const elapsedMs = (clock: Clock, { at, tick }: Moment): number => Math.max(clock.now() - at, clock.monotonic() - tick)
