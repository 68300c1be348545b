import type { Did } from '../base/index.ts'
import type { Known } from './explain.ts'
import { rootIndex } from './sift.ts'
import { type IgnoredReason, levelCaution, type StatementLevel } from './types.ts'

/** A statement about somebody, and why it does not count, or counts for less; undefined when it counts in full. */
export interface Heard {
  readonly id: string
  readonly issuer: Did
  /** The issuer as a number of the graph. */
  readonly from: number
  readonly level: StatementLevel
  readonly reason: IgnoredReason | undefined
}

/** All statements about somebody, in order of id. Source: trust/v1 section 3.3. */
export function statementsAbout({ sift, graph, standing, proofs }: Known, node: number, heardVetoes: ReadonlySet<number>): readonly Heard[] {
  let voters: Set<number> | undefined
  const isVoter = (issuer: number): boolean => {
    voters ??= new Set(([1, 2, 3, 4] as const).flatMap((level) => proofs.candidates(level, node).map(({ from }) => from)))
    return voters.has(issuer)
  }
  return sift
    .about(node)
    .map((at) => {
      const { id, issuer, level } = sift.attestation(at)
      const pair = sift.columns.pair[at] ?? 0
      const from = sift.pairs.issuer[pair] ?? rootIndex
      return {
        id,
        issuer,
        from,
        level,
        reason: graph.reasonOf(at) ?? fault(from, { isVeto: level <= levelCaution, isHeard: heardVetoes.has(at), countsFrom: sift.countsFrom(pair) }),
      }
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1))

  function fault(
    issuer: number,
    { isVeto, isHeard, countsFrom }: { readonly isVeto: boolean; readonly isHeard: boolean; readonly countsFrom: number },
  ): IgnoredReason | undefined {
    if (issuer === rootIndex || isHeard) return undefined
    if (standing.banned[issuer] === 1) return 'banned'
    if ((standing.level[issuer] ?? 0) < 4 && countsFrom > graph.now) return 'quota'
    const left = standing.depths[2]?.[issuer] ?? -1
    if (isVeto || left < 0) return 'issuerLevel'
    if (left === 0) return 'depth'
    // Another with the same controller has the vote.
    return graph.groups?.isShared(issuer) === true && !isVoter(issuer) ? 'alias' : undefined
  }
}
