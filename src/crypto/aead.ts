import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { concat, MeshError, type Random } from '../base/index.ts'

/** AEAD algorithms by cipher suite number. Source: klp/v1 section 3. */
export const aeadAlgorithms = { 1: 'aes-256-gcm', 2: 'chacha20-poly1305' } as const
export type Suite = keyof typeof aeadAlgorithms
export const isSuite = (value: number): value is Suite => value === 1 || value === 2

export const aeadKeyBytesLength = 32
export const nonceBytesLength = 12
export const tagBytesLength = 16

/** Imports a raw key once; with a raw key each call costs some 18 us more. */
export function importAeadKey(key: Uint8Array): KeyObject {
  if (key.length !== aeadKeyBytesLength) throw new MeshError('ERR_CRYPTO_INPUT', `an AEAD key has ${aeadKeyBytesLength} bytes`)
  return createSecretKey(key)
}

/** Ciphertext followed by its tag, in the first bytes of `into` when given: 16 more than the plaintext. The caller owes a nonce never used before with this key. */
export function aeadSeal(suite: Suite, key: KeyObject, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, into?: Uint8Array): Uint8Array {
  // The union of the two overloads is narrowed by name; both take the same arguments.
  const cipher = suite === 1 ? createCipheriv(aeadAlgorithms[1], key, nonce) : createCipheriv(aeadAlgorithms[2], key, nonce, { authTagLength: tagBytesLength })
  cipher.setAAD(aad, { plaintextLength: plaintext.length })
  const body = cipher.update(plaintext)
  cipher.final()
  if (into === undefined) return concat(body, cipher.getAuthTag())
  into.set(body)
  into.set(cipher.getAuthTag(), body.length)
  return into.subarray(0, body.length + tagBytesLength)
}

/** @throws ERR_CRYPTO_OPEN when key, nonce, aad or ciphertext differ from what was sealed */
export function aeadOpen(suite: Suite, key: KeyObject, nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  const bodyLength = ciphertext.length - tagBytesLength
  if (bodyLength < 0) throw new MeshError('ERR_CRYPTO_OPEN', 'sealed text is shorter than its tag')
  try {
    const options = { authTagLength: tagBytesLength }
    const decipher = suite === 1 ? createDecipheriv(aeadAlgorithms[1], key, nonce, options) : createDecipheriv(aeadAlgorithms[2], key, nonce, options)
    decipher.setAuthTag(ciphertext.subarray(bodyLength))
    decipher.setAAD(aad, { plaintextLength: bodyLength })
    const body = decipher.update(ciphertext.subarray(0, bodyLength))
    decipher.final()
    return new Uint8Array(body.buffer, body.byteOffset, body.length)
  } catch (cause) {
    throw new MeshError('ERR_CRYPTO_OPEN', 'sealed text did not open', { cause })
  }
}

/** A box for things at rest: random 96-bit nonce in front, AES-256-GCM, `context` authenticated with it. */
export interface LocalBox {
  seal(plaintext: Uint8Array, context: Uint8Array): Uint8Array
  /** @throws ERR_CRYPTO_OPEN */
  open(sealed: Uint8Array, context: Uint8Array): Uint8Array
}

export function createLocalBox(key: Uint8Array, random: Random): LocalBox {
  const imported = importAeadKey(key)
  return {
    seal(plaintext, context) {
      const nonce = random.bytes(nonceBytesLength)
      return concat(nonce, aeadSeal(1, imported, nonce, context, plaintext))
    },
    open: (sealed, context) => aeadOpen(1, imported, sealed.subarray(0, nonceBytesLength), context, sealed.subarray(nonceBytesLength)),
  }
}
