import { realClock } from '../base/index.ts'

/** The caller's signal with the time it allows; `what` took too long. */
export const patience = (signal: AbortSignal, timeoutMs: number | undefined, what = 'the request'): AbortSignal =>
  timeoutMs === undefined ? signal : AbortSignal.any([signal, realClock.timeout(timeoutMs, what)])
