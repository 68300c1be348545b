import type { Did } from '../base/index.ts'
import { experienceFailuresMin, experienceLowersBelow, experienceQuarantinesBelow, experienceRaisesFrom } from './limits.ts'
import type { Level } from './types.ts'

/** What came of the tasks this node had done by somebody. */
export interface Experience {
  readonly subject: Did
  readonly successes: number
  readonly failures: number
}

/** The share of successes to expect: the mean of Beta(successes + 1, failures + 1). */
export const expectedShare = ({ successes, failures }: Omit<Experience, 'subject'>): number => (successes + 1) / (successes + failures + 2)

/**
 * The level after experience: it lowers and quarantines, and lifts nobody above BASIC. What the root itself says is lowered to BASIC and not below.
 * It changes the answer alone: whom somebody introduces does not hang on how their tasks went. Source: trust/v1 section 2.10.
 */
export function withExperience(level: Level, rootWord: number, experience: Omit<Experience, 'subject'>): Level {
  const share = expectedShare(experience)
  if (level < 1) return level === 0 && share >= experienceRaisesFrom ? 1 : level
  if (experience.failures < experienceFailuresMin || share >= experienceLowersBelow) return level
  return share < experienceQuarantinesBelow && rootWord < 1 ? 0 : 1
}
