import { type Clock, codeFromPeer, type Did, MeshError, secondMs } from '../../base/index.ts'
import { tagBytesLength } from '../../crypto/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import { type Channel, frameKinds, plainRefusalCodec, unframed } from '../channel.ts'
import { createStreamChannel } from './channel.ts'
import { chunkBytes, decodeStreamEvent, streamFrameBytesMax, streamProtocol, type StreamEvent } from './codec.ts'
import { createWatchdog } from './watchdog.ts'

/** A sender that hears nothing and gets no chunk off for this long gives the stream up; the transfer goes on with the next. Source: stream/v1 section 6. */
export const senderIdleMsMax = 60 * secondMs
/** Chunks handed to the transport and not yet taken by it: what a reader that stalls costs its sender. Source: stream/v1 section 6. */
export const chunksUnderWayMax = 8

export interface Push {
  /** The sealed, signed offer. */
  readonly sealed: Uint8Array
  readonly secret: Uint8Array
  readonly offerHash: Uint8Array
  /** The body from `cursor` to its end, in chunks; each is read before the next is asked for. */
  chunks(cursor: number): AsyncIterable<Uint8Array>
  /** Everything before `cursor` is on the receiver's disk. */
  onKept(cursor: number): void
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/**
 * Offers a body and sends what the receiver lacks of it; gives the signed receipt.
 * @throws the receiver's coded refusal (its `details.retryAfterMs` says when to come back), what `chunks` throws, ERR_NET_*, ERR_PROTOCOL, ERR_CRYPTO_OPEN, ERR_TIMEOUT
 */
export async function pushStream(host: Host, receiver: Did, push: Push): Promise<Uint8Array> {
  const { signal, clock, secret, offerHash } = push
  const stream = await host.open(receiver, streamProtocol, { frameBytesMax: streamFrameBytesMax, signal })
  const onAbort = (): void => stream.abort(signal?.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()
  const late = new MeshError('ERR_TIMEOUT', `nothing moved for ${senderIdleMsMax} ms`)
  let isLate = false
  const watchdog = createWatchdog(clock, senderIdleMsMax, () => {
    isLate = true
    stream.abort(late)
  })
  try {
    await stream.send(push.sealed)
    const events = readEvents(stream, createStreamChannel(secret, 'to-sender', offerHash), watchdog.hear)
    const receipt = await converse(stream, events, push, watchdog.hear)
    await stream.close()
    return receipt
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)))
    signal?.throwIfAborted()
    throw isLate ? late : error
  } finally {
    watchdog.stop()
    signal?.removeEventListener('abort', onAbort)
  }
}

async function converse(
  stream: HostStream,
  events: AsyncGenerator<StreamEvent>,
  { secret, offerHash, chunks, onKept }: Push,
  hear: () => void,
): Promise<Uint8Array> {
  const first = await events.next()
  if (first.done === true) throw new MeshError('ERR_NET_CLOSED', 'the receiver ended the stream before it answered')
  if (first.value.event === 'received') return first.value.receipt
  if (first.value.event !== 'accepted') throw new MeshError('ERR_PROTOCOL', `${first.value.event} where accepted was due`)
  const { cursor } = first.value
  onKept(cursor)

  let kept = cursor
  async function untilReceived(): Promise<Uint8Array> {
    for await (const event of events) {
      if (event.event === 'received') return event.receipt
      if (event.event !== 'kept' || event.cursor < kept) throw new MeshError('ERR_PROTOCOL', `${event.event} where kept was due`)
      kept = event.cursor
      onKept(kept)
    }
    throw new MeshError('ERR_NET_CLOSED', 'the receiver ended the stream before the receipt')
  }
  const received = untilReceived()
  // Its answer may come while we still read the body; why a stream ended is said by it alone.
  await Promise.race([received, sendChunks(stream, createStreamChannel(secret, 'to-receiver', offerHash), chunks(cursor), hear)])
  return await received
}

/** Sends until the body or the stream ends: why the stream ended is said by the events that came on it. Throws only what the body throws. */
async function sendChunks(stream: HostStream, channel: Channel, chunks: AsyncIterable<Uint8Array>, hear: () => void): Promise<void> {
  const underWay: Promise<boolean>[] = []
  // A frame is copied by the time `send` resolves: few buffers serve all, and a long body leaves no garbage of its own.
  const buffers = Array.from({ length: chunksUnderWayMax }, () => new Uint8Array(chunkBytes + tagBytesLength))
  let count = 0
  for await (const chunk of chunks) {
    underWay.push(
      stream.send(channel.seal(chunk, buffers[count++ % chunksUnderWayMax])).then(
        () => true,
        () => false,
      ),
    )
    if (underWay.length >= chunksUnderWayMax && (await underWay.shift()) === false) return
    hear()
  }
  await Promise.all(underWay)
  hear()
}

async function* readEvents(stream: HostStream, channel: Channel, hear: () => void): AsyncGenerator<StreamEvent> {
  for await (const frame of stream.frames) {
    hear()
    const { kind, body } = unframed(frame)
    if (kind === frameKinds.plain) {
      const { code, message } = plainRefusalCodec.decode(body)
      throw new MeshError(codeFromPeer(code), message)
    }
    const event = decodeStreamEvent(channel.open(body))
    if (event.event === 'refused') throw new MeshError(codeFromPeer(event.code), event.message, { details: { retryAfterMs: event.retryAfterMs } })
    yield event
  }
}
