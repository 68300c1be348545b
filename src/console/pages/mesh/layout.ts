import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY, type SimulationNodeDatum } from 'd3-force'
import type { MeshEdge, MeshNode } from './model.ts'

/** Somebody's place on the map. `seen` goes from 0 to 1 as it appears, back to 0 as it leaves. */
export interface Spot extends SimulationNodeDatum {
  readonly did: string
  node: MeshNode
  x: number
  y: number
  seen: number
  isLeaving: boolean
}

export interface Line {
  readonly edge: MeshEdge
  readonly source: Spot
  readonly target: Spot
}

export interface Layout {
  spots(): readonly Spot[]
  lines(): readonly Line[]
  spot(did: string): Spot | undefined
  /** Takes the mesh as it is now: who stays keeps its place, who is new appears beside those it belongs to, who left fades. */
  update(nodes: readonly MeshNode[], edges: readonly MeshEdge[]): void
  /** One step of everything that moves. False when nothing moves any more. */
  step(): boolean
  /** All steps at once, for people who want no motion. */
  settle(): void
  /** Holds a spot where the pointer has it; without a place it is let go. */
  hold(did: string, at?: { readonly x: number; readonly y: number }): void
}

/** Share of its way that a spot appears or fades in a step: some 20 steps in all. */
const fade = 0.05
const stepsMax = 300

/** Places by force: links pull, everybody pushes, the node itself stays in the middle. */
export function createLayout(): Layout {
  let spots: Spot[] = []
  let lines: Line[] = []
  const bySelf = (spot: Spot): number => (spot.node.standing === 'self' ? 0.2 : 0.03)
  const links = forceLink<Spot, Line & { source: Spot; target: Spot }>()
    .distance(({ edge }) => (edge.kind === 'link' ? 70 : 110))
    .strength(({ edge, source, target }) => (edge.kind === 'link' ? 0.3 : 0.25 / Math.max(1, Math.min(degree(source), degree(target)))))
  const degrees = new Map<Spot, number>()
  const degree = (spot: Spot): number => degrees.get(spot) ?? 0
  const simulation = forceSimulation<Spot>()
    .force('links', links)
    .force('push', forceManyBody<Spot>().strength(-90).theta(1.1).distanceMax(420))
    .force('apart', forceCollide<Spot>(15).iterations(1))
    .force('x', forceX<Spot>(0).strength(bySelf))
    .force('y', forceY<Spot>(0).strength(bySelf))
    .alphaDecay(1 - 0.001 ** (1 / stepsMax))
    .stop()

  function take(): void {
    simulation.nodes(spots)
    links.links(lines)
  }

  return {
    spots: () => spots,
    lines: () => lines,
    spot: (did) => spots.find((spot) => spot.did === did),
    update(nodes, edges) {
      const before = new Map(spots.map((spot) => [spot.did, spot]))
      const now = new Map<string, Spot>()
      for (const node of nodes) {
        const known = before.get(node.did)
        if (known === undefined) now.set(node.did, { did: node.did, node, x: Number.NaN, y: Number.NaN, seen: 0, isLeaving: false })
        else now.set(node.did, Object.assign(known, { node, isLeaving: false }))
      }
      const isOther = nodes.length !== before.size || nodes.some(({ did }) => !before.has(did)) || edges.length !== lines.length
      for (const spot of before.values()) if (!now.has(spot.did)) now.set(spot.did, Object.assign(spot, { isLeaving: true }))
      spots = [...now.values()]
      lines = edges.flatMap((edge) => {
        const [source, target] = [now.get(edge.from), now.get(edge.to)]
        return source === undefined || target === undefined || source === target ? [] : [{ edge, source, target }]
      })
      placeNew(spots, lines)
      degrees.clear()
      for (const { source, target } of lines) for (const end of [source, target]) degrees.set(end, degree(end) + 1)
      take()
      if (isOther) simulation.alpha(before.size === 0 ? 1 : Math.max(simulation.alpha(), 0.3))
    },
    step() {
      const isMoving = simulation.alpha() > simulation.alphaMin()
      if (isMoving) simulation.tick()
      let isFading = false
      for (const spot of spots) {
        const goal = spot.isLeaving ? 0 : 1
        if (spot.seen === goal) continue
        isFading = true
        spot.seen = goal === 1 ? Math.min(1, spot.seen + fade) : Math.max(0, spot.seen - fade)
      }
      if (spots.some(({ isLeaving, seen }) => isLeaving && seen === 0)) {
        spots = spots.filter(({ isLeaving, seen }) => !isLeaving || seen > 0)
        const kept = new Set(spots)
        lines = lines.filter(({ source, target }) => kept.has(source) && kept.has(target))
        take()
      }
      return isMoving || isFading
    },
    settle() {
      for (let step = 0; step < stepsMax + 1 / fade && this.step(); step++);
    },
    hold(did, at) {
      const spot = this.spot(did)
      if (spot === undefined) return
      spot.fx = at?.x ?? null
      spot.fy = at?.y ?? null
      if (at !== undefined) simulation.alpha(Math.max(simulation.alpha(), 0.1))
    },
  }
}

/** Beside a neighbour that has a place, else on a spiral around the middle; the same input gives the same places. */
function placeNew(spots: readonly Spot[], lines: readonly Line[]): void {
  const neighbour = new Map<Spot, Spot>()
  for (const { source, target } of lines) {
    if (Number.isNaN(source.x) && !Number.isNaN(target.x)) neighbour.set(source, target)
    if (Number.isNaN(target.x) && !Number.isNaN(source.x)) neighbour.set(target, source)
  }
  spots.forEach((spot, at) => {
    if (!Number.isNaN(spot.x)) return
    const near = neighbour.get(spot)
    const angle = at * 2.399_963
    const radius = near === undefined ? 12 * Math.sqrt(at) : 40
    spot.x = (near?.x ?? 0) + radius * Math.cos(angle)
    spot.y = (near?.y ?? 0) + radius * Math.sin(angle)
  })
}
