/** What one statement carries from `from` to `to`. Amounts as in OpenPGP: 0 nothing, 60 partial, 120 full. */
export interface FlowEdge {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly amount: number
  /** Further steps the issuer answers for. */
  readonly depth: number
  /** Edges of one purse together carry no more than each alone: one issuer, or its aliases, about one subject. */
  readonly purse: string
}

/** A way to the subject. Its edges are in order from the start. */
export interface FlowPath {
  readonly amount: number
  readonly edges: readonly FlowEdge[]
  /** How many further steps everybody on the way answers for. */
  readonly depthLeft: number
}

export interface Flow {
  readonly amount: number
  readonly paths: readonly FlowPath[]
}

/** What was already carried, by purse. */
export type Spent = Map<string, number>

interface Step {
  readonly edge: FlowEdge
  readonly amount: number
  readonly depthLeft: number
}

/** Edges by the node they lead to. */
export type Incoming = ReadonlyMap<string, readonly FlowEdge[]>

export const incoming = (edges: Iterable<FlowEdge>): Incoming => Map.groupBy(edges, ({ to }) => to)

/**
 * The first step from every node that reaches `target`: of its ways the one with fewest steps, among those the one that carries most.
 * An edge counts if it allows for the steps after it and `spare` more. Source: trust/v1 section 2.9.
 */
export function firstSteps(into: Incoming, target: string, { spare = 0, spent }: { readonly spare?: number; readonly spent?: Spent } = {}): Map<string, Step> {
  const steps = new Map<string, Step>()
  let layer: readonly string[] = [target]
  for (let after = 0; layer.length > 0; after++) {
    const next = new Map<string, Step>()
    for (const to of layer) {
      const onward = steps.get(to)
      for (const edge of into.get(to) ?? []) {
        if (edge.depth < after + spare || edge.from === target || steps.has(edge.from)) continue
        const amount = Math.min(edge.amount - (spent?.get(edge.purse) ?? 0), onward?.amount ?? Infinity)
        if (amount <= 0) continue
        const step = { edge, amount, depthLeft: Math.min(edge.depth - after, onward?.depthLeft ?? Infinity) }
        const other = next.get(edge.from)
        if (other === undefined || isBetter(step, other)) next.set(edge.from, step)
      }
    }
    for (const [from, step] of next) steps.set(from, step)
    layer = [...next.keys()]
  }
  return steps
}

const isBetter = (a: Step, b: Step): boolean =>
  a.amount > b.amount ||
  (a.amount === b.amount &&
    (a.edge.to < b.edge.to || (a.edge.to === b.edge.to && (a.edge.depth > b.edge.depth || (a.edge.depth === b.edge.depth && a.edge.id < b.edge.id)))))

/** The way the steps make from `from`, undefined where there is none. */
export function follow(steps: ReadonlyMap<string, Step>, from: string): FlowPath | undefined {
  const first = steps.get(from)
  if (first === undefined) return undefined
  const edges: FlowEdge[] = []
  for (let step: Step | undefined = first; step !== undefined; step = steps.get(step.edge.to)) edges.push(step.edge)
  return { amount: first.amount, edges, depthLeft: first.depthLeft }
}

/** A start with less than this is spent by what starts there; one with this much never is. Source: trust/v1 section 2.9. */
export const fullAmount = 120

export interface FlowOptions {
  /** Starts with the amount each is trusted with, at most `fullAmount`. */
  readonly starts: ReadonlyMap<string, number>
  readonly target: string
  /** No further way is looked for once this much arrives. */
  readonly enough: number
}

/**
 * Ways to `target` one after the other until `enough` arrives, each over what the ones before left: of all starts the way that carries most, then the shortest, then the start named first.
 * Ways that let the target itself introduce come first. Source: trust/v1 section 2.9.
 */
export function authenticate(into: Incoming, { starts, target, enough }: FlowOptions): Flow {
  const spent: Spent = new Map()
  const left = new Map(starts)
  const paths: FlowPath[] = []
  let amount = 0
  while (amount < enough) {
    const path = best(1) ?? best(0)
    if (path === undefined) break
    paths.push(path)
    amount += path.amount
    for (const { purse } of path.edges) spent.set(purse, (spent.get(purse) ?? 0) + path.amount)
    const start = path.edges[0]?.from ?? target
    if ((starts.get(start) ?? 0) < fullAmount) left.set(start, (left.get(start) ?? 0) - path.amount)
  }
  return { amount, paths }

  function best(spare: number): FlowPath | undefined {
    const steps = firstSteps(into, target, { spare, spent })
    return [...left]
      .flatMap(([start, room]) => {
        const path = follow(steps, start)
        return path === undefined || room <= 0 ? [] : [{ ...path, amount: Math.min(path.amount, room) }]
      })
      .sort((a, b) => b.amount - a.amount || a.edges.length - b.edges.length)[0]
  }
}
