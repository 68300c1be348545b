import { createDecipheriv, createCipheriv, createECDH } from 'node:crypto'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { shake128 } from '@noble/hashes/sha3.js'
import { concat, utf8 } from '../../src/base/index.ts'
import { x25519, x25519PublicKey } from '../../src/crypto/kem.ts'

const uint16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 0xff)
const version = utf8('HPKE-v1')

/** LabeledExtract and LabeledExpand of RFC 9180 section 4 on noble's HKDF, independent of the code under test. */
export const labeled = (suiteId: Uint8Array, hash: typeof sha256 | typeof sha512) => ({
  extract: (salt: Uint8Array, name: string, ikm: Uint8Array): Uint8Array => extract(hash, concat(version, suiteId, utf8(name), ikm), salt),
  expand: (prk: Uint8Array, name: string, info: Uint8Array, length: number): Uint8Array =>
    expand(hash, prk, concat(uint16(length), version, suiteId, utf8(name), info), length),
})

export const hpkeSuiteId = (kem: number, kdf: number, aead: number): Uint8Array => concat(utf8('HPKE'), uint16(kem), uint16(kdf), uint16(aead))

const empty = new Uint8Array()

/** The Diffie-Hellman KEMs of RFC 9180 section 4.1 that the published cases use: X25519 by our code, the NIST curves by node:crypto. */
const kems = {
  0x20: { hash: sha256, secretBytes: 32, dh: x25519 },
  0x10: { hash: sha256, secretBytes: 32, dh: (secret: Uint8Array, publicKey: Uint8Array) => nist('prime256v1', secret, publicKey) },
  0x12: { hash: sha512, secretBytes: 64, dh: (secret: Uint8Array, publicKey: Uint8Array) => nist('secp521r1', secret, publicKey) },
} as const
export type DhKem = keyof typeof kems

function nist(curve: string, secret: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const key = createECDH(curve)
  key.setPrivateKey(secret)
  return new Uint8Array(key.computeSecret(publicKey))
}

/** Decap of RFC 9180 section 4.1. */
export function dhDecapsulate(
  kem: DhKem,
  { enc, secretKey, publicKey }: { readonly enc: Uint8Array; readonly secretKey: Uint8Array; readonly publicKey: Uint8Array },
): Uint8Array {
  const { hash, secretBytes, dh } = kems[kem]
  const { extract: extractLabeled, expand: expandLabeled } = labeled(concat(utf8('KEM'), uint16(kem)), hash)
  return expandLabeled(extractLabeled(empty, 'eae_prk', dh(secretKey, enc)), 'shared_secret', concat(enc, publicKey), secretBytes)
}

/** DeriveKeyPair of RFC 9180 section 7.1.3 for X25519. */
export function deriveX25519(ikm: Uint8Array): { readonly secretKey: Uint8Array; readonly publicKey: Uint8Array } {
  const { extract: extractLabeled, expand: expandLabeled } = labeled(concat(utf8('KEM'), uint16(0x20)), sha256)
  const secretKey = expandLabeled(extractLabeled(empty, 'dkp_prk', ikm), 'sk', empty, 32)
  return { secretKey, publicKey: x25519PublicKey(secretKey) }
}

/** ComputeNonce of RFC 9180 section 5.2. */
export function nonceAt(baseNonce: Uint8Array, sequence: number): Uint8Array {
  const nonce = baseNonce.slice()
  for (let index = 0, rest = sequence; index < 4; index++, rest >>>= 8) nonce[11 - index] = (nonce[11 - index] ?? 0) ^ (rest & 0xff)
  return nonce
}

/** AES-128-GCM, which we do not offer, for the cases that use it. */
export const aes128 = {
  seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const cipher = createCipheriv('aes-128-gcm', key, nonce)
    cipher.setAAD(aad)
    return concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag())
  },
  open(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array {
    const decipher = createDecipheriv('aes-128-gcm', key, nonce)
    decipher.setAAD(aad)
    decipher.setAuthTag(sealed.subarray(-16))
    return concat(decipher.update(sealed.subarray(0, -16)), decipher.final())
  },
}

/** The accumulated form of the published cases: inputs drawn from SHAKE128 of nothing, outputs gathered in another. */
export function createAccumulator(): { draw(): Uint8Array; gather(output: Uint8Array): void; digest(): Uint8Array } {
  const source = shake128.create()
  const sink = shake128.create()
  return {
    draw: () => source.xof(source.xof(1)[0] ?? 0),
    gather: (output) => void sink.update(output),
    digest: () => sink.xof(16),
  }
}
