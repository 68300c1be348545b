import { decode as cborgDecode, encode as cborgEncode } from 'cborg'
import { MeshError } from '../base/index.ts'
import { scan } from './scan.ts'

/** What our CBOR carries. Numbers are integers within +-2^53-1. */
export type Plain = null | boolean | number | string | Uint8Array | readonly Plain[] | { readonly [key: string]: Plain }

const decodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowNaN: false,
  allowInfinity: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
} as const

/** Deterministic CBOR, RFC 8949 section 4.2.1. @throws ERR_WIRE_MALFORMED for a value outside the profile of `scan`: a fault of the caller */
export function encode(value: Plain): Uint8Array {
  try {
    // cborg hands out Buffers, whose `slice` does not copy.
    const { buffer, byteOffset, byteLength } = cborgEncode(value, encodeOptions)
    return new Uint8Array(buffer, byteOffset, byteLength)
  } catch (cause) {
    throw cause instanceof MeshError ? cause : new MeshError('ERR_WIRE_MALFORMED', 'the value cannot be written as CBOR', { cause })
  }
}

const encodeOptions = {
  typeEncoders: {
    number: (value: unknown): null => {
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new MeshError('ERR_WIRE_MALFORMED', `${String(value)} is no integer within 2^53-1`)
      return null
    },
    undefined: (): null => {
      throw new MeshError('ERR_WIRE_MALFORMED', 'undefined cannot be written as CBOR')
    },
  },
}

/**
 * Decodes one item and nothing after it; what it accepts, `encode` gives back byte for byte.
 * @throws ERR_WIRE_TOO_LARGE over `bytesMax`, ERR_WIRE_MALFORMED
 */
export function decode(bytes: Uint8Array, bytesMax: number): unknown {
  if (bytes.length > bytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${bytes.length} bytes of CBOR exceed ${bytesMax}`)
  scan(bytes)
  try {
    return cborgDecode(bytes, decodeOptions)
  } catch (cause) {
    throw new MeshError('ERR_WIRE_MALFORMED', 'not valid CBOR', { cause })
  }
}
