import { dayMs, hourMs } from '../base/index.ts'

/** Introductions in a row, counted from the root. Source: trust/v1 section 2.5. */
export const introducerDepthMax = 4

/** Votes that make BASIC, VERIFIED, TRUSTED. AUTHORITY is named, not voted. Source: trust/v1 section 2.4. */
export const votesNeeded = [0, 1, 2, 3, 1] as const

/** Votes of one AUTHORITY towards BASIC, VERIFIED, TRUSTED. Source: trust/v1 section 2.4. */
export const authorityVotes = [0, 1, 2, 2, 1] as const

/** New subjects of one issuer that start to count within `quotaWindowMs`. Source: trust/v1 section 2.3. */
export const quotaSubjectsMax = 64
export const quotaWindowMs = 30 * dayMs

/** A statement older than the first counts one level less, older than the second two. Source: trust/v1 section 2.2. */
export const decayMs = [180 * dayMs, 365 * dayMs] as const

/** Oldest head of an issuer with which its word still counts for BASIC, VERIFIED, TRUSTED, AUTHORITY. Source: trust/v1 section 2.2. */
export const headAgeMsMax = [7 * dayMs, 48 * hourMs, 24 * hourMs, hourMs] as const

/** Distinct vetoes that ban when none of them suffices alone. Source: trust/v1 section 2.6. */
export const vetoesNeeded = 2

/** Failed tasks before experience lowers anybody. Source: trust/v1 section 2.10. */
export const experienceFailuresMin = 3
/** Expected share of successes below which experience caps at BASIC, and below which it quarantines. Source: trust/v1 section 2.10. */
export const experienceLowersBelow = 0.5
export const experienceQuarantinesBelow = 0.25
/** Expected share of successes from which experience gives BASIC to whom nobody vouches for. Source: trust/v1 section 2.10. */
export const experienceRaisesFrom = 0.9
