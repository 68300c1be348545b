import { type Did, MeshError } from '../base/index.ts'
import { type BookOrder, createBookOrder } from './book-order.ts'
import { type Held, recordKeyOf } from './book-record.ts'
import { createShelf, type Shelf } from './book-shelf.ts'
import type { KeyBook } from './book-types.ts'
import type { Attestation, Revocation } from './types.ts'

/** What is held, found by who said it and of whom. Only what counts under the keys known is in it; the rest waits for `reread`. */
export interface BookIndex {
  /** Attestations and revocations that count. */
  readonly size: number
  readonly order: Pick<BookOrder, 'range'>
  shelf(issuer: Did): Shelf | undefined
  attestation(id: string): Attestation | undefined
  attestations(): Iterable<Attestation>
  revocations(): Iterable<Revocation>
  /** Voided as if it was never made, by a hard revocation. Source: trust/v1 section 2.2. */
  isVoid(issuer: Did, id: string, about: SignedWhen): boolean
  /** From when on something an issuer signed is void: 0 as if it was never made, undefined while it stands. */
  voidFrom(issuer: Did, id: string, about?: SignedWhen): number | undefined
  /** Attestations and revocations about a subject. */
  about(subject: Did): ReadonlySet<Held>
  /** Attestations about a subject. */
  countAbout(subject: Did): number
  /** The identities of two keys. */
  parties(from: Did, to: Did): { readonly issuer: Did; readonly subject: Did }
  partiesOf(held: Held): { readonly issuer: Did; readonly subject: Did }
  /** False when it does not count. */
  add(held: Held): boolean
  /** Forgets attestations. */
  remove(held: Held): void
  load(all: readonly Held[]): void
  /** Whether anything was held by or about one of these keys. */
  concerns(keys: readonly Did[]): boolean
  /** Takes everything in anew. */
  reread(): void
}

/** When something is said to be signed, and when this node first saw it. */
export interface SignedWhen {
  readonly issuedAt?: number | undefined
  readonly firstSeenAt?: number | undefined
}

const none: ReadonlySet<Held> = new Set()

export function createBookIndex(keys: KeyBook): BookIndex {
  /** Everything kept, also what does not count now. */
  const all = new Map<string, Held>()
  const shelves = new Map<Did, Shelf>()
  const attestations = new Map<string, Attestation>()
  const revocations = new Map<string, Revocation>()
  const revocationsOf = new Map<Did, Revocation[]>()
  const about = new Map<Did, Set<Held>>()
  const counts = new Map<Did, number>()
  const order = createBookOrder()
  /** Every key that says something or is spoken of. */
  const named = new Set<Did>()

  function isInForce({ statement: { signed } }: Held): boolean {
    try {
      keys.check(signed.statement.from, signed.statement.issuedAt)
      return true
    } catch (error) {
      if (error instanceof MeshError) return false
      throw error
    }
  }
  const parties = (from: Did, to: Did): { readonly issuer: Did; readonly subject: Did } => ({ issuer: keys.subject(from), subject: keys.subject(to) })
  const partiesOf = ({ statement: { signed } }: Held): { readonly issuer: Did; readonly subject: Did } => parties(signed.statement.from, signed.statement.to)
  function take(held: Held): boolean {
    named.add(held.statement.signed.statement.from).add(held.statement.signed.statement.to)
    if (!isInForce(held)) return false
    const { statement, firstSeenAt } = held
    const { issuer, subject } = partiesOf(held)
    const shelf = shelves.get(issuer) ?? createShelf()
    shelves.set(issuer, shelf)
    if (statement.kind === 'head') {
      const known = shelf.head
      if (known === undefined || known.statement.signed.statement.issuedAt < statement.signed.statement.issuedAt) shelf.addHead(held)
      return true
    }
    shelf.add(held, subject)
    // Found out to be one identity: nobody rates himself.
    if (statement.kind === 'attestation' && issuer === subject) return false
    const others = about.get(subject)
    if (others === undefined) about.set(subject, new Set([held]))
    else others.add(held)
    if (statement.kind === 'revocation') {
      const revocation = { ...statement.revocation, issuer }
      revocations.set(statement.signed.ref, revocation)
      const theirs = revocationsOf.get(issuer)
      if (theirs === undefined) revocationsOf.set(issuer, [revocation])
      else theirs.push(revocation)
      return true
    }
    counts.set(subject, (counts.get(subject) ?? 0) + 1)
    attestations.set(statement.signed.ref, { ...statement.attestation, issuer, subject, firstSeenAt })
    return true
  }
  // A thief can date what he signs back, but not make us have seen it before.
  const isVoid = (issuer: Did, id: string, { issuedAt = -1, firstSeenAt = -1 }: SignedWhen): boolean =>
    (revocationsOf.get(issuer) ?? []).some(({ attestationId, kind, at }) => kind === 'hard' && (attestationId === id || issuedAt >= at || firstSeenAt >= at))
  function clear(): void {
    for (const part of [shelves, attestations, revocations, revocationsOf, about, counts]) part.clear()
  }
  function reload(): void {
    const taken = [...all.values()].filter((held) => take(held) && held.item.kind !== 'head')
    order.load(taken)
  }
  return {
    get size() {
      return attestations.size + revocations.size
    },
    order,
    shelf: (issuer) => shelves.get(issuer),
    attestation: (id) => attestations.get(id),
    attestations: () => attestations.values(),
    revocations: () => revocations.values(),
    isVoid,
    voidFrom(issuer, id, about = {}) {
      if (isVoid(issuer, id, about)) return 0
      const ends = (revocationsOf.get(issuer) ?? []).filter(
        ({ attestationId, kind }) => attestationId === id || (kind === 'hard' && about.issuedAt === undefined),
      )
      return ends.length === 0 ? undefined : Math.min(...ends.map(({ at }) => at))
    },
    about: (subject) => about.get(subject) ?? none,
    countAbout: (subject) => counts.get(subject) ?? 0,
    parties,
    partiesOf,
    add(held) {
      all.set(recordKeyOf(held.statement), held)
      const isTaken = take(held)
      if (isTaken && held.item.kind !== 'head') order.add(held)
      return isTaken
    },
    remove(held) {
      all.delete(recordKeyOf(held.statement))
      const { issuer, subject } = partiesOf(held)
      const { ref } = held.statement.signed
      shelves.get(issuer)?.remove(held, subject)
      about.get(subject)?.delete(held)
      if (!attestations.delete(ref)) return
      order.remove(held)
      counts.set(subject, (counts.get(subject) ?? 1) - 1)
    },
    load(many) {
      for (const held of many) all.set(recordKeyOf(held.statement), held)
      reload()
    },
    concerns: (changed) => changed.some((key) => named.has(key)),
    reread() {
      clear()
      reload()
    },
  }
}
