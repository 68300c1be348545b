import { base64, type Did, didFromKey, equal, MeshError, parseDidKey } from '../base/index.ts'
import { verify as verifySignature } from '../crypto/index.ts'
import { claimedDid, openCheckpoint, readBase64, type TreeHead, type VerifySignature } from './checkpoint.ts'
import { type AuditEntry, entryBytesMax, entryCodec } from './entry.ts'
import { hashBytesLength, leafHash, rootFromInclusion, rootsFromConsistency } from './tree.ts'

/** Longest proof document read, in UTF-16 units. Source: audit/v1 section 6. */
export const proofCharsMax = 64 * 1_024
/** More hashes than a path in a tree of 2^53 leaves can have. */
export const proofHashesMax = 64

export const inclusionSchema = 'kindmesh.audit-proof/1'
export const consistencySchema = 'kindmesh.audit-consistency/1'

/** Shows that an entry is in the log a checkpoint signs. Plain JSON; bytes are base64. */
export interface InclusionProof {
  readonly schema: typeof inclusionSchema
  readonly entry: string
  readonly index: number
  readonly size: number
  readonly hashes: readonly string[]
  readonly checkpoint: string
}

/** Shows that the log a checkpoint signs begins with the log an older checkpoint signed. */
export interface ConsistencyProof {
  readonly schema: typeof consistencySchema
  readonly oldSize: number
  readonly size: number
  readonly hashes: readonly string[]
  readonly checkpoint: string
}

export interface ProofOptions {
  /** Whose log it must be. Without it the answer names whose log it is, and the caller compares. */
  readonly did?: Did | undefined
  /** The keys of that identity, when it has rotated. */
  readonly keys?: readonly Did[] | undefined
  readonly verify?: VerifySignature | undefined
}

export interface Refused {
  readonly ok: false
  readonly reason: string
}

export type InclusionVerdict = { readonly ok: true; readonly did: Did; readonly entry: AuditEntry; readonly size: number } | Refused
export type ConsistencyVerdict = { readonly ok: true; readonly did: Did; readonly oldSize: number; readonly size: number } | Refused

/** Checks an inclusion proof, given as text or parsed, with nothing but the DID. Never throws. Source: audit/v1 section 6.1. */
export function verifyProof(document: unknown, options: ProofOptions = {}): InclusionVerdict {
  try {
    return checkInclusion(readDocument(document, inclusionSchema), options)
  } catch (error) {
    return refusal(error)
  }
}

function checkInclusion(document: Readonly<Record<string, unknown>>, options: ProofOptions): InclusionVerdict {
  const bytes = readBytes(document['entry'], 'entry')
  const index = readCount(document['index'], 'index')
  const { did, head } = readHead(document, options)
  if (bytes.length > entryBytesMax) throw unsound('the entry is too large')
  const root = rootFromInclusion(leafHash(bytes), index, head.size, readHashes(document['hashes']))
  if (root === undefined || !equal(root, head.root)) throw unsound('the entry is not in the log the checkpoint signs')
  const entry = entryCodec.decode(bytes)
  if (entry.seq !== index) throw unsound('the entry has another number than its place')
  return { ok: true, did, entry, size: head.size }
}

/** Checks that the log of `document` grew out of the one `oldCheckpoint` signs. Never throws. Source: audit/v1 section 6.2. */
export function verifyConsistency(document: unknown, { oldCheckpoint, ...options }: ProofOptions & { readonly oldCheckpoint: string }): ConsistencyVerdict {
  try {
    return checkConsistency(readDocument(document, consistencySchema), oldCheckpoint, options)
  } catch (error) {
    return refusal(error)
  }
}

function checkConsistency(document: Readonly<Record<string, unknown>>, oldCheckpoint: string, options: ProofOptions): ConsistencyVerdict {
  const oldSize = readCount(document['oldSize'], 'oldSize')
  const { did, head } = readHead(document, options)
  const old = openCheckpoint(oldCheckpoint, { did, keys: options.keys, verify: options.verify ?? verifySignature })
  if (!old.ok) throw unsound(`old checkpoint: ${old.reason}`)
  if (old.size !== oldSize) throw unsound('the proof starts at another size than the old checkpoint')
  const roots = rootsFromConsistency(oldSize, head.size, old.root, readHashes(document['hashes']))
  const holds = roots !== undefined && equal(roots.oldRoot, old.root) && equal(roots.root, head.root)
  if (!holds) throw unsound('the log does not continue the one the old checkpoint signs')
  return { ok: true, did, oldSize, size: head.size }
}

const unsound = (reason: string): MeshError => new MeshError('ERR_AUDIT_TAMPERED', reason)

function refusal(error: unknown): Refused {
  if (error instanceof MeshError) return { ok: false, reason: error.message }
  throw error
}

function readDocument(document: unknown, schema: string): Readonly<Record<string, unknown>> {
  const parsed = typeof document === 'string' ? parseJson(document) : document
  if (typeof parsed !== 'object' || parsed === null) throw unsound('not a proof document')
  const fields = parsed as Readonly<Record<string, unknown>>
  if (fields['schema'] !== schema) throw unsound(`not a document of schema ${schema}`)
  return fields
}

function parseJson(text: string): unknown {
  if (text.length > proofCharsMax) throw unsound('the document is too long')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('ERR_AUDIT_TAMPERED', 'the document is not JSON', { cause })
  }
}

/** The signed head of a document, of the DID asked for or else of the DID it claims. */
function readHead(
  document: Readonly<Record<string, unknown>>,
  { did: wanted, keys, verify = verifySignature }: ProofOptions,
): { readonly did: Did; readonly head: TreeHead } {
  const note = document['checkpoint']
  if (typeof note !== 'string') throw unsound('the document has no checkpoint')
  const did = wanted ?? didFromKey(parseDidKey(claimedDid(note) ?? ''))
  const opened = openCheckpoint(note, { did, keys, verify })
  if (!opened.ok) throw unsound(opened.reason)
  if (opened.size !== readCount(document['size'], 'size')) throw unsound('the document has another size than its checkpoint')
  return { did, head: opened }
}

function readCount(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw unsound(`${name} is not a count`)
  return Number(value)
}

function readBytes(value: unknown, name: string): Uint8Array {
  const bytes = typeof value === 'string' ? readBase64(value) : undefined
  if (bytes === undefined) throw unsound(`${name} is not base64`)
  return bytes
}

function readHashes(value: unknown): Uint8Array[] {
  if (!Array.isArray(value) || value.length > proofHashesMax) throw unsound(`hashes are not a list of at most ${proofHashesMax}`)
  return value.map((item) => {
    const hash = readBytes(item, 'a hash')
    if (hash.length !== hashBytesLength) throw unsound(`a hash has not ${hashBytesLength} bytes`)
    return hash
  })
}

export const writeHashes = (hashes: readonly Uint8Array[]): string[] => hashes.map(base64)
