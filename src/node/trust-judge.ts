import type { Did } from '../base/index.ts'
import { narrowByFlow, type TrustBook, type TrustPolicy, type TrustSnapshot } from '../trust/index.ts'

/** What the settings say of how levels are decided. */
export interface TrustSettings {
  readonly policy: TrustPolicy
  /** How far this node relies on an introducer under policy `flow`, 0 to 120. */
  readonly reliance: ReadonlyMap<Did, number>
}

const ruleAlone: TrustSettings = { policy: 'gate', reliance: new Map() }

/** The snapshot that decides: the book's, or under policy `flow` the same narrowed, kept until something is said or set anew. Source: trust/v1 section 2.9. */
export function createJudge(
  book: Pick<TrustBook, 'snapshot' | 'question' | 'onChange'>,
  settings: () => TrustSettings = () => ruleAlone,
): (scope: string) => TrustSnapshot {
  let narrowed = new WeakMap<TrustSnapshot, TrustSnapshot>()
  let reliedThen = ''
  book.onChange(() => (narrowed = new WeakMap()))
  return (scope) => {
    const gate = book.snapshot(scope)
    const { policy, reliance } = settings()
    if (policy !== 'flow') return gate
    const relied = JSON.stringify([...reliance])
    if (relied !== reliedThen) narrowed = new WeakMap()
    reliedThen = relied
    const known = narrowed.get(gate) ?? narrowByFlow(gate, { ...book.question(scope), reliance })
    narrowed.set(gate, known)
    return known
  }
}
