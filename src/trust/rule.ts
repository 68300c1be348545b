import type { Did } from '../base/index.ts'
import { edgesOf, type TrustEdge } from './edges.ts'
import { type Explanation, explain, type ExplainOptions, type Known, knownFrom } from './explain.ts'
import { buildGraph } from './graph.ts'
import type { Experience } from './ledger.ts'
import { introducerDepthMax } from './limits.ts'
import { createProofs } from './proof.ts'
import { sift } from './sift.ts'
import { settle } from './strata.ts'
import type { Attestation, Level, Revocation } from './types.ts'
import { validity } from './validity.ts'

export interface TrustQuestion {
  readonly root: Did
  /** A command path such as `/task/run`. */
  readonly scope: string
  /** Verified statements, in any order. */
  readonly attestations: Iterable<Attestation>
  /** Verified revocations, in any order. */
  readonly revocations?: Iterable<Revocation>
  readonly now: number
  /** Age in ms of the newest head seen of an issuer, undefined when none was seen. Without this function every head is taken as fresh. */
  readonly headAge?: ((issuer: Did) => number | undefined) | undefined
  readonly depthMax?: number
  /** What came of the tasks this node had done by others. */
  readonly experience?: Iterable<Experience> | undefined
  /** Issuers proven to contradict themselves. */
  readonly warrants?: Iterable<Did> | undefined
  /** Who answers for a DID. Issuers with one controller have one vote. */
  readonly controllerOf?: ((did: Did) => Did) | undefined
}

/** A candidate for work; the score ranks inside a level and means nothing across levels. */
export interface Ranked {
  readonly subject: Did
  readonly level: Level
  readonly score: number
}

/** Everybody's level in one scope at one instant. Never changes; ask again after `validUntil` or with new statements. */
export interface TrustSnapshot {
  readonly scope: string
  readonly at: number
  /** Next instant at which any answer may change; undefined when none will by time alone. */
  readonly validUntil: number | undefined
  /** How far we trust `subject`, -1 to 4. UNKNOWN when nobody we know vouches for it. Source: trust/v1 section 2. */
  level(subject: Did): Level
  /** Why. Source: trust/v1 section 3. */
  explain(subject: Did, options?: ExplainOptions): Explanation
  /** Everybody who speaks or is spoken of, the root first, then in order of DID. */
  subjects(): readonly Did[]
  /** What everybody says of whom now. */
  edges(): Iterable<TrustEdge>
  /** The given subjects, or all, from the highest level down and inside a level from the best known down. Never gates. */
  rank(subjects?: Iterable<Did>): readonly Ranked[]
}

/** The trust rule for one scope. Pure: the same statements in any order give the same snapshot. Source: trust/v1 section 2. */
export function computeTrust({ root, scope, attestations, revocations = [], now, headAge, depthMax = introducerDepthMax }: TrustQuestion): TrustSnapshot {
  const sifted = sift(root, attestations, revocations)
  const graph = buildGraph(sifted, { scope, now, depthMax, headAge })
  const standing = settle(graph)
  let known: Known | undefined
  const details = (): Known => {
    if (known !== undefined) return known
    const proofs = createProofs(graph, standing)
    known = knownFrom({ sifted, graph, standing, proofs, validity: validity(graph, standing, proofs), scope })
    return known
  }
  const levelOf = (subject: Did): Level => {
    const node = sifted.indexOf.get(subject)
    return (node === undefined ? 0 : (standing.level[node] ?? 0)) as Level
  }
  return {
    scope,
    at: now,
    get validUntil() {
      const { anything } = details().validity
      return anything === Infinity ? undefined : anything
    },
    level: levelOf,
    explain: (subject, options) => explain(details(), subject, options),
    edges: () => edgesOf({ sifted, graph, standing }),
    subjects: () => [root, ...sifted.nodes.slice(1).sort()],
    rank: (subjects = sifted.nodes) => [...subjects].map((subject) => ({ subject, level: levelOf(subject), score: 0 })).sort((a, b) => b.level - a.level),
  }
}
