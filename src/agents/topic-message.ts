import { concat, type Did, didFromKey, hex, MeshError, minuteMs, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { openStatement, type Signed } from '../identity/index.ts'
import { decodeSaid, type Said } from './said.ts'

/** Topic names, UTF-16 units. Source: topic/v1 section 1. */
export const topicNameCharsMax = 128
/** Body of a topic message, bytes: every subscriber carries it on. Source: topic/v1 section 2. */
export const topicBodyBytesMax = 16 * 1024
/** A signed topic message as it travels. Source: topic/v1 section 2. */
export const topicMessageBytesMax = 32 * 1024
/** A topic message is good for this long at most. Source: topic/v1 section 2. */
export const topicLifetimeMsMax = 2 * minuteMs

/** Gossip topics of public topics: this and 64 hexadecimal digits. Source: topic/v1 section 1. */
export const topicChannelPrefix = '/kindmesh/topic/1/'

export const isTopicChannel = (channel: string): boolean =>
  channel.length === topicChannelPrefix.length + 64 && /^\/kindmesh\/topic\/1\/[0-9a-f]{64}$/.test(channel)

export interface TopicId {
  /** SHA-256 of a domain and the name. */
  readonly bytes: Uint8Array
  /** The same 32 bytes where a statement names its audience. Nobody holds a key to it. */
  readonly audience: Did
  /** The gossip topic. */
  readonly channel: string
}

/** @throws ERR_USAGE for an empty or long name, or one with control characters. Source: topic/v1 section 1. */
export function topicIdOf(name: string): TopicId {
  if (name === '' || name.length > topicNameCharsMax || /\p{Cc}|\p{Cs}/u.test(name)) {
    throw new MeshError('ERR_USAGE', `a topic has a name of 1 to ${topicNameCharsMax} characters, none of them a control character`)
  }
  const bytes = sha256(concat(utf8('klp/1/topic\0'), utf8(name)))
  return { bytes, audience: didFromKey(bytes), channel: topicChannelPrefix + hex(bytes) }
}

export interface TopicContent extends Said {
  readonly signed: Signed
}

/**
 * Reads and verifies what somebody published. Source: topic/v1 section 2.
 * @throws ERR_WIRE_*, ERR_STATEMENT_*; ERR_STATEMENT_AUDIENCE when it was said elsewhere, ERR_STATEMENT_SENDER when `from` is not its author
 */
export function openTopicMessage(bytes: Uint8Array, { topic, from, now }: { readonly topic: TopicId; readonly from: Did; readonly now: number }): TopicContent {
  if (bytes.length > topicMessageBytesMax) {
    throw new MeshError('ERR_WIRE_TOO_LARGE', `a topic message of ${bytes.length} bytes exceeds ${topicMessageBytesMax}`)
  }
  const signed = openStatement('message', bytes, { now, lifetimeMsMax: topicLifetimeMsMax })
  if (signed.statement.to !== topic.audience) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the message was published elsewhere')
  if (signed.statement.from !== from) throw new MeshError('ERR_STATEMENT_SENDER', 'the message was published by somebody else than its author')
  const { encoding, body } = decodeSaid(signed.statement.type, signed.statement.payload, topicBodyBytesMax)
  return { signed, encoding, body }
}
