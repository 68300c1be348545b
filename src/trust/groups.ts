import type { Did } from '../base/index.ts'

/** Who of the nodes answers to one controller with another. Source: trust/v1 section 2.4. */
export interface Groups {
  /** Whose vote it is: one number for all nodes of a controller. */
  voterOf(node: number): number
  /** Whether a node shares its controller with another. */
  isShared(node: number): boolean
  /** Whether both answer to one controller. */
  isOne(a: number, b: number): boolean
}

/** undefined where everybody answers for himself. */
export function groupNodes(nodes: readonly Did[], controllerOf: (did: Did) => Did): Groups | undefined {
  const firstOf = new Map<Did, number>()
  const voters = new Int32Array(nodes.length)
  const shared = new Uint8Array(nodes.length)
  let isAnyShared = false
  nodes.forEach((did, node) => {
    const controller = controllerOf(did)
    const first = firstOf.get(controller) ?? node
    if (first === node) firstOf.set(controller, node)
    else {
      isAnyShared = true
      shared[first] = shared[node] = 1
    }
    voters[node] = first
  })
  if (!isAnyShared) return undefined
  return {
    voterOf: (node) => voters[node] ?? node,
    isShared: (node) => shared[node] === 1,
    isOne: (a, b) => (voters[a] ?? a) === (voters[b] ?? b),
  }
}
