import { type Clock, type Did, type Logger, MeshError, secondMs, toMeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import { framed, frameKinds, plainRefusalCodec, refusalOf, retryAfterOf } from '../channel.ts'
import { createStreamChannel } from './channel.ts'
import { chunkLength, encodeStreamEvent, streamFrameBytesMax, streamProtocol, type StreamEvent } from './codec.ts'

/** Bulk streams one peer may hold open towards us. Source: stream/v1 section 6. */
export const bulkStreamsPerPeerMax = 8
/** The offer must be there by then. Source: stream/v1 section 6. */
export const offerTimeoutMs = 15 * secondMs
/** A stream on which no chunk comes for this long is ended; what came stays. Source: stream/v1 section 6. */
export const receiverIdleMsMax = 30 * secondMs

/** An offer that was opened and verified. */
export interface OpenedOffer {
  readonly secret: Uint8Array
  readonly offerHash: Uint8Array
  readonly size: number
  /** Decides on it; throwing a MeshError refuses it. `onKept` is called as bytes reach the disk. */
  accept(onKept: (cursor: number) => void): Promise<BodySink>
}

/** Where an accepted body goes. */
export interface BodySink {
  /** The first byte wanted; the size when all are there. */
  readonly cursor: number
  /** Aborts when the receiver does not want it any more. */
  readonly signal: AbortSignal
  /** Takes the next bytes. Resolves when there is room for more. */
  write(chunk: Uint8Array): Promise<void>
  /** Checks the whole and gives the signed receipt; durable when it resolves. */
  finish(): Promise<Uint8Array>
  /** Lets go of the file; what came stays for the next attempt. */
  close(): Promise<void>
}

export interface StreamServerOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  /** Opens and verifies the sealed offer of this peer. */
  open(peer: Did, sealed: Uint8Array): Promise<OpenedOffer>
}

/** Serves `/kindmesh/stream/1.0.0`. */
export function serveStreams({ host, clock, logger, open }: StreamServerOptions): void {
  host.handle(streamProtocol, { frameBytesMax: streamFrameBytesMax, inboundStreamsMax: bulkStreamsPerPeerMax }, async (stream) => {
    try {
      await serve(stream, { clock, open })
      await stream.close()
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('bulk stream ended', { peer: stream.peer, code: reason.code, message: reason.message })
      stream.abort(reason)
    }
  })
}

async function serve(stream: HostStream, { clock, open }: Pick<StreamServerOptions, 'clock' | 'open'>): Promise<void> {
  const frames = stream.frames[Symbol.asyncIterator]()
  const nextFrame = async (what: string, withinMs: number): Promise<Uint8Array> => {
    const stop = clock.after(withinMs, () => stream.abort(new MeshError('ERR_TIMEOUT', `no ${what} in time`)))
    try {
      const result: IteratorResult<Uint8Array, void> = await frames.next()
      if (result.done === true) throw new MeshError('ERR_NET_CLOSED', `the sender left before the ${what}`)
      return result.value
    } finally {
      stop()
    }
  }

  const sealed = await nextFrame('offer', offerTimeoutMs)
  let offer: OpenedOffer
  try {
    offer = await open(stream.peer, sealed)
  } catch (error) {
    await stream.send(framed(frameKinds.plain, plainRefusalCodec.encode(refusalOf(error))))
    return
  }
  const { secret, offerHash, size } = offer
  const outgoing = createStreamChannel(secret, 'to-sender', offerHash)
  const incoming = createStreamChannel(secret, 'to-receiver', offerHash)
  const send = (event: StreamEvent): Promise<void> => stream.send(framed(frameKinds.sealed, outgoing.seal(encodeStreamEvent(event))))
  const refuse = (error: unknown): Promise<void> => send({ event: 'refused', ...refusalOf(error), retryAfterMs: retryAfterOf(error) })

  let isAccepted = false
  let sink: BodySink
  try {
    sink = await offer.accept((cursor) => {
      if (isAccepted) send({ event: 'kept', cursor }).catch(() => undefined)
    })
  } catch (error) {
    await refuse(error)
    return
  }
  // Closing ends the frames: whoever waits for the next one sees why in the signal.
  const onStop = (): void =>
    void refuse(sink.signal.reason).then(
      () => stream.close(),
      () => stream.abort(sink.signal.reason as Error),
    )
  if (sink.signal.aborted) onStop()
  else sink.signal.addEventListener('abort', onStop, { once: true })
  try {
    isAccepted = true
    if (sink.cursor < size) await send({ event: 'accepted', cursor: sink.cursor })
    for (let at = sink.cursor; at < size;) {
      const chunk = incoming.open(await nextFrame('chunk', receiverIdleMsMax))
      const due = chunkLength(at, size)
      if (chunk.length !== due) throw new MeshError('ERR_PROTOCOL', `a chunk of ${chunk.length} bytes where ${due} were due`)
      await sink.write(chunk)
      at += chunk.length
    }
    const receipt = await sink.finish()
    isAccepted = false
    await send({ event: 'received', receipt })
  } catch (error) {
    if (sink.signal.aborted) throw sink.signal.reason
    await refuse(error)
  } finally {
    isAccepted = false
    sink.signal.removeEventListener('abort', onStop)
    await sink.close()
  }
}
