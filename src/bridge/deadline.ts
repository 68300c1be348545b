import { type Clock, MeshError } from '../base/index.ts'

/** Acts under the caller's signal and a time of its own, which leaves no timer behind: guests call often. */
export async function withDeadline<T>(
  { clock, ms, signal, what }: { readonly clock: Clock; readonly ms: number; readonly signal: AbortSignal; readonly what: string },
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const cancel = clock.after(ms, () => late.abort(new MeshError('ERR_TIMEOUT', `${what} took longer than ${ms} ms`)))
  try {
    return await act(AbortSignal.any([signal, late.signal]))
  } finally {
    cancel()
  }
}
