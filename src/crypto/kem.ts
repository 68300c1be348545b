import { createPrivateKey, createPublicKey, decapsulate, encapsulate, hash, type KeyObject } from 'node:crypto'
import sodium from 'sodium-native'
import { concat, fromHex, MeshError, type Random } from '../base/index.ts'

export const kemSeedBytesLength = 32
export const kemPublicKeyBytesLength = 1_216
export const kemCiphertextBytesLength = 1_120
const mlKemPublicBytesLength = 1_184
const mlKemCiphertextBytesLength = 1_088
const label = fromHex('5c2e2f2f5e5c')
// DER in front of a raw ML-KEM-768 public key and of a seed-only private key (RFC 9935 sections 4 and 6).
const spkiPrefix = fromHex('308204b2300b0609608648016503040402038204a100')
const pkcs8SeedPrefix = fromHex('3054020100300b060960864801650304040204428040')

/** X25519 (RFC 7748 section 6.1). @throws ERR_CRYPTO_INPUT for an all-zero result */
export function x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const shared = new Uint8Array(32)
  try {
    sodium.crypto_scalarmult(shared, secretKey, publicKey)
  } catch (cause) {
    throw new MeshError('ERR_CRYPTO_INPUT', 'X25519 with a point of small order', { cause })
  }
  return shared
}

export function x25519PublicKey(secretKey: Uint8Array): Uint8Array {
  const publicKey = new Uint8Array(32)
  sodium.crypto_scalarmult_base(publicKey, secretKey)
  return publicKey
}

/** An X-Wing private key: keeps its secrets, shows its public key. Source: draft-connolly-cfrg-xwing-kem section 5. */
export interface KemPrivateKey {
  readonly publicKey: Uint8Array
  /** The 32-byte shared secret. Wrong ciphertexts give a wrong secret, not an error. @throws ERR_CRYPTO_INPUT for a ciphertext of the wrong length */
  decapsulate(ciphertext: Uint8Array): Uint8Array
}

/** A recipient's X-Wing key, parsed once and used many times. */
export interface KemPublicKey {
  readonly bytes: Uint8Array
  readonly mlKem: KeyObject
}

const combine = (mlKemShared: Uint8Array, x25519Shared: Uint8Array, x25519Ciphertext: Uint8Array, x25519Public: Uint8Array): Uint8Array =>
  new Uint8Array(hash('sha3-256', concat(mlKemShared, x25519Shared, x25519Ciphertext, x25519Public, label), 'buffer'))

export function createKemPrivateKey(seed: Uint8Array): KemPrivateKey {
  if (seed.length !== kemSeedBytesLength) throw new MeshError('ERR_CRYPTO_INPUT', `an X-Wing seed has ${kemSeedBytesLength} bytes`)
  const expanded = hash('shake256', seed, { outputEncoding: 'buffer', outputLength: 96 })
  const mlKem = createPrivateKey({ key: Buffer.concat([pkcs8SeedPrefix, expanded.subarray(0, 64)]), format: 'der', type: 'pkcs8' })
  const secret = new Uint8Array(expanded.subarray(64))
  const ownPublic = x25519PublicKey(secret)
  const mlKemPublic = createPublicKey(mlKem).export({ format: 'der', type: 'spki' }).subarray(spkiPrefix.length)
  return {
    publicKey: concat(mlKemPublic, ownPublic),
    decapsulate(ciphertext) {
      if (ciphertext.length !== kemCiphertextBytesLength) throw new MeshError('ERR_CRYPTO_INPUT', `an X-Wing ciphertext has ${kemCiphertextBytesLength} bytes`)
      const ephemeral = ciphertext.subarray(mlKemCiphertextBytesLength)
      return combine(decapsulate(mlKem, ciphertext.subarray(0, mlKemCiphertextBytesLength)), x25519(secret, ephemeral), ephemeral, ownPublic)
    },
  }
}

/** @throws ERR_CRYPTO_INPUT when the bytes are no X-Wing public key (FIPS 203 section 7.2 checks included) */
export function importKemPublicKey(bytes: Uint8Array): KemPublicKey {
  if (bytes.length !== kemPublicKeyBytesLength) throw new MeshError('ERR_CRYPTO_INPUT', `an X-Wing public key has ${kemPublicKeyBytesLength} bytes`)
  try {
    return { bytes, mlKem: createPublicKey({ key: Buffer.concat([spkiPrefix, bytes.subarray(0, mlKemPublicBytesLength)]), format: 'der', type: 'spki' }) }
  } catch (cause) {
    throw new MeshError('ERR_CRYPTO_INPUT', 'not a valid ML-KEM-768 public key', { cause })
  }
}

export interface Encapsulated {
  readonly sharedSecret: Uint8Array
  readonly ciphertext: Uint8Array
}

export function kemEncapsulate(recipient: KemPublicKey, random: Random): Encapsulated {
  const ephemeralSecret = random.bytes(32)
  const ephemeral = x25519PublicKey(ephemeralSecret)
  const recipientX25519 = recipient.bytes.subarray(mlKemPublicBytesLength)
  const mlKem = encapsulate(recipient.mlKem)
  return {
    sharedSecret: combine(mlKem.sharedKey, x25519(ephemeralSecret, recipientX25519), ephemeral, recipientX25519),
    ciphertext: concat(mlKem.ciphertext, ephemeral),
  }
}
