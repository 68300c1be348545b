import { type Bytes, concat } from './bytes.ts'
import { sha256 } from './web-crypto.ts'

/** Hash of an entry. Source: audit/v1 section 3, RFC 6962 section 2.1. */
export const leafHash = (entry: Bytes): Promise<Bytes> => sha256(concat(Uint8Array.of(0), entry))

const nodeHash = (left: Bytes, right: Bytes): Promise<Bytes> => sha256(concat(Uint8Array.of(1), left, right))

/** Largest power of two below `size`. */
function split(size: number): number {
  let half = 1
  while (half * 2 < size) half *= 2
  return half
}

/** The root that PATH(index, D[size]) leads to from a leaf; undefined when the path has another length. Reads it from the top, as RFC 6962 section 2.1.1 writes it. */
export async function rootOfPath(leaf: Bytes, index: number, size: number, path: readonly Bytes[]): Promise<Bytes | undefined> {
  if (index >= size) return undefined
  if (size === 1) return path.length === 0 ? leaf : undefined
  const last = path.at(-1)
  if (last === undefined) return undefined
  const half = split(size)
  const rest = path.slice(0, -1)
  const below = index < half ? await rootOfPath(leaf, index, half, rest) : await rootOfPath(leaf, index - half, size - half, rest)
  if (below === undefined) return undefined
  return index < half ? await nodeHash(below, last) : await nodeHash(last, below)
}

export interface TwoRoots {
  readonly old: Bytes
  readonly now: Bytes
}

/** Both roots that PROOF(oldSize, D[size]) leads to, given the old root; undefined when the path has another length. Source: RFC 6962 section 2.1.2. */
export async function rootsOfConsistency(oldSize: number, size: number, oldRoot: Bytes, path: readonly Bytes[]): Promise<TwoRoots | undefined> {
  if (oldSize < 1 || oldSize > size) return undefined
  return await subproof(oldSize, size, path, { oldRoot, isWhole: true })
}

interface Whole {
  readonly oldRoot: Bytes
  /** The subtree is the old tree so far, whose root is known already. */
  readonly isWhole: boolean
}

/** SUBPROOF(oldSize, D[size], isWhole), read from its end. */
async function subproof(oldSize: number, size: number, path: readonly Bytes[], whole: Whole): Promise<TwoRoots | undefined> {
  if (oldSize === size) {
    if (whole.isWhole) return path.length === 0 ? { old: whole.oldRoot, now: whole.oldRoot } : undefined
    const [only, ...more] = path
    return only === undefined || more.length > 0 ? undefined : { old: only, now: only }
  }
  const last = path.at(-1)
  if (last === undefined) return undefined
  const rest = path.slice(0, -1)
  const half = split(size)
  if (oldSize <= half) {
    const left = await subproof(oldSize, half, rest, whole)
    return left === undefined ? undefined : { old: left.old, now: await nodeHash(left.now, last) }
  }
  const right = await subproof(oldSize - half, size - half, rest, { ...whole, isWhole: false })
  return right === undefined ? undefined : { old: await nodeHash(last, right.old), now: await nodeHash(last, right.now) }
}
