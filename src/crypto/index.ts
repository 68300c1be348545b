export { aeadOpen, aeadSeal, createLocalBox, importAeadKey, isSuite, type LocalBox, type Suite, tagBytesLength } from './aead.ts'
export {
  deriveFromOldPassphrase,
  deriveFromPassphrase,
  deriveKey,
  hkdfExpand,
  hkdfExtract,
  type PassphraseParams,
  passphraseParams,
  saltBytesLength,
} from './derive.ts'
export { contentHash, createSha256, equalSecret, hmacSha256, type RunningHash, sha256 } from './hash.ts'
export { type HpkeRecipient, hpkeRecipient, type HpkeSender, hpkeSender, hpkeSenderShared } from './hpke.ts'
export {
  createKemPrivateKey,
  importKemPublicKey,
  kemCiphertextBytesLength,
  type KemPrivateKey,
  type KemPublicKey,
  kemPublicKeyBytesLength,
  kemSeedBytesLength,
  x25519,
  x25519PublicKey,
} from './kem.ts'
export { selfTest } from './self-test.ts'
export { createSigner, isValidPublicKey, seedBytesLength, type Signer, signatureBytesLength, verify } from './sign.ts'
