import { bytesUpTo, type Codec, codec, did, listOf, literal, oneOf, row } from '../../wire/index.ts'

export const meetProtocol = '/kindmesh/att-meet/1.0.0'
/** Statements in one put. trust/v1 section 5. */
export const meetPutMax = 16
/** Statements in one list. trust/v1 section 5. */
export const meetListMax = 64
/** One statement in a put or a list. trust/v1 section 5. */
export const meetStatementBytesMax = 1_280
/** Largest frame either way. trust/v1 section 5. */
export const meetFrameBytesMax = meetListMax * (meetStatementBytesMax + 32)

const kinds = ['attestation', 'revocation'] as const
/** What an issuer says about the subject, signed; the reader verifies it. */
export interface MeetItem {
  readonly kind: (typeof kinds)[number]
  readonly bytes: Uint8Array
}

/**
 * What became of a statement: `kept`; `known`, or older than what is kept; `invalid`: forged, expired or of no such kind;
 * `full`: a quota; `busy`: the verify budget, later it may be kept.
 */
export const meetOutcomes = ['kept', 'known', 'invalid', 'full', 'busy'] as const
export type MeetOutcome = (typeof meetOutcomes)[number]

const item = row({ kind: oneOf(kinds), bytes: bytesUpTo(meetStatementBytesMax) })

export const putCodec = codec('put', row({ ask: literal('put'), items: listOf(item, meetPutMax) }), meetFrameBytesMax)
export const listCodec = codec('list', row({ ask: literal('list'), subject: did }), 64)
export const putAnswerCodec = codec('put answer', listOf(oneOf(meetOutcomes), meetPutMax), 256)
export const listAnswerCodec = codec('list answer', listOf(item, meetListMax), meetFrameBytesMax)

type CodecValue<C> = C extends Codec<infer T> ? T : never
export type MeetRequest = CodecValue<typeof putCodec> | CodecValue<typeof listCodec>

/** A list is a short frame, a put is not: no statement fits into one so short. @throws ERR_WIRE_TOO_LARGE, ERR_WIRE_MALFORMED */
export const decodeMeetRequest = (frame: Uint8Array): MeetRequest => (frame.length <= 64 ? listCodec.decode(frame) : putCodec.decode(frame))
