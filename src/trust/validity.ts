import { slot, slots, type TrustGraph } from './graph.ts'
import type { Proofs } from './proof.ts'
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
  const { now, source, target, until, depth, countsFrom, vetoes } = graph
  let anything = Infinity
  let rise = Infinity
  const holds = (node: number): boolean => node === rootIndex || (level[node] ?? 0) >= 2
  const rises = (at: number): void => {
    if (at > now) rise = Math.min(rise, at)
  }

  const known = new Float64Array(level.length).fill(Infinity)
  until.forEach((ends, entry) => {
    if ((depth[entry] ?? -1) < 0) return
    anything = Math.min(anything, ends)
    const edge = Math.floor(entry / slots)
    const to = target[edge] ?? rootIndex
    if (source[edge] === rootIndex && entry % slots === slot.verified) known[to] = ends
  })
  countsFrom.forEach((at, edge) => {
    if (at <= now) return
    anything = Math.min(anything, at)
    if (holds(source[edge] ?? rootIndex)) rises(at)
  })
  for (const veto of vetoes) {
    anything = Math.min(anything, veto.until, veto.countsFrom > now ? veto.countsFrom : Infinity)
    if (!holds(veto.issuer)) continue
    rises(veto.until)
    rises(veto.countsFrom)
    rises(known[veto.issuer] ?? Infinity)
    for (const held of [2, 3, 4] as const) if (veto.issuer !== rootIndex && (depths[held]?.[veto.issuer] ?? -1) >= 0) rises(proofs.until(held, veto.issuer))
  }
  // A vetoer that was itself banned counted before it fell; what it stood on is not kept, so anything may matter.
  const isUnsure = vetoes.some((veto) => banned[veto.issuer] === 1 || (counted.has(veto) && !holds(veto.issuer)))
  return { anything, rise: isUnsure ? anything : rise }
}
