import { hourMs, secondMs } from '../base/index.ts'

/** Tries of a code on one account. Source: auth/v1 section 11.3. */
export const codeTriesMax = 5
export const codeTriesWindowMs = 30 * secondMs
export const codeTriesHourMax = 20
/** Failed tries after which codes are refused until another factor succeeds. */
export const codeFailuresMax = 100

/** Tries of an account, as they are kept. */
export interface Tries {
  /** When codes were tried in the last hour, oldest first, ms since 1970. */
  readonly at: readonly number[]
  /** Codes refused since the last one that was right. */
  readonly failed: number
}

export const noTries: Tries = { at: [], failed: 0 }

/** Tries after `start`; those of a time that is yet to come count, so that a clock set back opens nothing. */
const since = ({ at }: Tries, start: number): number => at.filter((time) => time > start).length

/** Whether a code may be tried now. */
export function mayTry(tries: Tries, now: number): boolean {
  return tries.failed < codeFailuresMax && since(tries, now - codeTriesWindowMs) < codeTriesMax && since(tries, now - hourMs) < codeTriesHourMax
}

/** With one more try at `now`; a right code ends the count of the wrong ones. */
export function afterTry(tries: Tries, now: number, isRight: boolean): Tries {
  return { at: [...tries.at.filter((earlier) => earlier > now - hourMs), now].slice(-codeTriesHourMax), failed: isRight ? 0 : tries.failed + 1 }
}
