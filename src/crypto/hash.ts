import { createHash, createHmac, createSecretKey, hash, timingSafeEqual } from 'node:crypto'
import { blake3 } from 'hash-wasm'
import { fromHex } from '../base/index.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(hash('sha256', bytes, 'buffer'))

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

export const hmacSha256 = (key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array => {
  // A key object, made anew: with the bare bytes each call costs six times as much.
  const mac = createHmac('sha256', createSecretKey(key))
  for (const part of parts) mac.update(part)
  return new Uint8Array(mac.digest())
}

/** BLAKE3-256, the hash of code, content and files; `key` of 32 bytes makes it the keyed hash. */
export const contentHash = async (bytes: Uint8Array, key?: Uint8Array): Promise<Uint8Array> => fromHex(await blake3(bytes, 256, key))

/** Equality in time that depends on the length only. */
export const equalSecret = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b)
