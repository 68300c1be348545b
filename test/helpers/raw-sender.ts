import { type Did, realClock, realRandom } from '../../src/base/index.ts'
import { sealBox } from '../../src/envelope/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { type Signed, signStatement } from '../../src/identity/index.ts'
import type { HostStream } from '../../src/net/index.ts'
import { plainRefusalCodec, unframed } from '../../src/protocols/channel.ts'
import { createStreamChannel } from '../../src/protocols/stream/channel.ts'
import { chunkBytes, decodeStreamEvent, offerCodec, streamFrameBytesMax, streamProtocol, type StreamEvent } from '../../src/protocols/stream/codec.ts'
import type { Link } from '../../src/protocols/klp/index.ts'
import type { RawPeer } from './raw-peer.ts'

export interface OfferFields {
  readonly to: Did
  readonly body?: Uint8Array
  readonly name?: string
  readonly transfer?: Uint8Array
  readonly size?: number
  readonly hash?: Uint8Array
  readonly issuedAt?: number
  readonly lifetimeMs?: number
  readonly kind?: 'stream-offer' | 'message'
}

/** An offer with any fields an attacker likes. */
export function signOffer(peer: Pick<RawPeer, 'keyring'>, secret: Uint8Array, fields: OfferFields): Signed {
  const {
    to,
    body = new Uint8Array(),
    name = 'a.bin',
    transfer = realRandom.bytes(16),
    issuedAt = realClock.now(),
    lifetimeMs = 60_000,
    kind = 'stream-offer',
  } = fields
  const { size = body.length, hash = sha256(body) } = fields
  const payload = offerCodec.encode({ version: 1, transfer, name, size, hash, chunkBytes, mediaType: undefined, secret })
  return signStatement(kind, { to, type: 'stream_offer', payload, issuedAt, expiresAt: issuedAt + lifetimeMs }, { keyring: peer.keyring, random: realRandom })
}

/** The sender's end of a bulk stream, worked by hand. */
export interface RawSending {
  readonly stream: HostStream
  readonly sealed: Uint8Array
  /** The next thing the receiver says; undefined when it ended the stream. */
  next(): Promise<StreamEvent | { readonly event: 'plain'; readonly code: string; readonly message: string } | undefined>
  /** Seals and sends a chunk; false when the stream is gone. */
  chunk(bytes: Uint8Array): Promise<boolean>
  /** Sends the rest of a body from the cursor. */
  rest(body: Uint8Array, cursor: number): Promise<boolean>
  /** Everything the receiver still says. */
  all(): Promise<readonly NonNullable<Awaited<ReturnType<RawSending['next']>>>[]>
}

export interface RawSendOptions extends Omit<OfferFields, 'to'> {
  /** Sent in place of the offer made from the fields. */
  readonly sealed?: Uint8Array
  readonly signed?: Signed
  readonly secret?: Uint8Array
}

/** Opens a stream and makes an offer. */
export async function openRawSending(peer: RawPeer, link: Link, options: RawSendOptions = {}): Promise<RawSending> {
  const { secret = realRandom.bytes(32), signed = signOffer(peer, secret, { ...options, to: link.peer }) } = options
  const sealed = options.sealed ?? sealBox(signed.bytes, { bundle: peer.bundleOf(link), now: realClock.now(), random: realRandom })
  const stream = await peer.host.open(link.peer, streamProtocol, { frameBytesMax: streamFrameBytesMax })
  const frames = stream.frames[Symbol.asyncIterator]()
  const incoming = createStreamChannel(secret, 'to-sender', signed.hash)
  const outgoing = createStreamChannel(secret, 'to-receiver', signed.hash)
  await stream.send(sealed)
  const sending: RawSending = {
    stream,
    sealed,
    async next() {
      const result: IteratorResult<Uint8Array, void> = await frames.next().catch(() => ({ done: true, value: undefined }))
      if (result.done === true) return undefined
      const { kind, body } = unframed(result.value)
      return kind === 0 ? { event: 'plain', ...plainRefusalCodec.decode(body) } : decodeStreamEvent(incoming.open(body))
    },
    chunk: (bytes) =>
      stream.send(outgoing.seal(bytes)).then(
        () => true,
        () => false,
      ),
    async rest(body, cursor) {
      for (let at = cursor; at < body.length; at += chunkBytes) if (!(await sending.chunk(body.subarray(at, at + chunkBytes)))) return false
      return true
    },
    async all() {
      const events = []
      for (let event = await sending.next(); event !== undefined; event = await sending.next()) events.push(event)
      return events
    },
  }
  return sending
}
