import type { Clock, Did } from '../base/index.ts'
import { hourMs } from '../base/index.ts'
import { type BookAnswers, createBookAnswers, type Urgency } from './book-answers.ts'
import { type BookIndex, createBookIndex } from './book-index.ts'
import type { Held, HeldWarrant } from './book-record.ts'
import type { BookChange, KeyBook } from './book-types.ts'
import { type BookWarrants, createBookWarrants } from './book-warrants.ts'
import type { Experience } from './experience.ts'
import { createLedger, type Ledger } from './ledger.ts'
import type { TrustQuestion } from './rule.ts'
import { type Attestation, levelCaution, TrustLevel } from './types.ts'

/** A head of less than this age serves every level, so a newer one changes nothing before the answer ends by itself. Source: trust/v1 section 2.2. */
const freshForAllMs = hourMs

/** What is held in memory, and the answers computed from it. Kept in step: whatever is remembered here reaches the rule. */
export interface BookState {
  readonly own: Did
  readonly index: BookIndex
  readonly warrants: BookWarrants
  readonly answers: BookAnswers
  /** Takes in what is on disk. */
  load(held: readonly Held[], warrants: readonly HeldWarrant[], damaged: ReadonlySet<Did>): void
  remember(held: Held): void
  rememberWarrant(held: HeldWarrant): void
  forget(held: readonly Held[]): void
  reread(): void
  experience(all: readonly Experience[]): void
  /** Takes what a local source stands for, in place of what it stood for before. */
  /** Nobody to reach: it speaks here alone. */
  isDerived(source: Did): boolean
  derive(source: Did, attestations: readonly Attestation[]): void
  /** Whether an issuer may introduce others, as far as was computed: to sort what comes in by, never to decide by. */
  isCertified(issuer: Did): boolean
  /** All that an answer is computed from. */
  question(scope: string): TrustQuestion
}

export interface BookStateOptions {
  readonly own: Did
  readonly keys: KeyBook
  readonly clock: Pick<Clock, 'after' | 'monotonic'>
  now(): number
  readonly scopes: readonly string[]
  readonly controllerOf: ((did: Did) => Did) | undefined
  /** After answers were computed anew. */
  computed(): void
}

