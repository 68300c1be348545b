import { compare } from '../base/index.ts'

/** Peers that hold what stands under a key: kad-dht's k. net/v1 section 4. */
export const closestPeersMax = 20
/** Of them so many from one public /24 (IPv4) or /48 (IPv6). net/v1 section 4. */
export const closestPerPlaceMax = 4

export interface Candidate<T> {
  readonly item: T
  /** Where it stands in the DHT: 32 bytes. */
  readonly id: Uint8Array
  /** The public network it sits in, if any. */
  readonly place: string | undefined
}

/** Those closest to `target` by XOR, `closestPeersMax` at most and `closestPerPlaceMax` of one place: a crowd in one place cannot surround a key. Source: net/v1 section 4. */
export function pickClosest<T>(target: Uint8Array, candidates: Iterable<Candidate<T>>): readonly T[] {
  const perPlace = new Map<string, number>()
  const picked: T[] = []
  const sorted = [...candidates]
    .map((candidate) => ({ ...candidate, distance: candidate.id.map((byte, index) => byte ^ (target[index] ?? 0)) }))
    .sort((a, b) => compare(a.distance, b.distance))
  for (const { item, place } of sorted) {
    if (picked.length === closestPeersMax) break
    const there = place === undefined ? 0 : (perPlace.get(place) ?? 0)
    if (there >= closestPerPlaceMax) continue
    if (place !== undefined) perPlace.set(place, there + 1)
    picked.push(item)
  }
  return picked
}
