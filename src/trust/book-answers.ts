import { type Clock, secondMs } from '../base/index.ts'
import type { BookChange } from './book-types.ts'
import type { TrustSnapshot } from './rule.ts'

/** News of others that can only help are taken together for so long. Source: trust/v1 section 6. */
export const coalesceMs = 100
/** Where one computation takes long, the next waits this many times as long, at most `coalesceMsMax`. */
const restFactor = 4
export const coalesceMsMax = 2 * secondMs
/** Scopes whose answers are remembered. */
export const scopesRememberedMax = 64

/** How soon a change must show. */
export type Urgency =
  /** In the next answer, and in how news are sorted. */
  | 'own'
  /** In the next answer. */
  | 'now'
  /** Within `coalesceMs`. */
  | 'soon'
  /** It changes no level; only an explanation has it. */
  | 'never'

/** The answers computed last, by scope, and when they have to be computed anew. */
export interface BookAnswers {
  /** Good enough for a decision. */
  snapshot(scope: string): TrustSnapshot
  /** With everything that may change a level. */
  current(scope: string): TrustSnapshot
  /** With everything that is known, for explanations. */
  exact(scope: string): TrustSnapshot
  /** What was computed last since this node's own word changed, without news of others: to sort these by, never to decide by. */
  peek(scope: string): TrustSnapshot
  /** Brings everything remembered up to what may change a level. */
  catchUp(): void
  /** Scopes that were asked for of late. */
  scopes(): readonly string[]
  changed(change: BookChange, urgency: Urgency): void
  onChange(listener: (change: BookChange) => void): () => void
}

export interface BookAnswersOptions {
  readonly clock: Pick<Clock, 'after' | 'monotonic'>
  /** Scopes whose answers are always kept up. */
  readonly followed: readonly string[]
  now(): number
  compute(scope: string, now: number): TrustSnapshot
  /** After answers were computed anew. */
  computed(): void
}

interface Answer {
  readonly snapshot: TrustSnapshot
  readonly version: number
  /** Asked for since it was computed. */
  isUsed: boolean
}

export function createBookAnswers({ clock, followed, now, compute, computed }: BookAnswersOptions): BookAnswers {
  const answers = new Map<string, Answer>()
  const listeners = new Set<(change: BookChange) => void>()
  /** Changes waiting to be taken together; the last of each kind and issuer. */
  const waiting = new Map<string, BookChange>()
  let version = 0
  /** What an answer must have in it to be given. */
  let needed = 0
  /** What an answer must have in it to sort news by. */
  let sorted = 0
  /** The newest change that may change a level. */
  let relevant = 0
  let isArmed = false
  let lastCostMs = 0

  function fresh(scope: string): Answer {
    const answer = { snapshot: compute(scope, now()), version, isUsed: true }
    if (!answers.has(scope) && answers.size >= scopesRememberedMax) answers.delete(answers.keys().next().value as string)
    answers.set(scope, answer)
    computed()
    return answer
  }
  function answerAt(scope: string, least: number): TrustSnapshot {
    const known = answers.get(scope)
    const at = now()
    const isGood =
      known !== undefined && known.version >= least && known.snapshot.at <= at && (known.snapshot.validUntil === undefined || at < known.snapshot.validUntil)
    if (!isGood) return fresh(scope).snapshot
    known.isUsed = true
    return known.snapshot
  }
  function tell(change: BookChange): void {
    for (const listener of listeners) {
      try {
        listener(change)
      } catch {
        // A listener that throws is the listener's trouble: the change stands, and the others hear of it.
      }
    }
  }
  function catchUp(): void {
    for (const [scope, { version: has, isUsed }] of answers) if (has < relevant) fresh(scope).isUsed = isUsed
  }
  function arm(): void {
    if (isArmed) return
    isArmed = true
    clock.after(Math.max(coalesceMs, Math.min(coalesceMsMax, restFactor * lastCostMs)), () => {
      isArmed = false
      needed = version
      // What nobody asked for since is computed when somebody does.
      for (const [scope, answer] of answers) {
        if (!answer.isUsed && !followed.includes(scope)) answers.delete(scope)
        answer.isUsed = false
      }
      const started = clock.monotonic()
      catchUp()
      lastCostMs = clock.monotonic() - started
      const changes = [...waiting.values()]
      waiting.clear()
      for (const change of changes) tell(change)
    })
  }
  return {
    snapshot: (scope) => answerAt(scope, needed),
    current: (scope) => answerAt(scope, relevant),
    exact: (scope) => answerAt(scope, version),
    peek(scope) {
      const known = answers.get(scope)
      return (known === undefined || known.version < sorted ? fresh(scope) : known).snapshot
    },
    catchUp,
    scopes: () => [...answers.keys()],
    changed(change, urgency) {
      version++
      if (urgency === 'never') return
      relevant = version
      if (urgency !== 'soon') {
        needed = version
        if (urgency === 'own') sorted = version
        tell(change)
        return
      }
      waiting.set(`${change.kind} ${change.issuer ?? ''} ${change.subject ?? ''}`, change)
      arm()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
