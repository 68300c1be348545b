import { MeshError } from '../../base/index.ts'
import { bool, bytesOf, bytesUpTo, type Codec, codec, instant, listOf, nullable, oneOf, row, type Shape, uintUpTo } from '../../wire/index.ts'
import { type Range, syncFanout, syncNamesMax, syncRangesMax } from './ranges.ts'
import { nameBytes } from './sequence.ts'

export const attSyncProtocol = '/kindmesh/att-sync/1.0.0'
/** Largest frame either way. Source: trust/v1 section 5.8. */
export const syncFrameBytesMax = 64 << 10
/** Issuers one session is about. */
export const syncIssuersMax = 4_096
/** An issuer on the wire: the first bytes of its first key. Two with the same ones bring some statements too many. */
export const issuerTagBytes = 8
/** Statements asked for in one question. */
export const syncWantsMax = 128
export const syncItemBytesMax = 4_096
/** Statements in one frame: with the ranges they stay below what one CBOR value may hold. */
export const syncItemsMax = 200

export const syncKinds = ['attestation', 'revocation', 'head', 'warrant'] as const
/** A signed statement as it travels; the reader verifies it. */
export interface SyncItem {
  readonly kind: (typeof syncKinds)[number]
  readonly bytes: Uint8Array
}

const whats = ['skip', 'fingerprint', 'names'] as const
const wireRange = row({
  step: uintUpTo(Number.MAX_SAFE_INTEGER),
  prefix: bytesUpTo(nameBytes),
  what: oneOf([0, 1, 2]),
  bytes: bytesUpTo(syncNamesMax * nameBytes),
})

/** Ranges with the time of each end as the step from the end before. */
const rangesUpTo = (max: number): Shape<readonly Range[]> => {
  const list = listOf(wireRange, max)
  return {
    encode(ranges) {
      let before = 0
      return list.encode(
        ranges.map(({ until: { time, prefix }, what, bytes }) => {
          const step = time - before
          before = time
          return { step, prefix, what: whats.indexOf(what) as 0 | 1 | 2, bytes }
        }),
      )
    },
    decode(plain, path) {
      let time = 0
      return list.decode(plain, path).map(({ step, prefix, what, bytes }) => {
        time += step
        const fits = what === 0 ? bytes.length === 0 : what === 1 ? bytes.length === nameBytes : bytes.length % nameBytes === 0
        if (!fits || !Number.isSafeInteger(time)) throw new MeshError('ERR_WIRE_MALFORMED', `${path} says something no range says`)
        return { until: { time, prefix }, what: whats[what], bytes }
      })
    },
  }
}

/** One question: about whose statements, what the asker has in some ranges, and which it wants whole. */
export interface SyncQuestion {
  /** First 16 bytes of the SHA-256 of the tags. */
  readonly scope: Uint8Array
  /** Tags of the issuers side by side, rising; undefined when the holder was told before. */
  readonly tags: Uint8Array | undefined
  /** Statements that end earlier are left out on both sides, ms since 1970. */
  readonly liveAt: number
  /** Heads signed later are wanted; undefined for none. */
  readonly headsAfter: number | undefined
  readonly ranges: readonly Range[]
  readonly wants: readonly Uint8Array[]
}
export const syncQuestionCodec: Codec<SyncQuestion> = codec(
  'sync question',
  row({
    scope: bytesOf(nameBytes),
    tags: nullable(bytesUpTo(syncIssuersMax * issuerTagBytes)),
    liveAt: instant,
    headsAfter: nullable(instant),
    ranges: rangesUpTo(2 * syncRangesMax + 1),
    wants: listOf(bytesOf(nameBytes), syncWantsMax),
  }),
  syncFrameBytesMax,
)

/** The answer to one question, in one frame or more. */
export interface SyncAnswer {
  /** False: the tags behind `scope` are needed, nothing else is said. */
  readonly known: boolean
  /** Another frame to the same question follows. */
  readonly more: boolean
  readonly ranges: readonly Range[]
  readonly items: readonly SyncItem[]
}
export const syncAnswerCodec: Codec<SyncAnswer> = codec(
  'sync answer',
  row({
    known: bool,
    more: bool,
    ranges: rangesUpTo(syncRangesMax * (syncFanout + 1) + 1),
    items: listOf(row({ kind: oneOf(syncKinds), bytes: bytesUpTo(syncItemBytesMax) }), syncItemsMax),
  }),
  syncFrameBytesMax,
)
