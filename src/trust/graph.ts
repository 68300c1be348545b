import type { Did } from '../base/index.ts'
import { decaysAt, stalesAt } from './lives.ts'
import { scopeCovers, scopeNamesAuthority } from './scope.ts'
import { type Pair, rootIndex, type Sifted } from './sift.ts'
import { type Attestation, type IgnoredReason, levelCaution, levelDistrust } from './types.ts'

/** What an edge can support: the four levels, and naming an AUTHORITY who may name others. */
export const slot = { basic: 0, verified: 1, trusted: 2, authority: 3, naming: 4 } as const
export const slots = 5

/** A live distrust or caution in this scope. */
export interface Veto {
  readonly issuer: number
  readonly subject: number
  readonly statement: number
  readonly hard: boolean
  readonly until: number
  readonly countsFrom: number
}

/** Live statements of one scope as a graph in CSR form; `edge * slots + slot` finds what an edge says at a level. */
export interface TrustGraph {
  readonly nodes: readonly Did[]
  readonly now: number
  readonly depthMax: number
  /** First out-edge of each node, and one entry more. */
  readonly outStart: Int32Array
  readonly source: Int32Array
  readonly target: Int32Array
  /** Depth the issuer grants, -1 where the edge does not support the slot. */
  readonly depth: Int8Array
  /** When the edge stops supporting the slot. */
  readonly until: Float64Array
  /** The statement behind the slot. */
  readonly witness: Int32Array
  /** From when the edge counts under its issuer's quota. */
  readonly countsFrom: Float64Array
  readonly vetoes: readonly Veto[]
  readonly reasons: ReadonlyMap<number, IgnoredReason>
}

export interface GraphOptions {
  readonly scope: string
  readonly now: number
  readonly depthMax: number
  readonly headAge: ((issuer: Did) => number | undefined) | undefined
}

/** The age of a head that never gets too old. */
const alwaysFresh = -Infinity

interface Edge {
  readonly pair: Pair
  readonly depth: number[]
  readonly until: number[]
  readonly witness: number[]
}

