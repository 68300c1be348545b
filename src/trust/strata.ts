import { slot, slots, type TrustGraph, type Veto } from './graph.ts'
import { authorityVotes, vetoesNeeded, votesNeeded } from './limits.ts'
import { type Depths, oneStep, propagate } from './propagate.ts'
import { rootIndex } from './sift.ts'
import type { Level } from './types.ts'

/** Who holds what in one scope. */
export interface Standing {
  /** By node, the answer. */
  readonly level: Int8Array
  /** By level 1 to 4, the depth each node has left there; 0 is unused. */
  readonly depths: readonly Depths[]
  /** Depth left of those who may name an AUTHORITY. */
  readonly naming: Depths
  readonly banned: Uint8Array
  /** Vetoes that counted in a ban. */
  readonly counted: ReadonlySet<Veto>
  /** Highest level the root itself says, 0 for none. */
  readonly rootWord: Int8Array
}

/** Levels from 4 down; within each, vetoes are applied all at once after the level is known. Source: trust/v1 sections 2.4 to 2.6. */
export function settle(graph: TrustGraph): Standing {
  const count = graph.nodes.length
  const rootWord = rootWords(graph)
  const hard = new Uint8Array(count)
  const banned = new Uint8Array(count)
  const counted = new Set<Veto>()
  const depths: Depths[] = []
  const none: Depths = new Int8Array(count).fill(-1)
  let naming = none

  const holdersOf = (level: number): Depths => depths[level] ?? none
  const isAuthority = (node: number): boolean => (holdersOf(4)[node] ?? -1) >= 0

  for (const veto of graph.vetoes) if (veto.issuer === rootIndex) ban(veto.subject, veto.hard, [veto])
  for (let level = 4; level >= 1; level--) {
    // A caution caps at BASIC, so there only distrust keeps a ban.
    if (level === 1) banned.set(hard)
    depths[level] = hold(level)
    // Vetoers can only become fewer when the level is computed again, so one round reaches the end.
    if (judge(level)) depths[level] = hold(level)
  }
  judge(0)

  const level = new Int8Array(count)
  for (let node = 0; node < count; node++) level[node] = answer(node)
  return { level, depths, naming, banned, counted, rootWord }

  function hold(level: number): Depths {
    if (level === 4) {
      naming = propagate(graph, { slot: slot.naming, votesNeeded: 1, authorityVotes: 1, above: undefined, banned, isAuthority: () => true })
      return oneStep(graph, { slot: slot.authority, from: naming, banned, isExempt: () => true })
    }
    if (level === 1) {
      const basic = oneStep(graph, { slot: slot.basic, from: holdersOf(2), banned, isExempt: isAuthority })
      return basic.map((value, node) => Math.max(value, holdersOf(2)[node] ?? -1))
    }
    return propagate(graph, {
      slot: level - 1,
      votesNeeded: votesNeeded[level] ?? 1,
      authorityVotes: authorityVotes[level] ?? 1,
      above: depths[level + 1],
      banned,
      isAuthority,
    })
  }

  /** Bans whom enough holders of max(VERIFIED, level) veto, of those whose level this is. True when there is a new ban. */
  function judge(level: number): boolean {
    const bySubject = new Map<number, Veto[]>()
    for (const veto of graph.vetoes) {
      if (!isJudged(veto.subject, level) || !qualifies(veto, level)) continue
      const others = bySubject.get(veto.subject)
      if (others === undefined) bySubject.set(veto.subject, [veto])
      else others.push(veto)
    }
    let isNew = false
    for (const [subject, vetoes] of bySubject) {
      const distrust = vetoes.filter((veto) => veto.hard)
      if (suffices(distrust)) ban(subject, true, vetoes)
      else if (level >= 2 && suffices(vetoes)) ban(subject, false, vetoes)
      else continue
      isNew = true
    }
    return isNew
  }

  function isJudged(subject: number, level: number): boolean {
    const holds = level === 0 || (holdersOf(level)[subject] ?? -1) >= 0
    const holdsMore = level < 4 && (holdersOf(level + 1)[subject] ?? -1) >= 0
    return holds && !holdsMore && banned[subject] === 0 && ((rootWord[subject] ?? 0) < level || level === 0)
  }

  function qualifies({ issuer, countsFrom }: Veto, level: number): boolean {
    return (holdersOf(Math.max(2, level))[issuer] ?? -1) >= 0 && (countsFrom <= graph.now || isAuthority(issuer))
  }

  function suffices(vetoes: readonly Veto[]): boolean {
    const issuers = new Set(vetoes.map(({ issuer }) => issuer))
    return issuers.size >= vetoesNeeded || [...issuers].some((issuer) => isAuthority(issuer) || (rootWord[issuer] ?? 0) >= 2)
  }

  function ban(subject: number, isHard: boolean, vetoes: readonly Veto[]): void {
    banned[subject] = 1
    if (isHard) hard[subject] = 1
    for (const veto of vetoes) counted.add(veto)
  }

  function answer(node: number): Level {
    if (node === rootIndex) return 4
    for (const level of [4, 3, 2, 1] as const) if ((holdersOf(level)[node] ?? -1) >= 0) return level
    return hard[node] === 1 ? -1 : 0
  }
}

function rootWords({ nodes, outStart, target, depth }: TrustGraph): Int8Array {
  const words = new Int8Array(nodes.length)
  for (let edge = outStart[rootIndex] ?? 0; edge < (outStart[rootIndex + 1] ?? 0); edge++) {
    const to = target[edge] ?? rootIndex
    for (let level = 1; level <= 4; level++) if ((depth[edge * slots + level - 1] ?? -1) >= 0) words[to] = level
  }
  return words
}
