export { type AgentIdentities, type AgentIdentity, type AudienceOption, type IdentityChange, openAgentIdentities } from './agent-identities.ts'
export { kindDidFromDid, parseDid, peerIdFromDid } from './did.ts'
export { type AgentRecord, agentRecordRule, openAgentRecord, signAgentRecord } from './agent-record.ts'
export { type Chain, type ChainKey, readChain, recoveryWindowMs, type SeenStatement } from './chain.ts'
export { chainRecordKey, chainRecordRule, encodeChainRecord, openChainRecord, rankOf } from './chain-record.ts'
export {
  chainBytesMax,
  chainLengthMax,
  type ChainStatement,
  chainStatementBytesMax,
  commitmentOf,
  openChainStatement,
  signInception,
  signSuccession,
} from './chain-statements.ts'
export { readIdentityFile, writeIdentityFile } from './identity-file.ts'
export { openKeyFile } from './key-file.ts'
export { createKeyring, type Keyring } from './keyring.ts'
export { batchStatementsMax, signBatch, verifyBatch } from './batch.ts'
export {
  checkTime,
  clockSkewMsMax,
  type Composed,
  composeStatement,
  openStatement,
  partiesOf,
  readSigned,
  readStatement,
  type Signed,
  signatureOf,
  signedBytesMax,
  signStatement,
  type Statement,
  type StatementKind,
  type Unverified,
  verifySignature,
} from './statement.ts'
export { type SignatureClaim, signedJsonBytesMax, signedJsonInput, verifySignedJson } from './signed-json.ts'
export { begun, exportRecovery, identityOf, newKeys, openKeys, type OwnKeys, recovered, rotateKeys, type SealedPlace } from './own-keys.ts'
export { decodeOwnKeys, encodeOwnKeys } from './own-keys-codec.ts'
export { createPrivateFile, type FileCalls, realFiles, replacePrivateFile } from './private-file.ts'
export { decodeRecoveryKey, encodeRecoveryKey, type RecoveryKey } from './recovery-key.ts'
