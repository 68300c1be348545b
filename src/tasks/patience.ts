import { type Clock, MeshError } from '../base/index.ts'

/** Time for something that has phases, each with a limit of its own, and a limit for all of them. */
export interface Patience {
  /** Aborts with ERR_TIMEOUT. */
  readonly signal: AbortSignal
  /** From now on so much more, in place of what was left, but never past the limit for all. */
  allow(ms: number, what: string): void
  end(): void
}

export function createPatience(clock: Clock, { mostMs, what }: { readonly mostMs: number; readonly what: string }): Patience {
  const controller = new AbortController()
  const overAt = clock.monotonic() + mostMs
  let cancel: () => void = () => undefined
  const allow = (ms: number, phase: string): void => {
    cancel()
    const left = Math.max(0, overAt - clock.monotonic())
    const reason = ms < left ? phase : what
    cancel = clock.after(Math.min(ms, left), () => controller.abort(new MeshError('ERR_TIMEOUT', reason)))
  }
  allow(mostMs, what)
  return { signal: controller.signal, allow, end: () => cancel() }
}
