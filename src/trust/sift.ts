import type { Did } from '../base/index.ts'
import { addRow, type Columns, createColumns, flag } from './columns.ts'
import { createRevocations, type Revocations } from './lives.ts'
import { createPairs, type Pairs } from './pairs.ts'
import { createQuota } from './quota.ts'
import { supersede } from './supersede.ts'
import type { Attestation, Level, Revocation } from './types.ts'

export const rootIndex = 0

/** All statements of a node by who speaks of whom, before any scope is looked at. Every change costs what it touches. */
export interface Sift {
  readonly nodes: readonly Did[]
  readonly indexOf: ReadonlyMap<Did, number>
  readonly columns: Columns
  readonly pairs: Pairs
  /** Lists of scopes, each kept once. */
  readonly lists: readonly (readonly string[])[]
  readonly revocations: Revocations
  readonly size: number
  /** Numbers of statements that were forgotten and still take room. */
  readonly gone: number
  /** False when it was known. */
  add(attestation: Attestation): boolean
  revoke(revocation: Revocation): boolean
  warrant(issuer: Did): boolean
  /** Who made the statement; undefined when it was not there. */
  remove(id: string): number | undefined
  /** The number of somebody, a new one where nobody spoke of them yet. */
  numberOf(did: Did): number
  /** Counts somebody among those spoken of, or takes that back. */
  mention(node: number, times: 1 | -1): void
  isMentioned(node: number): boolean
  /** Brings up to date what depends on more than one statement. To be called before the three below. */
  settle(): void
  /** Issuers who signed two different statements for one place in their sequence, or were proven to. */
  faulty(): ReadonlySet<number>
  /** Whether any pair had to wait. */
  hasWaiting(): boolean
  /** From when the pair counts under its issuer's quota. */
  countsFrom(pair: number): number
  /** Statements of the pair that say nothing: about oneself, or about the root. */
  isMute(pair: number): boolean
  attestation(at: number): Attestation
  /** Numbers of the statements about somebody. */
  about(subject: number): readonly number[]
  /** Everything held, in the order it came. */
  all(): Iterable<Attestation>
}

