export { aeadOpen, aeadSeal, createLocalBox, importAeadKey, isSuite, type LocalBox, type Suite } from './aead.ts'
export { deriveFromPassphrase, deriveKey, type PassphraseParams, passphraseParams, saltBytesLength } from './derive.ts'
export { contentHash, equalSecret, sha256 } from './hash.ts'
export { hpkeOpen, hpkeSeal, hpkeSealShared } from './hpke.ts'
export {
  createKemPrivateKey,
  importKemPublicKey,
  kemCiphertextBytesLength,
  type KemPrivateKey,
  type KemPublicKey,
  kemPublicKeyBytesLength,
  kemSeedBytesLength,
  x25519PublicKey,
} from './kem.ts'
export { selfTest } from './self-test.ts'
export { createSigner, isValidPublicKey, type Signer, verify } from './sign.ts'
