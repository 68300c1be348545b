import { type Bytes, equal, fromBase64, hex, keyOfDid } from './bytes.ts'
import { type Plain, readCbor } from './cbor.ts'
import { claimedDid, type Head, type Owner, readCheckpoint } from './checkpoint.ts'
import { leafHash, rootOfPath, rootsOfConsistency } from './merkle.ts'
import { inSteps, Refusal, type Step, type Steps } from './steps.ts'

/** Longest document read, in UTF-16 units. Source: audit/v1 section 6.3. */
const documentCharsMax = 65_536
const hashesMax = 64
const entryBytesMax = 8_192

/** An entry as it was signed. Source: audit/v1 section 2. */
export interface Entry {
  readonly seq: number
  /** Milliseconds since 1970. */
  readonly time: number
  readonly event: string
  readonly actor: string
  readonly subject: string | null
  readonly data: Plain
}

type Fields = Readonly<Record<string, unknown>>

/** What the browser found out by itself. `ok` only when every step is. */
export interface Report {
  readonly ok: boolean
  readonly steps: readonly Step[]
  /** Whose log it is, how long it was, and the entry: as far as the steps got. */
  readonly did?: string | undefined
  readonly size?: number | undefined
  readonly entry?: Entry | undefined
}

export interface ProofOwner {
  /** Whose log it must be; without it the report names whose log it is, and the reader compares. */
  readonly did?: string | undefined
  /** Keys of that identity, when it has rotated. */
  readonly keys?: readonly string[] | undefined
}

/** Checks in this browser, and by nothing the node says of it, that an entry is in the log a signed checkpoint speaks of. Source: audit/v1 section 6.1. */
export async function checkInclusion(document: unknown, wanted: ProofOwner = {}): Promise<Report> {
  const found: { did?: string; size?: number; entry?: Entry } = {}
  const report = await inSteps(async (steps) => {
    const fields = await steps.run(
      'proof document',
      () => readDocument(document, 'kindmesh.audit-proof/1'),
      () => 'kindmesh.audit-proof/1',
    )
    const { owner, head } = await readSigned(fields, wanted, steps)
    Object.assign(found, { did: owner.did, size: head.size })
    const index = readCount(fields, 'index')
    const entry = readBytes(fields['entry'], 'the entry')
    const leaf = await steps.run('leaf hash', () => leafOf(entry), hex)
    await steps.run(
      'path',
      () => climb(leaf, index, head, readHashes(fields)),
      (length) => `${length} hashes from leaf ${index} to the signed root`,
    )
    found.entry = await steps.run(
      'entry',
      () => readEntry(entry, index),
      ({ event, seq }) => `entry ${seq}: ${event}`,
    )
  })
  return { ...report, ...found }
}

/** Checks that the log of now begins with the log an older checkpoint signed. Source: audit/v1 section 6.2. */
export async function checkConsistency(document: unknown, { oldCheckpoint, ...wanted }: ProofOwner & { readonly oldCheckpoint: string }): Promise<Report> {
  const found: { did?: string; size?: number } = {}
  const report = await inSteps(async (steps) => {
    const fields = await steps.run(
      'proof document',
      () => readDocument(document, 'kindmesh.audit-consistency/1'),
      () => 'kindmesh.audit-consistency/1',
    )
    const { owner, head } = await readSigned(fields, wanted, steps)
    Object.assign(found, { did: owner.did, size: head.size })
    const old = await steps.run(
      'older checkpoint',
      () => openHead(oldCheckpoint, owner),
      ({ size }) => `${size} entries, signed by the same log`,
    )
    await steps.run(
      'continuation',
      () => compareRoots(old, head, fields),
      () => `the first ${old.size} of ${head.size} entries are unchanged`,
    )
  })
  return { ...report, ...found }
}