/** Source: trust/v1 sections 2.2 and 2.3. */
export function createSift(root: Did): Sift {
  const nodes: Did[] = [root]
  const indexOf = new Map<Did, number>([[root, rootIndex]])
  const mentions: number[] = [1]
  const columns = createColumns()
  const pairs = createPairs()
  const lists: (readonly string[])[] = []
  const listOf = new Map<string, number>()
  const revocations = createRevocations()
  const warrants = new Set<number>()
  const faulty = new Set<number>()
  const conflicts = new Map<number, number>()
  const inConflict = new Set<number>()
  const dirtyPairs = new Set<number>()
  let byId: Map<string, number> | undefined
  let [size, gone] = [0, 0]

  const numberOf = (did: Did): number => {
    const known = indexOf.get(did)
    if (known !== undefined) return known
    indexOf.set(did, nodes.length)
    mentions.push(0)
    return nodes.push(did) - 1
  }
  const mention = (node: number, times: 1 | -1): void => {
    mentions[node] = (mentions[node] ?? 0) + times
  }
  const listNumber = (scopes: readonly string[]): number => {
    const key = scopes.length === 1 ? (scopes[0] as string) : scopes.join('\n')
    const known = listOf.get(key)
    if (known !== undefined) return known
    listOf.set(key, lists.length)
    return lists.push(scopes) - 1
  }
  const attestation = (at: number): Attestation => {
    const pair = columns.pair[at] ?? 0
    return {
      id: columns.id[at] ?? '',
      issuer: nodes[pairs.issuer[pair] ?? rootIndex] as Did,
      subject: nodes[pairs.subject[pair] ?? rootIndex] as Did,
      level: (columns.level[at] ?? 0) as Level,
      scopes: lists[columns.scopes[at] ?? 0] ?? [],
      depth: columns.depth[at] ?? 0,
      issuedAt: columns.issuedAt[at] ?? 0,
      expiresAt: columns.expiresAt[at] ?? 0,
      seq: columns.seq[at] ?? 0,
      firstSeenAt: columns.firstSeenAt[at] ?? 0,
    }
  }
  const isMute = (pair: number): boolean => pairs.subject[pair] === rootIndex || pairs.subject[pair] === pairs.issuer[pair]
  const quota = createQuota({ nodes, columns, pairs, isMute })

  function has(pair: number, id: string): boolean {
    for (let at = pairs.first[pair] ?? -1; at >= 0; at = columns.next[at] ?? -1) if (columns.id[at] === id) return true
    return false
  }
  function touch(pair: number): void {
    dirtyPairs.add(pair)
    quota.touch(pairs.issuer[pair] ?? rootIndex)
  }
  function judge(at: number): void {
    if (revocations.isEmpty && columns.flags[at] === 0) return
    const said = attestation(at)
    const before = columns.flags[at] ?? 0
    let flags = before & flag.isGone
    if (revocations.isVoid(said)) flags |= flag.isVoid
    if (revocations.endsAt(said) < Infinity) flags |= flag.isEnded
    columns.flags[at] = flags
    if (((flags ^ before) & flag.isVoid) !== 0) touch(columns.pair[at] ?? 0)
  }
  /** A pair with more than one statement: which is the newest where, and whether two claim one place. */
  function settlePair(pair: number): void {
    const issuer = pairs.issuer[pair] ?? rootIndex
    const { isConflict } = supersede(columns, pairs.first[pair] ?? -1, { lists, listNumber })
    const counts = isConflict && issuer !== rootIndex && !isMute(pair)
    if (counts === inConflict.has(pair)) return
    conflicts.set(issuer, (conflicts.get(issuer) ?? 0) + (counts ? 1 : -1))
    if (counts) inConflict.add(pair)
    else inConflict.delete(pair)
    if (warrants.has(issuer) || (conflicts.get(issuer) ?? 0) > 0) faulty.add(issuer)
    else faulty.delete(issuer)
  }

  return {
    ...{ nodes, indexOf, columns, pairs, lists, revocations, numberOf, mention, isMute },
    get size() {
      return size
    },
    get gone() {
      return gone
    },
    add(attestation) {
      const [issuer, subject] = [numberOf(attestation.issuer), numberOf(attestation.subject)]
      const pair = pairs.take(issuer, subject)
      if (has(pair, attestation.id)) return false
      mention(issuer, 1)
      mention(subject, 1)
      const at = addRow(columns)
      const before = pairs.first[pair] ?? -1
      columns.id.push(attestation.id)
      columns.pair[at] = pair
      columns.next[at] = before
      columns.scopes[at] = columns.live[at] = listNumber(attestation.scopes)
      columns.level[at] = attestation.level
      columns.depth[at] = Math.max(0, Math.min(attestation.depth, 127))
      columns.issuedAt[at] = attestation.issuedAt
      columns.expiresAt[at] = attestation.expiresAt
      columns.seq[at] = attestation.seq
      columns.firstSeenAt[at] = attestation.firstSeenAt
      pairs.first[pair] = at
      byId?.set(attestation.id, at)
      size++
      judge(at)
      quota.touch(pairs.issuer[pair] ?? rootIndex)
      if (before >= 0) dirtyPairs.add(pair)
      return true
    },
    revoke(revocation) {
      if (!revocations.add(revocation)) return false
      const issuer = indexOf.get(revocation.issuer)
      if (issuer === undefined) return true
      for (let pair = pairs.firstOf(issuer); pair >= 0; pair = pairs.sibling[pair] ?? -1) {
        for (let at = pairs.first[pair] ?? -1; at >= 0; at = columns.next[at] ?? -1) judge(at)
      }
      return true
    },
    warrant(did) {
      const node = numberOf(did)
      if (node === rootIndex || warrants.has(node)) return false
      warrants.add(node)
      faulty.add(node)
      return true
    },
    remove(id) {
      byId ??= new Map(columns.id.flatMap((known, at) => (((columns.flags[at] ?? 0) & flag.isGone) === 0 ? [[known, at] as const] : [])))
      const at = byId.get(id)
      if (at === undefined) return undefined
      byId.delete(id)
      const pair = columns.pair[at] ?? 0
      if (pairs.first[pair] === at) pairs.first[pair] = columns.next[at] ?? -1
      else {
        let before = pairs.first[pair] ?? -1
        while (before >= 0 && columns.next[before] !== at) before = columns.next[before] ?? -1
        columns.next[before] = columns.next[at] ?? -1
      }
      columns.flags[at] = flag.isGone
      columns.id[at] = ''
      touch(pair)
      const issuer = pairs.issuer[pair] ?? rootIndex
      mention(issuer, -1)
      mention(pairs.subject[pair] ?? rootIndex, -1)
      size--
      gone++
      return issuer
    },
    isMentioned: (node) => (mentions[node] ?? 0) > 0,
    settle() {
      for (const pair of dirtyPairs) settlePair(pair)
      dirtyPairs.clear()
      quota.settle()
    },
    faulty: () => faulty,
    hasWaiting: quota.hasWaiting,
    countsFrom: quota.countsFrom,
    attestation,
    about(subject) {
      const found: number[] = []
      for (let pair = pairs.firstAbout(subject); pair >= 0; pair = pairs.beside[pair] ?? -1) {
        for (let at = pairs.first[pair] ?? -1; at >= 0; at = columns.next[at] ?? -1) found.push(at)
      }
      return found
    },
    *all() {
      for (let at = 0; at < columns.count; at++) if (((columns.flags[at] ?? 0) & flag.isGone) === 0) yield attestation(at)
    },
  }
}
