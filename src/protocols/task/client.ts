import { type Did, codeFromPeer, MeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import { type Channel, frameKinds, plainRefusalCodec, unframed } from '../channel.ts'
import { createChannel } from './channel.ts'
import { type Artefact, decodeEvent, encodeEvent, taskArtefactBytesMax, taskArtefactsMax, taskFrameBytesMax, taskProtocol, type TaskEvent } from './codec.ts'

/** Frames an asker takes for one task; console and progress come one a frame. Source: task/v1 section 6. */
export const taskFramesMax = 1_100_000

/** Where the body of one file goes. */
export interface ArtefactSink {
  write(bytes: Uint8Array): Promise<void>
  /** All of it came. @throws ERR_FILE_HASH when it is another body */
  end(): Promise<void>
}

export interface TaskCall {
  /** The sealed statement that opens the stream. */
  readonly sealed: Uint8Array
  readonly replySecret: Uint8Array
  /** Hash of that statement. */
  readonly requestHash: Uint8Array
  /** Bodies of the request's files one after the other, in chunks that never span two; asked for once the task is accepted. */
  bodies?(): AsyncIterable<Uint8Array>
  /** Called before a byte of a file that comes back is taken; throwing ends the call. Without it files are refused. */
  onArtefact?(artefact: Artefact): Promise<ArtefactSink>
  /** Signs for the result just seen; its bytes go back to the executor. */
  countersign(result: Extract<TaskEvent, { readonly event: 'result' }>): Promise<Uint8Array>
  /** The statement may have left this machine from here on. */
  onSent?(): void
  readonly signal?: AbortSignal
}

/**
 * Sends a task and yields what comes back but chunks, ending after `kept`. Leaving early, or the signal, resets the stream.
 * A refusal by the executor carries `details.refused`.
 * @throws the executor's coded refusal, ERR_NET_*, ERR_PROTOCOL, ERR_CRYPTO_OPEN
 */
export async function* callTask(host: Host, executor: Did, call: TaskCall): AsyncGenerator<TaskEvent> {
  const { sealed, replySecret, requestHash, countersign, signal } = call
  const stream = await host.open(executor, taskProtocol, { frameBytesMax: taskFrameBytesMax, ...(signal === undefined ? {} : { signal }) })
  const onAbort = (): void => stream.abort(signal?.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  const incoming = createChannel(replySecret, 'to-asker', requestHash)
  const outgoing = createChannel(replySecret, 'to-executor', requestHash)
  const files = createIntake(call)
  let sending: Promise<void> | undefined
  /** Why the bodies did not go out: whoever reads the stream hears that, not that it was closed. */
  let unsent: unknown
  let finished = false
  let hasResult = false
  let frames = 0
  try {
    signal?.throwIfAborted()
    call.onSent?.()
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
      if (event.event === 'accepted' && call.bodies !== undefined) {
        if (sending !== undefined) throw new MeshError('ERR_PROTOCOL', 'the executor accepts twice')
        sending = sendBodies(stream, outgoing, call.bodies())
        sending.catch((error: unknown) => {
          unsent = error
          stream.abort(new MeshError('ERR_TASK_CANCELLED', 'a file cannot be sent', { cause: error }))
        })
      }
      if (event.event === 'chunk') {
        await files.take(event.bytes)
        continue
      }
      if (event.event === 'artefact') await files.begin(event)
      else files.check()
      if (event.event === 'result') {
        hasResult = true
        const signed = await countersign(event)
        // Frames of one direction are numbered: the bodies, should they still be on their way, come first.
        await sending
        await stream.send(outgoing.seal(signed))
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
    throw unsent ?? error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    if (finished) await stream.close()
    else stream.abort(new MeshError('ERR_TASK_CANCELLED', 'the asker left'))
  }
}

export type TaskDecision = Extract<TaskEvent, { readonly event: 'decision' }>

/** Asks whether a task would be taken. @throws the executor's coded refusal, ERR_NET_*, ERR_PROTOCOL, ERR_CRYPTO_OPEN */
export async function probeTask(host: Host, executor: Did, call: Pick<TaskCall, 'sealed' | 'replySecret' | 'requestHash' | 'signal'>): Promise<TaskDecision> {
  const { sealed, replySecret, requestHash, signal } = call
  const stream = await host.open(executor, taskProtocol, { frameBytesMax: taskFrameBytesMax, ...(signal === undefined ? {} : { signal }) })
  const onAbort = (): void => stream.abort(signal?.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    signal?.throwIfAborted()
    await stream.send(sealed)
    for await (const frame of stream.frames) {
      const { kind, body } = unframed(frame)
      if (kind === frameKinds.plain) {
        const { code, message } = plainRefusalCodec.decode(body)
        throw refusal(code, message)
      }
      const event = decodeEvent(createChannel(replySecret, 'to-asker', requestHash).open(body))
      if (event.event === 'refused') throw refusal(event.code, event.message, event.retryAfterMs)
      if (event.event === 'decision') return event
      throw new MeshError('ERR_PROTOCOL', 'the executor answers a probe with something else')
    }
    throw new MeshError('ERR_NET_CLOSED', 'the executor gave no decision')
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await stream.close()
  }
}

async function sendBodies(stream: HostStream, outgoing: Channel, bodies: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const bytes of bodies) await stream.send(outgoing.seal(encodeEvent({ event: 'chunk', bytes })))
}

interface Intake {
  begin(artefact: Artefact): Promise<void>
  take(bytes: Uint8Array): Promise<void>
  /** @throws ERR_PROTOCOL when a body is not complete */
  check(): void
}

/** Files that come back, one at a time, none longer than it said. */
function createIntake({ onArtefact }: Pick<TaskCall, 'onArtefact'>): Intake {
  let count = 0
  let total = 0
  let open: { readonly sink: ArtefactSink; left: number } | undefined
  const check = (): void => {
    if (open !== undefined) throw new MeshError('ERR_PROTOCOL', 'the executor left a file unfinished')
  }
  return {
    async begin({ name, size, hash }) {
      total += size
      if (++count > taskArtefactsMax || total > taskArtefactBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', 'the executor sends too many files')
      check()
      if (onArtefact === undefined) throw new MeshError('ERR_PROTOCOL', 'the executor sends a file nobody asked for')
      const sink = await onArtefact({ name, size, hash })
      if (size === 0) await sink.end()
      else open = { sink, left: size }
    },
    async take(bytes) {
      if (open === undefined || bytes.length === 0 || bytes.length > open.left) {
        throw new MeshError('ERR_PROTOCOL', 'the executor sends more than its files hold')
      }
      open.left -= bytes.length
      await open.sink.write(bytes)
      if (open.left > 0) return
      const { sink } = open
      open = undefined
      await sink.end()
    },
    check,
  }
}

const refusal = (code: string, message: string, retryAfterMs = 0): MeshError =>
  new MeshError(codeFromPeer(code), message, { details: { refused: true, ...(retryAfterMs > 0 ? { retryAfterMs } : {}) } })
