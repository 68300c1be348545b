type Numbers = Int8Array | Uint8Array | Int32Array | Float64Array

/** The array, or a longer copy of it that holds `least`. Twice as long each time, so that adding costs the same however many there are. */
export function grown<A extends Numbers>(array: A, least: number): A {
  if (array.length >= least) return array
  const longer = new (array.constructor as new (length: number) => A)(Math.max(least, array.length * 2, 128))
  longer.set(array)
  return longer
}

/** Statements in columns: 47 bytes each, and the id. A statement keeps its number as long as the columns live. */
export interface Columns {
  count: number
  readonly id: string[]
  /** Pair of issuer and subject. */
  pair: Int32Array
  /** The statement of the pair after this one, -1 at the end. */
  next: Int32Array
  /** List of scopes as written, and of those in which its issuer said nothing newer. */
  scopes: Int32Array
  live: Int32Array
  level: Int8Array
  depth: Int8Array
  flags: Uint8Array
  issuedAt: Float64Array
  expiresAt: Float64Array
  seq: Float64Array
  firstSeenAt: Float64Array
}

/** `isVoid`: as if never made. `isEnded`: a soft revocation names it. `isGone`: forgotten. */
export const flag = { isVoid: 1, isEnded: 2, isGone: 4 } as const

export function createColumns(): Columns {
  const [ints, bytes, floats] = [() => new Int32Array(0), () => new Int8Array(0), () => new Float64Array(0)]
  return {
    ...{ count: 0, id: [], pair: ints(), next: ints(), scopes: ints(), live: ints(), level: bytes(), depth: bytes(), flags: new Uint8Array(0) },
    ...{ issuedAt: floats(), expiresAt: floats(), seq: floats(), firstSeenAt: floats() },
  }
}

/** Makes room for one more and gives its number. */
export function addRow(columns: Columns): number {
  const at = columns.count++
  if (at < columns.pair.length) return at
  for (const name of ['pair', 'next', 'scopes', 'live'] as const) columns[name] = grown(columns[name], columns.count)
  for (const name of ['level', 'depth'] as const) columns[name] = grown(columns[name], columns.count)
  for (const name of ['issuedAt', 'expiresAt', 'seq', 'firstSeenAt'] as const) columns[name] = grown(columns[name], columns.count)
  columns.flags = grown(columns.flags, columns.count)
  return at
}