export function createBookState({ own, keys, clock, now, scopes, controllerOf, computed }: BookStateOptions): BookState {
  const index = createBookIndex(keys)
  const warrants = createBookWarrants({ keys, index })
  /** Issuers of whom something on disk could not be read: their heads count once all is here again. */
  let damaged: ReadonlySet<Did> = new Set()
  let known: readonly Experience[] = []
  let convicted: ReadonlySet<Did> = new Set()
  /** By source: what no key signed. */
  const derived = new Map<Did, readonly Attestation[]>()
  let ledger = refilled()

  const headAge =
    (at: number) =>
    (issuer: Did): number | undefined => {
      if (derived.has(issuer)) return 0
      const shelf = index.shelf(issuer)
      if (shelf?.confirmedAt === undefined || (damaged.has(issuer) && !shelf.isWhole)) return undefined
      return Math.max(0, at - shelf.confirmedAt)
    }
  const answers = createBookAnswers({
    clock,
    followed: scopes,
    now,
    compute: (scope, at) => ledger.snapshot({ scope, now: at, headAge: headAge(at) }),
    computed,
  })

  function refilled(): Ledger {
    const fresh = createLedger({ root: own, controllerOf })
    for (const attestation of index.attestations()) fresh.add(attestation)
    for (const attestation of [...derived.values()].flat()) fresh.add(attestation)
    for (const revocation of index.revocations()) fresh.revoke(revocation)
    convicted = warrants.convicted()
    for (const issuer of convicted) if (issuer !== own) fresh.warrant(issuer)
    fresh.experience(known)
    return fresh
  }
  function changed(kind: BookChange['kind'], urgency: Urgency, parties: { readonly issuer?: Did; readonly subject?: Did } = {}): void {
    answers.changed({ kind, ...parties, urgent: urgency === 'own' || urgency === 'now' }, urgency)
  }
  /** The issuer said more of the subject before. */
  const isLower = (held: Held, issuer: Did, subject: Did): boolean =>
    (index.shelf(issuer)?.countAbout(subject) ?? 0) > 0 &&
    [...index.about(subject)].some(({ statement: old }) => {
      if (held.statement.kind !== 'attestation' || old.kind !== 'attestation' || keys.subject(old.signed.statement.from) !== issuer) return false
      return old.attestation.level > held.statement.attestation.level || old.attestation.depth > held.statement.attestation.depth
    })
  function convict(): void {
    const before = convicted
    const after = warrants.convicted()
    // One whose contradiction is the work of a thief is heard again, which a ledger cannot unlearn.
    if ([...before].some((issuer) => !after.has(issuer))) ledger = refilled()
    for (const issuer of after) if (issuer !== own && !before.has(issuer)) ledger.warrant(issuer)
    convicted = after
  }

  return {
    question(scope) {
      const at = now()
      return {
        ...{ root: own, scope, now: at, headAge: headAge(at), experience: known, warrants: [...convicted].filter((issuer) => issuer !== own) },
        ...{ attestations: [...index.attestations(), ...[...derived.values()].flat()], revocations: index.revocations(), controllerOf },
      }
    },
    own,
    index,
    warrants,
    answers,
    load(held, heldWarrants, unreadable) {
      damaged = unreadable
      index.load(held)
      for (const one of heldWarrants) warrants.add(one)
      ledger = refilled()
      changed('keys', 'own')
    },
    remember(held) {
      const parties = index.partiesOf(held)
      const { issuer, subject } = parties
      const { statement } = held
      if (statement.kind === 'head') {
        const confirmedAt = index.shelf(issuer)?.confirmedAt
        index.add(held)
        changed('head', confirmedAt === undefined || now() - confirmedAt > freshForAllMs ? 'soon' : 'never', { issuer })
        return
      }
      const isLowered = isLower(held, issuer, subject)
      if (!index.add(held)) return
      if (statement.kind === 'revocation') {
        ledger.revoke({ ...statement.revocation, issuer })
        if (statement.revocation.kind === 'hard' && warrants.countOf(issuer) > 0) convict()
        changed('revocation', issuer === own ? 'own' : 'now', parties)
        return
      }
      const attestation = index.attestation(statement.signed.ref)
      if (attestation === undefined) return
      const matters = ledger.matters(attestation)
      ledger.add(attestation)
      const urgency = attestation.level <= levelCaution || isLowered ? 'now' : 'soon'
      changed('attestation', issuer === own ? 'own' : matters ? urgency : 'never', parties)
    },
    rememberWarrant(held) {
      warrants.add(held)
      convict()
      changed('warrant', 'now', { issuer: keys.subject(held.warrant.key) })
    },
    forget(held) {
      for (const one of held) index.remove(one)
      ledger.remove(held.map(({ statement }) => statement.signed.ref))
      changed('attestation', 'soon')
    },
    reread() {
      index.reread()
      ledger = refilled()
      changed('keys', 'own')
    },
    experience(all) {
      const failures = new Map(known.map((one) => [one.subject, one.failures]))
      const isWorse = all.some((one) => one.failures > (failures.get(one.subject) ?? 0))
      known = all
      ledger.experience(all)
      changed('experience', isWorse ? 'now' : 'soon')
    },
    isDerived: (source) => derived.has(source),
    derive(source, attestations) {
      ledger.remove((derived.get(source) ?? []).map(({ id }) => id))
      if (attestations.length === 0) derived.delete(source)
      else derived.set(source, attestations)
      for (const attestation of attestations) ledger.add(attestation)
      changed('attestation', 'own', { issuer: source })
    },
    isCertified: (issuer) => [...new Set([...scopes, ...answers.scopes()])].some((scope) => answers.peek(scope).level(issuer) >= TrustLevel.VERIFIED),
  }
}
