import { dayMs, type Did, equal, hex, hourMs, keyFromDid, MeshError, minuteMs } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { openStatement, type Signed } from '../identity/index.ts'
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

export const trustKinds = ['attestation', 'revocation', 'head'] as const
export type TrustKind = (typeof trustKinds)[number]

/** A signed statement as it travels. */
export interface TrustItem {
  readonly kind: TrustKind
  readonly bytes: Uint8Array
}

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
export const headCodec = codec(
  'head',
  row({ version: literal(1), seq, count: seq, /** SHA-256 of the issuer's statement hashes in order of seq. */ fingerprint: bytesOf(32) }),
  256,
)

const lifetimes = { attestation: attestationLifetimeMsMax, revocation: revocationLifetimeMsMax, head: headLifetimeMsMax } as const

/** A verified statement about trust, opened. */
export type TrustStatement =
  | { readonly kind: 'attestation'; readonly signed: Signed; readonly seq: number; readonly attestation: Omit<Attestation, 'firstSeenAt'> }
  | { readonly kind: 'revocation'; readonly signed: Signed; readonly seq: number; readonly revocation: Revocation }
  | { readonly kind: 'head'; readonly signed: Signed; readonly seq: number; readonly count: number; readonly fingerprint: Uint8Array }

/**
 * Reads and verifies one statement about trust.
 * @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_TRUST_INVALID for self-ratings, scopes that are no command path and levels outside their meaning
 */
export function openTrustStatement({ kind, bytes }: TrustItem, now: number, { atAnyTime = false } = {}): TrustStatement {
  if (bytes.length > trustStatementBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a ${kind} of ${bytes.length} bytes exceeds ${trustStatementBytesMax}`)
  const signed = openStatement(kind, bytes, { now, lifetimeMsMax: lifetimes[kind], atAnyTime })
  const { statement } = signed
  if (kind === 'head') {
    const { seq: newest, count, fingerprint } = headCodec.decode(statement.payload)
    return { kind, signed, seq: newest, count, fingerprint }
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

/** Who signed a head, undefined when it is none or does not verify. */
export function verifiedHeadOf(item: TrustItem, now: number): Did | undefined {
  try {
    return item.kind === 'head' ? openTrustStatement(item, now).signed.statement.from : undefined
  } catch (error) {
    if (error instanceof MeshError) return undefined
    throw error
  }
}

/** @throws ERR_TRUST_INVALID unless there is a scope and each is a command path such as `/task/run`, `/`, or an `authority/*` grant */
export function checkScopes(scopes: readonly string[]): void {
  const sound = scopes.length > 0 && scopes.every((scope) => /^(?:\/|(?:\/[a-z0-9][a-z0-9_.-]*)+|authority\/\*)$/.test(scope))
  if (!sound) throw new MeshError('ERR_TRUST_INVALID', `not a command path: ${scopes.join(', ')}`)
}

/** Fingerprint of an issuer's statements, in order of seq. */
export const fingerprintOf = (refs: readonly Uint8Array[]): Uint8Array => sha256(Uint8Array.from(refs.flatMap((ref) => [...ref])))

/** The DHT key of an issuer's head. */
export const headRecordKey = (issuer: Did): Uint8Array => sha256(keyFromDid(issuer))

/** The rule of the DHT namespace `kindmesh-head`. */
export const headRecordRule = (clock: { now(): number }): { check(key: Uint8Array, value: Uint8Array): { seq: number; expiresAt: number } } => ({
  check(key, value) {
    const head = openTrustStatement({ kind: 'head', bytes: value }, clock.now())
    if (!equal(headRecordKey(head.signed.statement.from), key)) throw new MeshError('ERR_RECORD_INVALID', 'the head belongs under another key')
    // A head renewed without a new statement must replace the old one too.
    return { seq: head.signed.statement.issuedAt, expiresAt: head.signed.statement.expiresAt }
  },
})
