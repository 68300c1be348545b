import { dayMs, minuteMs } from '../../base/index.ts'
import { bytesOf, bytesUpTo, codec, type Decoded, literal, nullable, oneOf, row, type Shape, textUpTo, uintUpTo } from '../../wire/index.ts'
import { retryAfterMsMax } from '../channel.ts'

export const streamProtocol = '/kindmesh/stream/1.0.0'
/** Bytes of the body in one frame; the last one may have fewer. Source: stream/v1 section 3. */
export const chunkBytes = 64 * 1024
/** Largest frame either way: a sealed chunk, or a box with an offer. Source: stream/v1 section 6. */
export const streamFrameBytesMax = chunkBytes + 1_024
/** Largest body of one transfer. Source: stream/v1 section 6. */
export const bodyBytesMax = 1024 * 1024 * 1024 * 1024
/** Name of a file as the sender gives it. Source: stream/v1 section 2. */
export const nameCharsMax = 255
export const mediaTypeCharsMax = 127
/** An offer is good this long after it was signed; every attempt signs a new one. Source: stream/v1 section 2. */
export const offerLifetimeMsMax = 10 * minuteMs
/** Receipts are evidence and live longer. Source: stream/v1 section 5. */
export const streamReceiptLifetimeMs = 400 * dayMs
export const offerBytesMax = 4_096

const cursor = uintUpTo(bodyBytesMax)

const offerShape = row({
  version: literal(1),
  /** Chosen by the sender, the same in every attempt. */
  transfer: bytesOf(16),
  name: textUpTo(nameCharsMax),
  size: cursor,
  /** SHA-256 of the whole body. */
  hash: bytesOf(32),
  chunkBytes: literal(chunkBytes),
  mediaType: nullable(textUpTo(mediaTypeCharsMax)),
  /** Root of the keys for everything else on this stream. */
  secret: bytesOf(32),
})
/** Payload of a signed `stream-offer`. Source: stream/v1 section 2. */
export const offerCodec = codec('stream offer', offerShape, offerBytesMax)
export type Offer = Decoded<typeof offerShape>

const receiptShape = row({ version: literal(1), status: literal('received'), transfer: bytesOf(16), size: cursor, hash: bytesOf(32) })
/** Payload of a signed `stream-receipt`: the whole body is on the receiver's disk and has this hash. Source: stream/v1 section 5. */
export const streamReceiptCodec = codec('stream receipt', receiptShape, 256)
export type StreamReceipt = Decoded<typeof receiptShape>

const eventShapes = {
  /** The first chunk wanted begins at `cursor`. */
  accepted: row({ event: literal('accepted'), cursor }),
  /** Everything before `cursor` is on the receiver's disk. */
  kept: row({ event: literal('kept'), cursor }),
  /** The signed `stream-receipt`. */
  received: row({ event: literal('received'), receipt: bytesUpTo(8_192) }),
  refused: row({ event: literal('refused'), code: textUpTo(64), message: textUpTo(512), retryAfterMs: uintUpTo(retryAfterMsMax) }),
} as const

export type StreamEvent = { [K in keyof typeof eventShapes]: Decoded<(typeof eventShapes)[K]> }[keyof typeof eventShapes]
const eventNames = Object.keys(eventShapes) as readonly (keyof typeof eventShapes)[]
const eventBytesMax = 10_000
const eventCodecs = new Map(eventNames.map((name) => [name, codec(`stream event ${name}`, eventShapes[name] as Shape<StreamEvent>, eventBytesMax)]))
const namedCodec = codec('stream event', row({ name: oneOf(eventNames), body: bytesUpTo(eventBytesMax) }), eventBytesMax + 64)

export function encodeStreamEvent(event: StreamEvent): Uint8Array {
  return namedCodec.encode({ name: event.event, body: eventCodecs.get(event.event)?.encode(event) ?? new Uint8Array() })
}

/** @throws ERR_WIRE_* */
export function decodeStreamEvent(bytes: Uint8Array): StreamEvent {
  const { name, body } = namedCodec.decode(bytes)
  const found = eventCodecs.get(name)
  if (found === undefined) throw new Error('every name has a codec')
  return found.decode(body)
}

/** Bytes of the chunk that begins at `at` of a body of `size` bytes. */
export const chunkLength = (at: number, size: number): number => Math.min(chunkBytes, size - at)
