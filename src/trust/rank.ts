import type { Did } from '../base/index.ts'
import type { TrustGraph } from './graph.ts'
import { grants, slot } from './reader.ts'
import { rootIndex } from './sift.ts'
import type { Standing } from './strata.ts'

/** What is handed out is counted in whole parts, so that no order of adding changes a sum. */
const wholeParts = 2 ** 48
const passedOn = 0.85
const rounds = 24

/**
 * How well the root knows everybody, 0 to 1: personalised PageRank over the words of those who hold VERIFIED, minus what those who distrust a subject would have given it.
 * Ranks inside a level and never gates. Source: trust/v1 section 2.11.
 */
export function rankScores(graph: TrustGraph, { level }: Standing): Float64Array {
  const { nodeCount, outStart, target, packed, isLate, vetoes } = graph
  const counts = (edge: number): boolean => isLate[edge] === 0 && grants(packed[edge] ?? 0, slot.basic) >= 0
  const speaks = (node: number): boolean => node === rootIndex || (level[node] ?? 0) >= 2
  const words = new Int32Array(nodeCount)
  const speakers: number[] = []
  for (let node = 0; node < nodeCount; node++) {
    if (!speaks(node)) continue
    for (let edge = outStart[node] ?? 0; edge < (outStart[node + 1] ?? 0); edge++) if (counts(edge)) words[node] = (words[node] ?? 0) + 1
    if ((words[node] ?? 0) > 0) speakers.push(node)
  }
  const share = (mass: number, node: number): number => Math.floor((mass * passedOn) / (words[node] ?? 1))

  let mass = new Float64Array(nodeCount)
  mass[rootIndex] = wholeParts
  for (let round = 0; round < rounds; round++) {
    const next = new Float64Array(nodeCount)
    next[rootIndex] = Math.floor(wholeParts * (1 - passedOn))
    for (const node of speakers) {
      const each = share(mass[node] ?? 0, node)
      if (each === 0) continue
      for (let edge = outStart[node] ?? 0; edge < (outStart[node + 1] ?? 0); edge++) {
        const to = target[edge] ?? rootIndex
        if (counts(edge)) next[to] = (next[to] ?? 0) + each
      }
    }
    mass = next
  }
  const scores = mass.slice()
  for (const { issuer, subject, hard } of vetoes) {
    if (hard && speaks(issuer)) scores[subject] = (scores[subject] ?? 0) - share(mass[issuer] ?? 0, issuer)
  }
  return scores.map((score) => score / wholeParts)
}

/** From the highest level down, inside a level from the best known down, then in order of DID. */
export function inOrder<T extends { readonly subject: Did; readonly level: number; readonly score: number }>(all: readonly T[]): T[] {
  return all.toSorted((a, b) => b.level - a.level || b.score - a.score || (a.subject < b.subject ? -1 : 1))
}
