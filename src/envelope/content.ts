import { type Did, MeshError, toMeshError } from '../base/index.ts'
import { kemCiphertextBytesLength } from '../crypto/index.ts'
import {
  batchStatementsMax,
  checkTime,
  type Composed,
  type Keyring,
  readStatement,
  signatureOf,
  signBatch,
  verifyBatch,
  verifySignature,
} from '../identity/index.ts'
import { bytesOf, bytesUpTo, codec, encode, listOf, literal, nullable, oneOf, row, uintUpTo } from '../wire/index.ts'
import { sessionContentBytesMax } from './ratchet.ts'

/** Kinds of statements that travel on the message plane. */
export const carriedKinds = ['message', 'receipt'] as const
export type CarriedKind = (typeof carriedKinds)[number]

const offerShape = row({
  /** The initiator's first ratchet key. */
  dh: bytesOf(32),
  /** Of two sessions the one of the higher generation is sent on. */
  generation: uintUpTo(0xffff_ffff),
  /** The encapsulation whose export opens the session; nothing when the box around it is that encapsulation. */
  heal: nullable(row({ kid: bytesOf(8), enc: bytesOf(kemCiphertextBytesLength) })),
})
export type Offer = ReturnType<(typeof offerShape)['decode']>

const contentCodec = codec(
  'content',
  row({
    version: literal(1),
    offer: nullable(offerShape),
    signature: bytesOf(64),
    items: listOf(row({ kind: oneOf(carriedKinds), body: bytesUpTo(sessionContentBytesMax) }), batchStatementsMax),
  }),
  sessionContentBytesMax,
)

/** What the signature of a content with an offer binds besides its statements. */
const boundOf = (offer: Offer | undefined): Uint8Array | undefined => (offer === undefined ? undefined : encode(offerShape.encode(offer)))

/** Signs and packs what one seal carries: a lone statement under its own signature, several, or an offer, under one for all. Source: klp/v1 section 3.4. */
export function packContent(
  items: readonly (Composed & { readonly kind: CarriedKind })[],
  offer: Offer | undefined,
  keyring: Pick<Keyring, 'sign'>,
): Uint8Array {
  const [only] = items
  if (only === undefined) throw new MeshError('ERR_INTERNAL', 'nothing to pack')
  const isLone = items.length === 1 && offer === undefined
  const signature = isLone ? signatureOf(only, keyring) : signBatch(items, boundOf(offer), keyring)
  return contentCodec.encode({ version: 1, offer, signature, items: items.map(({ kind, body }) => ({ kind, body })) })
}

export interface OpenedContent {
  readonly from: Did
  readonly offer: Offer | undefined
  /** In the order they were packed; the error of one whose time is wrong does not touch the others. */
  readonly items: readonly (Composed | MeshError)[]
}

/** Reads and verifies a content. @throws ERR_WIRE_*, ERR_STATEMENT_SIGNATURE */
export function openContent(bytes: Uint8Array, { now, lifetimeMsMax }: { readonly now: number; readonly lifetimeMsMax: number }): OpenedContent {
  const { offer, signature, items } = contentCodec.decode(bytes)
  const composed = items.map(({ kind, body }) => readStatement(kind, body))
  const [first] = composed
  if (first === undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'a content without a statement')
  const isLone = composed.length === 1 && offer === undefined
  if (isLone) verifySignature(first, signature)
  else verifyBatch(composed, boundOf(offer), signature)
  return {
    from: first.statement.from,
    offer,
    items: composed.map((item) => {
      try {
        checkTime(item.statement, { now, lifetimeMsMax })
        return item
      } catch (error) {
        return toMeshError(error)
      }
    }),
  }
}
