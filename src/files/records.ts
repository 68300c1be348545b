import { nameCharsMax, mediaTypeCharsMax, bodyBytesMax } from '../protocols/stream/index.ts'
import { bytesOf, bytesUpTo, codec, type Decoded, did, instant, literal, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'

/** Longest path of a file or folder, UTF-16 units. */
export const pathCharsMax = 4_096
const recordBytesMax = 24 * 1024
const body = { name: textUpTo(nameCharsMax), size: uintUpTo(bodyBytesMax), hash: bytesOf(32), mediaType: nullable(textUpTo(mediaTypeCharsMax)) }

const incomingShape = row({
  version: literal(1),
  from: did,
  transfer: bytesOf(16),
  ...body,
  dir: textUpTo(pathCharsMax),
  /** Bytes that are synced to the part file. */
  cursor: uintUpTo(bodyBytesMax),
  /** The name chosen in `dir`, set before the file gets it. */
  final: nullable(textUpTo(pathCharsMax)),
  touchedAt: instant,
  /** When the whole was there, with the receipt. */
  receivedAt: nullable(instant),
})
/** A file on its way here, or that came. */
export type IncomingRecord = Decoded<typeof incomingShape>
export const incomingCodec = codec('incoming transfer', incomingShape, recordBytesMax)

/** `queued` and `sending` go on; the others are ends. */
export const outgoingStatuses = ['queued', 'sending', 'acknowledged', 'failed', 'expired', 'cancelled'] as const
export type OutgoingStatus = (typeof outgoingStatuses)[number]

const outgoingShape = row({
  version: literal(1),
  to: did,
  transfer: bytesOf(16),
  ...body,
  path: textUpTo(pathCharsMax),
  /** As the file was when it was hashed. */
  mtimeMs: instant,
  status: oneOf(outgoingStatuses),
  /** Bytes the receiver has said are on its disk. */
  cursor: uintUpTo(bodyBytesMax),
  createdAt: instant,
  expiresAt: instant,
  tries: uintUpTo(Number.MAX_SAFE_INTEGER),
  /** Why the last attempt did not end well; empty when none has failed. */
  code: textUpTo(64),
  message: textUpTo(512),
  /** The signed `stream-receipt`. */
  receipt: nullable(bytesUpTo(8_192)),
})
/** A file on its way to a peer, or that went. */
export type OutgoingRecord = Decoded<typeof outgoingShape>
export const outgoingCodec = codec('outgoing transfer', outgoingShape, recordBytesMax)
