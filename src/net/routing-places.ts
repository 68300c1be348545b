/** Peers of one public /24 (IPv4) or /48 (IPv6) in the routing table: less than half of the 20 that hold a key. net/v1 section 5. */
export const routingPeersPerPlaceMax = 8

/** Counts the peers of a routing table by the place they are in, so that a crowd in one place cannot surround a key. */
export class RoutingPlaces {
  readonly #most: number
  readonly #places = new Map<string, Set<string>>()

  constructor(most: number) {
    this.#most = most
  }

  /** May `peer` go into the table, being in `place`? One already counted may. */
  hasRoom(peer: string, place: string): boolean {
    const peers = this.#places.get(place)
    return peers === undefined || peers.has(peer) || peers.size < this.#most
  }

  add(peer: string, place: string): void {
    this.remove(peer)
    const peers = this.#places.get(place) ?? new Set<string>()
    peers.add(peer)
    this.#places.set(place, peers)
  }

  remove(peer: string): void {
    for (const [place, peers] of this.#places) {
      if (!peers.delete(peer)) continue
      if (peers.size === 0) this.#places.delete(place)
    }
  }
}
