import { type Clock, MeshError, type Random } from '../base/index.ts'
import { redialMsMax, redialMsMin } from './limits.ts'

export interface Deadline extends Disposable {
  readonly signal: AbortSignal
}

/** The caller's signal joined with our own time; disposing of it takes the timer back. */
export function deadline(clock: Clock, ms: number, signal: AbortSignal | undefined, what: string): Deadline {
  const own = new AbortController()
  const cancel = clock.after(ms, () => own.abort(new MeshError('ERR_TIMEOUT', `${what} took longer than ${ms} ms`)))
  return { signal: signal === undefined ? own.signal : AbortSignal.any([signal, own.signal]), [Symbol.dispose]: cancel }
}

/** The promise, or the signal's reason if that comes first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A rejection that harms nobody when the caller does not look: one who sends without awaiting sees the loss of the stream elsewhere. */
export function refused(why: unknown): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => undefined)
  reject(why)
  return promise
}

/** A promise with its resolvers, whose rejection may go unseen. */
export function quietResolvers(): PromiseWithResolvers<void> {
  const resolvers = Promise.withResolvers<void>()
  resolvers.promise.catch(() => undefined)
  return resolvers
}

/** Doubling from `redialMsMin` to `redialMsMax`, and up to half of it less, so that a crowd does not come back at once. */
export const redialPause = (attempt: number, random: Random): number =>
  Math.min(redialMsMax, redialMsMin * 2 ** Math.min(attempt, 16)) * (0.5 + random.fraction() / 2)
