import type { Did } from '../base/index.ts'
import type { Known } from './explain.ts'
import { grants, slot } from './reader.ts'
import { rootIndex } from './sift.ts'
import type { StatementLevel } from './types.ts'

/** What one says about another now, in one scope. */
export interface TrustEdge {
  readonly issuer: Did
  readonly subject: Did
  /** What the word counts for after age and freshness: BASIC to AUTHORITY, distrust or caution. */
  readonly level: StatementLevel
  /** The statement behind it. */
  readonly id: string
  readonly until: number
  /** Whether the issuer is heard at all: it may introduce, or its veto has weight. */
  readonly isHeard: boolean
}

/** All live words of a scope. */
export function* edgesOf({ sift, graph, standing }: Pick<Known, 'sift' | 'graph' | 'standing'>): Generator<TrustEdge> {
  const { nodes } = sift
  const isHeard = (issuer: number, countsFrom: number, depthMin: number): boolean =>
    issuer === rootIndex || ((standing.depths[2]?.[issuer] ?? -1) >= depthMin && (countsFrom <= graph.now || (standing.level[issuer] ?? 0) === 4))
  for (let edge = 0; edge < graph.source.length; edge++) {
    let top: number = slot.authority
    while (top > 0 && grants(graph.packed[edge] ?? 0, top) < 0) top--
    const issuer = graph.source[edge] ?? rootIndex
    yield {
      issuer: nodes[issuer] as Did,
      subject: nodes[graph.target[edge] ?? rootIndex] as Did,
      level: (top + 1) as StatementLevel,
      id: sift.attestation(graph.witness(edge, top)).id,
      until: graph.until(edge, top),
      isHeard: isHeard(issuer, graph.countsFrom(edge), 1),
    }
  }
  for (const { issuer, subject, statement, hard, until, countsFrom } of graph.vetoes) {
    yield {
      issuer: nodes[issuer] as Did,
      subject: nodes[subject] as Did,
      level: hard ? -1 : 0,
      id: sift.attestation(statement).id,
      until,
      isHeard: isHeard(issuer, countsFrom, 0),
    }
  }
}
