import { hkdfSync, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import { argon2id } from 'hash-wasm'
import { concat, MeshError, utf8 } from '../base/index.ts'
import { hmacSha256 } from './hash.ts'

const hashBytesLength = 32

/** HKDF-Extract with SHA-256 (RFC 5869 section 2.2). */
export const hkdfExtract = (salt: Uint8Array, ikm: Uint8Array): Uint8Array => hmacSha256(salt, ikm)

/** HKDF-Expand with SHA-256 (RFC 5869 section 2.3). @throws ERR_CRYPTO_INPUT over 255 blocks */
export function hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  if (length > 255 * hashBytesLength) throw new MeshError('ERR_CRYPTO_INPUT', `HKDF gives at most ${255 * hashBytesLength} bytes`)
  const first = hmacSha256(prk, info, Uint8Array.of(1))
  if (length <= hashBytesLength) return first.subarray(0, length)
  const blocks = [first]
  for (let index = 2, last = first; (index - 1) * hashBytesLength < length; index++) {
    last = hmacSha256(prk, last, info, Uint8Array.of(index))
    blocks.push(last)
  }
  return concat(...blocks).subarray(0, length)
}

/** A key for one named purpose out of a root key; two purposes never share a key. */
export const deriveKey = (rootKey: Uint8Array, purpose: string, length = 32): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', rootKey, new Uint8Array(), utf8(`kindmesh/1/${purpose}`), length))

export interface PassphraseParams {
  readonly kdf: 'argon2id'
  readonly memoryKiB: number
  readonly iterations: number
  readonly parallelism: number
  readonly salt: Uint8Array
}

/** What we write; what we read may be stronger, up to the maximum, and never weaker. Source: identity/v1 section 3. */
export const passphraseParams = { kdf: 'argon2id', memoryKiB: 64 * 1024, iterations: 3, parallelism: 1 } as const
export const passphraseMemoryKiBMax = 1024 * 1024
export const passphraseIterationsMax = 16
export const saltBytesLength = 16

/** The 32-byte key behind a passphrase (RFC 9106). Holds the event loop for some 0.3 s: call at start only. @throws ERR_CRYPTO_INPUT for parameters outside our bounds */
export async function deriveFromPassphrase(passphrase: Uint8Array, params: PassphraseParams): Promise<Uint8Array> {
  const sound =
    params.memoryKiB >= passphraseParams.memoryKiB &&
    params.memoryKiB <= passphraseMemoryKiBMax &&
    params.iterations >= passphraseParams.iterations &&
    params.iterations <= passphraseIterationsMax &&
    params.parallelism === 1 &&
    params.salt.length >= saltBytesLength
  if (!sound) throw new MeshError('ERR_CRYPTO_INPUT', 'Argon2id parameters are outside the bounds of identity/v1 section 3')
  return await argon2id({
    password: passphrase,
    salt: params.salt,
    memorySize: params.memoryKiB,
    iterations: params.iterations,
    parallelism: params.parallelism,
    hashLength: 32,
    outputType: 'binary',
  })
}

/** PBKDF2-HMAC-SHA256 (RFC 8018), to read what older systems wrote. */
export const deriveFromOldPassphrase = async (passphrase: Uint8Array, salt: Uint8Array, iterations: number, length: number): Promise<Uint8Array> =>
  new Uint8Array(await promisify(pbkdf2)(passphrase, salt, iterations, length, 'sha256'))
