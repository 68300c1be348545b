import type { Did } from '../base/index.ts'
import type { Known } from './explain.ts'
import type { Heard } from './ignored.ts'
import { vetoesNeeded, votesNeeded } from './limits.ts'
import type { Veto } from './reader.ts'
import { rootIndex } from './sift.ts'
import type { Standing } from './strata.ts'
import { type Level, levelName } from './types.ts'

/** Those named who are near, at most, and among them those who have said nothing yet. Source: trust/v1 section 3.4. */
export const nearMax = 6
export const nearSilentMax = 3

/**
 * Somebody who could help. `vouch`: may introduce and says nothing. `raise`: may introduce and says too little. `rise`: says enough and holds too little himself.
 * `refresh`: said enough and has not been heard of lately.
 */
export interface Near {
  readonly did: Did
  readonly by: 'vouch' | 'raise' | 'rise' | 'refresh'
}

export interface Missing {
  readonly level: Level
  /** In words. */
  readonly need: string
  /** Votes that are missing of those who hold `introducerLevel`; 0 where votes are not what is missing. */
  readonly votes: number
  readonly introducerLevel: Level
  readonly near: readonly Near[]
}

export interface MissingQuestion {
  readonly node: number | undefined
  /** The answer, and the level by words alone. */
  readonly level: Level
  readonly saidLevel: Level
  readonly about: readonly Heard[]
}

/** What would give the next level, and who is near. Source: trust/v1 section 3.4. */
export function missingForNext(known: Known, { node, level, saidLevel, about }: MissingQuestion): Missing | undefined {
  const { proofs } = known
  if (level === 4 || node === rootIndex) return undefined
  const next = (level < 1 ? 1 : level + 1) as 1 | 2 | 3 | 4
  const introducerLevel = Math.max(next, 2) as Level
  const without = (need: string): Missing => ({ level: next, need, votes: 0, introducerLevel, near: [] })

  if (level >= 0 && level < saidLevel) return without('tasks that end well')
  const holding = node === undefined ? [] : holdingDown(known, node, next)
  if (level < 0 || holding.length > 0) {
    return without(`an end of the ${level < 0 || holding.some(({ hard }) => hard) ? 'distrust' : 'caution'} or a statement of your own`)
  }
  if (next === 4) {
    const namers = vouchersOf(known, 5)
    const need = namers.length === 0 ? 'a statement of your own' : 'a statement of your own or of somebody who may name an AUTHORITY'
    return { ...without(need), near: near(known, { node, next, about, vouchers: namers }) }
  }
  const there = node === undefined ? 0 : proofs.candidates(next, node).reduce((sum, { votes }) => sum + votes, 0)
  const votes = Math.max(1, (votesNeeded[next] ?? 1) - there)
  const words = `${['no', 'one', 'two', 'three'][votes] ?? votes} ${level < 1 && there === 0 ? '' : 'more '}${levelName(introducerLevel).toUpperCase()} introducer${votes === 1 ? '' : 's'}`
  return { level: next, need: words, votes, introducerLevel, near: near(known, { node, next, about, vouchers: vouchersOf(known, introducerLevel) }) }
}

/** The vetoes that keep a node from `next`, or would as soon as it had the votes: a lack of votes is not what is missing then. Source: trust/v1 section 2.6. */
function holdingDown({ graph, standing }: Known, node: number, next: number): readonly Veto[] {
  const { counted, depths, rootWord } = standing
  const all = (graph.vetoesAbout.get(node) ?? []).filter(({ hard }) => next > 1 || hard)
  const before = all.filter((veto) => counted.has(veto))
  if (before.length > 0) return before
  const isAuthority = (at: number): boolean => (depths[4]?.[at] ?? -1) >= 0
  const heard = all.filter(({ issuer, countsFrom }) => (depths[Math.max(2, next)]?.[issuer] ?? -1) >= 0 && (countsFrom <= graph.now || isAuthority(issuer)))
  const voters = new Set(heard.map(({ issuer }) => graph.groups?.voterOf(issuer) ?? issuer))
  return voters.size >= vetoesNeeded || heard.some(({ issuer }) => isAuthority(issuer) || (rootWord[issuer] ?? 0) >= 2) ? heard : []
}

