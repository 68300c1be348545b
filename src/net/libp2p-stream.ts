import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { type Clock, type Did, MeshError, type SignalOption } from '../base/index.ts'
import { FrameCutter, frameBytesCeiling, headerLength, joinFrames } from './frames.ts'
import type { HostStream, Route } from './host.ts'
import { closeTimeoutMs, sendQueueBytesMax } from './limits.ts'
import { deadline, orAborted, quietResolvers, refused } from './promises.ts'

/** Bytes one write to the transport carries at most; frames beyond it wait for the next. net/v1 section 2. */
export const writeBytesMax = 256 << 10
/** Unread bytes with a whole frame among them at which the peer is told to wait. net/v1 section 2. */
export const readAheadBytesMax = 256 << 10

/** Time a frame that has begun may take to its end, besides what its length needs at the slowest pace. net/v1 section 2. */
export const frameTimeoutMs = 10_000
export const frameBytesPerMsMin = 16

export interface Libp2pStreamOptions {
  readonly stream: Stream
  readonly peer: Did
  readonly route: Route
  readonly frameBytesMax: number
  readonly clock: Clock
}

/** Dresses a negotiated libp2p stream as a HostStream. Attaches to it at once, so that nothing that arrives early is lost. */
export function createLibp2pStream(options: Libp2pStreamOptions): HostStream {
  if (options.frameBytesMax > frameBytesCeiling) throw new MeshError('ERR_USAGE', `frameBytesMax exceeds ${frameBytesCeiling}`)
  return new Libp2pStream(options)
}

interface Batch {
  readonly frames: Uint8Array[]
  bytes: number
  readonly sent: PromiseWithResolvers<void>
}

class Libp2pStream implements HostStream {
  readonly peer: Did
  readonly route: Route
  readonly protocol: string
  readonly frames: AsyncIterable<Uint8Array>
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #frameBytesMax: number
  readonly #cutter: FrameCutter
  /** Frames handed to `send`, in batches of at most `writeBytesMax`. */
  readonly #queue: Batch[] = []
  #queuedBytes = 0
  #flushScheduled = false
  /** Written to the stream, waiting until it has room again. */
  readonly #written: Batch[] = []
  #wake: PromiseWithResolvers<void> | undefined
  #resuming = false
  #remoteEnded = false
  /** When the reader began to wait for the rest of a frame. */
  #partialSince: number | undefined
  #closed: MeshError | undefined
  #closing: Promise<void> | undefined

