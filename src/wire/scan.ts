import { isUtf8 } from 'node:buffer'
import { equal, MeshError, utf8 } from '../base/index.ts'

/** How deep values may nest. Source: klp/v1 section 2. */
export const cborDepthMax = 16
/** How many items one value may hold, counting keys and containers. Source: klp/v1 section 2. */
export const cborItemsMax = 4_096

// As a key of a JavaScript object it would set the prototype instead.
const protoKey = Uint8Array.from([0x69, ...utf8('__proto__')])

/** Texts are looked at by a loop up to here. */
const loopedBytesMax = 64

const malformed = (why: string, offset: number): MeshError => new MeshError('ERR_WIRE_MALFORMED', `CBOR at byte ${offset}: ${why}`)

/**
 * Checks that `bytes` are exactly one item of our deterministic profile of RFC 8949 section 4.2, before anything is built from them:
 * integers within +-2^53-1, byte and text strings, arrays, maps with text keys in order, true, false, null; shortest lengths only;
 * no floats, tags, undefined or indefinite lengths.
 * @throws ERR_WIRE_MALFORMED
 */
export function scan(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let offset = 0
  let items = 0

  /** The argument of the head at `offset`, which it steps over. */
  function argument(minor: number): number {
    const start = offset++
    if (minor < 24) return minor
    const width = minor === 24 ? 1 : minor === 25 ? 2 : minor === 26 ? 4 : minor === 27 ? 8 : 0
    if (width === 0) throw malformed('indefinite length or reserved value', start)
    if (offset + width > bytes.length) throw malformed('ends inside a head', start)
    const value =
      width === 1 ? view.getUint8(offset) : width === 2 ? view.getUint16(offset) : width === 4 ? view.getUint32(offset) : Number(view.getBigUint64(offset))
    const least = width === 1 ? 24 : width === 2 ? 0x1_00 : width === 4 ? 0x1_0000 : 0x1_0000_0000
    if (value < least) throw malformed('longer than needed', start)
    if (value > Number.MAX_SAFE_INTEGER) throw malformed('integer beyond 2^53-1', start)
    offset += width
    return value
  }
  function negative(argument: number): void {
    if (argument === Number.MAX_SAFE_INTEGER) throw malformed('integer below -(2^53-1)', offset)
  }
  function skip(length: number, what: string): void {
    if (length > bytes.length - offset) throw malformed(`${what} ends beyond the input`, offset)
    offset += length
  }
  function text(length: number): void {
    const start = offset
    skip(length, 'text')
    let ascii = start
    // A call into the runtime costs more than a short text.
    while (ascii < offset && ascii < start + loopedBytesMax && (bytes[ascii] ?? 0) < 0x80) ascii++
    if (ascii < offset && !isUtf8(bytes.subarray(start, offset))) throw malformed('text is not UTF-8', start)
  }
  /** Whether the bytes from `first` to `firstEnd` stand before those from `second` to `secondEnd`. */
  function isBefore(first: number, firstEnd: number, second: number, secondEnd: number): boolean {
    const length = Math.min(firstEnd - first, secondEnd - second)
    for (let index = 0; index < length; index++) {
      const difference = (bytes[first + index] ?? 0) - (bytes[second + index] ?? 0)
      if (difference !== 0) return difference < 0
    }
    return firstEnd - first < secondEnd - second
  }
  function container(count: number, depth: number, isMap: boolean): void {
    if (depth >= cborDepthMax) throw malformed(`nested deeper than ${cborDepthMax}`, offset)
    // Each entry takes a byte at least: an announced count beyond the input is refused before the loop.
    if (count * (isMap ? 2 : 1) > bytes.length - offset) throw malformed('more entries than bytes', offset)
    let previous = -1
    let previousEnd = -1
    for (let index = 0; index < count; index++) {
      if (isMap) {
        const start = offset
        if ((bytes[offset] ?? 0) >>> 5 !== 3) throw malformed('map key is not text', start)
        item(depth + 1)
        if (offset - start === protoKey.length && equal(bytes.subarray(start, offset), protoKey)) throw malformed('map key __proto__', start)
        if (previous >= 0 && !isBefore(previous, previousEnd, start, offset)) throw malformed('map keys out of order or twice', start)
        previous = start
        previousEnd = offset
      }
      item(depth + 1)
    }
  }
  function item(depth: number): void {
    if (++items > cborItemsMax) throw malformed(`more than ${cborItemsMax} items`, offset)
    const head = bytes[offset]
    if (head === undefined) throw malformed('ends where an item is due', offset)
    const major = head >>> 5
    const minor = head & 0x1f
    if (major === 0) argument(minor)
    else if (major === 1) negative(argument(minor))
    else if (major === 2) skip(argument(minor), 'byte string')
    else if (major === 3) text(argument(minor))
    else if (major === 4) container(argument(minor), depth, false)
    else if (major === 5) container(argument(minor), depth, true)
    else if (major === 7 && minor >= 20 && minor <= 22) offset++
    else throw malformed('tag, float or other type outside the profile', offset)
  }

  item(0)
  if (offset !== bytes.length) throw malformed('bytes after the item', offset)
}
