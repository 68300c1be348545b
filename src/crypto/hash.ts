import { createHash, hash, timingSafeEqual } from 'node:crypto'
import { blake3 } from 'hash-wasm'
import sodium from 'sodium-native'
import { fromHex } from '../base/index.ts'

const hashBytes = 32
const blockBytes = 64

/** Of a few bytes libsodium is quicker than OpenSSL, of more the other way round. */
export function sha256(bytes: Uint8Array): Uint8Array {
  if (bytes.length > blockBytes + hashBytes) return new Uint8Array(hash('sha256', bytes, 'buffer'))
  const digest = new Uint8Array(hashBytes)
  sodium.crypto_hash_sha256(digest, bytes)
  return digest
}

/** SHA-256 of a body that comes in pieces. */
export interface RunningHash {
  update(bytes: Uint8Array): void
  /** Ends it; no update after that. */
  digest(): Uint8Array
}

export function createSha256(): RunningHash {
  const running = createHash('sha256')
  return { update: (bytes) => void running.update(bytes), digest: () => new Uint8Array(running.digest()) }
}

/** HMAC-SHA256 (RFC 2104) from the hash: for short messages, as ratchets and HKDF have them, twice as quick as the runtime's own with its objects. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const shortKey = key.length > blockBytes ? sha256(key) : key
  const inner = new Uint8Array(parts.reduce((sum, { length }) => sum + length, blockBytes))
  const outer = new Uint8Array(blockBytes + hashBytes)
  for (let index = 0; index < blockBytes; index++) {
    const byte = shortKey[index] ?? 0
    inner[index] = byte ^ 0x36
    outer[index] = byte ^ 0x5c
  }
  let offset = blockBytes
  for (const part of parts) {
    inner.set(part, offset)
    offset += part.length
  }
  outer.set(sha256(inner), blockBytes)
  const mac = sha256(outer)
  // Both held the key.
  inner.fill(0)
  outer.fill(0)
  return mac
}

/** BLAKE3-256, the hash of code, content and files; `key` of 32 bytes makes it the keyed hash. */
export const contentHash = async (bytes: Uint8Array, key?: Uint8Array): Promise<Uint8Array> => fromHex(await blake3(bytes, 256, key))

/** Equality in time that depends on the length only. */
export const equalSecret = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b)
