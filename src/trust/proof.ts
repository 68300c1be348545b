import type { TrustGraph } from './graph.ts'
import type { Groups } from './groups.ts'
import { authorityVotes, votesNeeded } from './limits.ts'
import { grants, slot } from './reader.ts'
import { rootIndex } from './sift.ts'
import type { Standing } from './strata.ts'

/** Level 1 to 4, or `namingLevel` for the power to name an AUTHORITY. */
export type ProofLevel = 1 | 2 | 3 | 4 | 5
export const namingLevel = 5

/** One vouching that a holding rests on. `level` is what the voucher itself must hold. */
export interface Support {
  readonly edge: number
  readonly slot: number
  readonly from: number
  readonly level: ProofLevel
  readonly votes: number
  readonly value: number
}

export interface Proofs {
  /** Enough supports for `node` to hold `level`, the root's word alone where it gave it. Every support has more depth left than `node`, so they never go in circles. */
  supports(level: ProofLevel, node: number): readonly Support[]
  /** All introducers that count at `level`, of whatever depth: what is there, not what is needed. */
  candidates(level: ProofLevel, node: number): readonly Support[]
  /** How long all of `supports`, and what they rest on, stay as they are. */
  until(level: ProofLevel, node: number): number
}

export function createProofs(graph: TrustGraph, standing: Standing): Proofs {
  const { nodes, packed, isLate, source, groups } = graph
  const inEdges = reverse(graph)
  const known = new Map<number, number>()
  const vetoed = new Set(graph.vetoes.map(({ subject }) => subject))
  const isAuthority = (node: number): boolean => (standing.depths[4]?.[node] ?? -1) >= 0
  const depthLeft = (level: ProofLevel, node: number): number => (level === namingLevel ? standing.naming : standing.depths[level])?.[node] ?? -1

  /** Whom a node at `level` is vouched for by: holders of max(level, VERIFIED); for AUTHORITY those who may name. */
  const vouching = (level: ProofLevel): ProofLevel => (level >= 4 ? namingLevel : level === 1 ? 2 : level)

  function every(level: ProofLevel, node: number): Support[] {
    const at = level === namingLevel ? slot.naming : level - 1
    const by = vouching(level)
    const found: Support[] = []
    for (let entry = inEdges.start[node] ?? 0; entry < (inEdges.start[node + 1] ?? 0); entry++) {
      const edge = inEdges.edge[entry] ?? 0
      const from = source[edge] ?? rootIndex
      const granted = grants(packed[edge] ?? 0, at)
      const left = depthLeft(by, from)
      const isRoot = from === rootIndex
      if (granted < 0 || left < 1) continue
      if (!isRoot && isLate[edge] === 1 && !isAuthority(from)) continue
      const needed = level === namingLevel ? 1 : (votesNeeded[level] ?? 1)
      const votes = isRoot ? needed : isAuthority(from) && level !== namingLevel ? (authorityVotes[level] ?? 1) : 1
      found.push({ edge, slot: at, from, level: by, votes, value: Math.min(granted, left - 1) })
    }
    return found.sort((a, b) => b.value - a.value || ((nodes[a.from] ?? '') < (nodes[b.from] ?? '') ? -1 : 1))
  }
  const candidates = (level: ProofLevel, node: number): Support[] => oneVoteEach(every(level, node), groups)

  function supports(level: ProofLevel, node: number): readonly Support[] {
    const own = depthLeft(level, node)
    const deep = oneVoteEach(
      every(level, node).filter(({ value }) => level === 1 || value >= own),
      groups,
    )
    const root = deep.find(({ from }) => from === rootIndex)
    if (root !== undefined) return [root]
    const needed = level === namingLevel ? 1 : (votesNeeded[level] ?? 1)
    if (deep.reduce((sum, { votes }) => sum + votes, 0) >= needed) return deep.slice(0, needed)
    // Who holds more holds this: an AUTHORITY named by one other has too few votes for TRUSTED and needs none.
    const named = candidates(4, node).find(({ value }) => value >= own)
    return named === undefined ? [] : [{ ...named, votes: needed }]
  }

  function until(level: ProofLevel, node: number): number {
    if (node === rootIndex) return Infinity
    const key = node * 8 + level
    const before = known.get(key)
    if (before !== undefined) return before
    // A node under veto may owe its immunity to a higher level or to the root's word, so those must stand too.
    const heights = vetoed.has(node) && level <= 3 ? ([1, 2, 3, 4] as const).filter((height) => height > level && depthLeft(height, node) >= 0) : []
    const rests = [level, ...heights].flatMap((height) => supports(height, node))
    if (vetoed.has(node)) rests.push(...([1, 2, 3, 4] as const).flatMap((height) => candidates(height, node).filter(({ from }) => from === rootIndex)))
    const least = rests.reduce((soonest, support) => Math.min(soonest, graph.until(support.edge, support.slot), standingUntil(support)), Infinity)
    known.set(key, least)
    return least
  }

  /** An AUTHORITY must also stay one, for its votes and its freedom from the quota. */
  const standingUntil = ({ from, level }: Support): number => Math.min(until(level, from), isAuthority(from) && level < 4 ? until(4, from) : Infinity)

  return { supports, candidates, until }
}

/** Of issuers with one controller the heaviest, the root before all; in the order given. */
function oneVoteEach(supports: Support[], groups: Groups | undefined): Support[] {
  if (groups === undefined) return supports
  const best = new Map<number, Support>()
  for (const support of supports) {
    const voter = groups.voterOf(support.from)
    const before = best.get(voter)
    if (before === undefined || support.from === rootIndex || (before.from !== rootIndex && support.votes > before.votes)) best.set(voter, support)
  }
  return supports.filter((support) => best.get(groups.voterOf(support.from)) === support)
}

function reverse({ nodeCount, target }: TrustGraph): { readonly start: Int32Array; readonly edge: Int32Array } {
  const start = new Int32Array(nodeCount + 1)
  for (const to of target) start[to + 1] = (start[to + 1] ?? 0) + 1
  for (let node = 0; node < nodeCount; node++) start[node + 1] = (start[node + 1] ?? 0) + (start[node] ?? 0)
  const next = start.slice()
  const edge = new Int32Array(target.length)
  target.forEach((to, at) => {
    edge[next[to] ?? 0] = at
    next[to] = (next[to] ?? 0) + 1
  })
  return { start, edge }
}
