import type { Did } from '../../base/index.ts'
import { hkdfExpand, hkdfExtract, hmacSha256 } from '../../crypto/index.ts'
import { utf8 } from '../../base/index.ts'
import { bytesOf, codec, did, instant, intWithin, listOf, literal, row, textUpTo, uintUpTo } from '../../wire/index.ts'

/** The one-time secret of an invite. Source: join/v1 section 1. */
export const inviteSecretBytesLength = 16
export const inviteIdBytesLength = 16
/** Scopes one invite may name; a ticket must fit a QR code. Source: join/v1 section 1. */
export const inviteScopesMax = 4
export const inviteScopeCharsMax = 64

/** What an invite promises, under both proofs. Times in ms. */
export interface InviteTerms {
  /** 1 to 4: what each side says of the other. */
  readonly level: number
  readonly scopes: readonly string[]
  /** Nobody joins from then on. */
  readonly expiresAt: number
  /** How long what both sign lives. */
  readonly lifetimeMs: number
}

/** One side: who it is, and the key that the transport authenticated. */
export interface Party {
  readonly identity: Did
  readonly key: Did
}

/** What the secret of an invite becomes; nothing leads back to it. Source: join/v1 section 2. */
export interface InviteKeys {
  /** Names the invite on the wire. */
  readonly id: Uint8Array
  readonly joiner: Uint8Array
  readonly inviter: Uint8Array
}

export const termsFields = {
  level: intWithin(1, 4),
  scopes: listOf(textUpTo(inviteScopeCharsMax), inviteScopesMax),
  expiresAt: instant,
  lifetimeMs: uintUpTo(Number.MAX_SAFE_INTEGER),
} as const

const party = row({ identity: did, key: did })
const transcriptCodec = codec(
  'join transcript',
  row({ version: literal(1), id: bytesOf(inviteIdBytesLength), inviter: party, joiner: party, terms: row(termsFields) }),
  1_024,
)

const salt = utf8('kindmesh/join/1')

export function inviteKeys(secret: Uint8Array): InviteKeys {
  const root = hkdfExtract(salt, secret)
  return { id: hkdfExpand(root, utf8('id'), inviteIdBytesLength), joiner: hkdfExpand(root, utf8('joiner'), 32), inviter: hkdfExpand(root, utf8('inviter'), 32) }
}

export interface JoinFacts {
  readonly id: Uint8Array
  readonly inviter: Party
  readonly joiner: Party
  readonly terms: InviteTerms
}

/** Shows that its author knows the secret and sees these two, under these keys, and these terms. A proof of one side is none of the other. Source: join/v1 section 2. */
export const joinProof = (keys: Pick<InviteKeys, 'joiner' | 'inviter'>, role: 'joiner' | 'inviter', { id, inviter, joiner, terms }: JoinFacts): Uint8Array =>
  hmacSha256(keys[role], transcriptCodec.encode({ version: 1, id, inviter, joiner, terms }))
