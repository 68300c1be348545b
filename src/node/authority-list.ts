import { z } from 'zod'
import { base64, dayMs, type Did, equal, hex, MeshError, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { parseDid, signedJsonBytesMax, verifySignedJson } from '../identity/index.ts'
import { type Attestation, parseLevel, TrustLevel } from '../trust/index.ts'
import { canonicalJson, parseJsonText } from '../wire/index.ts'

/** Who signs a list is said for this audience, and so signs nothing else by it. Source: join/v1 section 12. */
export const listAudience = 'kindmesh/authority-list/1'
/** Keys of one list. Source: join/v1 section 12. */
export const listKeysMax = 32
/** Entries of one list. Source: join/v1 section 12. */
export const listEntriesMax = 1_024
/** Longest life of a list. Source: join/v1 section 12. */
export const listLifetimeMsMax = 400 * dayMs

const scope = z
  .string()
  .regex(/^(?:\/|(?:\/[a-z0-9][a-z0-9_.-]*)+)$/)
  .max(64)
const identity = z
  .string()
  .max(128)
  .transform((text, context) => {
    try {
      return parseDid(text)
    } catch {
      context.addIssue({ code: 'custom', message: 'is no identity' })
      return z.NEVER
    }
  })
const listShape = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_.-]{0,47}$/, 'small letters, digits and . _ -'),
  /** One more than the list before it, or later. */
  version: z.int().min(1),
  issued: z.int().min(0),
  expires: z.int().min(0),
  threshold: z.int().min(1).max(listKeysMax),
  keys: z.array(identity).min(1).max(listKeysMax),
  entries: z
    .array(
      z.strictObject({
        did: identity,
        level: z.enum(['distrust', 'caution', 'basic', 'verified', 'trusted', 'authority']),
        scopes: z.array(scope).min(1).max(8),
        depth: z.int().min(0).max(3).default(0),
        note: z.string().max(256).optional(),
      }),
    )
    .max(listEntriesMax),
})
const fileShape = z.strictObject({
  schema: z.literal('kindmesh.authority-list/1'),
  list: z.unknown(),
  signatures: z.array(z.strictObject({ did: identity, signature: z.string().max(128) })).max(2 * listKeysMax),
})

export type AuthorityList = z.infer<typeof listShape>
export interface AuthorityListFile {
  readonly list: AuthorityList
  /** As it was signed. */
  readonly signed: unknown
  readonly signatures: readonly { readonly did: Did; readonly signature: string }[]
  /** SHA-256 of the canonical text of the list. */
  readonly hash: Uint8Array
}

/** Reads a list with its signatures, which are not checked yet. @throws ERR_LIST_INVALID, ERR_JSON_INVALID, ERR_WIRE_TOO_LARGE */
export function parseAuthorityList(text: string): AuthorityListFile {
  const file = parsed(fileShape, parseJsonText(text, 2 * signedJsonBytesMax), 'the file')
  const list = parsed(listShape, file.list, 'the list')
  const refuse = (reason: string): never => {
    throw new MeshError('ERR_LIST_INVALID', `list ${list.name}: ${reason}`)
  }
  if (new Set(list.keys).size !== list.keys.length) refuse('a key twice')
  if (list.threshold > list.keys.length) refuse(`${list.threshold} signatures of ${list.keys.length} keys`)
  if (list.expires <= list.issued || list.expires - list.issued > listLifetimeMsMax) refuse('lives not at all, or over 400 days')
  if (new Set(list.entries.map(({ did }) => did)).size !== list.entries.length) refuse('an identity twice')
  return { list, signed: file.list, signatures: file.signatures, hash: sha256(canonicalJson(file.list, signedJsonBytesMax)) }
}

function parsed<S extends z.ZodType>(shape: S, value: unknown, what: string): z.infer<S> {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new MeshError('ERR_LIST_INVALID', `${what}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is wrong'}`)
}

/** The text of a list with these signatures. */
export const authorityListText = (list: unknown, signatures: AuthorityListFile['signatures']): string =>
  `${JSON.stringify({ schema: 'kindmesh.authority-list/1', list, signatures }, undefined, 2)}\n`

export interface SignerBook {
  /** The identity a key speaks for. */
  subject(key: Did): Did
  /** @throws for a key that did not speak for its identity then */
  check(key: Did, signedAt: number): void
}

/** Which of `keys` signed the list; a rotated key counts for its identity, and each identity once. */
export function signersOf({ list, signed, signatures }: AuthorityListFile, keys: readonly Did[], book: SignerBook): readonly Did[] {
  const wanted = new Set(keys.map(book.subject))
  const found = new Set<Did>()
  for (const { did, signature } of signatures) {
    const signer = book.subject(did)
    if (!wanted.has(signer) || found.has(signer)) continue
    if (isInForce(did, list.issued, book) && verifySignedJson({ message: signed, signature, publicKey: did, audience: listAudience })) found.add(signer)
  }
  return [...found]
}

function isInForce(key: Did, at: number, book: SignerBook): boolean {
  try {
    book.check(key, at)
    return true
  } catch (error) {
    if (error instanceof MeshError) return false
    throw error
  }
}

/**
 * Whether a list may take the place of the one held, or be the first: signed by its own threshold, and by that of the one before (as a TUF root is).
 * @throws ERR_LIST_INVALID
 */
export function checkSuccession(
  next: AuthorityListFile,
  before: AuthorityListFile | undefined,
  { now, book }: { readonly now: number; readonly book: SignerBook },
): void {
  const { name, threshold, keys, expires, version } = next.list
  const refuse = (reason: string): never => {
    throw new MeshError('ERR_LIST_INVALID', `list ${name}: ${reason}`)
  }
  if (expires <= now) refuse(`ended on ${new Date(expires).toISOString().slice(0, 10)}`)
  const own = signersOf(next, keys, book).length
  if (own < threshold) refuse(`${own} of the ${threshold} signatures it needs are good`)
  if (before === undefined) return
  if (version === before.list.version && equal(next.hash, before.hash)) return
  if (version <= before.list.version) refuse(`version ${version} is not newer than ${before.list.version}, which is held`)
  const old = signersOf(next, before.list.keys, book).length
  if (old < before.list.threshold) refuse(`${old} of the ${before.list.threshold} signatures that version ${before.list.version} asks for are good`)
}

/** By this name the list speaks in the rule, to this node alone. */
export const listIssuer = (name: string): Did => `list:${name}` as Did

export interface ListGrant {
  /** Most that an entry counts for. */
  readonly level: number
  readonly scopes: readonly string[]
  /** When it was taken up. */
  readonly addedAt: number
}

/** What a list says, in the form the rule takes: the operator names the list an AUTHORITY, the list speaks of its entries. Nobody signs this and it never travels. Source: join/v1 section 12. */
export function attestationsOf({ list, hash }: AuthorityListFile, { level, scopes, addedAt }: ListGrant, self: Did): readonly Attestation[] {
  const issuer = listIssuer(list.name)
  const common = { issuedAt: list.issued, expiresAt: list.expires, seq: list.version, firstSeenAt: addedAt }
  const idOf = (about: string): string => hex(sha256(utf8(`${base64(hash)} ${about}`)))
  return [
    { ...common, id: idOf('list'), issuer: self, subject: issuer, level: TrustLevel.AUTHORITY, scopes, depth: 3, issuedAt: addedAt },
    ...list.entries.map((entry) => ({
      ...common,
      id: idOf(entry.did),
      issuer,
      subject: entry.did,
      level: Math.min(parseLevel(entry.level), level) as Attestation['level'],
      scopes: entry.scopes,
      depth: entry.depth,
    })),
  ]
}
