import type { Did } from '../base/index.ts'
import type { Groups } from './groups.ts'
import { createReader, depthHeldMax, grants, type Reader, type ReaderOptions, slot, type Veto } from './reader.ts'
import { reasonOf } from './reasons.ts'
import { rootIndex, type Sift } from './sift.ts'
import type { IgnoredReason } from './types.ts'

/**
 * Live statements of one scope at one instant as a graph in CSR form: 15 bytes an edge.
 * Until when an edge says what it says, and which statement is behind it, is read from the statements when somebody asks.
 */
export interface TrustGraph {
  readonly nodes: readonly Did[]
  readonly nodeCount: number
  readonly now: number
  readonly depthMax: number
  /** First out-edge of each node, and one entry more. */
  readonly outStart: Int32Array
  readonly source: Int32Array
  readonly target: Int32Array
  /** Depth the issuer grants in each slot; see `grants`. */
  readonly packed: Uint16Array
  /** 1 where the subject waits for its turn in the issuer's quota. */
  readonly isLate: Uint8Array
  readonly vetoes: readonly Veto[]
  /** By subject of a veto: its vetoes. */
  readonly vetoesAbout: ReadonlyMap<number, readonly Veto[]>
  /** Issuers with one controller; undefined when everybody answers for himself. */
  readonly groups: Groups | undefined
  /** Next instant at which any edge or veto may change. Infinity when none will by time alone. */
  readonly next: number
  /** When the edge stops supporting the slot. */
  until(edge: number, slot: number): number
  /** The statement behind the slot. */
  witness(edge: number, slot: number): number
  /** From when the edge counts under its issuer's quota. */
  countsFrom(edge: number): number
  reasonOf(statement: number): IgnoredReason | undefined
}

export interface GraphOptions extends ReaderOptions {
  readonly groups: Groups | undefined
}

/** Source: trust/v1 sections 2.1 to 2.3. */
export function buildGraph(sift: Sift, options: GraphOptions): TrustGraph {
  sift.settle()
  const { now, groups } = options
  const depthMax = Math.min(options.depthMax, depthHeldMax)
  const { nodes, pairs } = sift
  const nodeCount = nodes.length
  const vetoes: Veto[] = []
  const [pairOf, packedOf] = [new Int32Array(pairs.count), new Uint16Array(pairs.count)]
  const outStart = new Int32Array(nodeCount + 1)
  const { issuer: issuers, subject: subjects } = pairs
  let edges = 0
  let next = Infinity
  const change = (at: number): void => {
    if (at > now && at < next) next = at
  }
  let isReading = true
  const reader = createReader(sift, { ...options, depthMax }, (veto) => {
    if (!isReading) return
    vetoes.push(veto)
    change(veto.until)
    change(veto.countsFrom)
  })
  for (let pair = 0, count = pairs.count; pair < count; pair++) {
    const issuer = issuers[pair] ?? 0
    if (groups?.isOne(issuer, subjects[pair] ?? 0) === true && issuer !== rootIndex) continue
    const packed = reader.read(pair)
    if (grants(packed, slot.basic) < 0) continue
    change(reader.ends)
    change(sift.countsFrom(pair))
    pairOf[edges] = pair
    packedOf[edges] = packed
    edges++
    outStart[issuer + 1] = (outStart[issuer + 1] ?? 0) + 1
  }
  isReading = false
  const packed = pack(outStart, edges, { pairOf, packedOf, issuers, subjects })
  const isLate = new Uint8Array(edges)
  for (let edge = 0; sift.hasWaiting() && edge < edges; edge++) if (sift.countsFrom(packed.pair[edge] ?? 0) > now) isLate[edge] = 1
  return {
    ...{ nodes, nodeCount, now, depthMax, outStart, source: packed.source, target: packed.target, packed: packed.packed, isLate },
    ...{ vetoes, vetoesAbout: Map.groupBy(vetoes, ({ subject }) => subject), groups, next },
    ...details(sift, reader, packed.pair, { ...options, depthMax }),
  }
}

function details(sift: Sift, reader: Reader, pair: Int32Array, options: GraphOptions): Pick<TrustGraph, 'until' | 'witness' | 'countsFrom' | 'reasonOf'> {
  return {
    until: (edge, at) => reader.until(pair[edge] ?? 0, at),
    witness: (edge, at) => reader.witness(pair[edge] ?? 0, at),
    countsFrom: (edge) => sift.countsFrom(pair[edge] ?? 0),
    reasonOf(statement) {
      const at = sift.columns.pair[statement] ?? 0
      const issuer = sift.pairs.issuer[at] ?? 0
      if (issuer !== rootIndex && options.groups?.isOne(issuer, sift.pairs.subject[at] ?? 0) === true) return 'alias'
      return reasonOf(sift, reader, options, statement)
    },
  }
}

interface Unordered {
  readonly pairOf: Int32Array
  readonly packedOf: Uint16Array
  readonly issuers: Int32Array
  readonly subjects: Int32Array
}

/** Edges in order of issuer. `outStart` comes as counts and leaves as starts. */
function pack(
  outStart: Int32Array,
  edges: number,
  { pairOf, packedOf, issuers, subjects }: Unordered,
): { readonly source: Int32Array; readonly target: Int32Array; readonly packed: Uint16Array; readonly pair: Int32Array } {
  for (let node = 1; node < outStart.length; node++) outStart[node] = (outStart[node] ?? 0) + (outStart[node - 1] ?? 0)
  const place = outStart.slice()
  const [source, target, packed, pair] = [new Int32Array(edges), new Int32Array(edges), new Uint16Array(edges), new Int32Array(edges)]
  for (let edge = 0; edge < edges; edge++) {
    const from = pairOf[edge] ?? 0
    const issuer = issuers[from] ?? 0
    const at = place[issuer] ?? 0
    place[issuer] = at + 1
    source[at] = issuer
    target[at] = subjects[from] ?? 0
    packed[at] = packedOf[edge] ?? 0
    pair[at] = from
  }
  return { source, target, packed, pair }
}
