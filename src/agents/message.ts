import type { Did } from '../base/index.ts'
import { bool, bytesOf, codec, literal, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'

/** Body of a message, UTF-16 units; its UTF-8 bytes are bounded by the statement. */
export const bodyCharsMax = 60 * 1024
export const agentNameCharsMax = 64

/** Payload of a `message` statement. Source: message/v1 section 1. */
export const messageCodec = codec(
  'message',
  row({
    version: literal(1),
    /** The agent it is for; empty for the node's own inbox. */
    agent: textUpTo(agentNameCharsMax),
    expectsReply: bool,
    priority: uintUpTo(9),
    traceId: nullable(bytesOf(16)),
    encoding: oneOf(['text', 'json']),
    body: textUpTo(bodyCharsMax),
  }),
  64 * 1024,
)

/** Payload of a `receipt` statement: the message is on the receiver's disk. */
export const receiptCodec = codec('receipt', row({ version: literal(1), status: literal('acknowledged'), messageHash: bytesOf(32) }), 128)

/** A message as agents and inboxes see it. */
export interface Message {
  /** Statement id, hexadecimal. */
  readonly id: string
  readonly from: Did
  readonly type: string
  readonly agent: string
  readonly encoding: 'text' | 'json'
  readonly body: string
  readonly receivedAt: number
}

/** Somebody who lives at this node and answers. */
export interface Agent {
  readonly name: string
  /** The reply as plain JSON data. `signal` aborts when the asker gives up. */
  receive(message: Message & { readonly data: unknown }, options: { readonly signal: AbortSignal }): Promise<unknown>
}
