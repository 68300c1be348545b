import { loopedChars } from './write.ts'

const asciiLetters = Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(code))

/** The value of one item of CBOR that `scan` found sound: nothing is checked again. Byte strings are copies. */
export function readCbor(bytes: Uint8Array): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let offset = 0

  function argument(minor: number): number {
    if (minor < 24) return minor
    const start = offset
    offset += 1 << (minor - 24)
    if (minor === 24) return buffer[start] ?? 0
    if (minor === 25) return buffer.readUInt16BE(start)
    if (minor === 26) return buffer.readUInt32BE(start)
    return buffer.readUInt32BE(start) * 0x1_0000_0000 + buffer.readUInt32BE(start + 4)
  }
  function text(length: number): string {
    const start = offset
    offset += length
    if (length <= loopedChars) {
      let read = ''
      for (let index = start; index < offset; index++) {
        const byte = bytes[index] ?? 0
        if (byte > 0x7f) return buffer.toString('utf8', start, offset)
        read += asciiLetters[byte] ?? ''
      }
      return read
    }
    return buffer.toString('utf8', start, offset)
  }
  function map(count: number): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    for (let index = 0; index < count; index++) {
      const name = text(argument((buffer[offset++] ?? 0) & 0x1f))
      object[name] = item()
    }
    return object
  }
  function item(): unknown {
    const head = buffer[offset++] ?? 0
    const minor = head & 0x1f
    switch (head >>> 5) {
      case 0:
        return argument(minor)
      case 1:
        return -1 - argument(minor)
      case 2: {
        const length = argument(minor)
        const start = offset
        offset += length
        return new Uint8Array(bytes.subarray(start, offset))
      }
      case 3:
        return text(argument(minor))
      case 4:
        return list(argument(minor))
      case 5:
        return map(argument(minor))
      default:
        return minor === 22 ? null : minor === 21
    }
  }
  function list(count: number): unknown[] {
    const items: unknown[] = []
    for (let index = 0; index < count; index++) items.push(item())
    return items
  }
  return item()
}
