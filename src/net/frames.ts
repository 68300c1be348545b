import { MeshError } from '../base/index.ts'

/** Bytes of the length in front of a frame at most: an unsigned varint of 32 bits. net/v1 section 2. */
export const frameHeaderBytesMax = 5
/** Largest frame limit a protocol may ask for. net/v1 section 2. */
export const frameBytesCeiling = 16 << 20
/** Frames shorter than this are copied out of the chunk they came in, so that keeping one does not keep 64 KiB alive. */
const copyBelowBytes = 4_096

/** The same bytes as a Uint8Array and nothing more: libp2p hands out Buffers too, whose `slice` does not copy. */
export const plain = (bytes: Uint8Array): Uint8Array => (Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes)

export const headerLength = (length: number): number => (length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x200000 ? 3 : length < 0x10000000 ? 4 : 5)

/** Writes the varint of `length` at `offset`; returns the offset behind it. */
export function writeHeader(target: Uint8Array, offset: number, length: number): number {
  let rest = length
  while (rest >= 0x80) {
    target[offset++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[offset++] = rest
  return offset
}

/** One buffer of length-prefixed frames, ready for one write. */
export function joinFrames(frames: readonly Uint8Array[], bytes: number): Uint8Array {
  const joined = new Uint8Array(bytes)
  let offset = 0
  for (const frame of frames) {
    offset = writeHeader(joined, offset, frame.length)
    joined.set(frame, offset)
    offset += frame.length
  }
  return joined
}

/**
 * Cuts chunks of bytes into frames. The announced length is judged before anything is allocated for it;
 * `next` throws ERR_WIRE_TOO_LARGE over `frameBytesMax`, ERR_WIRE_MALFORMED for an endless or padded length.
 */
export class FrameCutter {
  readonly #frameBytesMax: number
  readonly #chunks: Uint8Array[] = []
  #head = 0
  #offset = 0
  #buffered = 0
  /** Length of the frame at the head, once its header is read. */
  #length: number | undefined

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax
  }

  /** Length of the frame at the head, 0 while its header is incomplete. */
  get wanted(): number {
    return this.#length ?? 0
  }

  get buffered(): number {
    return this.#buffered
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#chunks.push(plain(chunk))
    this.#buffered += chunk.length
  }

  /** Whether a whole frame, or a breach of the limit, is at the head: `next` has something to say. */
  get ready(): boolean {
    try {
      this.#length ??= this.#readHeader()
    } catch {
      return true
    }
    return this.#length !== undefined && this.#buffered >= this.#length
  }

  next(): Uint8Array | undefined {
    this.#length ??= this.#readHeader()
    if (this.#length === undefined || this.#buffered < this.#length) return undefined
    const frame = this.#take(this.#length)
    this.#length = undefined
    return frame
  }

  clear(): void {
    this.#chunks.length = 0
    this.#head = 0
    this.#offset = 0
    this.#buffered = 0
    this.#length = undefined
  }

  #readHeader(): number | undefined {
    let length = 0
    let chunk = this.#head
    let offset = this.#offset
    for (let index = 0; index < frameHeaderBytesMax; index++) {
      while (offset >= (this.#chunks[chunk]?.length ?? Number.POSITIVE_INFINITY)) {
        chunk++
        offset = 0
      }
      const byte = this.#chunks[chunk]?.[offset++]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * 2 ** (7 * index)
      if (length > this.#frameBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a frame of ${length} bytes or more, ${this.#frameBytesMax} are allowed`)
      if (byte < 0x80) {
        if (byte === 0 && index > 0) throw new MeshError('ERR_WIRE_MALFORMED', 'the length of a frame is padded')
        this.#skip(index + 1)
        return length
      }
    }
    throw new MeshError('ERR_WIRE_MALFORMED', 'the length of a frame does not end')
  }

  #skip(bytes: number): void {
    let rest = bytes
    this.#buffered -= bytes
    while (rest > 0) {
      const left = (this.#chunks[this.#head]?.length ?? 0) - this.#offset
      if (left > rest) {
        this.#offset += rest
        return
      }
      rest -= left
      this.#dropHead()
    }
  }

  #take(length: number): Uint8Array {
    const first = this.#chunks[this.#head]
    if (first !== undefined && first.length - this.#offset >= length) {
      const end = this.#offset + length
      const frame = length < copyBelowBytes ? first.slice(this.#offset, end) : first.subarray(this.#offset, end)
      this.#skip(length)
      return frame
    }
    const frame = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const chunk = this.#chunks[this.#head] ?? new Uint8Array(0)
      const part = chunk.subarray(this.#offset, this.#offset + length - filled)
      frame.set(part, filled)
      filled += part.length
      this.#skip(part.length)
    }
    return frame
  }

  #dropHead(): void {
    this.#chunks[this.#head] = new Uint8Array(0)
    this.#head++
    this.#offset = 0
    if (this.#head < 64 && this.#head < this.#chunks.length) return
    this.#chunks.splice(0, this.#head)
    this.#head = 0
  }
}
