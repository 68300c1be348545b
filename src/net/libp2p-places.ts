import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { subnetOf } from './libp2p-gater.ts'
import type { MeshLibp2p } from './libp2p-options.ts'
import { isCircuit } from './libp2p-peers.ts'
import { RoutingPlaces, routingPeersPerPlaceMax } from './routing-places.ts'

/** What of kad-dht's routing table is used here and not in its types. */
interface OpenTable {
  add(peer: PeerId, options?: object): Promise<void>
  remove(peer: PeerId): Promise<void>
  find(peer: PeerId): Promise<PeerId | undefined>
  addEventListener(event: 'peer:remove', listener: (event: CustomEvent<PeerId>) => void): void
}

const ipOf = (address: Multiaddr): string | undefined => address.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value

const placeAt = (ip: string, all: boolean): string | undefined => (all || isPublic(ip) ? subnetOf(ip) : undefined)

/** The place a connected peer comes from, by the address it is seen at; nothing for private ones (unless `all`) and those behind a relay. */
export function placeOf(libp2p: MeshLibp2p, peer: PeerId, all = false): string | undefined {
  for (const { remoteAddr } of libp2p.getConnections(peer)) {
    if (isCircuit(remoteAddr)) continue
    const ip = ipOf(remoteAddr)
    if (ip !== undefined) return placeAt(ip, all)
  }
  return undefined
}

/** The place a peer says to be in. */
export async function namedPlace(libp2p: MeshLibp2p, peer: PeerId, all: boolean): Promise<string | undefined> {
  const { addresses } = await libp2p.peerStore.get(peer)
  for (const { multiaddr } of addresses) {
    const ip = isCircuit(multiaddr) ? undefined : ipOf(multiaddr)
    const place = ip === undefined ? undefined : placeAt(ip, all)
    if (place !== undefined) return place
  }
  return undefined
}

const isPublic = (ip: string): boolean => !/^(?:10\.|127\.|169\.254\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|::1$|fe[89ab]|f[cd])/i.test(ip)

/** Keeps the routing table of the DHT from filling with peers of one place, which kad-dht does not look at. Source: net/v1 section 5. */
export function limitPlaces(libp2p: MeshLibp2p, most: number | undefined): void {
  const { routingTable: table } = libp2p.services.dht as unknown as { readonly routingTable: OpenTable }
  const places = new RoutingPlaces(most ?? routingPeersPerPlaceMax)
  const of = (peer: PeerId): string | undefined => placeOf(libp2p, peer, most !== undefined)
  const add = table.add.bind(table)
  table.add = async (peer, options) => {
    const name = peer.toString()
    const before = of(peer)
    if (before !== undefined) {
      if (!places.hasRoom(name, before)) return
      // Taken before the table has made up its mind, so that many at once do not all pass.
      places.add(name, before)
    }
    await add(peer, options)
    if ((await table.find(peer)) === undefined) {
      places.remove(name)
      return
    }
    // One that was only heard of is connected by now: the table has pinged it.
    const place = before ?? of(peer) ?? (await namedPlace(libp2p, peer, most !== undefined))
    if (place === undefined) return
    if (places.hasRoom(name, place)) places.add(name, place)
    else await table.remove(peer)
  }
  table.addEventListener('peer:remove', ({ detail }) => places.remove(detail.toString()))
}
