import { grown } from './columns.ts'

/** Who speaks of whom, once each, in columns: 20 bytes a pair and at most 16 for finding it. */
export interface Pairs {
  readonly count: number
  readonly issuer: Int32Array
  readonly subject: Int32Array
  /** First statement of each pair, -1 for none. */
  readonly first: Int32Array
  /** The next pair of the same issuer, -1 at the end. */
  readonly sibling: Int32Array
  /** The next pair about the same subject, -1 at the end. */
  readonly beside: Int32Array
  /** First pair about a subject, -1 for none. */
  firstAbout(subject: number): number
  /** First pair of an issuer, -1 for none. */
  firstOf(issuer: number): number
  /** How many subjects an issuer speaks of. */
  countOf(issuer: number): number
  /** -1 when the issuer never spoke of the subject. */
  find(issuer: number, subject: number): number
  /** The same, made where there is none. */
  take(issuer: number, subject: number): number
}

export function createPairs(): Pairs {
  let count = 0
  let issuers = new Int32Array(0)
  let subjects = new Int32Array(0)
  let first = new Int32Array(0)
  let sibling = new Int32Array(0)
  let beside = new Int32Array(0)
  let abouts = new Int32Array(0)
  let heads = new Int32Array(0)
  let counts = new Int32Array(0)
  /** Number of a pair, one more; 0 for an empty place. At least half are empty. */
  let table = new Int32Array(64)

  function placeOf(issuer: number, subject: number): number {
    const mask = table.length - 1
    let place = Math.imul(issuer, 0x9e3779b1) ^ Math.imul(subject, 0x85ebca6b)
    place = (place ^ (place >>> 15)) & mask
    for (;;) {
      const pair = (table[place] ?? 0) - 1
      if (pair < 0 || (issuers[pair] === issuer && subjects[pair] === subject)) return place
      place = (place + 1) & mask
    }
  }
  function widen(): void {
    table = new Int32Array(table.length * 2)
    for (let pair = 0; pair < count; pair++) table[placeOf(issuers[pair] ?? 0, subjects[pair] ?? 0)] = pair + 1
  }

  return {
    get count() {
      return count
    },
    get issuer() {
      return issuers
    },
    get subject() {
      return subjects
    },
    get first() {
      return first
    },
    get sibling() {
      return sibling
    },
    get beside() {
      return beside
    },
    firstAbout: (subject) => (abouts[subject] ?? 0) - 1,
    firstOf: (issuer) => (heads[issuer] ?? 0) - 1,
    countOf: (issuer) => counts[issuer] ?? 0,
    find: (issuer, subject) => (table[placeOf(issuer, subject)] ?? 0) - 1,
    take(issuer, subject) {
      const place = placeOf(issuer, subject)
      const known = (table[place] ?? 0) - 1
      if (known >= 0) return known
      const pair = count++
      if (pair >= issuers.length) {
        issuers = grown(issuers, count)
        subjects = grown(subjects, count)
        first = grown(first, count)
        sibling = grown(sibling, count)
        beside = grown(beside, count)
      }
      if (issuer >= heads.length) {
        heads = grown(heads, issuer + 1)
        counts = grown(counts, issuer + 1)
      }
      if (subject >= abouts.length) abouts = grown(abouts, subject + 1)
      beside[pair] = (abouts[subject] ?? 0) - 1
      abouts[subject] = pair + 1
      issuers[pair] = issuer
      subjects[pair] = subject
      first[pair] = -1
      sibling[pair] = (heads[issuer] ?? 0) - 1
      heads[issuer] = pair + 1
      counts[issuer] = (counts[issuer] ?? 0) + 1
      table[place] = pair + 1
      if (count * 2 > table.length) widen()
      return pair
    },
  }
}
