import sodium from 'sodium-native'
import { MeshError } from '../base/index.ts'

export const seedBytesLength = 32
export const signatureBytesLength = 64
const publicKeyBytesLength = 32

/** Signs and never shows its key. */
export interface Signer {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
}

/** Ed25519 from its 32-byte seed (RFC 8032 section 5.1.5). The seed is copied; wipe yours. */
export function createSigner(seed: Uint8Array): Signer {
  if (seed.length !== seedBytesLength) throw new MeshError('ERR_CRYPTO_INPUT', `an Ed25519 seed has ${seedBytesLength} bytes`)
  const publicKey = new Uint8Array(publicKeyBytesLength)
  const secretKey = new Uint8Array(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed)
  return {
    publicKey,
    sign(message) {
      const signature = new Uint8Array(signatureBytesLength)
      sodium.crypto_sign_detached(signature, message, secretKey)
      return signature
    },
  }
}

/**
 * Verifies under the pinned profile: 64-byte signature, S < L, canonical A and R, neither of small order, cofactorless.
 * False for anything of the wrong length; never throws. Source: identity/v1 section 2.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  // libsodium's binding takes signatures longer than 64 bytes and looks at the first 64 only.
  if (signature.length !== signatureBytesLength || publicKey.length !== publicKeyBytesLength) return false
  return sodium.crypto_sign_verify_detached(signature, message, publicKey)
}

/** True for a canonical point of the prime-order group: what an honest key is. libp2p builds peer IDs from other points too, so every new key is checked once. */
export function isValidPublicKey(key: Uint8Array): boolean {
  return key.length === publicKeyBytesLength && sodium.crypto_core_ed25519_is_valid_point(key)
}
