export { type ApiTokenMaker } from './api-tokens.ts'
export { assemble, type MeshRooms, recordRules } from './assemble.ts'
export type { Policy } from '../policy/index.ts'
export { type Identities, type TrustedIdentity } from './identities.ts'
export type { NodeEvent } from './events.ts'
export type { Files } from './files.ts'
export { domainDocumentOf, type DomainSources, parseDomain } from './domain-proof.ts'
export { createNode, type MeshNode, type NodeOptions } from './node.ts'
export {
  acceptVault,
  exportRecoveryOffline,
  importOffline,
  readIdentity,
  readVaultStatus,
  recoverOffline,
  rotateOffline,
  verifyProfileAudit,
  withVault,
} from './offline.ts'
export { type SecretView, secretBytesMax, type VaultDoors } from './vault.ts'
export { signProfileBundle } from './bundles.ts'
export { createProfile } from './own-profile.ts'
export { changePassphraseFile, passphraseOf as currentPassphrase } from './profile.ts'
export {
  backupBytesMax,
  decodeRecoveryCode,
  type VaultKey as NodeVaultKey,
  type VaultStatus as NodeVaultStatus,
  vaultPassphraseBytesMax,
} from '../vault/index.ts'
export { parseDocument, verifySignedDocument } from './signed-document.ts'

export type { Role } from '../protocols/klp/index.ts'