async function readSigned(fields: Fields, wanted: ProofOwner, steps: Steps): Promise<{ readonly owner: Owner; readonly head: Head }> {
  const note = fields['checkpoint']
  const owner = await steps.run(
    'owner',
    () => ownerOf(note, wanted),
    ({ did }) => did,
  )
  const head = await steps.run(
    'checkpoint',
    () => openHead(note, owner),
    ({ size, root, signer }) => `Ed25519 by ${signer} over ${size} entries with root ${hex(root)}`,
  )
  if (readCount(fields, 'size') !== head.size) {
    await steps.run(
      'size',
      () => refuse('the document has another size than its checkpoint'),
      () => '',
    )
  }
  return { owner, head }
}

function ownerOf(note: unknown, { did, keys }: ProofOwner): Owner {
  const claimed = typeof note === 'string' ? claimedDid(note) : undefined
  const owner = did ?? claimed
  if (owner === undefined || keyOfDid(owner) === undefined) return refuse('the checkpoint names no owner')
  if (claimed !== owner) return refuse(`the checkpoint is of another log: ${claimed ?? 'none'}`)
  return { did: owner, keys }
}

async function openHead(note: unknown, owner: Owner): Promise<Head> {
  const head = typeof note === 'string' ? await readCheckpoint(note, owner) : 'the document has no checkpoint'
  return typeof head === 'string' ? refuse(head) : head
}

async function leafOf(entry: Bytes): Promise<Bytes> {
  if (entry.length > entryBytesMax) return refuse('the entry is too large')
  return await leafHash(entry)
}

async function climb(leaf: Bytes, index: number, { size, root }: Head, path: readonly Bytes[]): Promise<number> {
  const reached = await rootOfPath(leaf, index, size, path)
  if (reached === undefined || !equal(reached, root)) return refuse('the path does not lead from this entry to the signed root')
  return path.length
}

async function compareRoots(old: Head, head: Head, fields: Fields): Promise<void> {
  if (readCount(fields, 'oldSize') !== old.size) return refuse('the proof starts at another size than the older checkpoint')
  const roots = await rootsOfConsistency(old.size, head.size, old.root, readHashes(fields))
  const holds = roots !== undefined && equal(roots.old, old.root) && equal(roots.now, head.root)
  if (!holds) refuse('the log does not continue the one the older checkpoint signed')
}

const entryKeys = 'actor,data,event,prevHash,seq,subject,time'

function readEntry(bytes: Bytes, index: number): Entry {
  const plain = readCbor(bytes)
  if (typeof plain !== 'object' || plain === null || Object.keys(plain).toSorted().join(',') !== entryKeys) return refuse('the entry has other fields')
  const { seq, time, event, actor, subject, data } = plain as Readonly<Record<string, Plain>>
  if (seq !== index) return refuse('the entry has another number than its place')
  const isSound = typeof time === 'number' && typeof event === 'string' && typeof actor === 'string' && (subject === null || typeof subject === 'string')
  return isSound ? { seq, time, event, actor, subject, data: data ?? null } : refuse('a field of the entry has another type')
}

function readDocument(document: unknown, schema: string): Fields {
  const parsed = typeof document === 'string' ? parse(document) : document
  const isRecord = typeof parsed === 'object' && parsed !== null && (parsed as Fields)['schema'] === schema
  return isRecord ? (parsed as Fields) : refuse(`not a document of schema ${schema}`)
}

function parse(text: string): unknown {
  if (text.length > documentCharsMax) return refuse('the document is too long')
  try {
    return JSON.parse(text) as unknown
  } catch {
    return refuse('the document is not JSON')
  }
}

function readCount(fields: Fields, name: string): number {
  const value = fields[name]
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : refuse(`${name} is not a count`)
}

function readBytes(value: unknown, name: string): Bytes {
  return (typeof value === 'string' ? fromBase64(value) : undefined) ?? refuse(`${name} is not base64`)
}

function readHashes(fields: Fields): readonly Bytes[] {
  const hashes = fields['hashes']
  if (!Array.isArray(hashes) || hashes.length > hashesMax) return refuse(`hashes are not a list of at most ${hashesMax}`)
  return hashes.map((item: unknown) => {
    const hash = readBytes(item, 'a hash')
    return hash.length === 32 ? hash : refuse('a hash has not 32 bytes')
  })
}

function refuse(reason: string): never {
  throw new Refusal(reason)
}
