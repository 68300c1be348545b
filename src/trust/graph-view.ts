import type { Did } from '../base/index.ts'
import type { TrustEdge } from './edges.ts'
import type { TrustSnapshot } from './rule.ts'
import type { Level } from './types.ts'

/** Nodes a drawing has at most, and unless told otherwise. Source: trust/v1 section 3.5. */
export const viewNodesMax = 500
export const viewNodesDefault = 120
/** Words a drawing has at most. Source: trust/v1 section 3.5. */
export const viewEdgesMax = 2_000

export interface ViewNode {
  readonly id: Did
  /** The reader's own word for it. */
  readonly name: string | undefined
  readonly level: Level
  /** Introductions from the root; undefined for somebody whom no word that is heard reaches. */
  readonly layer: number | undefined
}

/** A part of who says what about whom, small enough to draw. Source: trust/v1 section 3.5. */
export interface GraphView {
  readonly scope: string
  readonly at: number
  readonly root: Did
  readonly subject: Did | undefined
  /** The root first, then layer by layer, the most trusted first. */
  readonly nodes: readonly ViewNode[]
  readonly edges: readonly TrustEdge[]
  /** How many are known and not shown. */
  readonly leftOut: { readonly nodes: number; readonly edges: number }
}

export interface GraphViewOptions {
  /** Only the surroundings of this one: the ways to it, who speaks about it, and about whom it speaks. */
  readonly subject?: Did | undefined
  readonly nodesMax?: number | undefined
  readonly name?: ((did: Did) => string | undefined) | undefined
}

export function viewGraph(snapshot: TrustSnapshot, { subject, nodesMax = viewNodesDefault, name }: GraphViewOptions = {}): GraphView {
  const all = [...snapshot.edges()]
  const known = snapshot.subjects()
  const root = known[0] as Did
  const layers = layersFrom(root, all)
  const order = (a: Did, b: Did): number => layerOf(a) - layerOf(b) || snapshot.level(b) - snapshot.level(a) || (a < b ? -1 : 1)
  const layerOf = (did: Did): number => layers.get(did) ?? Infinity

  const wanted = subject === undefined ? [...layers.keys(), ...vetoed(all, layers)] : around(snapshot, subject, all)
  const chosen = subject === undefined ? [...new Set(wanted)].sort(order) : [...new Set([root, ...wanted])]
  const shown = new Set(chosen.slice(0, Math.min(nodesMax, viewNodesMax)))
  const fitting = all.filter(({ issuer, subject: about }) => shown.has(issuer) && shown.has(about))
  return {
    ...{ scope: snapshot.scope, at: snapshot.at, root, subject },
    nodes: [...shown].sort(order).map((id) => ({ id, name: name?.(id), level: snapshot.level(id), layer: layers.get(id) })),
    edges: fitting.slice(0, viewEdgesMax),
    leftOut: { nodes: new Set([...known, ...shown]).size - shown.size, edges: all.length - Math.min(fitting.length, viewEdgesMax) },
  }
}

/** Steps from the root along words that are heard. */
function layersFrom(root: Did, edges: readonly TrustEdge[]): Map<Did, number> {
  const heard = Map.groupBy(
    edges.filter(({ isHeard, level }) => isHeard && level > 0),
    ({ issuer }) => issuer,
  )
  const layers = new Map<Did, number>([[root, 0]])
  for (const [did, layer] of layers) {
    for (const { subject } of heard.get(did) ?? []) if (!layers.has(subject)) layers.set(subject, layer + 1)
  }
  return layers
}

const vetoed = (edges: readonly TrustEdge[], layers: ReadonlyMap<Did, number>): readonly Did[] =>
  edges.filter(({ isHeard, level, issuer }) => isHeard && level <= 0 && layers.has(issuer)).map(({ subject }) => subject)

/** The most telling first, for where there are too many. */
function around(snapshot: TrustSnapshot, subject: Did, edges: readonly TrustEdge[]): readonly Did[] {
  const about = edges.filter((edge) => edge.subject === subject)
  const issuers = (isHeard: boolean): readonly Did[] => about.filter((edge) => edge.isHeard === isHeard).map(({ issuer }) => issuer)
  return [
    subject,
    ...snapshot.explain(subject).because.flatMap(({ path }) => path),
    ...issuers(true),
    ...edges.filter(({ issuer }) => issuer === subject).map((edge) => edge.subject),
    ...issuers(false),
  ]
}
