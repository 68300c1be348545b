export { type Audit, type AuditOptions, createAudit, groupBytesMax, groupEntriesMax, tailEntriesMax, waitingMax } from './audit.ts'
export { checkpointBytesMax, openCheckpoint, type OpenedCheckpoint, originOf, signatureLinesMax, type SignBytes, type TreeHead, type VerifySignature } from './checkpoint.ts'
export { type AuditData, type AuditEntry, type AuditEvent, dataBytesMax, dataDepthMax, dataItemsMax, entryBytesMax, entryCodec } from './entry.ts'
export {
  agentAdded,
  attestationAccepted,
  type AttestationFacts,
  attestationIssued,
  attestationRefused,
  attestationRevoked,
  auditVerified,
  codeExecuted,
  codeExecutionFailed,
  configChanged,
  type ExecutionFacts,
  identityCreated,
  type IsolationFacts,
  type MessageFacts,
  messageReceived,
  messageRefused,
  messageSent,
  nodeStarted,
  nodeStopped,
  peerConnected,
  peerDisconnected,
  type PeerFacts,
  peerRefused,
  receiptCountersigned,
  receiptSigned,
  sandboxCreated,
  taskCancelled,
  type TaskFacts,
  taskRefused,
  taskRequested,
} from './events.ts'
export { type ConsistencyProof, type ConsistencyVerdict, type InclusionProof, type InclusionVerdict, type ProofOptions, verifyConsistency, verifyProof } from './proof.ts'
export { type AuditVerdict, type FirstBad, verifyAudit, type VerifyAuditOptions, type VerifyOptions } from './verify.ts'
