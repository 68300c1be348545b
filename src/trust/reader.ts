import { flag } from './columns.ts'
import { wearsAt, stalesAt } from './lives.ts'
import { scopeCovers, scopeNamesAuthority } from './scope.ts'
import type { Sift } from './sift.ts'
import { levelCaution, levelDistrust } from './types.ts'

/** What an edge can support: the four levels, and naming an AUTHORITY who may name others. */
export const slot = { basic: 0, verified: 1, trusted: 2, authority: 3, naming: 4 } as const
export const slots = 5
/** Deepest introduction the packed edges hold. */
export const depthHeldMax = 6

/** A live distrust or caution in this scope. */
export interface Veto {
  readonly issuer: number
  readonly subject: number
  readonly statement: number
  readonly hard: boolean
  readonly until: number
  readonly countsFrom: number
}

/** What one issuer says about one subject, in one scope at one instant. Overwritten by the next reading. */
export interface Reading {
  /** By slot: depth the issuer grants, -1 where it does not say so. */
  readonly depth: Int8Array
  /** By slot: when that ends. */
  readonly until: Float64Array
  /** By slot: the statement behind it. */
  readonly witness: Int32Array
  /** Highest level that counts: less where the issuer also distrusts or cautions. */
  readonly cap: number
}

export interface ReaderOptions {
  readonly scope: string
  readonly now: number
  readonly depthMax: number
  /** When the newest head of an issuer was signed: -Infinity when none was seen, Infinity for one that never gets too old. */
  readonly headAt: (issuer: number) => number
}

export type Reader = (pair: number, onVeto?: (veto: Veto) => void) => Reading

const covers = 1
const names = 2
const isKnown = 4

/** Whether each list of scopes covers a scope, and names AUTHORITY in it; each list is looked at once. */
export function createCoverage(lists: readonly (readonly string[])[], scope: string): { covers(list: number): boolean; names(list: number): boolean } {
  const known: number[] = []
  const look = (list: number): number => {
    const before = known[list] ?? 0
    if (before !== 0) return before
    while (known.length <= list) known.push(0)
    const scopes = lists[list] ?? []
    const bits = (scopes.some((one) => scopeCovers(one, scope)) ? covers : 0) | (scopes.some((one) => scopeNamesAuthority(one, scope)) ? names : 0) | isKnown
    known[list] = bits
    return bits
  }
  return { covers: (list) => (look(list) & covers) !== 0, names: (list) => (look(list) & names) !== 0 }
}

/** Reads pairs of issuer and subject. Source: trust/v1 sections 2.1 and 2.2. */
export function createReader(sift: Sift, { scope, now, depthMax, headAt }: ReaderOptions): Reader {
  const { columns, pairs } = sift
  const { next, live, level, depth: granted, flags, issuedAt, expiresAt, id } = columns
  const coverage = createCoverage(sift.lists, scope)
  const reading = { depth: new Int8Array(slots), until: new Float64Array(slots), witness: new Int32Array(slots), cap: 4 }
  const { depth, until, witness } = reading

  const isLive = (at: number): boolean => {
    const flagged = flags[at] ?? 0
    if ((flagged & flag.isVoid) !== 0 || (expiresAt[at] ?? 0) <= now || !coverage.covers(live[at] ?? 0)) return false
    return (flagged & flag.isEnded) === 0 || endOf(at) > now
  }
  const endOf = (at: number): number => {
    const expires = expiresAt[at] ?? 0
    return ((flags[at] ?? 0) & flag.isEnded) === 0 ? expires : Math.min(expires, sift.revocations.endsAt(sift.attestation(at)))
  }
  function take(into: number, at: number, ends: number): void {
    const grants = Math.min(granted[at] ?? 0, depthMax)
    const before = depth[into] ?? -1
    const isLonger = grants === before && (ends > (until[into] ?? 0) || (ends === until[into] && (id[at] ?? '') < (id[witness[into] ?? -1] ?? '')))
    if (grants <= before && !isLonger) return
    depth[into] = grants
    until[into] = ends
    witness[into] = at
  }
  /** Lets the pair say what this statement says, where that is more. Of one issuer's statements about one subject the deepest counts, once. */
  function support(at: number, issuer: number, cap: number): void {
    const end = endOf(at)
    const said = level[at] ?? 0
    for (let reached = 1; reached <= Math.min(said, cap); reached++) {
      const ends = Math.min(end, wearsAt(said, issuedAt[at] ?? 0, reached), stalesAt(headAt(issuer), reached, now))
      if (ends <= now) return
      take(reached - 1, at, ends)
      if (reached === 4 && coverage.names(live[at] ?? 0)) take(slot.naming, at, ends)
    }
  }

  return (pair, onVeto) => {
    depth.fill(-1)
    reading.cap = 4
    const issuer = pairs.issuer[pair] ?? 0
    if (sift.isMute(pair) || sift.isFaulty(issuer)) return reading
    const first = pairs.first[pair] ?? -1
    for (let at = first; at >= 0; at = next[at] ?? -1) {
      const says = level[at] ?? 0
      if (says > levelCaution || !isLive(at)) continue
      const hard = says === levelDistrust
      reading.cap = Math.min(reading.cap, hard ? 0 : 1)
      onVeto?.({ issuer, subject: pairs.subject[pair] ?? 0, statement: at, hard, until: endOf(at), countsFrom: sift.countsFrom(pair) })
    }
    for (let at = first; at >= 0; at = next[at] ?? -1) {
      if ((level[at] ?? 0) > levelCaution && isLive(at)) support(at, issuer, reading.cap)
    }
    return reading
  }
}
