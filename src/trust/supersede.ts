import { type Columns, flag } from './columns.ts'

interface Lists {
  readonly lists: readonly (readonly string[])[]
  /** The number of a list, a new one where it was not known. */
  listNumber(scopes: readonly string[]): number
}

/**
 * Leaves each statement of one pair the scopes in which its issuer said nothing newer; of two in one place the lower counts, then the smaller id.
 * Two in one place are a conflict. Void statements supersede nothing. Source: trust/v1 sections 2.2.1 and 2.2.8.
 */
export function supersede(columns: Columns, first: number, { lists, listNumber }: Lists): { readonly isConflict: boolean } {
  const { next, live, scopes, seq, level, id, flags } = columns
  const newest = new Map<string, number>()
  const places = new Map<string, string>()
  let isConflict = false
  const isNewer = (at: number, other: number): boolean => {
    const [a, b] = [seq[at] ?? 0, seq[other] ?? 0]
    if (a !== b) return a > b
    const [c, d] = [level[at] ?? 0, level[other] ?? 0]
    return c === d ? (id[at] ?? '') < (id[other] ?? '') : c < d
  }
  for (let at = first; at >= 0; at = next[at] ?? -1) {
    if (((flags[at] ?? 0) & flag.isVoid) !== 0) continue
    for (const scope of new Set(lists[scopes[at] ?? 0])) {
      const place = `${seq[at]} ${scope}`
      const mine = id[at] ?? ''
      if ((places.get(place) ?? mine) !== mine) isConflict = true
      places.set(place, mine)
      const before = newest.get(scope)
      if (before === undefined || isNewer(at, before)) newest.set(scope, at)
    }
  }
  for (let at = first; at >= 0; at = next[at] ?? -1) {
    const all = lists[scopes[at] ?? 0] ?? []
    const left = all.filter((scope) => newest.get(scope) === at)
    live[at] = left.length === all.length ? (scopes[at] ?? 0) : listNumber(left)
  }
  return { isConflict }
}
