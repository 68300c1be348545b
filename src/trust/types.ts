import { type Did, MeshError } from '../base/index.ts'

/** How far a subject is trusted. Distrust is `levelDistrust`, one below. Source: trust/v1 section 2. */
export const TrustLevel = { UNKNOWN: 0, BASIC: 1, VERIFIED: 2, TRUSTED: 3, AUTHORITY: 4 } as const
export type TrustLevel = (typeof TrustLevel)[keyof typeof TrustLevel]

export const levelDistrust = -1
/** A statement of this level caps its subject at BASIC; an answer of this level is UNKNOWN. */
export const levelCaution = 0

export type Level = typeof levelDistrust | TrustLevel
/** What a statement may say: a level, `levelCaution` or `levelDistrust`. */
export type StatementLevel = Level

/** One signed, verified statement as the rule sees it. Times in ms since 1970. */
export interface Attestation {
  /** Hash of the signed bytes, hexadecimal. */
  readonly id: string
  readonly issuer: Did
  readonly subject: Did
  readonly level: StatementLevel
  /** Command paths; a scope covers itself and everything below. */
  readonly scopes: readonly string[]
  /** How many further introductions the issuer answers for: 0 lets the subject introduce nobody. */
  readonly depth: number
  readonly issuedAt: number
  readonly expiresAt: number
  readonly seq: number
  /** When this node first saw this statement. Local, never from the wire. The quota takes the earliest of an issuer about a subject, superseded ones too. */
  readonly firstSeenAt: number
}

/** `soft` ends one statement from `at` on; `hard` also voids all that the issuer's key signed, or showed to us, from `at` on. */
export interface Revocation {
  readonly issuer: Did
  readonly attestationId: string
  readonly kind: 'soft' | 'hard'
  readonly at: number
}

export type IgnoredReason = 'expired' | 'scope' | 'depth' | 'quota' | 'issuerLevel' | 'banned' | 'superseded' | 'alias' | 'stale' | 'revoked'

const levels = { distrust: levelDistrust, caution: levelCaution, basic: 1, verified: 2, trusted: 3, authority: 4 } as const satisfies Record<
  string,
  StatementLevel
>

export type StatementLevelName = keyof typeof levels
export type LevelName = Exclude<StatementLevelName, 'caution'> | 'unknown'

/** Reads a level as people type it in a statement. @throws ERR_USAGE */
export function parseLevel(text: string): StatementLevel {
  const word = text.toLowerCase()
  if (!Object.hasOwn(levels, word)) throw new MeshError('ERR_USAGE', `'${text}' is not one of ${Object.keys(levels).join(', ')}`)
  return levels[word as StatementLevelName]
}

const answerNames = ['distrust', 'unknown', 'basic', 'verified', 'trusted', 'authority'] as const
const statementNames = ['distrust', 'caution', 'basic', 'verified', 'trusted', 'authority'] as const

/** The name of an answer. */
export const levelName = (level: Level): LevelName => answerNames[level + 1] ?? 'unknown'

/** The name of what a statement says. */
export const statementLevelName = (level: StatementLevel): StatementLevelName => statementNames[level + 1] ?? 'caution'

/** Reads an answer's name: `unknown` in place of `caution`. @throws ERR_USAGE */
export function parseAnswerLevel(text: string): Level {
  const at = answerNames.indexOf(text.toLowerCase() as LevelName)
  if (at === -1) throw new MeshError('ERR_USAGE', `'${text}' is not one of ${answerNames.join(', ')}`)
  return (at - 1) as Level
}

/** The depth a statement gets when its author names none: a TRUSTED subject may introduce, an AUTHORITY may introduce introducers. */
export function depthDefault(level: StatementLevel): number {
  if (level === TrustLevel.AUTHORITY) return 2
  return level === TrustLevel.TRUSTED ? 1 : 0
}
