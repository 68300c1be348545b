import { sha256 } from '../../crypto/index.ts'
import { concat, utf8 } from '../../base/index.ts'

/** Bytes of an id, a SHA-256 hash. */
export const idBytes = 32
/** Bytes of an id as it is named on the wire, and of a fingerprint. Source: trust/v1 section 5.8. */
export const nameBytes = 16

/** A place between two statements: at or after `time` (ms since 1970), and at that time at or after the ids that begin with `prefix`. */
export interface Place {
  readonly time: number
  readonly prefix: Uint8Array
}
/** Behind every statement. */
export const lastPlace: Place = { time: Number.MAX_SAFE_INTEGER, prefix: new Uint8Array() }
export const firstPlace: Place = { time: 0, prefix: new Uint8Array() }

/** Negative when `a` is before `b`. */
export function comparePlaces(a: Place, b: Place): number {
  return a.time - b.time || Buffer.compare(a.prefix, b.prefix)
}

/** Statements by time and id, as they stood when the sequence was made. */
export interface Sequence {
  readonly size: number
  /** How many are before a place. */
  find(place: Place): number
  /** SHA-256 over the ids of `[from, to)` in their order, its first 16 bytes: two sequences agree there exactly when they hold the same statements. */
  fingerprint(from: number, to: number): Uint8Array
  /** The shortest place between the statement before `index` and the one at it. */
  placeOf(index: number): Place
  /** First 16 bytes of the id at `index`. */
  nameAt(index: number): Uint8Array
}

const domain = utf8('kindmesh att-sync 1\0')

/** @param items in order of (issuedAt, id) */
export function createSequence(items: readonly { readonly issuedAt: number; readonly id: Uint8Array }[]): Sequence {
  const size = items.length
  const times = new Float64Array(size)
  // Side by side, so that a range is hashed as it lies.
  const ids = new Uint8Array(size * idBytes)
  items.forEach(({ issuedAt, id }, index) => {
    times[index] = issuedAt
    ids.set(id.subarray(0, idBytes), index * idBytes)
  })
  const timeAt = (index: number): number => times[index] ?? Infinity
  const idAt = (index: number): Uint8Array => ids.subarray(index * idBytes, (index + 1) * idBytes)
  const isBefore = (index: number, { time, prefix }: Place): boolean =>
    timeAt(index) < time || (timeAt(index) === time && Buffer.compare(idAt(index).subarray(0, prefix.length), prefix) < 0)
  return {
    size,
    find(place) {
      let [low, high] = [0, size]
      while (low < high) {
        const middle = (low + high) >>> 1
        if (isBefore(middle, place)) low = middle + 1
        else high = middle
      }
      return low
    },
    fingerprint: (from, to) => sha256(concat(domain, ids.subarray(from * idBytes, to * idBytes))).subarray(0, nameBytes),
    placeOf(index) {
      const time = timeAt(index)
      if (index === 0 || timeAt(index - 1) !== time) return { time, prefix: new Uint8Array() }
      const [before, id] = [idAt(index - 1), idAt(index)]
      let shared = 0
      while (shared < nameBytes - 1 && before[shared] === id[shared]) shared++
      return { time, prefix: id.slice(0, shared + 1) }
    },
    nameAt: (index) => ids.subarray(index * idBytes, index * idBytes + nameBytes),
  }
}
