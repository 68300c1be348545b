import type { Did } from '../base/index.ts'
import { bool, bytesOf, codec, did, type Decoded, instant, nullable, row, uintUpTo } from '../wire/index.ts'
import type { Ratchet } from './ratchet.ts'

const counter = uintUpTo(0xffff_ffff)

const recordShape = row({
  peer: did,
  generation: counter,
  opening: bytesOf(32),
  isConfirmed: bool,
  usedAt: instant,
  suite: uintUpTo(255),
  sendTag: bytesOf(8),
  receiveTag: bytesOf(8),
  mix: bytesOf(32),
  root: bytesOf(32),
  own: row({ secret: bytesOf(32), public: bytesOf(32) }),
  theirs: bytesOf(32),
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
  /** The key it was opened with: of equal generations the lowest is sent on. */
  readonly opening: Uint8Array
  /** Generation of the session whose frame brought its offer; nothing when a box did. */
  readonly heals: number | undefined
  /** The peer has held it. */
  isConfirmed: boolean
  /** Read from a disk, where it may be older than what was sent, or lost by the peer. Source: klp/v1 section 3.2. */
  isReceiveOnly: boolean
  /** The peer has since begun anew as if it held nothing. */
  isDoubted: boolean
  /** When something last came on it. */
  usedAt: number
  readonly ratchet: Ratchet
  /** By name, oldest first. */
  readonly skipped: Map<string, { readonly key: Uint8Array; readonly until: number }>
}

export function toStored({ peer, generation, opening, isConfirmed, usedAt, ratchet }: Session): Decoded<typeof recordShape> {
  const { suite, sendTag, receiveTag, mix, root, own, peer: theirs, sent, previous, receiving } = ratchet
  return { peer, generation, opening, isConfirmed, usedAt, suite, sendTag, receiveTag, mix, root, own, theirs, sent, previous, receiving }
}

export function fromStored(stored: Decoded<typeof recordShape>): Session {
  const { peer, generation, opening, isConfirmed, usedAt, suite, theirs, ...rest } = stored
  const ratchet: Ratchet = { ...rest, peer: theirs, suite: suite === 2 ? 2 : 1, sending: undefined }
  return { peer, generation, opening, heals: undefined, isConfirmed, isReceiveOnly: true, isDoubted: false, usedAt, ratchet, skipped: new Map() }
}
