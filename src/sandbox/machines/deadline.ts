import type { Clock } from '../../base/index.ts'

/** The work, or the rejection ERR_TIMEOUT when it takes longer. What the work does afterwards concerns nobody. */
export async function byDeadline<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  const signal = clock.timeout(ms, what)
  const late = Promise.withResolvers<never>()
  const onAbort = (): void => late.reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, late.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
