import { slots, type TrustGraph } from './graph.ts'
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
  /** Whether a node is an AUTHORITY: it has more votes and no quota. */
  readonly isAuthority: (node: number) => boolean
}

/**
 * The least fixpoint of "holds the level, with this much depth left", in O(V + E).
 * A node lends at most one less than it has, so nodes settle from the deepest bucket down and each relaxes its edges once. Source: trust/v1 section 2.5.
 */
export function propagate(graph: TrustGraph, { slot, votesNeeded, authorityVotes, above, banned, isAuthority }: Pass): Depths {
  const { nodes, now, depthMax, outStart, target, depth, countsFrom } = graph
  const held = new Int8Array(nodes.length).fill(-1)
  const votes = new Uint8Array(nodes.length * depthMax)
  const buckets: number[][] = Array.from({ length: depthMax + 1 }, () => [])
  const raise = (node: number, to: number): void => {
    if (to <= (held[node] ?? -1)) return
    held[node] = to
    buckets[to]?.push(node)
  }

  raise(rootIndex, depthMax)
  above?.forEach((value, node) => raise(node, value))
  for (let left = depthMax; left >= 1; left--) {
    for (const node of buckets[left] ?? []) {
      // A node raised later stands in a deeper bucket too, and was relaxed there.
      if (held[node] === left) relax(node, left - 1)
    }
  }
  return held

  function relax(node: number, lent: number): void {
    const isRoot = node === rootIndex
    const exempt = isRoot || isAuthority(node)
    const weight = isRoot ? votesNeeded : exempt ? authorityVotes : 1
    for (let edge = outStart[node] ?? 0, end = outStart[node + 1] ?? 0; edge < end; edge++) {
      const granted = depth[edge * slots + slot] ?? -1
      const to = target[edge] ?? rootIndex
      if (granted < 0 || (!isRoot && banned[to] === 1) || (!exempt && (countsFrom[edge] ?? 0) > now)) continue
      const row = to * depthMax
      const value = Math.min(granted, lent)
      votes[row + value] = Math.min(votesNeeded, (votes[row + value] ?? 0) + weight)
      let sum = 0
      for (let at = depthMax - 1; at > (held[to] ?? -1); at--) {
        sum += votes[row + at] ?? 0
        if (sum >= votesNeeded) raise(to, at)
      }
    }
  }
}

/** One step without a chain: who is named by a holder in `from` that has depth left. The answer is the depth each gets. */
export function oneStep(
  graph: TrustGraph,
  { slot, from, banned, isExempt }: { readonly slot: number; readonly from: Depths; readonly banned: Uint8Array; readonly isExempt: (node: number) => boolean },
): Depths {
  const { nodes, now, source, target, depth, countsFrom } = graph
  const held = new Int8Array(nodes.length).fill(-1)
  source.forEach((node, edge) => {
    const left = from[node] ?? -1
    const granted = depth[edge * slots + slot] ?? -1
    const to = target[edge] ?? rootIndex
    const isRoot = node === rootIndex
    if (left < 1 || granted < 0 || (!isRoot && banned[to] === 1) || (!isRoot && (countsFrom[edge] ?? 0) > now && !isExempt(node))) return
    held[to] = Math.max(held[to] ?? -1, Math.min(granted, left - 1))
  })
  held[rootIndex] = graph.depthMax
  return held
}
