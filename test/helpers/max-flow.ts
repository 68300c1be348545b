/** How many ways lead from one node to another that share nobody between, counted up to `most`. */
export type DisjointWays = (from: string, to: string, most: number) => number

/**
 * Counts disjoint ways by maximum flow: every node in two halves with room for one way between them, augmented along shortest paths (Menger; Edmonds and Karp). Knows nothing of the
 * trust rule.
 */
export function waysIn(edges: readonly (readonly [string, string])[]): DisjointWays {
  const numbers = new Map<string, number>()
  const to: number[] = []
  const room: number[] = []
  const arcs: number[][] = []
  // Arcs come in pairs: the one with the last bit set is the way back.
  const join = (a: number, b: number): void => {
    arcs[a]?.push(to.push(b) - 1)
    arcs[b]?.push(to.push(a) - 1)
    room.push(1, 0)
  }
  const number = (node: string): number => {
    const known = numbers.get(node)
    if (known !== undefined) return known
    const into = arcs.push([], []) - 2
    numbers.set(node, into)
    join(into, into + 1)
    return into
  }
  for (const [a, b] of edges) join(number(a) + 1, number(b))
  const full = Int8Array.from(room)

  return (from, target, most) => {
    const [source, sink] = [numbers.get(from), numbers.get(target)]
    if (source === undefined || sink === undefined) return 0
    const left = full.slice()
    let ways = 0
    while (ways < most && augment(left, source + 1, sink)) ways++
    return ways
  }

  function augment(left: Int8Array, source: number, sink: number): boolean {
    const cameBy = new Int32Array(arcs.length).fill(-1)
    const queue = [source]
    for (const at of queue) {
      for (const arc of arcs[at] ?? []) {
        const next = to[arc] ?? source
        if (left[arc] !== 1 || next === source || cameBy[next] !== -1) continue
        cameBy[next] = arc
        queue.push(next)
      }
      if (cameBy[sink] !== -1) break
    }
    if (cameBy[sink] === -1) return false
    for (let at = sink; at !== source;) {
      const arc = cameBy[at] ?? 0
      left[arc] = 0
      left[arc ^ 1] = 1
      at = to[arc ^ 1] ?? source
    }
    return true
  }
}
