import { votesNeeded } from './limits.ts'
import type { ProofLevel, Proofs, Support } from './proof.ts'
import { rootIndex } from './sift.ts'

interface Arc {
  readonly to: number
  readonly support: Support | undefined
  readonly twin: number
  room: number
  used: number
}

/** A way from the root to the subject, as the supports along it. */
export type Path = readonly Support[]

/**
 * Ways from the root that carry all votes of `node` at `level`. No two share anybody but the ends and AUTHORITY nodes, and those only where the votes need it (Menger).
 * Augmenting paths over at most 3^depth nodes, since `supports` keeps no more than the votes needed. Source: trust/v1 section 3.2.
 */
export function disjointPaths(proofs: Proofs, isAuthority: (node: number) => boolean, level: ProofLevel, node: number): readonly Path[] {
  const needed = level >= 4 ? 1 : (votesNeeded[level as 1 | 2 | 3] ?? 1)
  const arcs: Arc[] = []
  const arcsFrom: number[][] = [[]]
  const vertices = new Map<string, number>()
  const sharing: Arc[] = []
  const join = (from: number, to: number, room: number, support?: Support): Arc => {
    const arc: Arc = { to, support, twin: arcs.length + 1, room, used: 0 }
    arcs.push(arc, { to: from, support: undefined, twin: arcs.length, room: 0, used: 0 })
    arcsFrom[from]?.push(arcs.length - 2)
    arcsFrom[to]?.push(arcs.length - 1)
    return arc
  }

  /** The way into a vertex; what leads to it is joined on the first call. Vertex 0 is the root. */
  const enter = (at: ProofLevel, of: number): number => {
    const key = `${at} ${of}`
    const before = vertices.get(key)
    if (before !== undefined) return before
    const into = arcsFrom.push([], []) - 2
    vertices.set(key, into)
    const through = join(into, into + 1, 1)
    if (isAuthority(of)) sharing.push(through)
    for (const support of proofs.supports(at, of)) {
      const arc = join(support.from === rootIndex ? 0 : enter(support.level, support.from) + 1, into, 1, support)
      if (support.votes > 1) sharing.push(arc)
    }
    return into
  }

  const goal = enter(level, node)
  let flow = 0
  while (flow < needed && augment(arcs, arcsFrom, goal)) flow++
  if (flow < needed) {
    for (const arc of sharing) arc.room += needed - (arc.support === undefined ? 0 : needed - arc.support.votes + 1)
    while (flow < needed && augment(arcs, arcsFrom, goal)) flow++
  }
  return walk(arcs, arcsFrom, goal, flow)
}

function augment(arcs: readonly Arc[], arcsFrom: readonly (readonly number[])[], goal: number): boolean {
  const cameBy = new Map<number, number>([[0, -1]])
  const queue = [0]
  for (const vertex of queue) {
    for (const at of arcsFrom[vertex] ?? []) {
      const arc = arcs[at]
      if (arc === undefined || arc.room < 1 || cameBy.has(arc.to)) continue
      cameBy.set(arc.to, at)
      queue.push(arc.to)
    }
  }
  if (!cameBy.has(goal)) return false
  for (let vertex = goal; vertex !== 0;) {
    const arc = arcs[cameBy.get(vertex) ?? 0] as Arc
    const twin = arcs[arc.twin] as Arc
    arc.room--
    arc.used++
    twin.room++
    twin.used--
    vertex = twin.to
  }
  return true
}

/** Takes the flow apart into ways; two votes along one way are one way. */
function walk(arcs: readonly Arc[], arcsFrom: readonly (readonly number[])[], goal: number, flow: number): Path[] {
  const paths = new Map<string, Path>()
  for (let unit = 0; unit < flow; unit++) {
    const path: Support[] = []
    for (let vertex = 0; vertex !== goal;) {
      const arc = (arcsFrom[vertex] ?? []).map((at) => arcs[at]).find((way) => way !== undefined && way.used > 0)
      if (arc === undefined) break
      arc.used--
      if (arc.support !== undefined) path.push(arc.support)
      vertex = arc.to
    }
    paths.set(path.map(({ edge }) => edge).join(' '), path)
  }
  return [...paths.values()]
}
