import { type Clock, type Did, MeshError, type SignalOption } from '../base/index.ts'
import { frameBytesCeiling, frameHeaderBytesMax } from './frames.ts'
import type { HostStream, Route } from './host.ts'
import { closeTimeoutMs, sendQueueBytesMax, streamWindowBytesMax } from './limits.ts'
import { deadline, orAborted, quietResolvers, refused } from './promises.ts'
import type { SimulatedConnection } from './simulated-connection.ts'

/** Bytes read before the sender hears of it. */
const creditBytes = streamWindowBytesMax / 4

const cost = (frame: Uint8Array): number => frame.length + frameHeaderBytesMax

/** One end of a simulated stream. The rules are those of the libp2p one; bytes stay whole frames. */
export class SimulatedStream implements HostStream {
  readonly owner: Did
  readonly peer: Did
  readonly protocol: string
  readonly route: Route
  readonly frames: AsyncIterable<Uint8Array>
  /** Settles when the other end has taken or refused the stream. */
  readonly opened = quietResolvers()
  /** Called once when this end is done. */
  onDone: () => void = () => undefined
  readonly #connection: SimulatedConnection
  readonly #frameBytesMax: number
  readonly #clock: Clock
  #other: SimulatedStream | undefined
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #underWay = 0
  #room: PromiseWithResolvers<void> | undefined
  #pumpScheduled = false
  readonly #inbox: Uint8Array[] = []
  #inboxHead = 0
  #readBytes = 0
  #wake: PromiseWithResolvers<void> | undefined
  #remoteEnded = false
  #closed: MeshError | undefined
  #closing: Promise<void> | undefined

  constructor(connection: SimulatedConnection, owner: Did, protocol: string, frameBytesMax: number, clock: Clock) {
    if (frameBytesMax > frameBytesCeiling) throw new MeshError('ERR_USAGE', `frameBytesMax exceeds ${frameBytesCeiling}`)
    this.route = connection.route
    this.#connection = connection
    this.owner = owner
    this.peer = connection.other(owner)
    this.protocol = protocol
    this.#frameBytesMax = frameBytesMax
    this.#clock = clock
    this.frames = { [Symbol.asyncIterator]: () => this.#read() }
    connection.streams.add(this)
  }

  /** Joins the two ends. */
  meet(other: SimulatedStream): void {
    this.#other = other
    this.opened.resolve()
  }

  send(frame: Uint8Array, { signal }: SignalOption = {}): Promise<void> {
    if (frame.length > this.#frameBytesMax) {
      return refused(new MeshError('ERR_WIRE_TOO_LARGE', `frame of ${frame.length} bytes exceeds ${this.#frameBytesMax} of ${this.protocol}`))
    }
    if (signal?.aborted === true) return refused(signal.reason)
    if (this.#closing !== undefined || this.#closed !== undefined || this.#remoteEnded) return refused(this.#closed ?? closedError(this.protocol))
    if (this.#queuedBytes > 0 && this.#queuedBytes + cost(frame) > sendQueueBytesMax) {
      return refused(new MeshError('ERR_OVERLOADED', `more than ${sendQueueBytesMax} bytes queued; await send`))
    }
    this.#queue.push(frame.slice())
    this.#queuedBytes += cost(frame)
    if (!this.#pumpScheduled) {
      this.#pumpScheduled = true
      process.nextTick(() => {
        this.#pumpScheduled = false
        this.#pump()
      })
    }
    this.#room ??= quietResolvers()
    return signal === undefined ? this.#room.promise : orAborted(this.#room.promise, signal)
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeGently()
    return this.#closing
  }

  abort(reason: Error): void {
    if (this.#closed !== undefined) return
    const other = this.#other
    this.#connection.transmit(this.owner, 'reset', 0, () => other?.fail(closedError(this.protocol)))
    this.fail(new MeshError('ERR_NET_CLOSED', `${this.protocol}: dropped: ${reason.message}`, { cause: reason }))
  }

  /** The stream is gone for this end. */
  fail(error: MeshError): void {
    this.#closed ??= error
    this.opened.reject(this.#closed)
    this.#stopSending(this.#closed)
    this.#done()
  }

  #pump(): void {
    const segment: Uint8Array[] = []
    let bytes = 0
    while (this.#queue.length > segment.length && this.#underWay < streamWindowBytesMax) {
      const frame = this.#queue[segment.length]
      if (frame === undefined) break
      segment.push(frame)
      bytes += cost(frame)
      this.#underWay += cost(frame)
    }
    if (segment.length > 0) {
      this.#queue.splice(0, segment.length)
      this.#queuedBytes -= bytes
      const other = this.#other
      this.#connection.transmit(this.owner, 'frames', bytes, () => other?.receive(segment))
    }
    if (this.#queue.length > 0) return
    this.#room?.resolve()
    this.#room = undefined
  }

  /** Frames arrive. */
  receive(frames: readonly Uint8Array[]): void {
    if (this.#closing !== undefined || this.#closed !== undefined) return
    for (const frame of frames) this.#inbox.push(frame)
    this.#wakeReader()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#inbox[this.#inboxHead]
      if (frame !== undefined) {
        this.#take(frame)
        yield frame
        continue
      }
      if (this.#closing !== undefined) return
      if (this.#closed !== undefined) throw this.#closed
      if (this.#remoteEnded) return
      this.#wake = Promise.withResolvers()
      await this.#wake.promise
    }
  }

  #take(frame: Uint8Array): void {
    this.#inboxHead++
    if (this.#inboxHead === this.#inbox.length || this.#inboxHead > 1_024) {
      this.#inbox.splice(0, this.#inboxHead)
      this.#inboxHead = 0
    }
    if (frame.length > this.#frameBytesMax) {
      const error = new MeshError('ERR_WIRE_TOO_LARGE', `a frame of ${frame.length} bytes was announced, ${this.#frameBytesMax} are allowed`)
      this.abort(error)
      throw error
    }
    this.#readBytes += cost(frame)
    if (this.#readBytes < creditBytes) return
    const credit = this.#readBytes
    this.#readBytes = 0
    const other = this.#other
    this.#connection.transmit(this.owner, 'credit', credit, () => other?.credit(credit))
  }

  /** The peer has read. */
  credit(bytes: number): void {
    this.#underWay -= bytes
    if (this.#closed === undefined) this.#pump()
  }

  async #closeGently(): Promise<void> {
    if (this.#closed !== undefined) return
    this.#wakeReader()
    using limit = deadline(this.#clock, closeTimeoutMs, undefined, `closing ${this.protocol}`)
    try {
      if (this.#room !== undefined) await orAborted(this.#room.promise, limit.signal)
    } catch (cause) {
      this.abort(cause instanceof Error ? cause : new Error(String(cause)))
      return
    }
    const other = this.#other
    this.#connection.transmit(this.owner, 'end', 0, () => other?.end())
    this.#done()
  }

  /** The peer has closed. */
  end(): void {
    this.#remoteEnded = true
    this.#stopSending(closedError(this.protocol))
    this.#done()
  }

  #stopSending(error: MeshError): void {
    this.#queue = []
    this.#queuedBytes = 0
    this.#room?.reject(error)
    this.#room = undefined
    this.#wakeReader()
  }

  #done(): void {
    if (this.#connection.streams.delete(this)) this.onDone()
  }

  #wakeReader(): void {
    this.#wake?.resolve()
    this.#wake = undefined
  }
}

const closedError = (protocol: string): MeshError => new MeshError('ERR_NET_CLOSED', `${protocol}: the stream ended`)
