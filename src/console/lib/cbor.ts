import type { Bytes } from './bytes.ts'
import { Refusal } from './steps.ts'

export type Plain = null | boolean | number | string | Bytes | readonly Plain[] | { readonly [key: string]: Plain }

/** Deepest nesting read. */
export const cborDepthMax = 16

/** Bytes that are not the deterministic CBOR this project writes. */
class CborError extends Refusal {}

/** Reads deterministic CBOR of RFC 8949 section 4.2.1: integers only, no tags, keys in bytewise order, nothing behind. @throws Refusal */
export function readCbor(bytes: Bytes): Plain {
  const reader = createReader(bytes)
  const value = reader.value(0)
  if (reader.at() !== bytes.length) throw new CborError('bytes behind the value')
  return value
}

interface Reader {
  at(): number
  value(depth: number): Plain
}

function createReader(bytes: Bytes): Reader {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let offset = 0

  function take(length: number): Bytes {
    if (length > bytes.length - offset) throw new CborError('cut off')
    offset += length
    return bytes.slice(offset - length, offset)
  }
  /** The argument of a head, in its shortest form. */
  function argument(low: number): number {
    if (low < 24) return low
    if (low > 27) throw new CborError('an indefinite or reserved length')
    const width = 2 ** (low - 24)
    let value = 0
    for (const byte of take(width)) value = value * 256 + byte
    if (!Number.isSafeInteger(value)) throw new CborError('a number over 2^53')
    if (value < (width === 1 ? 24 : 256 ** (width / 2))) throw new CborError('a number not in its shortest form')
    return value
  }
  function string(length: number): string {
    try {
      return text.decode(take(length))
    } catch (error) {
      if (error instanceof CborError) throw error
      throw new CborError('text that is not UTF-8')
    }
  }
  function map(count: number, depth: number): Plain {
    const entries: [string, Plain][] = []
    let before: Bytes | undefined
    for (let n = 0; n < count; n++) {
      const start = offset
      const key = value(depth)
      if (typeof key !== 'string') throw new CborError('a key that is no text')
      const spelled = bytes.slice(start, offset)
      if (before !== undefined && !comesAfter(spelled, before)) throw new CborError('keys out of order')
      before = spelled
      entries.push([key, value(depth)])
    }
    return Object.fromEntries(entries)
  }
  function value(depth: number): Plain {
    if (depth > cborDepthMax) throw new CborError('nested too deep')
    const [head = 0] = take(1)
    const low = head & 0x1f
    const major = head >> 5
    if (major === 7) {
      if (head === 0xf6) return null
      if (head === 0xf4 || head === 0xf5) return head === 0xf5
      throw new CborError('a float or an unknown simple value')
    }
    const size = argument(low)
    if (major === 0) return size
    if (major === 1) {
      if (!Number.isSafeInteger(-1 - size)) throw new CborError('a number under -2^53')
      return -1 - size
    }
    if (major === 2) return take(size)
    if (major === 3) return string(size)
    if (major === 6) throw new CborError('a tag')
    // Every item takes a byte at least: a length that cannot be true is refused before anything is made for it.
    if (size > bytes.length - offset) throw new CborError('cut off')
    if (major === 4) return Array.from({ length: size }, () => value(depth + 1))
    return map(size, depth + 1)
  }
  return { at: () => offset, value }
}

function comesAfter(key: Uint8Array, before: Uint8Array): boolean {
  for (let index = 0; index < Math.min(key.length, before.length); index++) {
    const difference = (key[index] ?? 0) - (before[index] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return key.length > before.length
}
