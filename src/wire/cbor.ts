import { MeshError } from '../base/index.ts'
import { readCbor } from './read.ts'
import { scan } from './scan.ts'
import { writeCbor } from './write.ts'

/** What our CBOR carries. Numbers are integers within +-2^53-1. */
export type Plain = null | boolean | number | string | Uint8Array | readonly Plain[] | { readonly [key: string]: Plain }

/** Deterministic CBOR, RFC 8949 section 4.2.1. @throws ERR_WIRE_MALFORMED for a value outside the profile of `scan`: a fault of the caller */
export function encode(value: Plain): Uint8Array {
  try {
    return writeCbor(value)
  } catch (cause) {
    // A circle ends in a full stack.
    throw cause instanceof MeshError ? cause : new MeshError('ERR_WIRE_MALFORMED', 'the value cannot be written as CBOR', { cause })
  }
}

/**
 * Decodes one item and nothing after it; what it accepts, `encode` gives back byte for byte.
 * @throws ERR_WIRE_TOO_LARGE over `bytesMax`, ERR_WIRE_MALFORMED
 */
export function decode(bytes: Uint8Array, bytesMax: number): unknown {
  if (bytes.length > bytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${bytes.length} bytes of CBOR exceed ${bytesMax}`)
  scan(bytes)
  return readCbor(bytes)
}
