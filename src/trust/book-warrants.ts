import type { Did } from '../base/index.ts'
import type { BookIndex } from './book-index.ts'
import type { HeldWarrant } from './book-record.ts'
import type { KeyBook } from './book-types.ts'

/** Warrants kept against one issuer: one is enough. Source: trust/v1 section 6. */
export const warrantsPerIssuerMax = 4

/** Proofs that issuers contradict themselves. */
export interface BookWarrants {
  all(): Iterable<HeldWarrant & { readonly issuer: Did }>
  has(id: string): boolean
  countOf(issuer: Did): number
  add(held: HeldWarrant): void
  /** Those whose words stop counting. */
  convicted(): ReadonlySet<Did>
}

export function createBookWarrants({ keys, index }: { readonly keys: KeyBook; readonly index: Pick<BookIndex, 'isVoid'> }): BookWarrants {
  const warrants = new Map<string, HeldWarrant>()
  const issuerOf = ({ warrant }: HeldWarrant): Did => keys.subject(warrant.key)
  const of = (issuer: Did): readonly HeldWarrant[] => [...warrants.values()].filter((held) => issuerOf(held) === issuer)

  /** Both statements are the issuer's own word: neither signed by a key out of force nor void because the key was lost. */
  function stands(held: HeldWarrant): boolean {
    const { warrant, firstSeenAt } = held
    return warrant.statements.every(({ signed }) => {
      const { from, issuedAt } = signed.statement
      try {
        keys.check(from, issuedAt)
      } catch {
        return false
      }
      return !index.isVoid(issuerOf(held), signed.ref, { issuedAt, firstSeenAt })
    })
  }
  return {
    *all() {
      for (const held of warrants.values()) yield { ...held, issuer: issuerOf(held) }
    },
    has: (id) => warrants.has(id),
    countOf: (issuer) => of(issuer).length,
    add: (held) => void warrants.set(held.warrant.id, held),
    convicted: () => new Set([...warrants.values()].filter(stands).map(issuerOf)),
  }
}
