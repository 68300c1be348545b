import type { Clock } from '../base/index.ts'
import { Denied } from './refusal.ts'

/** A rate that is waited for. Source: sandbox/v1 section 5.1. */
export interface Allowance {
  /** Resolves when this much more fits the rate: in the order of the calls, the first second at once. Rejects with the signal's reason. @throws Denied when the rate is none at all */
  take(amount: number, signal: AbortSignal): Promise<void>
  used(): number
}

/** Lets `perSecond` through on average and as much at once; what is more waits its turn. */
export function createAllowance({ clock, perSecond, name }: { readonly clock: Clock; readonly perSecond: number; readonly name: string }): Allowance {
  let tokens = perSecond
  let filledAtMs = clock.monotonic()
  let used = 0
  return {
    async take(amount, signal) {
      if (perSecond === 0) throw new Denied(`the limit ${name} is 0`)
      signal.throwIfAborted()
      const now = clock.monotonic()
      tokens = Math.min(perSecond, tokens + ((now - filledAtMs) * perSecond) / 1_000)
      filledAtMs = now
      // Debt is what makes later calls wait behind this one.
      tokens -= amount
      used += amount
      if (tokens < 0) await clock.sleep(Math.ceil((-tokens * 1_000) / perSecond), { signal })
    },
    used: () => used,
  }
}
