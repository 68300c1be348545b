import { type Clock, type Did, type Logger, MeshError, type Random, type SignalOption, toMeshError, utf8 } from '../../base/index.ts'
import { equalSecret, hkdfExpand, hkdfExtract, sha256 } from '../../crypto/index.ts'
import type { Host } from '../../net/index.ts'
import { bytesOf, codec, did, literal, row } from '../../wire/index.ts'
import { refusalOf } from '../channel.ts'
import { readAnswer, refusalCodec } from './codec.ts'
import type { Party } from './proof.ts'
import { conversing, turnsOf } from './turns.ts'
import { sasWords } from './words.ts'

export const sasProtocol = '/kindmesh/sas/1.0.0'
export const sasFrameBytesMax = 1_024
/** Streams one peer may hold open to compare. Source: join/v1 section 7. */
export const sasStreamsPerPeerMax = 2
const nonceBytesLength = 32
const salt = utf8('kindmesh/sas/1')

/** What two people read to each other. */
export interface Sas {
  /** Six of 256 words: 48 bits. */
  readonly words: readonly string[]
  /** Six digits, for who would rather. */
  readonly digits: string
}

const side = row({ identity: did, key: did, nonce: bytesOf(nonceBytesLength) })
const commitmentCodec = codec('sas commitment', row({ version: literal(1), initiator: side }), 512)
const transcriptCodec = codec('sas transcript', row({ version: literal(1), commitment: bytesOf(32), initiator: side, responder: side }), 512)
const commitCodec = codec('sas commit', row({ frame: literal(1), commitment: bytesOf(32) }), sasFrameBytesMax)
const nonceCodec = codec('sas nonce', row({ frame: literal(2), nonce: bytesOf(nonceBytesLength) }), sasFrameBytesMax)
const revealCodec = codec('sas reveal', row({ frame: literal(3), nonce: bytesOf(nonceBytesLength) }), sasFrameBytesMax)
const doneCodec = codec('sas end', row({ frame: literal(4) }), sasFrameBytesMax)

export type SasSide = Party & { readonly nonce: Uint8Array }

/** Binds the initiator to its nonce before it sees the other's. */
export const sasCommitment = (initiator: SasSide): Uint8Array => sha256(commitmentCodec.encode({ version: 1, initiator }))

/** What both sides read aloud; any other key or nonce gives another. Source: join/v1 section 7. */
export function sasOf(initiator: SasSide, responder: SasSide): Sas {
  const transcript = transcriptCodec.encode({ version: 1, commitment: sasCommitment(initiator), initiator, responder })
  const bytes = hkdfExpand(hkdfExtract(salt, transcript), utf8('words and digits'), 14)
  const number = new DataView(bytes.buffer, bytes.byteOffset + 6, 8).getBigUint64(0) % 1_000_000n
  return { words: [...bytes.subarray(0, 6)].map((byte) => sasWords[byte] ?? ''), digits: String(number).padStart(6, '0') }
}

export interface SasParts {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly self: Did
  /** The identity of the key of a stream. */
  identityOf(key: Did): Did
}

/** Answers who wants to compare; `admit` may refuse, `onSas` gets the result. */
export function serveSas(
  { host, clock, random, logger, self, identityOf }: SasParts,
  { admit, onSas }: { readonly admit: (key: Did) => void; readonly onSas: (key: Did, sas: Sas) => void },
): void {
  host.handle(sasProtocol, { frameBytesMax: sasFrameBytesMax, inboundStreamsMax: sasStreamsPerPeerMax }, async (stream) => {
    const turns = turnsOf(stream, clock)
    try {
      const { commitment } = commitCodec.decode(await turns.next('commitment'))
      admit(stream.peer)
      const responder = { identity: self, key: host.did, nonce: random.bytes(nonceBytesLength) }
      await stream.send(nonceCodec.encode({ frame: 2, nonce: responder.nonce }))
      const { nonce } = revealCodec.decode(await turns.next('nonce'))
      const initiator = { identity: identityOf(stream.peer), key: stream.peer, nonce }
      if (!equalSecret(sasCommitment(initiator), commitment)) throw new MeshError('ERR_SAS_MISMATCH', 'the other side changed its mind about its nonce')
      onSas(stream.peer, sasOf(initiator, responder))
      await stream.send(doneCodec.encode({ frame: 4 }))
      await stream.close()
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('comparison broken off', { peer: stream.peer, code: reason.code })
      try {
        await stream.send(refusalCodec.encode({ frame: 0, ...refusalOf(reason) }))
        await stream.close()
      } catch {
        stream.abort(reason)
      }
    }
  })
}

/** Asks the peer under this key for something to compare. @throws its coded refusal, ERR_NET_*, ERR_WIRE_*, ERR_TIMEOUT */
export async function compareWith({ host, clock, random, self, identityOf }: SasParts, key: Did, { signal }: SignalOption = {}): Promise<Sas> {
  const stream = await host.open(key, sasProtocol, { frameBytesMax: sasFrameBytesMax, signal })
  return await conversing(stream, { signal }, async () => {
    const turns = turnsOf(stream, clock)
    const initiator = { identity: self, key: host.did, nonce: random.bytes(nonceBytesLength) }
    await stream.send(commitCodec.encode({ frame: 1, commitment: sasCommitment(initiator) }))
    const { nonce } = readAnswer(await turns.next('nonce'), nonceCodec)
    await stream.send(revealCodec.encode({ frame: 3, nonce: initiator.nonce }))
    readAnswer(await turns.next('last word'), doneCodec)
    return sasOf(initiator, { identity: identityOf(stream.peer), key: stream.peer, nonce })
  })
}
