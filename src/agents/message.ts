import { base64, dayMs, type Did, fromBase64, fromUtf8, MeshError, minuteMs, utf8 } from '../base/index.ts'
import { orderShape } from '../envelope/index.ts'
import { bool, bytesOf, bytesUpTo, codec, type Decoded, listOf, literal, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'

/** A message that was asked lives so long at most, with its answer. Source: klp/v1 section 2. */
export const liveLifetimeMsMax = 10 * minuteMs
/** A message that was sent, or its receipt: it may wait in a mailbox. */
export const sentLifetimeMsMax = 7 * dayMs
/** Body of a message, bytes. Larger ones travel as streams. */
export const bodyBytesMax = 60 * 1024
export const agentNameCharsMax = 64
export const hintsMax = 2
export const tokenBytesMax = 1_024

export const encodings = ['text', 'json', 'bytes'] as const
export type Encoding = (typeof encodings)[number]

const messageShape = row({
  version: literal(1),
  /** The agent it is for; empty for the node's own inbox. */
  agent: textUpTo(agentNameCharsMax),
  expectsReply: bool,
  priority: uintUpTo(9),
  traceId: nullable(bytesOf(16)),
  /** The id of the message this one answers. */
  replyTo: nullable(bytesOf(16)),
  /** For what is sent, not asked: its place among the sender's messages. */
  order: nullable(orderShape),
  /** Addresses the sender may be reached at: a hint and nothing more. */
  hints: listOf(textUpTo(128), hintsMax),
  /** For the agent: what the sender brings as its authorisation. */
  token: nullable(bytesUpTo(tokenBytesMax)),
  encoding: oneOf(encodings),
  body: bytesUpTo(bodyBytesMax),
})
/** Payload of a `message` statement. Source: message/v1 section 1. */
export const messageCodec = codec('message', messageShape, 64 * 1024)

/** A message with nothing said beyond its body. */
export const plainMessage = (content: Pick<Decoded<typeof messageShape>, 'encoding' | 'body'>): Decoded<typeof messageShape> => ({
  version: 1,
  agent: '',
  expectsReply: false,
  priority: 5,
  traceId: undefined,
  replyTo: undefined,
  order: undefined,
  hints: [],
  token: undefined,
  ...content,
})

/** Payload of a `receipt` statement: the message is on the receiver's disk. */
export const receiptCodec = codec('receipt', row({ version: literal(1), status: literal('acknowledged'), messageHash: bytesOf(32) }), 128)

/** The bytes of a body. @throws ERR_USAGE for text that is not Unicode or base64 that is none, ERR_WIRE_TOO_LARGE */
export function bodyBytes(encoding: Encoding, body: string): Uint8Array {
  const bytes = encoding === 'bytes' ? fromBase64(body) : body.isWellFormed() ? utf8(body) : undefined
  if (bytes === undefined) {
    throw new MeshError('ERR_USAGE', encoding === 'bytes' ? 'the body is not base64' : 'the body holds half a character: a lone surrogate')
  }
  if (bytes.length > bodyBytesMax) {
    throw new MeshError('ERR_WIRE_TOO_LARGE', `a body of ${bytes.length} bytes exceeds ${bodyBytesMax}`, { hint: 'send it as a file: kindmesh send --file' })
  }
  return bytes
}

/** The body as text: base64 when it is bytes. @throws ERR_WIRE_MALFORMED when text is not UTF-8 */
export function bodyText(encoding: Encoding, bytes: Uint8Array): string {
  if (encoding === 'bytes') return base64(bytes)
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw new MeshError('ERR_WIRE_MALFORMED', 'the body is not UTF-8', { cause })
  }
}

/** A message as agents and inboxes see it. */
export interface Message {
  /** Statement id, hexadecimal. */
  readonly id: string
  readonly from: Did
  readonly type: string
  readonly agent: string
  readonly encoding: Encoding
  /** Base64 when the encoding is bytes. */
  readonly body: string
  readonly receivedAt: number
  /** Id of the group it was said in, hexadecimal. */
  readonly group?: string | undefined
  /** 0, later, to 9, sooner. */
  readonly priority: number
  readonly traceId?: string | undefined
  readonly replyTo?: string | undefined
  /** What the sender brings as its authorisation, base64: a claim, verified by nobody here. */
  readonly token?: string | undefined
}

/** Somebody who lives at this node and answers. */
export interface Agent {
  readonly name: string
  /** The reply as plain JSON data. `signal` aborts when the asker gives up. */
  receive(message: Message & { readonly data: unknown }, options: { readonly signal: AbortSignal }): Promise<unknown>
}
