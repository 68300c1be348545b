import type { Did } from '../base/index.ts'
import { indexRevocations, type RevocationIndex } from './lives.ts'
import { admissions, type FirstSeen } from './quota.ts'
import type { Attestation, IgnoredReason, Revocation } from './types.ts'

/** All that one issuer says about one subject, in numbers of nodes and statements. */
export interface Pair {
  readonly issuer: number
  readonly subject: number
  readonly statements: number[]
  /** Scopes in which each statement is still the newest; absent where it is the only one and all are. */
  liveScopes?: Map<number, readonly string[]>
  /** The instant from which the pair counts under the issuer's quota. */
  countsFrom: number
}

/** The statements sorted by who speaks of whom, before any scope is looked at. */
export interface Sifted {
  readonly nodes: readonly Did[]
  readonly indexOf: ReadonlyMap<Did, number>
  readonly statements: readonly Attestation[]
  /** By statement: why it can never count. */
  readonly reasons: Map<number, IgnoredReason>
  readonly pairs: readonly Pair[]
  /** From when the issuer's words about the subject count under its quota. */
  countsFrom(issuer: number, subject: number): number
  /** Nodes that signed two different statements for one place in their sequence. */
  readonly faulty: ReadonlySet<number>
  readonly revocations: RevocationIndex
}

export const rootIndex = 0

const keyOf = (issuer: number, subject: number): number => issuer * 2 ** 26 + subject

/** Source: trust/v1 sections 2.2 and 2.3. */
export function sift(root: Did, attestations: Iterable<Attestation>, revocations: Iterable<Revocation>): Sifted {
  const nodes: Did[] = [root]
  const indexOf = new Map<Did, number>([[root, rootIndex]])
  const number = (did: Did): number => {
    const known = indexOf.get(did)
    if (known !== undefined) return known
    indexOf.set(did, nodes.length)
    return nodes.push(did) - 1
  }
  const statements: Attestation[] = []
  const reasons = new Map<number, IgnoredReason>()
  const pairs = new Map<number, Pair>()
  const index = indexRevocations(revocations)

  for (const attestation of attestations) {
    const issuer = number(attestation.issuer)
    const subject = number(attestation.subject)
    const key = keyOf(issuer, subject)
    const pair = pairs.get(key)
    if (pair?.statements.some((at) => statements[at]?.id === attestation.id) === true) continue
    const at = statements.push(attestation) - 1
    if (issuer === subject || subject === rootIndex) reasons.set(at, 'alias')
    else if (index.isVoid(attestation)) reasons.set(at, 'revoked')
    else if (pair === undefined) pairs.set(key, { issuer, subject, statements: [at], countsFrom: -Infinity })
    else pair.statements.push(at)
  }

  const faulty = new Set<number>()
  for (const pair of pairs.values()) if (pair.statements.length > 1) supersede(pair, statements, faulty)
  const sifted: Sifted = {
    ...{ nodes, indexOf, statements, reasons, pairs: [...pairs.values()], faulty, revocations: index },
    countsFrom: (issuer, subject) => pairs.get(keyOf(issuer, subject))?.countsFrom ?? -Infinity,
  }
  admit(sifted)
  return sifted
}

/** Leaves each statement the scopes in which its issuer said nothing newer. Two statements in one place are a fault of the issuer; of the root's own the lower counts. */
function supersede(pair: Pair, statements: readonly Attestation[], faulty: Set<number>): void {
  const newest = new Map<string, number>()
  const said = (at: number): Attestation => statements[at] as Attestation
  const places = new Map<string, string>()
  for (const at of pair.statements) {
    const { scopes, seq, id, level } = said(at)
    for (const scope of new Set(scopes)) {
      const place = `${seq} ${scope}`
      if (pair.issuer !== rootIndex && (places.get(place) ?? id) !== id) faulty.add(pair.issuer)
      places.set(place, id)
      const before = newest.get(scope)
      const other = before === undefined ? undefined : said(before)
      if (other === undefined || seq > other.seq || (seq === other.seq && (level < other.level || (level === other.level && id < other.id)))) {
        newest.set(scope, at)
      }
    }
  }
  pair.liveScopes = new Map(pair.statements.map((at) => [at, said(at).scopes.filter((scope) => newest.get(scope) === at)]))
}

/** Sets from when each pair counts. The root and every AUTHORITY are exempt, which only the caller can know. */
function admit({ nodes, statements, pairs }: Sifted): void {
  const byIssuer = new Map<number, FirstSeen[]>()
  pairs.forEach(({ issuer, subject, statements: said }, pair) => {
    if (issuer === rootIndex) return
    const seen = byIssuer.get(issuer)
    const first = { at: said.reduce((least, at) => Math.min(least, statements[at]?.firstSeenAt ?? least), Infinity), subject: nodes[subject] as string, pair }
    if (seen === undefined) byIssuer.set(issuer, [first])
    else seen.push(first)
  })
  for (const seen of byIssuer.values()) {
    for (const [pair, from] of admissions(seen)) (pairs[pair] as Pair).countsFrom = from
  }
}
