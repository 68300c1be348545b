import { compare, equal, MeshError } from '../base/index.ts'
import { verify as verifySignature } from '../crypto/index.ts'
import type { Store } from '../store/index.ts'
import { type LogOwner, openCheckpoint, type TreeHead, type VerifySignature } from './checkpoint.ts'
import { firstPrevHash, readLinks } from './entry.ts'
import { entryKey, headKey, readHead, type StoredHead, tileKey, tileReader } from './layout.ts'
import { type GrowingTree, hashBytesLength, joinHashes, leafHash, openTree, rootAt, type Tile, tileWidth } from './tree.ts'

/** Entries walked between two looks at the stored tree hashes. */
const tileCheckEvery = 4_096
/** Entries read at a time: as many as the level store fetches at once. */
const chunkEntries = 512

export interface VerifyOptions {
  /** First entry walked; those before count through their stored tree hashes, which the signed root covers. */
  readonly from?: number | undefined
  /** A checkpoint kept elsewhere: the log must contain the one it signs. Shows a log cut back to an older state of its own. */
  readonly expectedCheckpoint?: string | undefined
  /** Told now and then how many entries were read, of how many there were at the start. */
  readonly onProgress?: ((read: number, of: number) => void) | undefined
}

export interface VerifyAuditOptions extends VerifyOptions, LogOwner {
  readonly store: Store
  readonly verify?: VerifySignature | undefined
}

/** The first entry that is not what was signed. `seq` equal to the number of entries read points at the checkpoint itself. */
export interface FirstBad {
  readonly seq: number
  readonly reason: string
}

export type AuditVerdict =
  | { readonly ok: true; readonly entries: number; readonly checkpoint: string }
  | { readonly ok: false; readonly entries: number; readonly firstBad: FirstBad; readonly checkpoint?: string }

/** Walks the log and compares it with its signed checkpoint. Needs no private key and writes nothing. Source: audit/v1 section 7. @throws ERR_STORE_FAILED */
export async function verifyAudit({
  store,
  did,
  keys,
  verify = verifySignature,
  from = 0,
  expectedCheckpoint,
  onProgress,
}: VerifyAuditOptions): Promise<AuditVerdict> {
  const expected = expectedCheckpoint === undefined ? undefined : openCheckpoint(expectedCheckpoint, { did, keys, verify })
  if (expected?.ok === false) return { ok: false, entries: 0, firstBad: { seq: 0, reason: `expected checkpoint: ${expected.reason}` } }
  try {
    const walk = await startWalk(store, from, expected)
    const size = walk.head?.size ?? 0
    const broken = await walkEntries(store, walk, () => onProgress?.(walk.tree.size, size))
    const suspect = await compareTiles(store, walk)
    const firstBad = earliest(walk.suspect ?? suspect, broken) ?? compareHeads(walk, { did, keys, verify, expected })
    const checkpoint = walk.head?.checkpoint
    if (firstBad === undefined && checkpoint !== undefined) return { ok: true, entries: walk.tree.size, checkpoint }
    const bad = firstBad ?? { seq: 0, reason: 'no signed checkpoint' }
    return { ok: false, entries: walk.tree.size, firstBad: bad, ...(checkpoint === undefined ? {} : { checkpoint }) }
  } catch (error) {
    if (error instanceof MeshError && error.code === 'ERR_AUDIT_TAMPERED') return { ok: false, entries: 0, firstBad: { seq: 0, reason: error.message } }
    throw error
  }
}

interface Walk {
  readonly from: number
  readonly tree: GrowingTree
  readonly expectedSize: number | undefined
  last: Uint8Array
  head: StoredHead | undefined
  expectedRoot: Uint8Array | undefined
  suspect: FirstBad | undefined
}

async function startWalk(store: Store, from: number, expected: TreeHead | undefined): Promise<Walk> {
  const stored = await store.get(headKey)
  const head = stored === undefined ? undefined : readHead(stored)
  const start = Math.min(from, head?.size ?? 0)
  const read = tileReader(store)
  const tree = await openTree(start, read)
  const last = start === 0 ? firstPrevHash : (await read(0, Math.floor((start - 1) / tileWidth), ((start - 1) % tileWidth) + 1))[(start - 1) % tileWidth]
  const expectedRoot = expected !== undefined && expected.size < start ? await rootAt(read, expected.size) : undefined
  return { from: start, tree, expectedSize: expected?.size, last: last as Uint8Array, head, expectedRoot, suspect: undefined }
}

