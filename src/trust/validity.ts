import type { TrustGraph } from './graph.ts'
import type { Proofs } from './proof.ts'
import { grants, slot } from './reader.ts'
import { rootIndex } from './sift.ts'
import type { Standing } from './strata.ts'

export interface Validity {
  /** Next instant at which anything in the scope may change. Infinity when nothing will by itself. */
  readonly anything: number
  /** Next instant at which time alone may raise somebody, or count a veto not counted now. */
  readonly rise: number
}

/** Source: trust/v1 section 2.8. */
export function validity(graph: TrustGraph, { level, banned, counted, depths }: Standing, proofs: Proofs): Validity {
  const { now, source, outStart, target, packed, isLate, vetoes, next: anything } = graph
  let rise = Infinity
  const holds = (node: number): boolean => node === rootIndex || (level[node] ?? 0) >= 2
  const rises = (at: number): void => {
    if (at > now) rise = Math.min(rise, at)
  }

  const known = new Map<number, number>()
  for (let edge = outStart[rootIndex] ?? 0; edge < (outStart[rootIndex + 1] ?? 0); edge++) {
    if (vetoes.length > 0 && grants(packed[edge] ?? 0, slot.verified) >= 0) known.set(target[edge] ?? rootIndex, graph.until(edge, slot.verified))
  }
  isLate.forEach((late, edge) => {
    if (late === 1 && holds(source[edge] ?? rootIndex)) rises(graph.countsFrom(edge))
  })
  for (const veto of vetoes) {
    if (!holds(veto.issuer)) continue
    rises(veto.until)
    rises(veto.countsFrom)
    rises(known.get(veto.issuer) ?? Infinity)
    for (const held of [2, 3, 4] as const) if (veto.issuer !== rootIndex && (depths[held]?.[veto.issuer] ?? -1) >= 0) rises(proofs.until(held, veto.issuer))
  }
  // A vetoer that was itself banned counted before it fell; what it stood on is not kept, so anything may matter.
  const isUnsure = vetoes.some((veto) => banned[veto.issuer] === 1 || (counted.has(veto) && !holds(veto.issuer)))
  return { anything, rise: isUnsure ? anything : rise }
}
