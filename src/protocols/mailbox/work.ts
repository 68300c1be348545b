import { concat, type Did, keyFromDid, MeshError, type SignalOption, utf8 } from '../../base/index.ts'
import { sha256 } from '../../crypto/index.ts'

/** Leading zero bits asked of a stranger by an empty holder. Source: mailbox/v1 section 4. */
export const workBitsDefault = 16
/** Bits a full holder asks on top. */
export const workBitsRiseMax = 8
/** A holder that asks for more is not served: minutes of computing. */
export const workBitsMax = 24
export const workNonceBytes = 8
/** Hashes between two looks at the signal and at everything else that waits. */
const hashesPerTurn = 4_096

/** What the work is done for: it fits no other holder, recipient, item or time. */
export interface WorkSubject {
  readonly holder: Did
  readonly recipient: Did
  /** SHA-256 of the item. */
  readonly itemHash: Uint8Array
  readonly expiresAt: number
}

const domain = utf8('klp/1/mailbox-work\0')

/** `domain || holder || recipient || item hash || expiry (8)`, with room for the nonce behind. */
function preimage({ holder, recipient, itemHash, expiresAt }: WorkSubject): Uint8Array {
  const time = new Uint8Array(8)
  new DataView(time.buffer).setBigUint64(0, BigInt(expiresAt))
  return concat(domain, keyFromDid(holder), keyFromDid(recipient), itemHash, time, new Uint8Array(workNonceBytes))
}

/** Zero bits a hash begins with. */
function zeroBits(hash: Uint8Array): number {
  let bits = 0
  for (const byte of hash) {
    if (byte !== 0) return bits + Math.clz32(byte) - 24
    bits += 8
  }
  return bits
}

/** Whether `nonce` proves at least `bits` bits of work. */
export function isWorkDone(subject: WorkSubject, nonce: Uint8Array, bits: number): boolean {
  if (nonce.length !== workNonceBytes) return false
  const bytes = preimage(subject)
  bytes.set(nonce, bytes.length - workNonceBytes)
  return zeroBits(sha256(bytes)) >= bits
}

/** Finds a nonce, trying 2^bits of them on average, in turns that let others run. @throws ERR_MAILBOX_WORK over `workBitsMax` */
export async function doWork(subject: WorkSubject, bits: number, { signal }: SignalOption = {}): Promise<Uint8Array> {
  if (bits > workBitsMax) throw new MeshError('ERR_MAILBOX_WORK', `the holder asks for ${bits} bits of work; ${workBitsMax} are done at most`)
  const bytes = preimage(subject)
  const nonce = new DataView(bytes.buffer, bytes.length - workNonceBytes)
  for (let count = 0; ; count++) {
    if (count % hashesPerTurn === hashesPerTurn - 1) {
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    }
    nonce.setUint32(4, count >>> 0)
    nonce.setUint32(0, Math.floor(count / 2 ** 32))
    if (zeroBits(sha256(bytes)) >= bits) return bytes.slice(bytes.length - workNonceBytes)
  }
}
