import { concat, dayMs, type Did, equal, hex, hourMs, keyFromDid, MeshError, minuteMs } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { checkTime, openStatement, readSigned, type Signed } from '../identity/index.ts'
import { bytesOf, codec, instant, intWithin, listOf, literal, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'
import { introducerDepthMax } from './limits.ts'
import type { Attestation, Revocation, StatementLevel } from './types.ts'

/** Longest life of an attestation. Source: trust/v1 section 1. */
export const attestationLifetimeMsMax = 400 * dayMs
/** Revocations outlive what they revoke. */
export const revocationLifetimeMsMax = 800 * dayMs
export const headLifetimeMsMax = 48 * hourMs
/** A head older than this is signed anew before it is shown. */
export const headRenewalMs = 30 * minuteMs
/** One signed statement. */
export const trustStatementBytesMax = 1_280
export const scopesMax = 8
export const scopeCharsMax = 64

export const signedKinds = ['attestation', 'revocation', 'head'] as const
export type SignedKind = (typeof signedKinds)[number]
/** What travels between books: signed statements, and warrants, which hold two of them. */
export const trustKinds = [...signedKinds, 'warrant'] as const
export type TrustKind = (typeof trustKinds)[number]

export interface TrustItem {
  readonly kind: TrustKind
  readonly bytes: Uint8Array
}

/** A signed statement as it travels. */
export interface SignedItem extends TrustItem {
  readonly kind: SignedKind
}

export const isSignedItem = (item: TrustItem): item is SignedItem => item.kind !== 'warrant'

const seq = uintUpTo(Number.MAX_SAFE_INTEGER)
const link = { seq, /** Hash of the issuer's statement before this one; null for its first. */ prev: nullable(bytesOf(32)) } as const

export const attestationCodec = codec(
  'attestation',
  row({
    version: literal(1),
    level: intWithin(-1, 4),
    scopes: listOf(textUpTo(scopeCharsMax), scopesMax),
    depth: uintUpTo(introducerDepthMax),
    /** BLAKE3 of larger evidence kept elsewhere. */
    evidence: nullable(bytesOf(32)),
    ...link,
  }),
  1_024,
)
export const revocationCodec = codec(
  'revocation',
  row({ version: literal(1), attestation: bytesOf(32), kind: oneOf(['soft', 'hard']), at: instant, ...link }),
  256,
)
const headFields = { seq, count: seq, /** SHA-256 of the issuer's statement hashes in order of seq. */ fingerprint: bytesOf(32) } as const
export const headCodec = codec(
  'head',
  row({
    version: literal(2),
    ...headFields,
    /** How many of these are revocations, distrust or cautions that have not expired. */
    warnings: seq,
    /** SHA-256 of their hashes in order of seq. */
    warningsRoot: bytesOf(32),
  }),
  256,
)
/** As nodes wrote heads before these named warnings. */
export const oldHeadCodec = codec('head', row({ version: literal(1), ...headFields }), 256)

const lifetimes = { attestation: attestationLifetimeMsMax, revocation: revocationLifetimeMsMax, head: headLifetimeMsMax } as const

/** What an issuer's head says of its statements. */
export interface Head {
  readonly seq: number
  readonly count: number
  readonly fingerprint: Uint8Array
  /** Undefined in a head that does not name them. */
  readonly warnings: { readonly count: number; readonly root: Uint8Array } | undefined
}

/** A statement about trust, opened. */
export type TrustStatement =
  | { readonly kind: 'attestation'; readonly signed: Signed; readonly seq: number; readonly attestation: Omit<Attestation, 'firstSeenAt'> }
  | { readonly kind: 'revocation'; readonly signed: Signed; readonly seq: number; readonly revocation: Revocation }
  | { readonly kind: 'head'; readonly signed: Signed; readonly seq: number; readonly head: Head }

/** A statement that was read; its author is not known until `verify` has returned. */
export interface UnverifiedTrust {
  readonly statement: TrustStatement
  /** @throws ERR_STATEMENT_SIGNATURE */
  verify(): void
}

/**
 * Reads and verifies one statement about trust.
 * @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_TRUST_INVALID for self-ratings, scopes that are no command path and levels outside their meaning
 */
export function openTrustStatement({ kind, bytes }: SignedItem, now: number): TrustStatement {
  checkSize(kind, bytes)
  return meaningOf(kind, openStatement(kind, bytes, { now, lifetimeMsMax: lifetimes[kind] }))
}

/** Reads one statement and leaves its signature for later. Its times are not looked at. @throws ERR_WIRE_*, ERR_TRUST_INVALID, ERR_STATEMENT_LIFETIME */
export function readTrustStatement({ kind, bytes }: SignedItem): UnverifiedTrust {
  checkSize(kind, bytes)
  const { signed, verify } = readSigned(kind, bytes)
  checkTime(signed.statement, { now: 0, lifetimeMsMax: lifetimes[kind], atAnyTime: true })
  return { statement: meaningOf(kind, signed), verify }
}

/** @throws ERR_STATEMENT_FUTURE, ERR_STATEMENT_EXPIRED */
export const checkTrustTime = ({ kind, signed }: TrustStatement, now: number): void => checkTime(signed.statement, { now, lifetimeMsMax: lifetimes[kind] })

function checkSize(kind: SignedKind, bytes: Uint8Array): void {
  if (bytes.length > trustStatementBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a ${kind} of ${bytes.length} bytes exceeds ${trustStatementBytesMax}`)
}

function meaningOf(kind: SignedKind, signed: Signed): TrustStatement {
  const { statement } = signed
  if (kind === 'head') {
    const head = headOf(statement.payload)
    return { kind, signed, seq: head.seq, head }
  }
  if (kind === 'revocation') {
    const { attestation, kind: how, at, seq: own } = revocationCodec.decode(statement.payload)
    return { kind, signed, seq: own, revocation: { issuer: statement.from, attestationId: hex(attestation), kind: how, at } }
  }
  const { level, scopes, depth, seq: own } = attestationCodec.decode(statement.payload)
  if (statement.to === statement.from) throw new MeshError('ERR_TRUST_INVALID', 'nobody rates himself')
  checkScopes(scopes)
  return {
    kind,
    signed,
    seq: own,
    attestation: {
      id: signed.ref,
      issuer: statement.from,
      subject: statement.to,
      level: level as StatementLevel,
      scopes,
      depth,
      issuedAt: statement.issuedAt,
      expiresAt: statement.expiresAt,
      seq: own,
    },
  }
}

/** CBOR of a list of 4 begins so; that of 6 does not. */
const oldHeadFirstByte = 0x84

function headOf(payload: Uint8Array): Head {
  if (payload[0] === oldHeadFirstByte) {
    const { seq: newest, count, fingerprint } = oldHeadCodec.decode(payload)
    return { seq: newest, count, fingerprint, warnings: undefined }
  }
  const { seq: newest, count, fingerprint, warnings, warningsRoot } = headCodec.decode(payload)
  return { seq: newest, count, fingerprint, warnings: { count: warnings, root: warningsRoot } }
}

/** @throws ERR_TRUST_INVALID unless there is a scope and each is a command path such as `/task/run`, `/`, or an `authority/*` grant */
export function checkScopes(scopes: readonly string[]): void {
  const sound = scopes.length > 0 && scopes.every((scope) => /^(?:\/|(?:\/[a-z0-9][a-z0-9_.-]*)+|authority\/\*)$/.test(scope))
  if (!sound) throw new MeshError('ERR_TRUST_INVALID', `not a command path: ${scopes.join(', ')}`)
}

/** Fingerprint of statements, given their hashes in order of seq. */
export const fingerprintOf = (hashes: readonly Uint8Array[]): Uint8Array => sha256(concat(...hashes))

/** The DHT key of an issuer's head. */
export const headRecordKey = (issuer: Did): Uint8Array => sha256(keyFromDid(issuer))

/** How a DHT record is judged; shaped as the network room wants it. */
export interface HeadRecordRule {
  check(key: Uint8Array, value: Uint8Array): { readonly seq: number; readonly expiresAt: number }
  order(held: Uint8Array, offered: Uint8Array): 'next' | 'back' | 'contradiction'
}

/** The rule of the DHT namespace `kindmesh-head`. Source: section 5.31. */
export const headRecordRule = (clock: { now(): number }): HeadRecordRule => ({
  check(key, value) {
    const head = openTrustStatement({ kind: 'head', bytes: value }, clock.now())
    if (!equal(headRecordKey(head.signed.statement.from), key)) throw new MeshError('ERR_RECORD_INVALID', 'the head belongs under another key')
    // A head renewed without a new statement must replace the old one too.
    return { seq: head.signed.statement.issuedAt, expiresAt: head.signed.statement.expiresAt }
  },
  order(held, offered) {
    const [a, b] = [headIn(held), headIn(offered)]
    if (a === undefined || b === undefined || a.seq < b.seq) return 'next'
    if (a.seq > b.seq) return 'back'
    return a.count === b.count && equal(a.fingerprint, b.fingerprint) ? 'next' : 'contradiction'
  },
})

function headIn(bytes: Uint8Array): Head | undefined {
  const { statement } = readTrustStatement({ kind: 'head', bytes })
  return statement.kind === 'head' ? statement.head : undefined
}
