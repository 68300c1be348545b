import { flag } from './columns.ts'
import { headAgeMsMax } from './limits.ts'
import { stalesAt, wearsAt } from './lives.ts'
import { scopeCovers, scopeNamesAuthority } from './scope.ts'
import { rootIndex, type Sift } from './sift.ts'
import { levelCaution, levelDistrust } from './types.ts'

/** What an edge can support: the four levels, and naming an AUTHORITY who may name others. */
export const slot = { basic: 0, verified: 1, trusted: 2, authority: 3, naming: 4 } as const
export const slots = 5
/** Deepest introduction the packed edges hold. */
export const depthHeldMax = 6

/** Depth an edge grants in a slot, -1 where it does not support it. Three bits a slot, one more than the depth. */
export const grants = (packed: number, at: number): number => ((packed >> (at * 3)) & 7) - 1
/** One in each slot up to a level. */
const upTo = [0, 0o1, 0o11, 0o111, 0o1111] as const
const inNaming = 0o10000

/** A live distrust or caution in this scope. */
export interface Veto {
  readonly issuer: number
  readonly subject: number
  readonly statement: number
  readonly hard: boolean
  readonly until: number
  readonly countsFrom: number
}

export interface ReaderOptions {
  readonly scope: string
  readonly now: number
  readonly depthMax: number
  /** When the newest head of an issuer was signed: -Infinity when none was seen, Infinity for one that never gets too old. */
  readonly headAt: (issuer: number) => number
}

/** What one issuer says about one subject, in one scope at one instant. Good until a statement is added. */
export interface Reader {
  /** Depths by slot, packed; 0 where nothing positive counts. */
  read(pair: number): number
  /** What `read` left behind, until the next: when the first slot ends, and the highest level that counts. */
  readonly ends: number
  readonly cap: number
  /** When a slot of a pair ends, and the statement behind it. */
  until(pair: number, slot: number): number
  witness(pair: number, slot: number): number
}

const covers = 1
const names = 2

/** By list of scopes: whether it covers a scope, and names AUTHORITY in it. */
function coverage(lists: readonly (readonly string[])[], scope: string): Uint8Array {
  return Uint8Array.from(
    lists,
    (scopes) => (scopes.some((one) => scopeCovers(one, scope)) ? covers : 0) | (scopes.some((one) => scopeNamesAuthority(one, scope)) ? names : 0),
  )
}