interface NearQuestion {
  readonly node: number | undefined
  readonly next: number
  readonly about: readonly Heard[]
  readonly vouchers: readonly number[]
}

function near({ sift, graph, standing, proofs }: Known, { node, next, about, vouchers }: NearQuestion): readonly Near[] {
  const isVoucher = (at: number): boolean => ((next === 4 ? standing.naming : standing.depths[Math.max(next, 2)])?.[at] ?? -1) >= 1
  /** Whether a word signed now would count: not of who contradicted himself or lost his key. */
  const isSound = (at: number): boolean => {
    const now = { id: '', issuer: sift.nodes[at] as Did, issuedAt: graph.now, firstSeenAt: graph.now }
    return !sift.faulty().has(at) && !sift.revocations.isVoid(now)
  }
  const voters = new Set(node === undefined ? [] : proofs.candidates(next as 1 | 2 | 3 | 4, node).map(({ from }) => from))
  const against = new Set(about.filter(({ level, reason }) => level <= 0 && reason === undefined).map(({ from }) => from))
  const speaks = about.filter(({ from, level }) => from !== rootIndex && level > 0 && !voters.has(from) && !against.has(from) && isSound(from))
  const found = new Map<Did, Near['by']>()
  const take = (did: Did, by: Near['by']): void => {
    if (!found.has(did) && found.size < nearMax) found.set(did, by)
  }
  for (const { issuer, from, reason, level } of speaks) if (reason === undefined && level < next && isVoucher(from)) take(issuer, 'raise')
  for (const { issuer, from, reason, level } of speaks) if (reason === 'stale' && level >= next && isVoucher(from)) take(issuer, 'refresh')
  for (const { issuer, from, reason, level } of speaks) {
    if (level >= next && (reason === undefined || reason === 'issuerLevel' || reason === 'depth') && !isVoucher(from)) take(issuer, 'rise')
  }
  const heard = new Set(about.filter(({ reason }) => reason === undefined || reason === 'stale' || reason === 'quota').map(({ from }) => from))
  const isFree = (at: number): boolean => at !== node && !heard.has(at) && isSound(at) && graph.groups?.isOne(at, node ?? -1) !== true
  const silent = vouchers.filter(isFree).slice(0, nearSilentMax)
  for (const at of silent) take(sift.nodes[at] as Did, 'vouch')
  return [...found].map(([did, by]) => ({ did, by }))
}

/** Of those who may introduce so many are looked at. */
const vouchersMax = 64
const known = new WeakMap<Standing, Map<number, readonly number[]>>()

/** Who may introduce to a level (5: may name an AUTHORITY): those the root knows itself first, then those nearest to it. */
function vouchersOf({ standing, sift }: Known, level: number): readonly number[] {
  const lists = known.get(standing) ?? new Map<number, readonly number[]>()
  known.set(standing, lists)
  const before = lists.get(level)
  if (before !== undefined) return before
  const depths = level === 5 ? standing.naming : standing.depths[level]
  const all: number[] = []
  depths?.forEach((left, node) => {
    if (left >= 1 && node !== rootIndex) all.push(node)
  })
  const order = (node: number): number => ((standing.rootWord[node] ?? 0) > 0 ? 100 : 0) + 10 * (depths?.[node] ?? 0) + (standing.level[node] ?? 0)
  const sorted = all.sort((a, b) => order(b) - order(a) || ((sift.nodes[a] ?? '') < (sift.nodes[b] ?? '') ? -1 : 1)).slice(0, vouchersMax)
  lists.set(level, sorted)
  return sorted
}
