import { type Clock, type Did, type Logger, MeshError, secondMs, toMeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import { framed, frameKinds, plainRefusalCodec, refusalOf, retryAfterOf } from '../channel.ts'
import { createChannel } from './channel.ts'
import { encodeEvent, taskFrameBytesMax, taskProtocol, type TaskEvent } from './codec.ts'

/** Task streams one peer may hold open. Source: task/v1 section 6. */
export const taskStreamsPerPeerMax = 32
/** The request must be there by then, and the countersignature after the result. */
export const taskStepTimeoutMs = 15 * secondMs

/** A request that was opened and verified. */
export interface OpenedTask {
  readonly replySecret: Uint8Array
  readonly requestHash: Uint8Array
  /** Runs it; throwing a MeshError refuses it. The result event must be the last. */
  run(signal: AbortSignal): AsyncIterable<TaskEvent>
  /** Takes the asker's countersignature; durable when it resolves. */
  keep(countersignature: Uint8Array): Promise<void>
}

export interface TaskServerOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  /** Opens and verifies the sealed request of this peer. */
  open(peer: Did, sealed: Uint8Array): Promise<OpenedTask>
}

/** Serves `/kindmesh/task/1.0.0`. A reset of the stream aborts the task. */
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
  const nextFrame = async (what: string): Promise<Uint8Array> => {
    const stop = clock.after(taskStepTimeoutMs, () => stream.abort(new MeshError('ERR_TIMEOUT', `no ${what} in time`)))
    try {
      const result: IteratorResult<Uint8Array, void> = await frames.next()
      if (result.done === true) throw new MeshError('ERR_NET_CLOSED', `the asker left before the ${what}`)
      return result.value
    } finally {
      stop()
    }
  }

  const sealed = await nextFrame('request')
  let task: OpenedTask
  try {
    task = await open(stream.peer, sealed)
  } catch (error) {
    await stream.send(framed(frameKinds.plain, plainRefusalCodec.encode(refusalOf(error))))
    return
  }
  const outgoing = createChannel(task.replySecret, 'to-asker', task.requestHash)
  const send = (event: TaskEvent): Promise<void> => stream.send(framed(frameKinds.sealed, outgoing.seal(encodeEvent(event))))

  const gone = new AbortController()
  // Reading on while the task runs is how a reset or an early close is seen.
  const answer: Promise<{ readonly done?: boolean; readonly value?: Uint8Array }> = frames.next().catch((error: unknown) => {
    gone.abort(toMeshError(error))
    return { done: true }
  })
  void answer.then(({ done }) => {
    if (done === true) gone.abort(new MeshError('ERR_TASK_CANCELLED', 'the asker left'))
  })
  let hasResult = false
  try {
    for await (const event of task.run(gone.signal)) {
      await send(event)
      hasResult = event.event === 'result'
    }
  } catch (error) {
    await send({ event: 'refused', ...refusalOf(error), retryAfterMs: retryAfterOf(error) })
    return
  }
  if (!hasResult) return
  const stop = clock.after(taskStepTimeoutMs, () => stream.abort(new MeshError('ERR_TIMEOUT', 'no countersignature in time')))
  const { value } = await answer.finally(stop)
  if (value === undefined) throw new MeshError('ERR_NET_CLOSED', 'the asker left without a countersignature')
  await task.keep(createChannel(task.replySecret, 'to-executor', task.requestHash).open(value))
  await send({ event: 'kept' })
}