/** Reads pairs of issuer and subject. Source: trust/v1 sections 2.1 and 2.2. */
export function createReader(sift: Sift, { scope, now, depthMax, headAt }: ReaderOptions, onVeto?: (veto: Veto) => void): Reader {
  const { next, live, level, depth: granted, flags, issuedAt, expiresAt, id } = sift.columns
  const { issuer: issuers, subject: subjects, first: firsts } = sift.pairs
  const bits = coverage(sift.lists, scope)
  const faulty = sift.faulty()
  const depth = new Int8Array(slots)
  const until = new Float64Array(slots)
  const witness = new Int32Array(slots)
  let [ends, cap] = [Infinity, 4]

  const endOf = (at: number): number => {
    const expires = expiresAt[at] ?? 0
    return ((flags[at] ?? 0) & flag.isEnded) === 0 ? expires : Math.min(expires, sift.revocations.endsAt(sift.attestation(at)))
  }
  const isLive = (at: number): boolean => {
    const flagged = flags[at] ?? 0
    if ((flagged & flag.isVoid) !== 0 || (expiresAt[at] ?? 0) <= now || ((bits[live[at] ?? 0] ?? 0) & covers) === 0) return false
    return (flagged & flag.isEnded) === 0 || endOf(at) > now
  }
  function take(into: number, at: number, last: number): void {
    const grantsNow = Math.min(granted[at] ?? 0, depthMax)
    const before = depth[into] ?? -1
    const isLonger = grantsNow === before && (last > (until[into] ?? 0) || (last === until[into] && (id[at] ?? '') < (id[witness[into] ?? -1] ?? '')))
    if (grantsNow <= before && !isLonger) return
    depth[into] = grantsNow
    until[into] = last
    witness[into] = at
  }
  /** Lets the pair say what this statement says, where that is more. Of one issuer's statements about one subject the deepest counts, once. */
  function support(at: number, issuer: number): void {
    const end = endOf(at)
    const said = level[at] ?? 0
    for (let reached = 1; reached <= Math.min(said, cap); reached++) {
      const last = Math.min(end, wearsAt(said, issuedAt[at] ?? 0, reached), stalesAt(headAt(issuer), reached, now))
      if (last <= now) return
      take(reached - 1, at, last)
      if (reached === 4 && ((bits[live[at] ?? 0] ?? 0) & names) !== 0) take(slot.naming, at, last)
    }
  }
  /** Whatever the pair says, in full. */
  function readAll(pair: number): void {
    depth.fill(-1)
    cap = 4
    const issuer = issuers[pair] ?? 0
    if (sift.isMute(pair) || faulty.has(issuer)) return
    const first = firsts[pair] ?? -1
    for (let at = first; at >= 0; at = next[at] ?? -1) {
      const says = level[at] ?? 0
      if (says > levelCaution || !isLive(at)) continue
      const hard = says === levelDistrust
      cap = Math.min(cap, hard ? 0 : 1)
      onVeto?.({ issuer, subject: subjects[pair] ?? 0, statement: at, hard, until: endOf(at), countsFrom: sift.countsFrom(pair) })
    }
    for (let at = first; at >= 0; at = next[at] ?? -1) if ((level[at] ?? 0) > levelCaution && isLive(at)) support(at, issuer)
  }
  function packedOf(): number {
    let packed = 0
    for (let at = 0; at < slots; at++) {
      const held = depth[at] ?? -1
      if (held < 0) continue
      packed |= (held + 1) << (at * 3)
      ends = Math.min(ends, until[at] ?? Infinity)
    }
    return packed
  }
  /** One positive statement that nobody revoked, as nearly all are: age and freshness take levels off from above, so the highest left ends first. */
  function readOne(at: number, issuer: number): number {
    const expires = expiresAt[at] ?? 0
    const list = bits[live[at] ?? 0] ?? 0
    if (expires <= now || (list & covers) === 0) return 0
    const said = level[at] ?? 0
    const issued = issuedAt[at] ?? 0
    let top = said
    while (top > 0 && wearsAt(said, issued, top) <= now) top--
    const head = headAt(issuer)
    if (head !== Infinity) while (top > 0 && now - head > (headAgeMsMax[top - 1] ?? 0)) top--
    if (top === 0) return 0
    ends = Math.min(expires, wearsAt(said, issued, top), stalesAt(head, top, now))
    const held = Math.min(granted[at] ?? 0, depthMax) + 1
    return held * ((upTo[top] ?? 0) + (top === 4 && (list & names) !== 0 ? inNaming : 0))
  }

  return {
    read(pair) {
      ends = Infinity
      const first = firsts[pair] ?? -1
      if (first < 0) return 0
      const issuer = issuers[pair] ?? 0
      const isPlain = (next[first] ?? -1) < 0 && flags[first] === 0 && (level[first] ?? 0) > levelCaution
      if (isPlain && faulty.size === 0) {
        const subject = subjects[pair] ?? rootIndex
        return subject === rootIndex || subject === issuer ? 0 : readOne(first, issuer)
      }
      readAll(pair)
      return packedOf()
    },
    get ends() {
      return ends
    },
    get cap() {
      return cap
    },
    until(pair, at) {
      readAll(pair)
      return until[at] ?? 0
    },
    witness(pair, at) {
      readAll(pair)
      return witness[at] ?? -1
    },
  }
}
