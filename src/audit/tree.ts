import { concat } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'

/** Hashes are SHA-256. Source: RFC 6962 section 2.1, audit/v1 section 3. */
export const hashBytesLength = 32

/** MTH of an empty list. */
export const emptyRoot: Uint8Array = sha256(new Uint8Array())

// Hashing is synchronous, so one buffer serves every leaf of common size and one every inner node.
const leafInput = new Uint8Array(1 + 8_192)

export function leafHash(entry: Uint8Array): Uint8Array {
  const input = entry.length < leafInput.length ? leafInput.subarray(0, 1 + entry.length) : new Uint8Array(1 + entry.length)
  input.set(entry, 1)
  return sha256(input)
}

const nodeInput = new Uint8Array(1 + 2 * hashBytesLength)
nodeInput[0] = 1

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + hashBytesLength)
  return sha256(nodeInput)
}

/** Joins perfect subtrees, largest first, into the root over all of them. */
function fold(subtrees: readonly Uint8Array[]): Uint8Array | undefined {
  let joined = subtrees.at(-1)
  for (let index = subtrees.length - 2; index >= 0; index--) joined = nodeHash(subtrees[index] as Uint8Array, joined as Uint8Array)
  return joined
}

/** One level of the stored tree holds this many levels of hashes: a tile is `tileWidth` neighbouring hashes. Source: audit/v1 section 5. */
export const tileHeight = 4
export const tileWidth = 1 << tileHeight

/** A tile that changed: all its hashes so far, 1 to `tileWidth` of them. */
export interface Tile {
  readonly level: number
  readonly index: number
  readonly hashes: readonly Uint8Array[]
}

/** A compact range: a tree that grows at its right edge and keeps only the unfinished tile of each level. */
export interface GrowingTree {
  readonly size: number
  append(leaf: Uint8Array): void
  /** Tiles that appends changed since the last call; finished ones once. */
  takeChanged(): Tile[]
  root(): Uint8Array
}

/** How many hashes the unfinished tile of `level` has in a tree of `size` leaves. */
const edgeLength = (size: number, level: number): number => Math.floor(size / tileWidth ** level) % tileWidth

export function growTree(size: number, edges: readonly (readonly Uint8Array[])[]): GrowingTree {
  const levels = edges.map((edge) => [...edge])
  let count = size
  let finished: Tile[] = []
  const touched = new Set<number>()

  function add(level: number, hash: Uint8Array): void {
    const edge = (levels[level] ??= [])
    edge.push(hash)
    touched.add(level)
    if (edge.length < tileWidth) return
    finished.push({ level, index: Math.floor(count / tileWidth ** (level + 1)), hashes: edge })
    levels[level] = []
    touched.delete(level)
    add(level + 1, perfectRoot(edge))
  }
  return {
    get size() {
      return count
    },
    append(leaf) {
      add(0, leaf)
      count++
    },
    takeChanged() {
      const changed = finished
      finished = []
      for (const level of touched) {
        const hashes = levels[level] ?? []
        if (hashes.length > 0) changed.push({ level, index: Math.floor(count / tileWidth ** (level + 1)), hashes: [...hashes] })
      }
      touched.clear()
      return changed
    },
    root: () => fold(peaksOf(levels)) ?? emptyRoot,
  }
}

/** The perfect subtrees in the unfinished tiles, largest first. */
function peaksOf(levels: readonly (readonly Uint8Array[])[]): Uint8Array[] {
  const peaks: Uint8Array[] = []
  for (const edge of levels.toReversed()) {
    for (let start = 0, width = tileWidth / 2; width >= 1; width /= 2) {
      if ((edge.length & width) === 0) continue
      peaks.push(perfectRoot(edge.slice(start, start + width)))
      start += width
    }
  }
  return peaks
}

/** Root over a power of two of neighbouring hashes. */
export function perfectRoot(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes
  while (row.length > 1) row = Array.from({ length: row.length / 2 }, (_, index) => nodeHash(row[2 * index] as Uint8Array, row[2 * index + 1] as Uint8Array))
  return row[0] as Uint8Array
}

/** Reads tile `index` of `level`, at least its first `length` hashes. */
export type ReadTile = (level: number, index: number, length: number) => Promise<readonly Uint8Array[]>

/** The tree as it was at `size`, out of stored tiles; log16(size) reads. */
export async function openTree(size: number, read: ReadTile): Promise<GrowingTree> {
  const edges: (readonly Uint8Array[])[] = []
  for (let level = 0; tileWidth ** level <= size; level++) {
    const length = edgeLength(size, level)
    edges.push(length === 0 ? [] : (await read(level, Math.floor(size / tileWidth ** (level + 1)), length)).slice(0, length))
  }
  return growTree(size, edges)
}

/** Root of the perfect subtree of 2^level leaves that starts at leaf `start`. */
async function subtreeRoot(read: ReadTile, start: number, level: number): Promise<Uint8Array> {
  const tileLevel = Math.floor(level / tileHeight)
  const width = 2 ** (level % tileHeight)
  const first = start / tileWidth ** tileLevel
  const offset = first % tileWidth
  const tile = await read(tileLevel, Math.floor(first / tileWidth), offset + width)
  return perfectRoot(tile.slice(offset, offset + width))
}

