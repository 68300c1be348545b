import type { Did } from '../base/index.ts'
import { bool, bytesOf, codec, did, type Decoded, instant, nullable, row, uintUpTo } from '../wire/index.ts'
import type { Ratchet } from './ratchet.ts'

const counter = uintUpTo(0xffff_ffff)

const recordShape = row({
  peer: did,
  generation: counter,
  isConfirmed: bool,
  usedAt: instant,
  suite: uintUpTo(255),
  sendTag: bytesOf(8),
  receiveTag: bytesOf(8),
  mix: bytesOf(32),
  root: bytesOf(32),
  own: row({ secret: bytesOf(32), public: bytesOf(32) }),
  theirs: nullable(bytesOf(32)),
  hasSent: bool,
  sent: counter,
  previous: counter,
  receiving: nullable(row({ key: bytesOf(32), n: counter })),
})

/** A session at rest. Its sending chain is not among what is kept. */
export const sessionCodec = codec('stored session', recordShape, 1_024)
export const skippedCodec = codec('skipped key', row({ key: bytesOf(32), until: instant }), 64)

export interface Session {
  readonly peer: Did
  /** Of two sessions with a peer the higher one is sent on. */
  readonly generation: number
  /** The peer is known to hold it. */
  isConfirmed: boolean
  /** When something last came on it. */
  usedAt: number
  readonly ratchet: Ratchet
  /** By name, oldest first. */
  readonly skipped: Map<string, { readonly key: Uint8Array; readonly until: number }>
}

export function toStored({ peer, generation, isConfirmed, usedAt, ratchet }: Session): Decoded<typeof recordShape> {
  const { suite, sendTag, receiveTag, mix, root, own, peer: theirs, hasSent, sent, previous, receiving } = ratchet
  return { peer, generation, isConfirmed, usedAt, suite, sendTag, receiveTag, mix, root, own, theirs, hasSent, sent, previous, receiving }
}

export function fromStored(stored: Decoded<typeof recordShape>): Session {
  const { peer, generation, isConfirmed, usedAt, suite, theirs, ...rest } = stored
  return { peer, generation, isConfirmed, usedAt, ratchet: { ...rest, peer: theirs, suite: suite === 2 ? 2 : 1, sending: undefined }, skipped: new Map() }
}
