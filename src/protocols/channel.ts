import { concat, hourMs, MeshError, toMeshError, utf8 } from '../base/index.ts'
import { aeadOpen, aeadSeal, deriveKey, importAeadKey } from '../crypto/index.ts'
import { codec, row, textUpTo } from '../wire/index.ts'

/** Frames of one direction of a stream: counter nonces, so that a dropped, repeated or reordered frame does not open. Source: task/v1 section 4, stream/v1 section 3. */
export interface Channel {
  /** In the first bytes of `into` when given, else in bytes of its own. */
  seal(plaintext: Uint8Array, into?: Uint8Array): Uint8Array
  /** @throws ERR_CRYPTO_OPEN */
  open(ciphertext: Uint8Array): Uint8Array
}

export interface ChannelOptions {
  readonly protocol: 'task' | 'stream'
  readonly direction: string
  /** Random bytes inside the sealed statement that opened the stream. */
  readonly secret: Uint8Array
  /** Hash of that statement: frames of one stream open in no other. */
  readonly about: Uint8Array
}

export function createSealedChannel({ protocol, direction, secret, about }: ChannelOptions): Channel {
  const key = importAeadKey(deriveKey(secret, `${protocol} ${direction}`))
  const aad = concat(utf8(`klp/1/${protocol}\0`), about)
  let count = 0
  const nonce = (): Uint8Array => {
    const bytes = new Uint8Array(12)
    new DataView(bytes.buffer).setBigUint64(4, BigInt(count++))
    return bytes
  }
  return {
    seal: (plaintext, into) => aeadSeal(1, key, nonce(), aad, plaintext, into),
    open: (ciphertext) => aeadOpen(1, key, nonce(), aad, ciphertext),
  }
}

/** First byte of every frame that goes back to who opened the stream. */
export const frameKinds = { plain: 0, sealed: 1 } as const

export const framed = (kind: 0 | 1, body: Uint8Array): Uint8Array => concat(Uint8Array.of(kind), body)

/** @throws ERR_WIRE_MALFORMED */
export function unframed(frame: Uint8Array): { readonly kind: 0 | 1; readonly body: Uint8Array } {
  const kind = frame[0]
  if (kind !== frameKinds.plain && kind !== frameKinds.sealed) throw new MeshError('ERR_WIRE_MALFORMED', 'frame of unknown kind')
  return { kind, body: frame.subarray(1) }
}

/** A refusal before the first statement could be opened travels in clear: there is no key yet. Everything else is sealed. */
export const plainRefusalCodec = codec('refusal', row({ code: textUpTo(64), message: textUpTo(512) }), 1_024)

/** Largest time to come back that a refusal may name. */
export const retryAfterMsMax = 24 * hourMs

/** When the refused may come back, 0 when nothing is said. */
export function retryAfterOf(error: unknown): number {
  const ms = toMeshError(error).details?.['retryAfterMs']
  return typeof ms === 'number' && ms >= 0 ? Math.min(Math.round(ms), retryAfterMsMax) : 0
}

/** What a refused stranger reads: nothing of our own faults. */
export function refusalOf(error: unknown): { readonly code: string; readonly message: string } {
  const { code, message } = toMeshError(error)
  return { code, message: code === 'ERR_INTERNAL' ? 'internal error' : message.slice(0, 512) }
}
