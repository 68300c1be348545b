import type { Clock } from '../../base/index.ts'

/** Calls `bark` once when nothing was heard for `ms`; `hear` costs no timer. */
export function createWatchdog(clock: Clock, ms: number, bark: () => void): { hear(): void; stop(): void } {
  let heardAt = clock.monotonic()
  let cancel: () => void = () => undefined
  const wait = (left: number): void => {
    cancel = clock.after(left, () => {
      const quiet = clock.monotonic() - heardAt
      if (quiet >= ms) bark()
      else wait(ms - quiet)
    })
  }
  wait(ms)
  return {
    hear() {
      heardAt = clock.monotonic()
    },
    stop: () => cancel(),
  }
}
