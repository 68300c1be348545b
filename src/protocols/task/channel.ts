import { concat, MeshError, utf8 } from '../../base/index.ts'
import { aeadOpen, aeadSeal, deriveKey, importAeadKey } from '../../crypto/index.ts'

/** Frames of one direction of a task stream: counter nonces, so that a dropped, repeated or reordered frame does not open. Source: task/v1 section 4. */
export interface Channel {
  seal(plaintext: Uint8Array): Uint8Array
  /** @throws ERR_CRYPTO_OPEN */
  open(ciphertext: Uint8Array): Uint8Array
}

export function createChannel(replySecret: Uint8Array, direction: 'to-asker' | 'to-executor', requestHash: Uint8Array): Channel {
  const key = importAeadKey(deriveKey(replySecret, `task ${direction}`))
  const aad = concat(utf8('klp/1/task\0'), requestHash)
  let count = 0
  const nonce = (): Uint8Array => {
    const bytes = new Uint8Array(12)
    new DataView(bytes.buffer).setBigUint64(4, BigInt(count++))
    return bytes
  }
  return {
    seal: (plaintext) => aeadSeal(1, key, nonce(), aad, plaintext),
    open: (ciphertext) => aeadOpen(1, key, nonce(), aad, ciphertext),
  }
}

/** First byte of every frame back to the asker. */
export const frameKinds = { plain: 0, sealed: 1 } as const

export const framed = (kind: 0 | 1, body: Uint8Array): Uint8Array => concat(Uint8Array.of(kind), body)

/** @throws ERR_WIRE_MALFORMED */
export function unframed(frame: Uint8Array): { readonly kind: 0 | 1; readonly body: Uint8Array } {
  const kind = frame[0]
  if (kind !== frameKinds.plain && kind !== frameKinds.sealed) throw new MeshError('ERR_WIRE_MALFORMED', 'task frame of unknown kind')
  return { kind, body: frame.subarray(1) }
}