/** MTH(D[start:end]) for a `start` that ends a perfect subtree of at least that width. */
async function rangeRoot(read: ReadTile, start: number, end: number): Promise<Uint8Array> {
  const subtrees: Uint8Array[] = []
  for (let from = start; from < end;) {
    const level = Math.floor(Math.log2(end - from))
    subtrees.push(await subtreeRoot(read, from, level))
    from += 2 ** level
  }
  return fold(subtrees) ?? emptyRoot
}

/** MTH(D[0:size]) for any earlier size of the tree. */
export const rootAt = (read: ReadTile, size: number): Promise<Uint8Array> => rangeRoot(read, 0, size)

/** Largest power of two below `size`. */
function split(size: number): number {
  const half = 2 ** Math.floor(Math.log2(size))
  return half === size ? half / 2 : half
}

/** PATH(index, D[0:size]). Source: RFC 6962 section 2.1.1. */
export async function inclusionPath(read: ReadTile, index: number, size: number): Promise<Uint8Array[]> {
  const path: Promise<Uint8Array>[] = []
  let start = 0
  let end = size
  while (end - start > 1) {
    const middle = start + split(end - start)
    path.push(index < middle ? rangeRoot(read, middle, end) : rangeRoot(read, start, middle))
    if (index < middle) end = middle
    else start = middle
  }
  return (await Promise.all(path)).reverse()
}

/** PROOF(oldSize, D[0:size]) for 0 < oldSize <= size. Source: RFC 6962 section 2.1.2. */
export async function consistencyPath(read: ReadTile, oldSize: number, size: number): Promise<Uint8Array[]> {
  const path: Promise<Uint8Array>[] = []
  let start = 0
  let end = size
  while (end !== oldSize) {
    const middle = start + split(end - start)
    path.push(oldSize <= middle ? rangeRoot(read, middle, end) : rangeRoot(read, start, middle))
    if (oldSize <= middle) end = middle
    else start = middle
  }
  if (start > 0) path.push(rangeRoot(read, start, end))
  return (await Promise.all(path)).reverse()
}

/** The root an inclusion path leads to; undefined when the path has the wrong length. Source: RFC 9162 section 2.1.3.2. */
export function rootFromInclusion(leaf: Uint8Array, index: number, size: number, path: readonly Uint8Array[]): Uint8Array | undefined {
  if (index >= size) return undefined
  let position = index
  let last = size - 1
  let root = leaf
  for (const hash of path) {
    if (last === 0) return undefined
    if (position % 2 === 1 || position === last) {
      root = nodeHash(hash, root)
      while (position % 2 === 0 && position !== 0) {
        position = position / 2
        last = Math.floor(last / 2)
      }
    } else {
      root = nodeHash(root, hash)
    }
    position = Math.floor(position / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? root : undefined
}

/** Both roots a consistency path leads to, given the old root; undefined when the path has the wrong length. Source: RFC 9162 section 2.1.4.2. */
export function rootsFromConsistency(
  oldSize: number,
  size: number,
  oldRoot: Uint8Array,
  path: readonly Uint8Array[],
): { readonly oldRoot: Uint8Array; readonly root: Uint8Array } | undefined {
  if (oldSize < 1 || oldSize > size) return undefined
  if (oldSize === size) return path.length === 0 ? { oldRoot, root: oldRoot } : undefined
  // An old tree that is one perfect subtree is its own first hash.
  const [first, ...rest] = Number.isInteger(Math.log2(oldSize)) ? [oldRoot, ...path] : path
  if (first === undefined) return undefined
  let position = oldSize - 1
  let last = size - 1
  while (position % 2 === 1) {
    position = Math.floor(position / 2)
    last = Math.floor(last / 2)
  }
  let before = first
  let after = first
  for (const hash of rest) {
    if (last === 0) return undefined
    if (position % 2 === 1 || position === last) {
      before = nodeHash(hash, before)
      after = nodeHash(hash, after)
      while (position % 2 === 0 && position !== 0) {
        position = position / 2
        last = Math.floor(last / 2)
      }
    } else {
      after = nodeHash(after, hash)
    }
    position = Math.floor(position / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? { oldRoot: before, root: after } : undefined
}

export const joinHashes = (hashes: readonly Uint8Array[]): Uint8Array => concat(...hashes)

/** Cuts a tile's bytes into hashes; undefined unless they are whole and at most `tileWidth`. */
export function splitHashes(bytes: Uint8Array): Uint8Array[] | undefined {
  if (bytes.length % hashBytesLength !== 0 || bytes.length > tileWidth * hashBytesLength) return undefined
  return Array.from({ length: bytes.length / hashBytesLength }, (_, index) => bytes.slice(index * hashBytesLength, (index + 1) * hashBytesLength))
}
