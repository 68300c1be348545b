import { type Clock, MeshError, secondMs, TokenBucket } from '../base/index.ts'
import { cliSurface, type Principal } from './principals.ts'

/** Requests per second on average, and at once. Source: api/v1 section 5. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Of the command line, of any other principal, and of all who try to log in together. Source: api/v1 section 5. */
export const apiRates: { readonly [name in 'cli' | 'principal' | 'anonymous']: Rate } = {
  cli: { perSecond: 2_000, burst: 20_000 },
  principal: { perSecond: 200, burst: 1_000 },
  anonymous: { perSecond: 10, burst: 60 },
}
/** Callers whose rates are kept. */
export const rateCallersMax = 1_024
/** Requests under way at a time, streams among them. Source: api/v1 section 5. */
export const requestsAtOnceMax = 512
/** Of those, by one caller. */
export const requestsAtOncePerCallerMax = 128

export interface RateLimits {
  /** Counts a request in. Call what it returns once when the request is over. @throws ERR_RATE_LIMITED, ERR_OVERLOADED, with `retryAfterMs` in their details */
  enter(principal: Principal): () => void
}

export const callerOf = (principal: Principal): string => {
  if (principal.kind === 'anonymous') return 'anonymous'
  // A person with many sessions is one person.
  return principal.kind === 'session' ? `user:${principal.user.id}` : `token:${principal.id}`
}

export function createRateLimits({ clock, rates = apiRates }: { readonly clock: Pick<Clock, 'monotonic'>; readonly rates?: typeof apiRates }): RateLimits {
  const buckets = new Map<string, TokenBucket>()
  const underWay = new Map<string, number>()
  let total = 0

  function bucketOf(caller: string, principal: Principal): TokenBucket {
    const known = buckets.get(caller)
    if (known !== undefined) return known
    if (buckets.size >= rateCallersMax) {
      for (const [name, bucket] of buckets) if (bucket.isFull()) buckets.delete(name)
      if (buckets.size >= rateCallersMax) throw limited('ERR_OVERLOADED', 'too many callers at once', secondMs)
    }
    const rate = principal.kind === 'anonymous' ? rates.anonymous : principal.kind === 'token' && principal.surface === cliSurface ? rates.cli : rates.principal
    const bucket = new TokenBucket(clock, rate.perSecond, rate.burst)
    buckets.set(caller, bucket)
    return bucket
  }

  return {
    enter(principal) {
      const caller = callerOf(principal)
      const bucket = bucketOf(caller, principal)
      const mine = underWay.get(caller) ?? 0
      if (total >= requestsAtOnceMax || mine >= requestsAtOncePerCallerMax) throw limited('ERR_OVERLOADED', 'too many requests are under way', secondMs)
      if (!bucket.take()) throw limited('ERR_RATE_LIMITED', 'too many requests', bucket.waitMs())
      total++
      underWay.set(caller, mine + 1)
      let isIn = true
      return () => {
        if (!isIn) return
        isIn = false
        total--
        const left = (underWay.get(caller) ?? 1) - 1
        if (left === 0) underWay.delete(caller)
        else underWay.set(caller, left)
      }
    },
  }
}

const limited = (code: 'ERR_RATE_LIMITED' | 'ERR_OVERLOADED', message: string, retryAfterMs: number): MeshError =>
  new MeshError(code, message, { details: { retryAfterMs } })
