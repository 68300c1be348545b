import type { TrustGraph } from './graph.ts'
import { grants } from './reader.ts'
import { rootIndex } from './sift.ts'

/** Remaining depth of every node at one level; -1 where the node does not hold the level. */
export type Depths = Int8Array

export interface Pass {
  readonly slot: number
  /** Votes that make the level. The root's word is that many. */
  readonly votesNeeded: number
  readonly authorityVotes: number
  /** Depths at the level above: who holds more holds this. */
  readonly above: Depths | undefined
  /** Nodes for whom only the root's word counts. */
  readonly banned: Uint8Array
  /** Depths of those who are AUTHORITY: they have more votes and no quota. Undefined where nobody has a quota. */
  readonly authorities: Depths | undefined
}

/**
 * The least fixpoint of "holds the level, with this much depth left", in O(V + E).
 * A node lends at most one less than it has, so nodes settle from the deepest bucket down and each relaxes its edges once. Source: trust/v1 section 2.5.
 */
export function propagate(graph: TrustGraph, { slot, votesNeeded, authorityVotes, above, banned, authorities }: Pass): Depths {
  const { nodeCount, depthMax, outStart, target, packed, isLate, groups } = graph
  const held = new Int8Array(nodeCount).fill(-1)
  // By node, four bits for each depth: the votes for it, never many more than are needed.
  const votes = new Int32Array(nodeCount)
  const buckets: number[][] = Array.from({ length: depthMax + 1 }, () => [])
  const shared = groups === undefined ? undefined : createSharedVotes(depthMax)
  const raise = (node: number, to: number): void => {
    if (to <= (held[node] ?? -1)) return
    held[node] = to
    buckets[to]?.push(node)
  }

  raise(rootIndex, depthMax)
  if (above !== undefined) {
    for (let node = 0; node < nodeCount; node++) {
      const value = above[node] ?? -1
      if (value >= 0) raise(node, value)
    }
  }
  for (let left = depthMax; left >= 1; left--) {
    for (const node of buckets[left] ?? []) {
      // A node raised later stands in a deeper bucket too, and was relaxed there.
      if (held[node] === left) relax(node, left - 1)
    }
  }
  return held

  /** Below a depth that is held nobody looks any more, so there it may be wrong. */
  function count(node: number, at: number, more: number): void {
    const before = votes[node] ?? 0
    const own = (before >> (at * 4)) & 15
    votes[node] = before + ((Math.max(0, Math.min(votesNeeded, own + more)) - own) << (at * 4))
  }

  function relax(node: number, lent: number): void {
    const isRoot = node === rootIndex
    const isAuthority = authorities !== undefined && (authorities[node] ?? -1) >= 0
    const exempt = isRoot || isAuthority || authorities === undefined
    const weight = isRoot ? votesNeeded : isAuthority ? authorityVotes : 1
    const sharing = groups?.isShared(node) === true ? shared : undefined
    for (let edge = outStart[node] ?? 0, end = outStart[node + 1] ?? 0; edge < end; edge++) {
      const granted = grants(packed[edge] ?? 0, slot)
      if (granted < 0) continue
      const to = target[edge] ?? rootIndex
      const before = held[to] ?? -1
      const value = granted < lent ? granted : lent
      // Who holds as much already has nothing to gain.
      if (value <= before || (!exempt && isLate[edge] === 1) || (!isRoot && banned[to] === 1)) continue
      if (sharing === undefined) count(to, value, weight)
      else sharing(groups?.voterOf(node) ?? node, { to, value, weight }, (at, more) => count(to, at, more))
      const all = votes[to] ?? 0
      let sum = 0
      for (let at = depthMax - 1; at > before; at--) {
        sum += (all >> (at * 4)) & 15
        if (sum >= votesNeeded) {
          raise(to, at)
          break
        }
      }
    }
  }
}

interface Vote {
  readonly to: number
  /** Depth offered. */
  readonly value: number
  readonly weight: number
}

/** Issuers with one controller have one vote together: for a depth of x the heaviest of those who offer x or more. Source: trust/v1 section 2.4.5. */
function createSharedVotes(depthMax: number): (voter: number, vote: Vote, add: (at: number, more: number) => void) => void {
  const together = new Map<number, Uint8Array>()
  return (voter, { to, value, weight }, add) => {
    const key = to * 2 ** 26 + voter
    const known = together.get(key) ?? new Uint8Array(depthMax + 1)
    together.set(key, known)
    let gainAbove = 0
    for (let at = value; at >= 0; at--) {
      const gain = Math.max(0, weight - (known[at] ?? 0))
      add(at, gain - gainAbove)
      known[at] = (known[at] ?? 0) + gain
      gainAbove = gain
    }
  }
}

/** One step without a chain: who is named by a holder in `from` that has depth left. The answer is the depth each gets. */
export function oneStep(
  graph: TrustGraph,
  { slot, from, banned, authorities }: { readonly slot: number; readonly from: Depths; readonly banned: Uint8Array; readonly authorities: Depths | undefined },
): Depths {
  const { nodeCount, depthMax, outStart, target, packed, isLate } = graph
  const held = new Int8Array(nodeCount).fill(-1)
  for (let node = 0; node < nodeCount; node++) {
    const left = from[node] ?? -1
    if (left < 1) continue
    const isRoot = node === rootIndex
    const exempt = isRoot || authorities === undefined || (authorities[node] ?? -1) >= 0
    for (let edge = outStart[node] ?? 0, end = outStart[node + 1] ?? 0; edge < end; edge++) {
      const granted = grants(packed[edge] ?? 0, slot)
      if (granted < 0) continue
      const to = target[edge] ?? rootIndex
      if ((!isRoot && banned[to] === 1) || (!exempt && isLate[edge] === 1)) continue
      const value = granted < left - 1 ? granted : left - 1
      if (value > (held[to] ?? -1)) held[to] = value
    }
  }
  held[rootIndex] = depthMax
  return held
}
