import { concat, type Did, hex, keyFromDid, MeshError, minuteMs, type Random, utf8 } from '../base/index.ts'
import { sha256, verify } from '../crypto/index.ts'
import { isIdentityKey } from './did.ts'
import type { Keyring } from './keyring.ts'
import { bytesOf, bytesUpTo, codec, did, instant, listOf, literal, map, row, textUpTo } from '../wire/index.ts'

/** Kinds of signed statements; a signature of one kind never stands for another. Source: klp/v1 section 1. */
export const statementKinds = [
  'message',
  'receipt',
  'prekeys',
  'attestation',
  'revocation',
  'head',
  'task',
  'task-receipt',
  'task-countersign',
  'stream-offer',
  'stream-receipt',
  'delegation',
  'inception',
  'succession',
  'agent',
  'group',
  'mailbox-registration',
  'mailbox-acceptance',
  'storage-receipt',
  'mailbox-page',
] as const
export type StatementKind = (typeof statementKinds)[number]

/** How far two clocks may be apart. Source: klp/v1 section 2. */
export const clockSkewMsMax = 2 * minuteMs
export const statementIdBytes = 16
export const statementTypeCharsMax = 64
export const statementRefsMax = 8
/** Payload of one statement; larger bodies travel as chunks. Tasks carry code and input and have more. */
export const payloadBytesMax = 64 * 1024
export const taskPayloadBytesMax = 576 * 1024
const overheadBytesMax = 1_024

const payloadMaxOf = (kind: StatementKind): number => (kind === 'task' ? taskPayloadBytesMax : payloadBytesMax)

/** The most bytes a signed statement of a kind takes. */
export const signedBytesMax = (kind: StatementKind): number => payloadMaxOf(kind) + overheadBytesMax

const statementCodec = codec(
  'statement',
  row({
    version: literal(1),
    from: did,
    to: did,
    id: bytesOf(statementIdBytes),
    issuedAt: instant,
    expiresAt: instant,
    type: textUpTo(statementTypeCharsMax),
    refs: listOf(bytesOf(32), statementRefsMax),
    caps: listOf(bytesOf(32), statementRefsMax),
    payload: bytesUpTo(taskPayloadBytesMax),
  }),
  taskPayloadBytesMax + overheadBytesMax,
)

/** What is signed. `refs` are hashes of statements this one is about, `caps` hashes of delegations it leans on. */
export interface Statement {
  readonly from: Did
  /** The audience, inside the signature: a statement cannot be re-addressed. Public statements name their subject or their author. */
  readonly to: Did
  readonly id: Uint8Array
  readonly issuedAt: number
  readonly expiresAt: number
  readonly type: string
  readonly refs: readonly Uint8Array[]
  readonly caps: readonly Uint8Array[]
  readonly payload: Uint8Array
}

/** A statement with its signature, the bytes kept and passed on as they were made. */
export interface Signed {
  readonly kind: StatementKind
  readonly statement: Statement
  /** The whole envelope. */
  readonly bytes: Uint8Array
  /** SHA-256 of the statement: its name in `refs`. */
  readonly hash: Uint8Array
  /** `hash` in hex. */
  readonly ref: string
}

const envelopes = new Map(
  statementKinds.map((kind) => [
    kind,
    codec(
      `signed ${kind}`,
      row({ signature: bytesOf(64), body: map({ h: literal(1), [`klp/${kind}@1`]: bytesUpTo(signedBytesMax(kind)) }) }),
      signedBytesMax(kind) + 256,
    ),
  ]),
)

function envelopeOf(kind: StatementKind): NonNullable<ReturnType<typeof envelopes.get>> {
  const envelope = envelopes.get(kind)
  if (envelope === undefined) throw new MeshError('ERR_INTERNAL', `no envelope for ${kind}`)
  return envelope
}

/** Signature input: `"klp/1/<kind>\0" || SHA-256(statement)`. */
const signatureInput = (kind: StatementKind, hash: Uint8Array): Uint8Array => concat(utf8(`klp/1/${kind}\0`), hash)

export type StatementFields = Pick<Statement, 'to' | 'type' | 'payload' | 'issuedAt' | 'expiresAt'> & Partial<Pick<Statement, 'refs' | 'caps' | 'id'>>

/** A statement before its signature. */
export type Composed = Pick<Signed, 'kind' | 'statement' | 'hash' | 'ref'> & { readonly body: Uint8Array }

/** Writes a statement of `from` down, unsigned. @throws ERR_WIRE_TOO_LARGE for a payload over the limit of its kind */
export function composeStatement(kind: StatementKind, fields: StatementFields & { readonly from: Did }, random: Random): Composed {
  if (fields.payload.length > payloadMaxOf(kind)) {
    throw new MeshError('ERR_WIRE_TOO_LARGE', `a ${kind} of ${fields.payload.length} bytes exceeds ${payloadMaxOf(kind)}`)
  }
  const statement: Statement = { refs: [], caps: [], id: random.bytes(statementIdBytes), ...fields }
  const body = statementCodec.encode({ version: 1, ...statement })
  const hash = sha256(body)
  return { kind, statement, body, hash, ref: hex(hash) }
}

/** The author's signature of one statement. */
export const signatureOf = ({ kind, hash }: Composed, { sign }: Pick<Keyring, 'sign'>): Uint8Array => sign(signatureInput(kind, hash))

