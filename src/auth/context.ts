import { dayMs } from '../base/index.ts'
import type { AuthenticationFactor } from './factors.ts'

/** Where an attempt comes from, as it was found. */
export interface ContextFacts {
  /** This browser or command line has logged in as this person before. */
  readonly isKnownDevice: boolean
  readonly isLoopback: boolean
  /** ms; undefined before the first login */
  readonly sinceLoginMs: number | undefined
  /** Failed attempts on the account in the last hour. */
  readonly failedTries: number
}

/** Factors of the confidence. Source: auth/v1 section 13. */
export const contextWeights = { newDevice: 0.7, remote: 0.5, neverLoggedIn: 0.9, longAway: 0.6, failedTry: 0.9 } as const
/** Away for as long as this is as long as it counts. */
export const longAwayMs = 365 * dayMs

/**
 * How sure the surroundings make us, 0 to 1: the product of device, place, time away and failed tries, each 1 at best.
 * More failed tries, a longer absence, a new device or another machine never raise it.
 */
export function contextConfidence({ isKnownDevice, isLoopback, sinceLoginMs, failedTries }: ContextFacts): number {
  const away = Math.min(1, Math.max(0, sinceLoginMs ?? 0) / longAwayMs)
  const familiar = sinceLoginMs === undefined ? contextWeights.neverLoggedIn : 1 - (1 - contextWeights.longAway) * away
  return (
    (isKnownDevice ? 1 : contextWeights.newDevice) * (isLoopback ? 1 : contextWeights.remote) * familiar * contextWeights.failedTry ** Math.max(0, failedTries)
  )
}

/** Passed where the confidence reaches `threshold`. */
export function contextFactor(facts: ContextFacts, threshold: number): AuthenticationFactor {
  const confidence = contextConfidence(facts)
  return {
    type: 'context',
    success: confidence >= threshold,
    confidence: Math.round(confidence * 100) / 100,
    metadata: {
      device: facts.isKnownDevice ? 'known' : 'new',
      loopback: facts.isLoopback,
      failedTries: facts.failedTries,
      ...(facts.sinceLoginMs === undefined ? {} : { daysSinceLogin: Math.max(0, Math.floor(facts.sinceLoginMs / dayMs)) }),
    },
  }
}
