import { MeshError } from '../base/index.ts'
import type { Plain } from './cbor.ts'

const outside = (what: string): MeshError => new MeshError('ERR_WIRE_MALFORMED', `${what} cannot be written as CBOR`)

const headLength = (argument: number): number => (argument < 24 ? 1 : argument < 0x1_00 ? 2 : argument < 0x1_0000 ? 3 : argument < 0x1_0000_0000 ? 5 : 9)

/** Texts up to here are measured, written and read by a loop: a call into the runtime costs more. */
export const loopedChars = 64

/** Bytes of a text as UTF-8. */
function textLength(text: string): number {
  if (text.length > loopedChars) return Buffer.byteLength(text)
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text)
  return text.length
}

/** The keys of a map in the order of their encodings: the shorter first, then by bytes. */
function sortedKeys(map: object): readonly string[] {
  const names = Object.keys(map)
  if (names.includes('__proto__')) throw outside('the key __proto__')
  return names.sort((a, b) => {
    const [aLength, bLength] = [textLength(a), textLength(b)]
    if (aLength !== bLength) return aLength - bLength
    // The UTF-16 units of ASCII stand in the order of their bytes.
    if (aLength === a.length && bLength === b.length) return a < b ? -1 : 1
    return Buffer.compare(Buffer.from(a), Buffer.from(b))
  })
}

/** Deterministic CBOR of a value: measured first, then written into bytes of exactly that length. @throws ERR_WIRE_MALFORMED, RangeError for a circle */
export function writeCbor(root: Plain): Uint8Array {
  // What the first walk finds out about texts and maps, in the order in which the second meets them.
  const textLengths: number[] = []
  const mapKeys: (readonly string[])[] = []

  function measure(value: unknown): number {
    switch (typeof value) {
      case 'number':
        if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw outside(`${String(value)}, no integer within 2^53-1,`)
        return headLength(value < 0 ? -1 - value : value)
      case 'string':
        return measureText(value)
      case 'boolean':
        return 1
      case 'object':
        return value === null ? 1 : measureObject(value)
      default:
        throw outside(typeof value)
    }
  }
  function measureText(value: string): number {
    const length = textLength(value)
    textLengths.push(length)
    return headLength(length) + length
  }
  function measureObject(value: object): number {
    if (value instanceof Uint8Array) return headLength(value.length) + value.length
    if (Array.isArray(value)) {
      let length = headLength(value.length)
      for (const item of value as readonly unknown[]) length += measure(item)
      return length
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) throw outside('an object of a class')
    const keys = sortedKeys(value)
    mapKeys.push(keys)
    let length = headLength(keys.length)
    for (const name of keys) length += measureText(name) + measure((value as Readonly<Record<string, unknown>>)[name])
    return length
  }

  const bytes = Buffer.allocUnsafeSlow(measure(root))
  let offset = 0
  let nextText = 0
  let nextMap = 0

  function head(major: number, argument: number): void {
    const type = major << 5
    if (argument < 24) bytes[offset++] = type | argument
    else if (argument < 0x1_00) {
      bytes[offset++] = type | 24
      bytes[offset++] = argument
    } else if (argument < 0x1_0000) {
      bytes[offset++] = type | 25
      offset = bytes.writeUInt16BE(argument, offset)
    } else if (argument < 0x1_0000_0000) {
      bytes[offset++] = type | 26
      offset = bytes.writeUInt32BE(argument, offset)
    } else {
      bytes[offset++] = type | 27
      offset = bytes.writeUInt32BE(Math.floor(argument / 0x1_0000_0000), offset)
      offset = bytes.writeUInt32BE(argument >>> 0, offset)
    }
  }
  function text(value: string): void {
    const length = textLengths[nextText++] ?? 0
    head(3, length)
    if (length === value.length && length <= loopedChars) for (let index = 0; index < length; index++) bytes[offset++] = value.charCodeAt(index)
    else offset += bytes.write(value, offset, length, 'utf8')
  }
  function write(value: Plain): void {
    if (typeof value === 'number') head(value < 0 ? 1 : 0, value < 0 ? -1 - value : value)
    else if (typeof value === 'string') text(value)
    else if (typeof value === 'boolean') bytes[offset++] = value ? 0xf5 : 0xf4
    else if (value === null) bytes[offset++] = 0xf6
    else if (value instanceof Uint8Array) {
      head(2, value.length)
      bytes.set(value, offset)
      offset += value.length
    } else if (Array.isArray(value)) {
      const items = value as readonly Plain[]
      head(4, items.length)
      for (const item of items) write(item)
    } else {
      const keys = mapKeys[nextMap++] ?? []
      head(5, keys.length)
      for (const name of keys) {
        text(name)
        write((value as Readonly<Record<string, Plain>>)[name] ?? null)
      }
    }
  }
  write(root)
  if (offset !== bytes.length) throw new MeshError('ERR_INTERNAL', 'the value changed while it was written')
  // Not the Buffer, whose `slice` does not copy.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}