/** @throws ERR_STATEMENT_SIGNATURE */
export function verifySignature(composed: Composed, signature: Uint8Array): void {
  if (!verify(keyOf(composed), signatureInput(composed.kind, composed.hash), signature)) {
    throw new MeshError('ERR_STATEMENT_SIGNATURE', `the signature of this ${composed.kind} does not match`)
  }
}

/** Signs a statement in the keyring's name. @throws ERR_WIRE_TOO_LARGE for a payload over the limit of its kind */
export const signStatement = (
  kind: StatementKind,
  fields: StatementFields,
  { keyring, random }: { readonly keyring: Pick<Keyring, 'did' | 'sign'>; readonly random: Random },
): Signed => {
  const composed = composeStatement(kind, { from: keyring.did, ...fields }, random)
  const { statement, body, hash, ref } = composed
  return { kind, statement, bytes: envelopeOf(kind).encode({ signature: signatureOf(composed, keyring), body: { h: 1, [`klp/${kind}@1`]: body } }), hash, ref }
}

/** Author and audience as a statement gives them, unverified: to decide whether it is worth a signature check. Undefined when it does not parse. */
export function partiesOf(kind: StatementKind, bytes: Uint8Array): { readonly from: Did; readonly to: Did } | undefined {
  try {
    const body = envelopeOf(kind).decode(bytes).body[`klp/${kind}@1`]
    return body instanceof Uint8Array ? statementCodec.decode(body) : undefined
  } catch (error) {
    if (error instanceof MeshError) return undefined
    throw error
  }
}

export interface OpenOptions {
  readonly now: number
  /** Longest life this use allows, ms. */
  readonly lifetimeMsMax: number
  /** Leave the clock out of it: for what was checked when it arrived. Neither its expiry nor a clock set back makes it unreadable. */
  readonly atAnyTime?: boolean
}

/**
 * Reads and verifies a signed statement: form, key, signature, then time. One path for every kind. Source: klp/v1 section 1.
 * @throws ERR_WIRE_*, ERR_STATEMENT_SIGNATURE, ERR_STATEMENT_FUTURE, ERR_STATEMENT_EXPIRED, ERR_STATEMENT_LIFETIME
 */
export function openStatement(kind: StatementKind, bytes: Uint8Array, options: OpenOptions): Signed {
  const { signed, verify: check } = readSigned(kind, bytes)
  check()
  checkTime(signed.statement, options)
  return signed
}

/** A signed statement that was read; nothing in it is known to be its author's until `verify` has returned. */
export interface Unverified {
  readonly signed: Signed
  /** @throws ERR_STATEMENT_SIGNATURE */
  verify(): void
}

/** Reads a signed statement and leaves its signature for later: for callers that keep it apart until they need it. @throws ERR_WIRE_* */
export function readSigned(kind: StatementKind, bytes: Uint8Array): Unverified {
  const { signature, body: content } = envelopeOf(kind).decode(bytes)
  const body = content[`klp/${kind}@1`]
  if (!(body instanceof Uint8Array)) throw new MeshError('ERR_WIRE_MALFORMED', `signed ${kind} holds no statement`)
  const composed = readStatement(kind, body)
  const { statement, hash, ref } = composed
  return { signed: { kind, statement, bytes, hash, ref }, verify: () => verifySignature(composed, signature) }
}

/** Reads the bytes of a statement; nothing about its author is known yet. @throws ERR_WIRE_* */
export function readStatement(kind: StatementKind, body: Uint8Array): Composed {
  const statement = statementCodec.decode(body)
  if (statement.payload.length > payloadMaxOf(kind)) {
    throw new MeshError('ERR_WIRE_TOO_LARGE', `a ${kind} of ${statement.payload.length} bytes exceeds ${payloadMaxOf(kind)}`)
  }
  const hash = sha256(body)
  return { kind, statement, body, hash, ref: hex(hash) }
}

/** The author's key, checked. @throws ERR_STATEMENT_SIGNATURE */
export function keyOf({ statement }: Pick<Composed, 'statement'>): Uint8Array {
  const key = keyFromDid(statement.from)
  if (!isIdentityKey(key)) throw new MeshError('ERR_STATEMENT_SIGNATURE', 'the signer is no valid identity key')
  return key
}

/** @throws ERR_STATEMENT_FUTURE, ERR_STATEMENT_EXPIRED, ERR_STATEMENT_LIFETIME */
export function checkTime(statement: Statement, { now, lifetimeMsMax, atAnyTime = false }: OpenOptions): void {
  if (!atAnyTime && statement.issuedAt > now + clockSkewMsMax) {
    throw new MeshError('ERR_STATEMENT_FUTURE', `issued ${statement.issuedAt - now} ms ahead of this clock`, {
      details: { offsetMs: statement.issuedAt - now },
    })
  }
  if (statement.expiresAt <= statement.issuedAt || statement.expiresAt - statement.issuedAt > lifetimeMsMax) {
    throw new MeshError('ERR_STATEMENT_LIFETIME', `a life of ${statement.expiresAt - statement.issuedAt} ms; at most ${lifetimeMsMax} is allowed`)
  }
  if (!atAnyTime && statement.expiresAt + clockSkewMsMax < now) {
    throw new MeshError('ERR_STATEMENT_EXPIRED', `expired ${now - statement.expiresAt} ms ago`, { details: { offsetMs: now - statement.expiresAt } })
  }
}
