import { type Clock, type Did, type Logger, MeshError, secondMs, toMeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import { framed, frameKinds, plainRefusalCodec, refusalOf, retryAfterOf } from '../channel.ts'
import { createChannel } from './channel.ts'
import { decodeEvent, encodeEvent, taskFrameBytesMax, taskProtocol, type TaskEvent } from './codec.ts'

/** Task streams one peer may hold open. Source: task/v1 section 6. */
export const taskStreamsPerPeerMax = 32
/** The request must be there by then, and the countersignature after the result. Source: task/v1 section 6. */
export const taskStepTimeoutMs = 15 * secondMs
/** A stream on which no piece of a file comes for this long is ended. Source: task/v1 section 6. */
export const taskChunkTimeoutMs = 30 * secondMs

/** The asker's end of a task stream. */
export interface AskerEnd {
  /** Aborts when the asker leaves. */
  readonly signal: AbortSignal
  /** The next piece of the files of the request, 1 to `most` bytes. @throws ERR_PROTOCOL, ERR_TIMEOUT, ERR_NET_CLOSED, ERR_CRYPTO_OPEN */
  nextChunk(most: number): Promise<Uint8Array>
}

/** A statement that was opened and verified: a request, or one that asks for its outcome. */
export interface OpenedTask {
  readonly replySecret: Uint8Array
  /** Of the statement that opened the stream. */
  readonly requestHash: Uint8Array
  /** Bytes of files that the asker sends once it is accepted. */
  readonly fileBytes: number
  /** Runs it, or waits for it; throwing a MeshError refuses it. All files are read before the first event after `accepted`. The result event must be the last. */
  run(asker: AskerEnd): AsyncIterable<TaskEvent>
  /** Takes the asker's countersignature; durable when it resolves. */
  keep(countersignature: Uint8Array): Promise<void>
  /** The stream is over, however it went. */
  end(): void
}

export interface TaskServerOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  /** Opens and verifies the sealed statement of this peer. */
  open(peer: Did, sealed: Uint8Array): Promise<OpenedTask>
}

/** Serves `/kindmesh/task/1.0.0`. A reset of the stream is the asker leaving. */
export function serveTasks({ host, clock, logger, open }: TaskServerOptions): void {
  host.handle(taskProtocol, { frameBytesMax: taskFrameBytesMax, inboundStreamsMax: taskStreamsPerPeerMax }, async (stream) => {
    try {
      await serve(stream, { clock, open })
      await stream.close()
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('task stream ended', { peer: stream.peer, code: reason.code, message: reason.message })
      stream.abort(reason)
    }
  })
}

async function serve(stream: HostStream, { clock, open }: Pick<TaskServerOptions, 'clock' | 'open'>): Promise<void> {
  const frames = stream.frames[Symbol.asyncIterator]()
  const nextFrame = async (what: string, withinMs: number): Promise<Uint8Array> => {
    const stop = clock.after(withinMs, () => stream.abort(new MeshError('ERR_TIMEOUT', `no ${what} in time`)))
    try {
      const result: IteratorResult<Uint8Array, void> = await frames.next()
      if (result.done === true) throw new MeshError('ERR_NET_CLOSED', `the asker left before the ${what}`)
      return result.value
    } finally {
      stop()
    }
  }

  const sealed = await nextFrame('request', taskStepTimeoutMs)
  let task: OpenedTask
  try {
    task = await open(stream.peer, sealed)
  } catch (error) {
    await stream.send(framed(frameKinds.plain, plainRefusalCodec.encode(refusalOf(error))))
    return
  }
  const outgoing = createChannel(task.replySecret, 'to-asker', task.requestHash)
  const incoming = createChannel(task.replySecret, 'to-executor', task.requestHash)
  const send = (event: TaskEvent): Promise<void> => stream.send(framed(frameKinds.sealed, outgoing.seal(encodeEvent(event))))

  const gone = new AbortController()
  let answer: Promise<{ readonly done?: boolean; readonly value?: Uint8Array }> | undefined
  /** Reading on while the task runs is how a reset or an early close is seen. */
  function watch(): void {
    answer = frames.next().catch((error: unknown) => {
      gone.abort(toMeshError(error))
      return { done: true }
    })
    void answer.then(({ done }) => {
      if (done === true) gone.abort(new MeshError('ERR_TASK_CANCELLED', 'the asker left'))
    })
  }
  let left = task.fileBytes
  async function nextChunk(most: number): Promise<Uint8Array> {
    if (left === 0) throw new MeshError('ERR_INTERNAL', 'no file is due')
    const event = decodeEvent(incoming.open(await nextFrame('file', taskChunkTimeoutMs)))
    if (event.event !== 'chunk' || event.bytes.length === 0 || event.bytes.length > Math.min(most, left)) {
      throw new MeshError('ERR_PROTOCOL', 'something else where a piece of a file was due')
    }
    left -= event.bytes.length
    if (left === 0) watch()
    return event.bytes
  }
  if (left === 0) watch()
  let hasResult = false
  try {
    try {
      for await (const event of task.run({ signal: gone.signal, nextChunk })) {
        await send(event)
        hasResult = event.event === 'result'
      }
    } catch (error) {
      await send({ event: 'refused', ...refusalOf(error), retryAfterMs: retryAfterOf(error) })
      return
    }
    if (!hasResult || answer === undefined) return
    const stop = clock.after(taskStepTimeoutMs, () => stream.abort(new MeshError('ERR_TIMEOUT', 'no countersignature in time')))
    const { value } = await answer.finally(stop)
    if (value === undefined) throw new MeshError('ERR_NET_CLOSED', 'the asker left without a countersignature')
    await task.keep(incoming.open(value))
    await send({ event: 'kept' })
  } finally {
    task.end()
  }
}