/** Source: trust/v1 sections 2.1 to 2.3. */
export function buildGraph(sifted: Sifted, { scope, now, depthMax, headAge }: GraphOptions): TrustGraph {
  const { nodes, statements, pairs, faulty } = sifted
  const reasons = new Map(sifted.reasons)
  const vetoes: Veto[] = []
  const edges: Edge[] = []
  const ages = new Map<number, number | undefined>()
  const ageOf = (issuer: number): number | undefined => {
    if (headAge === undefined || issuer === rootIndex) return alwaysFresh
    if (!ages.has(issuer)) ages.set(issuer, headAge(nodes[issuer] as Did))
    return ages.get(issuer)
  }

  for (const pair of pairs) {
    const live = faulty.has(pair.issuer) ? [] : pair.statements.filter((at) => isLive(at, pair))
    if (faulty.has(pair.issuer)) for (const at of pair.statements) reasons.set(at, 'banned')
    let cap = 4
    for (const at of live) {
      const attestation = statements[at] as Attestation
      if (attestation.level > levelCaution) continue
      cap = Math.min(cap, attestation.level === levelDistrust ? 0 : 1)
      const until = Math.min(attestation.expiresAt, sifted.revocations.endsAt(attestation))
      vetoes.push({ issuer: pair.issuer, subject: pair.subject, statement: at, hard: attestation.level === levelDistrust, until, countsFrom: pair.countsFrom })
    }
    const edge: Edge = { pair, depth: [-1, -1, -1, -1, -1], until: [0, 0, 0, 0, 0], witness: [-1, -1, -1, -1, -1] }
    for (const at of live) if ((statements[at] as Attestation).level > levelCaution) support(edge, at, cap)
    if ((edge.depth[slot.basic] ?? -1) >= 0) edges.push(edge)
  }
  return { nodes, now, depthMax, ...pack(edges, nodes.length), vetoes, reasons }

  function scopesOf(at: number, { liveScopes }: Pair): readonly string[] {
    return liveScopes?.get(at) ?? (statements[at] as Attestation).scopes
  }

  function isLive(at: number, pair: Pair): boolean {
    const attestation = statements[at] as Attestation
    const scopes = scopesOf(at, pair)
    const covers = scopes.some((live) => scopeCovers(live, scope))
    if (covers && attestation.expiresAt > now && sifted.revocations.endsAt(attestation) > now) return true
    if (scopes.length === 0 || (!covers && attestation.scopes.some((old) => scopeCovers(old, scope)))) reasons.set(at, 'superseded')
    else if (sifted.revocations.endsAt(attestation) <= now) reasons.set(at, 'revoked')
    else reasons.set(at, attestation.expiresAt <= now ? 'expired' : 'scope')
    return false
  }

  /** Lets the edge say what this statement says, where that is more. Of one issuer's statements about one subject the deepest counts, once. */
  function support({ pair, depth, until, witness }: Edge, at: number, cap: number): void {
    const attestation = statements[at] as Attestation
    const end = Math.min(attestation.expiresAt, sifted.revocations.endsAt(attestation))
    const granted = Math.min(Math.max(attestation.depth, 0), depthMax)
    if (cap < attestation.level) reasons.set(at, 'superseded')
    for (let level = 1; level <= Math.min(attestation.level, cap); level++) {
      const worn = Math.min(end, decaysAt(attestation, level))
      if (worn <= now) {
        if (level === 1) reasons.set(at, 'expired')
        return
      }
      const ends = Math.min(worn, stalesAt(ageOf(pair.issuer), level, now))
      if (ends <= now) {
        reasons.set(at, 'stale')
        return
      }
      take(level - 1)
      if (level === 4 && scopesOf(at, pair).some((live) => scopeNamesAuthority(live, scope))) take(slot.naming)

      function take(into: number): void {
        const before = depth[into] ?? -1
        const isDeeper = granted > before
        const isLonger =
          granted === before && (ends > (until[into] ?? 0) || (ends === until[into] && attestation.id < (statements[witness[into] ?? -1]?.id ?? '')))
        if (!isDeeper && !isLonger) return
        depth[into] = granted
        until[into] = ends
        witness[into] = at
      }
    }
  }
}

/** Edges in order of issuer, in flat arrays. */
function pack(edges: readonly Edge[], nodeCount: number): Pick<TrustGraph, 'outStart' | 'source' | 'target' | 'depth' | 'until' | 'witness' | 'countsFrom'> {
  const outStart = new Int32Array(nodeCount + 1)
  for (const { pair } of edges) outStart[pair.issuer + 1] = (outStart[pair.issuer + 1] ?? 0) + 1
  for (let node = 0; node < nodeCount; node++) outStart[node + 1] = (outStart[node + 1] ?? 0) + (outStart[node] ?? 0)
  const next = outStart.slice()
  const source = new Int32Array(edges.length)
  const target = new Int32Array(edges.length)
  const countsFrom = new Float64Array(edges.length)
  const depth = new Int8Array(edges.length * slots)
  const until = new Float64Array(edges.length * slots)
  const witness = new Int32Array(edges.length * slots)
  for (const edge of edges) {
    const at = next[edge.pair.issuer] ?? 0
    next[edge.pair.issuer] = at + 1
    source[at] = edge.pair.issuer
    target[at] = edge.pair.subject
    countsFrom[at] = edge.pair.countsFrom
    for (let entry = 0; entry < slots; entry++) {
      depth[at * slots + entry] = edge.depth[entry] ?? -1
      until[at * slots + entry] = edge.until[entry] ?? 0
      witness[at * slots + entry] = edge.witness[entry] ?? -1
    }
  }
  return { outStart, source, target, depth, until, witness, countsFrom }
}