  constructor({ stream, peer, route, frameBytesMax, clock }: Libp2pStreamOptions) {
    this.peer = peer
    this.route = route
    this.protocol = stream.protocol
    this.#stream = stream
    this.#clock = clock
    this.#frameBytesMax = frameBytesMax
    this.#cutter = new FrameCutter(frameBytesMax)
    this.frames = { [Symbol.asyncIterator]: () => this.#read() }
    stream.addEventListener('message', (event) => this.#onMessage(event))
    // `onDrain` works once per stream: listen to the event. Our turn comes after libp2p has sent what it held itself.
    stream.addEventListener('drain', () => queueMicrotask(() => this.#flush()))
    stream.addEventListener('remoteCloseWrite', () => this.#onRemoteEnd())
    stream.addEventListener('close', (event) => this.#onClose(event.error))
    if (stream.status === 'reset' || stream.status === 'aborted') this.#end(closedError(this.protocol))
    else if (stream.remoteWriteStatus === 'closed') this.#onRemoteEnd()
  }

  send(frame: Uint8Array, { signal }: SignalOption = {}): Promise<void> {
    if (frame.length > this.#frameBytesMax) {
      return refused(new MeshError('ERR_WIRE_TOO_LARGE', `frame of ${frame.length} bytes exceeds ${this.#frameBytesMax} of ${this.protocol}`))
    }
    if (signal?.aborted === true) return refused(signal.reason)
    if (this.#closing !== undefined || this.#closed !== undefined || this.#remoteEnded) return refused(this.#closed ?? closedError(this.protocol))
    const bytes = frame.length + headerLength(frame.length)
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > sendQueueBytesMax) {
      return refused(new MeshError('ERR_OVERLOADED', `more than ${sendQueueBytesMax} bytes queued; await send`))
    }
    const batch = this.#batchFor(bytes)
    batch.frames.push(frame)
    batch.bytes += bytes
    this.#queuedBytes += bytes
    if (!this.#flushScheduled) {
      this.#flushScheduled = true
      // Behind the microtasks that run now: what a reader answers to a chunk of many frames leaves in one write too.
      process.nextTick(() => {
        this.#flushScheduled = false
        this.#flush()
      })
    }
    return signal === undefined ? batch.sent.promise : orAborted(batch.sent.promise, signal)
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeGently()
    return this.#closing
  }

  abort(reason: Error): void {
    if (this.#closed !== undefined) return
    this.#end(new MeshError('ERR_NET_CLOSED', `${this.protocol}: dropped: ${reason.message}`, { cause: reason }))
    this.#stream.abort(reason)
  }

  #batchFor(bytes: number): Batch {
    const last = this.#queue.at(-1)
    if (last !== undefined && last.bytes + bytes <= writeBytesMax) return last
    const batch: Batch = { frames: [], bytes: 0, sent: quietResolvers() }
    this.#queue.push(batch)
    return batch
  }

  #flush(): void {
    while (!this.#stream.writableNeedsDrain && this.#closed === undefined) {
      for (const batch of this.#written.splice(0)) this.#settle(batch)
      const batch = this.#queue.shift()
      if (batch === undefined) return
      this.#written.push(batch)
      try {
        this.#stream.send(joinFrames(batch.frames, batch.bytes))
      } catch (cause) {
        this.#end(closedError(this.protocol, cause))
        return
      }
    }
  }

  #settle(batch: Batch): void {
    this.#queuedBytes -= batch.bytes
    batch.sent.resolve()
  }

  #onMessage(event: StreamMessageEvent): void {
    if (this.#closed !== undefined || this.#closing !== undefined) return
    const { data } = event
    if (data instanceof Uint8Array) this.#cutter.push(data)
    else for (const chunk of data) this.#cutter.push(chunk)
    this.#brake()
    this.#wakeReader()
  }

  /**
   * Pausing stops yamux's window updates, so the peer stops after at most one window. Never while `resume` runs:
   * it dispatches what was held back first and opens the window afterwards, whatever the listener did meanwhile.
   */
  #brake(): void {
    const full = this.#cutter.buffered > readAheadBytesMax && this.#cutter.ready
    if (full && !this.#resuming && this.#stream.readStatus === 'readable') this.#stream.pause()
  }

  #unbrake(): void {
    if (this.#stream.readStatus !== 'paused') return
    if (this.#cutter.buffered > readAheadBytesMax / 2 && this.#cutter.ready) return
    this.#resuming = true
    try {
      this.#stream.resume()
    } catch (cause) {
      // After the peer's end there is no window left to open; what it sent is here already.
      if (!this.#remoteEnded) this.#end(closedError(this.protocol, cause))
    } finally {
      this.#resuming = false
    }
    this.#brake()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const frame = this.#cutter.next()
        if (frame !== undefined) {
          this.#partialSince = undefined
          this.#unbrake()
          yield frame
          continue
        }
        this.#unbrake()
        if (this.#cutter.ready) continue
        if (this.#closing !== undefined) return
        if (this.#closed !== undefined) throw this.#closed
        if (this.#remoteEnded && this.#stream.readBufferLength === 0) {
          if (this.#cutter.buffered > 0) throw closedError(`${this.protocol}: inside a frame`)
          return
        }
        await this.#more()
      }
    } catch (error) {
      // A frame over the limit, or a length that makes no sense: nothing after it can be trusted.
      this.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    } finally {
      this.#cutter.clear()
    }
  }

  /** Waits for more bytes; a frame that has begun must come to its end in time. */
  async #more(): Promise<void> {
    this.#wake = Promise.withResolvers()
    const { promise } = this.#wake
    if (this.#cutter.buffered === 0) return await promise
    const now = this.#clock.monotonic()
    this.#partialSince ??= now
    const left = this.#partialSince + frameTimeoutMs + this.#cutter.wanted / frameBytesPerMsMin - now
    const cancel = this.#clock.after(left, () => this.abort(new MeshError('ERR_TIMEOUT', 'a frame came too slowly')))
    await promise
    cancel()
  }

  #wakeReader(): void {
    this.#wake?.resolve()
    this.#wake = undefined
  }

  /** The peer has closed: it reads no more either, so our half goes too. */
  #onRemoteEnd(): void {
    this.#remoteEnded = true
    for (const batch of [...this.#written.splice(0), ...this.#queue.splice(0)]) batch.sent.reject(closedError(this.protocol))
    this.#wakeReader()
    // Data may have come in the same frame as the end: let it be handed over first.
    queueMicrotask(() => this.#stream.close().catch(() => undefined))
  }

  #onClose(error: Error | undefined): void {
    if (error === undefined && this.#remoteEnded) {
      this.#wakeReader()
      return
    }
    this.#end(closedError(this.protocol, error))
  }

  #end(error: MeshError): void {
    this.#closed ??= error
    for (const batch of [...this.#written.splice(0), ...this.#queue.splice(0)]) batch.sent.reject(this.#closed)
    this.#wakeReader()
  }

  async #closeGently(): Promise<void> {
    if (this.#closed !== undefined) return
    using limit = deadline(this.#clock, closeTimeoutMs, undefined, `closing ${this.protocol}`)
    try {
      const pending = [...this.#written, ...this.#queue].map((batch) => batch.sent.promise)
      this.#wakeReader()
      await orAborted(Promise.all(pending), limit.signal)
      await this.#stream.close({ signal: limit.signal })
    } catch (cause) {
      this.abort(cause instanceof Error ? cause : new Error(String(cause)))
      return
    }
    // The peer answers with its own end. One that does not would hold the stream for ever.
    if (this.#stream.status === 'open') {
      const cancel = this.#clock.after(closeTimeoutMs, () => this.#stream.abort(closedError(this.protocol)))
      this.#stream.addEventListener('close', cancel, { once: true })
    }
  }
}

export const closedError = (protocol: string, cause?: unknown): MeshError =>
  new MeshError('ERR_NET_CLOSED', `${protocol}: the stream ended${cause instanceof Error ? `: ${cause.message}` : ''}`, { cause })
