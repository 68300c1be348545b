export { readSeeds, type Seed } from './seeds.ts'
export { computeTrustFromCsv, type CsvAnswer, csvColumns, type CsvQuestion } from './csv.ts'
export { drawFormats, type DrawFormat, drawGraph } from './draw.ts'
export type { TrustEdge } from './edges.ts'
export type { Explanation, ExplainOptions, Reason } from './explain.ts'
export { authenticate, firstSteps, type Flow, type FlowEdge, type FlowPath, follow, incoming } from './flow.ts'
export { flowEdges, type FlowStatements } from './flow-statements.ts'
export { type FlowPolicyOptions, type FlowSnapshot, narrowByFlow, trustPolicies, type TrustPolicy } from './flow-policy.ts'
export { createLedger, type Ledger, type LedgerOptions, type LedgerQuestion } from './ledger.ts'
export { type GraphView, type GraphViewOptions, viewGraph, viewNodesMax } from './graph-view.ts'
export { ownWords, type OwnWord } from './roots.ts'
export { type LevelChange, simulate, type SupposedStatement, type Supposition } from './simulate.ts'
export type { Experience } from './experience.ts'
export { headAgeMsMax, quotaSubjectsMax } from './limits.ts'
export { computeTrust, type Ranked, type TrustQuestion, type TrustSnapshot } from './rule.ts'
export { scopeCovers, scopeNamesAuthority } from './scope.ts'

export {
  type Attestation,
  depthDefault,
  type IgnoredReason,
  type Level,
  type LevelName,
  levelDistrust,
  levelName,
  parseAnswerLevel,
  parseLevel,
  type Revocation,
  type StatementLevel,
  statementLevelName,
  type StatementLevelName,
  TrustLevel,
} from './types.ts'
export { openTrustBook } from './book.ts'
export type { AttestFields, BookChange, BookEntry, Coverage, EntryRange, KeyBook, TrustBook, TrustChange, WithdrawFields } from './book-types.ts'
export {
  attestationLifetimeMsMax,
  checkScopes,
  headRecordKey,
  headRecordRule,
  openTrustStatement,
  readTrustStatement,
  type SignedItem,
  type SignedKind,
  type TrustItem,
  type TrustKind,
  trustKinds,
  trustStatementBytesMax,
} from './statements.ts'
export { makeWarrant, readWarrant, type Warrant } from './warrant.ts'
export { createMeetingShelf, type MeetingShelf } from './meeting-shelf.ts'
