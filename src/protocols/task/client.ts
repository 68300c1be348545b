import { type Did, codeFromPeer, MeshError } from '../../base/index.ts'
import type { Host } from '../../net/index.ts'
import { frameKinds, plainRefusalCodec, unframed } from '../channel.ts'
import { createChannel } from './channel.ts'
import { decodeEvent, taskFrameBytesMax, taskProtocol, type TaskEvent } from './codec.ts'

/** Frames an asker takes for one task; console and progress come one a frame. Source: task/v1 section 6. */
export const taskFramesMax = 1_100_000

export interface TaskCall {
  /** The sealed, signed request. */
  readonly sealed: Uint8Array
  readonly replySecret: Uint8Array
  readonly requestHash: Uint8Array
  /** Signs for the result just seen; its bytes go back to the executor. */
  countersign(result: Extract<TaskEvent, { readonly event: 'result' }>): Promise<Uint8Array>
  readonly signal?: AbortSignal
}

/**
 * Sends a task and yields what comes back, ending after `kept`. Leaving early, or the signal, resets the stream, which kills the task.
 * @throws the executor's coded refusal, ERR_NET_*, ERR_PROTOCOL, ERR_CRYPTO_OPEN
 */
export async function* callTask(host: Host, executor: Did, { sealed, replySecret, requestHash, countersign, signal }: TaskCall): AsyncGenerator<TaskEvent> {
  const stream = await host.open(executor, taskProtocol, { frameBytesMax: taskFrameBytesMax, ...(signal === undefined ? {} : { signal }) })
  const onAbort = (): void => stream.abort(signal?.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  const incoming = createChannel(replySecret, 'to-asker', requestHash)
  const outgoing = createChannel(replySecret, 'to-executor', requestHash)
  let finished = false
  let hasResult = false
  let frames = 0
  try {
    await stream.send(sealed)
    for await (const frame of stream.frames) {
      if (++frames > taskFramesMax) throw new MeshError('ERR_PROTOCOL', `the executor sent more than ${taskFramesMax} frames`)
      const { kind, body } = unframed(frame)
      if (kind === frameKinds.plain) {
        const { code, message } = plainRefusalCodec.decode(body)
        finished = true
        throw refusal(code, message)
      }
      const event = decodeEvent(incoming.open(body))
      if (event.event === 'refused') {
        finished = true
        throw refusal(event.code, event.message, event.retryAfterMs)
      }
      if (hasResult && event.event !== 'kept') throw new MeshError('ERR_PROTOCOL', 'the executor goes on after the result')
      if (event.event === 'result') {
        hasResult = true
        await stream.send(outgoing.seal(await countersign(event)))
      }
      yield event
      if (event.event === 'kept') {
        finished = true
        return
      }
    }
    throw new MeshError('ERR_NET_CLOSED', 'the executor ended the stream before the result')
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    if (finished) await stream.close()
    else stream.abort(new MeshError('ERR_TASK_CANCELLED', 'the asker left'))
  }
}

const refusal = (code: string, message: string, retryAfterMs = 0): MeshError =>
  new MeshError(codeFromPeer(code), message, retryAfterMs > 0 ? { details: { retryAfterMs } } : {})
