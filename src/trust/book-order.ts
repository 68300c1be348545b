import type { Held } from './book-record.ts'

interface Place {
  readonly issuedAt: number
  readonly id: string
}

/** Statements in order of time of issue, then id: the order in which two books are compared. */
export interface BookOrder {
  add(held: Held): void
  remove(held: Held): void
  /** Statements issued within [from, to). What is added meanwhile may be missed. */
  range(from: number, to: number): Iterable<Held>
  /** Forgets the order until the next question: for many at once. */
  load(all: readonly Held[]): void
}

export function createBookOrder(): BookOrder {
  let sorted: Held[] = []
  const at = (place: Place): number => {
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compare(placeOf(sorted[middle] as Held), place) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
  return {
    add(held) {
      const last = sorted.at(-1)
      // News come in order of time, mostly.
      if (last === undefined || compare(placeOf(last), placeOf(held)) < 0) sorted.push(held)
      else sorted.splice(at(placeOf(held)), 0, held)
    },
    remove(held) {
      const index = at(placeOf(held))
      if (sorted[index] === held) sorted.splice(index, 1)
    },
    *range(from, to) {
      const all = sorted
      for (let index = at({ issuedAt: from, id: '' }); index < all.length; index++) {
        const held = all[index] as Held
        if (held.statement.signed.statement.issuedAt >= to) return
        yield held
      }
    },
    load(all) {
      sorted = all.toSorted((a, b) => compare(placeOf(a), placeOf(b)))
    },
  }
}

const placeOf = ({ statement: { signed } }: Held): Place => ({ issuedAt: signed.statement.issuedAt, id: signed.ref })
const compare = (a: Place, b: Place): number => a.issuedAt - b.issuedAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
