import type { TrustGraph } from './graph.ts'
import { authorityVotes, vetoesNeeded, votesNeeded } from './limits.ts'
import { type Depths, oneStep, propagate } from './propagate.ts'
import { grants, slot, type Veto } from './reader.ts'
import { rootIndex } from './sift.ts'

/** Who holds what in one scope by the word of the root and of others. */
export interface Standing {
  /** By node, the level. */
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
  /** The most depth a node had at VERIFIED or above, before bans too; -1 for a node whose words nobody heard. */
  readonly reach: Depths
}

/** Levels from 4 down; within each, vetoes are applied all at once after the level is known. Source: trust/v1 sections 2.4 to 2.6. */
export function settle(graph: TrustGraph): Standing {
  const { nodeCount: count, groups, vetoesAbout } = graph
  const rootWord = rootWords(graph)
  const vetoed = [...vetoesAbout]
  const hard = new Uint8Array(count)
  const banned = new Uint8Array(count)
  const counted = new Set<Veto>()
  const depths: Depths[] = []
  const none: Depths = new Int8Array(count).fill(-1)
  const reach = none.slice()
  let naming = none

  const holdersOf = (level: number): Depths => depths[level] ?? none
  const isAuthority = (node: number): boolean => (holdersOf(4)[node] ?? -1) >= 0

  for (const veto of graph.vetoes) if (veto.issuer === rootIndex) ban(veto.subject, veto.hard, [veto])
  for (let level = 4; level >= 1; level--) {
    // A caution caps at BASIC, so there only distrust keeps a ban.
    if (level === 1) banned.set(hard)
    depths[level] = hold(level)
    if (level >= 2) extend(reach, holdersOf(level))
    // Vetoers can only become fewer when the level is computed again, so one round reaches the end.
    const fallen = judge(level)
    if (level >= 2 && fallen.some((node) => (holdersOf(level)[node] ?? -1) >= 1)) depths[level] = hold(level)
    // Who introduced nobody takes nobody along.
    else for (const node of fallen) holdersOf(level)[node] = naming[node] = -1
  }
  judge(0)
  const level = answers()
  return { level, depths, naming, banned, counted, rootWord, reach }

  function hold(level: number): Depths {
    if (level === 4) {
      naming = propagate(graph, { slot: slot.naming, votesNeeded: 1, authorityVotes: 1, above: undefined, banned, authorities: undefined })
      return oneStep(graph, { slot: slot.authority, from: naming, banned, authorities: undefined })
    }
    if (level === 1) {
      const basic = oneStep(graph, { slot: slot.basic, from: holdersOf(2), banned, authorities: holdersOf(4) })
      extend(basic, holdersOf(2))
      return basic
    }
    return propagate(graph, {
      slot: level - 1,
      votesNeeded: votesNeeded[level] ?? 1,
      authorityVotes: authorityVotes[level] ?? 1,
      above: depths[level + 1],
      banned,
      authorities: holdersOf(4),
    })
  }

  /** Bans whom enough holders of max(VERIFIED, level) veto, of those whose level this is, and says whom. */
  function judge(level: number): readonly number[] {
    const holders = holdersOf(Math.max(2, level))
    const found: { readonly subject: number; readonly isHard: boolean; readonly vetoes: readonly Veto[] }[] = []
    for (const [subject, all] of vetoed) {
      if (!isJudged(subject, level) || !all.some((veto) => (holders[veto.issuer] ?? -1) >= 0)) continue
      const vetoes = all.filter((veto) => qualifies(veto, level))
      if (suffices(vetoes.filter((veto) => veto.hard))) found.push({ subject, isHard: true, vetoes })
      else if (level >= 2 && suffices(vetoes)) found.push({ subject, isHard: false, vetoes })
    }
    for (const { subject, isHard, vetoes } of found) ban(subject, isHard, vetoes)
    return found.map(({ subject }) => subject)
  }

  function isJudged(subject: number, level: number): boolean {
    if (banned[subject] === 1 || (level > 0 && (rootWord[subject] ?? 0) >= level)) return false
    const holds = level === 0 || (holdersOf(level)[subject] ?? -1) >= 0
    return holds && (level === 4 || (holdersOf(level + 1)[subject] ?? -1) < 0)
  }

  function qualifies({ issuer, countsFrom }: Veto, level: number): boolean {
    return (holdersOf(Math.max(2, level))[issuer] ?? -1) >= 0 && (countsFrom <= graph.now || isAuthority(issuer))
  }

  function suffices(vetoes: readonly Veto[]): boolean {
    if (vetoes.length === 0) return false
    if (vetoes.some(({ issuer }) => isAuthority(issuer) || (rootWord[issuer] ?? 0) >= 2)) return true
    return vetoes.length >= vetoesNeeded && new Set(vetoes.map(({ issuer }) => groups?.voterOf(issuer) ?? issuer)).size >= vetoesNeeded
  }

  function ban(subject: number, isHard: boolean, vetoes: readonly Veto[]): void {
    banned[subject] = 1
    if (isHard) hard[subject] = 1
    for (const veto of vetoes) counted.add(veto)
  }

  function answers(): Int8Array {
    const found = new Int8Array(count)
    for (let held = 1; held <= 4; held++) {
      const holders = holdersOf(held)
      for (let node = 0; node < count; node++) if ((holders[node] ?? -1) >= 0) found[node] = held
    }
    for (const [subject] of vetoed) if (found[subject] === 0 && hard[subject] === 1) found[subject] = -1
    found[rootIndex] = 4
    return found
  }
}

/** Raises the first to the second wherever that is more. */
function extend(depths: Depths, others: Depths): void {
  for (let node = 0; node < depths.length; node++) {
    const other = others[node] ?? -1
    if (other > (depths[node] ?? -1)) depths[node] = other
  }
}

function rootWords({ nodeCount, outStart, target, packed }: TrustGraph): Int8Array {
  const words = new Int8Array(nodeCount)
  for (let edge = outStart[rootIndex] ?? 0; edge < (outStart[rootIndex + 1] ?? 0); edge++) {
    const to = target[edge] ?? rootIndex
    for (let level = 1; level <= 4; level++) if (grants(packed[edge] ?? 0, level - 1) >= 0) words[to] = level
  }
  return words
}
