export type { Explanation, ExplainOptions, Reason } from './explain.ts'
export { introducerDepthMax, quotaSubjectsMax, quotaWindowMs } from './limits.ts'
export { computeTrust, type TrustQuestion, type TrustSnapshot } from './rule.ts'
export { scopeCovers, scopeNamesAuthority } from './scope.ts'
export { shortDid } from './sentence.ts'
export {
  type Attestation,
  depthDefault,
  type IgnoredReason,
  type Level,
  levelCaution,
  levelDistrust,
  type LevelName,
  levelName,
  parseLevel,
  type Revocation,
  type StatementLevel,
  statementLevelName,
  type StatementLevelName,
  TrustLevel,
} from './types.ts'
export { type AttestFields, openTrustBook, type TrustBook, type TrustChange } from './book.ts'
export { headRecordKey, headRecordRule, type TrustItem, type TrustKind } from './statements.ts'