/** Walks entries and the head behind them, all of one moment; the answer is where the chain breaks. */
async function walkEntries(store: Store, walk: Walk, progressed: () => void): Promise<FirstBad | undefined> {
  const { tree } = walk
  for await (const chunk of readAhead(store.range({ gte: entryKey(walk.from), lte: headKey }))) {
    progressed()
    for (const [key, bytes] of chunk) {
      if (tree.size === walk.expectedSize) walk.expectedRoot = tree.root()
      if (key === headKey) {
        walk.head = readHead(bytes)
        return walk.head === undefined ? { seq: tree.size, reason: 'the stored head does not parse' } : undefined
      }
      const reason = flaw(key, bytes, walk)
      if (reason !== undefined) return { seq: tree.size, reason }
      walk.last = leafHash(bytes)
      tree.append(walk.last)
      if (tree.size % tileCheckEvery === 0) walk.suspect ??= await compareTiles(store, walk)
    }
  }
  return { seq: tree.size, reason: 'no signed checkpoint' }
}

/** The items in chunks; while one chunk is worked on, the store already reads the next. A third faster than item by item. */
async function* readAhead<T>(items: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  const iterator = items[Symbol.asyncIterator]()
  let next = iterator.next()
  let chunk: T[] = []
  try {
    for (let item = await next; item.done !== true; item = await next) {
      chunk.push(item.value)
      next = iterator.next()
      if (chunk.length < chunkEntries) continue
      yield chunk
      chunk = []
    }
    yield chunk
  } finally {
    await next.catch(() => undefined)
    await iterator.return?.()
  }
}

/** What is wrong with the next entry as successor of the one before. What else it says is covered by its hash. */
function flaw(key: string, bytes: Uint8Array, { tree, last }: Walk): string | undefined {
  if (key !== entryKey(tree.size)) return 'missing'
  const links = readLinks(bytes)
  if (links === undefined) return 'does not parse'
  if (links.seq !== tree.size) return `carries the number ${links.seq}`
  return compare(links.prevHash, last) === 0 ? undefined : 'does not follow the entry before'
}

/** Compares what the walk computed with the stored tree hashes: finds an altered entry even where the chain was mended. */
async function compareTiles(store: Store, { tree, from }: Walk): Promise<FirstBad | undefined> {
  const changed = tree.takeChanged().sort((a, b) => a.level - b.level || a.index - b.index)
  const levels = Map.groupBy(changed, ({ level }) => level)
  const found = await Promise.all(Array.from(levels, ([level, tiles]) => compareLevel(store, level, tiles)))
  // An altered entry also changes the hashes above its leaf: the lowest level names it most exactly.
  const seq = found.find((place) => place !== undefined)
  return seq === undefined ? undefined : { seq: Math.max(from, seq), reason: 'differs from its stored hash' }
}

/** The first entry under a hash that differs, among neighbouring tiles of one level. */
async function compareLevel(store: Store, level: number, tiles: readonly Tile[]): Promise<number | undefined> {
  const stored = new Map<string, Uint8Array>()
  const range = { gte: tileKey(level, tiles[0]?.index ?? 0), lte: tileKey(level, tiles.at(-1)?.index ?? 0) }
  for await (const [key, bytes] of store.range(range)) stored.set(key, bytes)
  for (const { index, hashes } of tiles) {
    const bytes = stored.get(tileKey(level, index)) ?? new Uint8Array()
    const joined = joinHashes(hashes)
    if (equal(joined, bytes.subarray(0, joined.length))) continue
    const differs = hashes.findIndex((hash, offset) => !equal(hash, bytes.subarray(offset * hashBytesLength, (offset + 1) * hashBytesLength)))
    return (index * tileWidth + differs) * tileWidth ** level
  }
  return undefined
}

const earliest = (a: FirstBad | undefined, b: FirstBad | undefined): FirstBad | undefined => (a === undefined || (b !== undefined && b.seq < a.seq) ? b : a)

interface HeadCheck extends LogOwner {
  readonly verify: VerifySignature
  readonly expected: TreeHead | undefined
}

/** Compares a walk without a break with the checkpoint behind it and the one expected. */
function compareHeads({ tree, head, last, expectedRoot, from }: Walk, { did, keys, verify, expected }: HeadCheck): FirstBad | undefined {
  const { size } = tree
  if (head === undefined) return { seq: size, reason: 'no signed checkpoint' }
  const signed = openCheckpoint(head.checkpoint, { did, keys, verify })
  if (!signed.ok) return { seq: size, reason: signed.reason }
  if (signed.size !== head.size) return { seq: size, reason: 'the stored head differs from its checkpoint' }
  if (signed.size > size) return { seq: size, reason: 'missing' }
  if (signed.size < size) return { seq: signed.size, reason: 'not covered by the signed checkpoint' }
  if (expected !== undefined && expected.size > size) return { seq: size, reason: 'missing: the expected checkpoint covers more entries' }
  const expectedHolds = expected !== undefined && expectedRoot !== undefined && equal(expectedRoot, expected.root)
  const unvouched = expectedHolds ? expected.size : from
  if (!equal(tree.root(), signed.root)) return { seq: unvouched, reason: 'entries and stored hashes from here on are not what was signed' }
  if (expected !== undefined && !expectedHolds) return { seq: from, reason: 'the log is not a continuation of the expected checkpoint' }
  return equal(head.last, last) ? undefined : { seq: size, reason: 'the stored head differs from the last entry' }
}
