import type { BookState } from './book-state.ts'
import type { Did } from '../base/index.ts'
import type { SignedItem } from './statements.ts'

/** In which scope an issuer must be known to be shown first. */
const scopeShown = '/task/run'

/** Live statements of others about this node, each issuer's head with them. Source: trust/v1 section 5.2. */
export function evidenceOf(
  { own, index, answers }: BookState,
  now: number,
  { itemsMax, bytesMax }: { readonly itemsMax: number; readonly bytesMax: number },
): readonly SignedItem[] {
  const live = [...index.about(own)].filter(({ item, statement }) => item.kind === 'attestation' && statement.signed.statement.expiresAt > now)
  if (live.length === 0) return []
  const levels = answers.snapshot(scopeShown)
  const issued = live.map((held) => ({ held, issuer: index.partiesOf(held).issuer, issuedAt: held.statement.signed.statement.issuedAt }))
  // Those we know first: what strangers say of us must not crowd them out.
  const known = (issuer: Did): number => (levels.level(issuer) > 0 ? 1 : 0)
  const newest = issued.toSorted((a, b) => known(b.issuer) - known(a.issuer) || b.issuedAt - a.issuedAt)
  const items: SignedItem[] = []
  const shown = new Set<Did>()
  let bytes = 0
  for (const { held, issuer } of newest) {
    const head = shown.has(issuer) ? undefined : index.shelf(issuer)?.head?.item
    const add = head === undefined ? [held.item] : [held.item, head]
    const size = add.reduce((sum, item) => sum + item.bytes.length, 0)
    if (items.length + add.length > itemsMax || bytes + size > bytesMax) break
    shown.add(issuer)
    items.push(...add)
    bytes += size
  }
  return items
}
