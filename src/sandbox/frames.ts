/** Frames between the node and a worker: u32 length of what follows (big endian), u8 type, payload. Loaded on both sides; imports nothing. */
export const frameTypes = {
  /** Worker: ready for a task. */
  ready: 1,
  /** Worker: u8 index into consoleLevels, then UTF-8 text. */
  console: 2,
  /** Worker: `<fraction> <note>`. */
  progress: 3,
  /** Worker: JSON of WorkerUsage, right before done or failed. */
  usage: 4,
  /** Worker: JSON text of the result. */
  done: 5,
  /** Worker: JSON of WorkerFailure. */
  failed: 6,
  /** Worker: u32 id, u8 length of the name, the name, JSON text of the arguments. */
  call: 7,
  /** Worker: an agent takes messages from now on. */
  receiving: 8,
  /** Worker: u32 id of the message, u8 1 when it went well, JSON text of the answer or the text of the error. */
  reply: 9,
  /** Worker: the payload of a `ping`: its guest is not busy. */
  pong: 10,
  /** Node: JSON of WorkerTask. */
  task: 16,
  /** Node: u32 id of the call, u8 1 when it went well, JSON text of the value or JSON of WorkerRefusal. */
  answer: 17,
  /** Node: u32 id, JSON text of a message for an agent. */
  message: 18,
  /** Node: is an agent still there? Answered between two turns of the guest. */
  ping: 19,
} as const
export type FrameType = (typeof frameTypes)[keyof typeof frameTypes]

export const consoleLevels = ['log', 'info', 'warn', 'error', 'debug'] as const

/** Control frames (usage, failure, progress) may be this long whatever the output limit. */
export const controlFrameBytesMax = 64 << 10
/** Text of a failure, characters. */
export const failureTextMax = 2_000
/** Note of a progress call, characters. */
export const progressNoteMax = 200

/** Arguments of one host call, and its answer, JSON. Source: sandbox/v1 section 4. */
export const hostCallBytesMax = 4 << 20
/** Host calls of one run that wait for their answers; more are refused. */
export const hostCallsInFlightMax = 16

/** Why a host call was refused, as the guest sees it. */
export interface WorkerRefusal {
  readonly code: string
  readonly message: string
}

export interface WorkerTask {
  readonly engine: 'javascript' | 'wasm' | 'command'
  readonly code: string
  readonly input: string
  /** What was granted; without it nothing is refused before it runs. */
  readonly capabilities?: readonly string[]
  readonly memoryMiB: number
  readonly outputBytes: number
  readonly hostCalls: number
  readonly processes: number
  /** The node counts output and calls for each message: here they start anew with each turn. */
  readonly agent?: boolean
}

export interface WorkerUsage {
  readonly cpuMs: number
  readonly memoryBytes: number
  readonly hostCalls: number
}

export interface WorkerFailure {
  /** `engine`: this worker does not run such code. */
  readonly reason: 'engine' | 'code' | 'permission' | 'input' | 'threw' | 'result' | 'memoryMiB' | 'outputBytes' | 'hostCalls'
  readonly text: string
}

const headerBytes = 4

export function encodeFrame(type: FrameType, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes + 1 + payload.length)
  new DataView(frame.buffer).setUint32(0, 1 + payload.length)
  frame[headerBytes] = type
  frame.set(payload, headerBytes + 1)
  return frame
}

/** A payload that begins with a number: `call`, `answer`, `message`, `reply`. */
export function numbered(id: number, ...rest: readonly Uint8Array[]): Uint8Array {
  const payload = new Uint8Array(idBytes + rest.reduce((sum, part) => sum + part.length, 0))
  new DataView(payload.buffer).setUint32(0, id)
  let offset = idBytes
  for (const part of rest) {
    payload.set(part, offset)
    offset += part.length
  }
  return payload
}

/** The number and what follows; undefined when it is too short. */
export function readNumbered(payload: Uint8Array): { readonly id: number; readonly rest: Uint8Array } | undefined {
  if (payload.length < idBytes) return undefined
  return { id: new DataView(payload.buffer, payload.byteOffset).getUint32(0), rest: payload.subarray(idBytes) }
}

const idBytes = 4

export interface Frame {
  readonly type: number
  readonly payload: Uint8Array
}

/** Cuts a byte stream into frames. Looks at a length before it keeps a byte of the frame. */
export class FrameReader {
  #chunks: Uint8Array[] = []
  #bytes = 0
  /** Longest frame taken, payload and type. */
  max: number

  constructor(max: number) {
    this.max = max
  }

  /** True when no part of a frame is waiting for its rest. */
  get empty(): boolean {
    return this.#bytes === 0
  }

  /** @throws RangeError when a frame announces more than `max` bytes. */
  *push(chunk: Uint8Array): Generator<Frame> {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    while (this.#bytes >= headerBytes) {
      const header = this.#peek(headerBytes)
      const length = new DataView(header.buffer, header.byteOffset).getUint32(0)
      if (length < 1 || length > this.max) throw new RangeError(`frame of ${length} bytes, at most ${this.max}`)
      if (this.#bytes < headerBytes + length) return
      const frame = this.#peek(headerBytes + length)
      this.#drop(headerBytes + length)
      yield { type: frame[headerBytes] ?? 0, payload: frame.subarray(headerBytes + 1) }
    }
  }

  /** The first `count` bytes in one piece; joins chunks only when they do not lie in the first. */
  #peek(count: number): Uint8Array {
    const first = this.#chunks[0] ?? new Uint8Array()
    if (first.length >= count) return first.subarray(0, count)
    const joined = Buffer.concat(this.#chunks)
    this.#chunks = [joined]
    return joined.subarray(0, count)
  }

  #drop(count: number): void {
    const first = this.#chunks[0] ?? new Uint8Array()
    this.#bytes -= count
    this.#chunks[0] = first.subarray(count)
    if (this.#chunks[0].length === 0) this.#chunks.shift()
  }
}
