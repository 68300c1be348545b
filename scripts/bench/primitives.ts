import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  decapsulate,
  encapsulate,
  generateKeyPairSync,
  hash,
  randomBytes,
  randomFillSync,
} from 'node:crypto'
import sodium from 'sodium-native'
import { padmeLength } from '../../src/envelope/padding.ts'

const aadBytesLength = 1_140
const combinerBytesLength = 134
const scheduleBytesLength = 100

/** The calls into node:crypto and libsodium that one act cannot do without, on inputs of the true sizes made beforehand: no copying, no encoding. */
export interface Primitives {
  /** X-Wing (fresh X25519 key, two multiplications, ML-KEM-768 encapsulation, SHA3-256), three HMACs of the key schedule, AES-256-GCM. */
  seal(): void
  /** X-Wing (one multiplication, ML-KEM-768 decapsulation, SHA3-256), three HMACs, AES-256-GCM. */
  open(): void
  /** Ed25519 over a signature input. */
  sign(): void
  verify(): void
  /** SHA-256 of a statement, which signer and verifier both need. */
  hash(): void
}

/** Of the key schedule only `secret`, `key` and `base_nonce` count: the rest is the same for every message to one bundle. */
export function createPrimitives(contentBytes: number): Primitives {
  const plaintext = randomBytes(padmeLength(4 + contentBytes))
  const aad = randomBytes(aadBytesLength)
  const nonce = randomBytes(12)
  const key = randomBytes(32)
  const scheduleInput = randomBytes(scheduleBytesLength)
  const combinerInput = randomBytes(combinerBytesLength)
  const mlKem = generateKeyPairSync('ml-kem-768')
  const { ciphertext: mlKemCiphertext } = encapsulate(mlKem.publicKey)
  const x25519Secret = randomBytes(32)
  const x25519Public = new Uint8Array(32)
  sodium.crypto_scalarmult_base(x25519Public, x25519Secret)
  const publicKey = new Uint8Array(32)
  const secretKey = new Uint8Array(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, randomBytes(32))
  const signed = randomBytes(46)
  const signature = new Uint8Array(64)
  sodium.crypto_sign_detached(signature, signed, secretKey)
  const statement = randomBytes(contentBytes)
  const out = new Uint8Array(32)

  const keySchedule = (): void => {
    for (let call = 0; call < 3; call++) createHmac('sha256', createSecretKey(key)).update(scheduleInput).digest()
  }
  const encrypt = (): { readonly body: Buffer; readonly tag: Buffer } => {
    const cipher = createCipheriv('aes-256-gcm', createSecretKey(key), nonce)
    cipher.setAAD(aad)
    const body = cipher.update(plaintext)
    cipher.final()
    return { body, tag: cipher.getAuthTag() }
  }
  const sealed = encrypt()
  return {
    seal() {
      randomFillSync(out)
      sodium.crypto_scalarmult_base(out, x25519Secret)
      sodium.crypto_scalarmult(out, x25519Secret, x25519Public)
      encapsulate(mlKem.publicKey)
      hash('sha3-256', combinerInput, 'buffer')
      keySchedule()
      encrypt()
    },
    open() {
      sodium.crypto_scalarmult(out, x25519Secret, x25519Public)
      decapsulate(mlKem.privateKey, mlKemCiphertext)
      hash('sha3-256', combinerInput, 'buffer')
      keySchedule()
      const decipher = createDecipheriv('aes-256-gcm', createSecretKey(key), nonce)
      decipher.setAuthTag(sealed.tag)
      decipher.setAAD(aad)
      decipher.update(sealed.body)
      decipher.final()
    },
    sign: () => sodium.crypto_sign_detached(new Uint8Array(64), signed, secretKey),
    verify() {
      if (!sodium.crypto_sign_verify_detached(signature, signed, publicKey)) throw new Error('a true signature was refused')
    },
    hash: () => void hash('sha256', statement, 'buffer'),
  }
}
