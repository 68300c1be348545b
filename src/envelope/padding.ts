import { MeshError } from '../base/index.ts'

const lengthBytes = 4

/** Padmé: the smallest size of at least `length` whose bits below the top log2(log2) ones are zero; 12 % more at most. Source: Nikitin et al. 2019, section 4. */
export function padmeLength(length: number): number {
  if (length < 2) return length
  const exponent = 31 - Math.clz32(length)
  const significant = 32 - Math.clz32(exponent)
  const mask = 2 ** Math.max(0, exponent - significant) - 1
  return length + mask - ((length + mask) & mask)
}

/** Length (4 bytes, big endian), content, zeros up to a Padmé size. */
export function pad(content: Uint8Array): Uint8Array {
  const padded = new Uint8Array(padmeLength(lengthBytes + content.length))
  new DataView(padded.buffer).setUint32(0, content.length)
  padded.set(content, lengthBytes)
  return padded
}

/** @throws ERR_WIRE_MALFORMED unless the padding is exactly what `pad` writes */
export function unpad(padded: Uint8Array): Uint8Array {
  if (padded.length < lengthBytes) throw new MeshError('ERR_WIRE_MALFORMED', 'padding is too short')
  const length = new DataView(padded.buffer, padded.byteOffset).getUint32(0)
  if (padmeLength(lengthBytes + length) !== padded.length) throw new MeshError('ERR_WIRE_MALFORMED', 'padding does not fit its content')
  if (padded.subarray(lengthBytes + length).some((byte) => byte !== 0)) throw new MeshError('ERR_WIRE_MALFORMED', 'padding is not zero')
  return padded.subarray(lengthBytes, lengthBytes + length)
}
