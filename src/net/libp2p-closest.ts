import type { PeerId } from '@libp2p/interface'
import { type Clock, type Logger, type SignalOption } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { pickClosest } from './closest.ts'
import type { Host, Provider } from './host.ts'
import type { MeshLibp2p } from './libp2p-options.ts'
import { namedPlace, placeOf } from './libp2p-places.ts'
import { withPeer } from './libp2p-reach.ts'
import { recordTimeoutMs } from './limits.ts'
import { didOfPeer, peerOfDid } from './peer-key.ts'
import { deadline } from './promises.ts'
import { providerAddressesMax } from './libp2p-providers.ts'

/** Peers that answered one walk and are looked at. */
const candidatesMax = 512

interface OpenDht {
  readonly routingTable: { closestPeers(kadId: Uint8Array): Iterable<PeerId> }
}

export interface ClosestOptions {
  readonly libp2p: MeshLibp2p
  readonly clock: Clock
  readonly logger: Logger
  /** Private networks count as places too. */
  readonly all: boolean
  settle(signal: AbortSignal): Promise<void>
}

export interface Closest extends Pick<Host, 'closest' | 'placeOf'> {
  /** Of those who answered on a walk to `key`, and of our own routing table, the closest that are not too many of one place. */
  pick(key: Uint8Array, answered: Iterable<PeerId>): Promise<readonly PeerId[]>
}

/** Who is closest to a key, asked of the DHT and of our own routing table, not too many of one place. kad-dht itself looks at distance alone. */
export function createClosest({ libp2p, clock, logger, all, settle }: ClosestOptions): Closest {
  const { routingTable } = libp2p.services.dht as unknown as OpenDht
  async function pick(key: Uint8Array, answered: Iterable<PeerId>): Promise<readonly PeerId[]> {
    const target = sha256(key)
    const seen = new Map<string, PeerId>()
    const note = (peer: PeerId): void => {
      if (seen.size < candidatesMax && !peer.equals(libp2p.peerId)) seen.set(peer.toString(), peer)
    }
    for (const peer of routingTable.closestPeers(target)) note(peer)
    for (const peer of answered) note(peer)
    const candidates = [...seen.values()].map(async (peer) => ({
      item: peer,
      id: sha256(peer.toMultihash().bytes),
      place: placeOf(libp2p, peer, all) ?? (await namedPlace(libp2p, peer, all).catch(() => undefined)),
    }))
    return pickClosest(target, await Promise.all(candidates))
  }
  /** Everybody who answers on the way to a key, not the last twenty alone: those may all be of one place. */
  async function walk(key: Uint8Array, signal: AbortSignal): Promise<readonly PeerId[]> {
    const answered: PeerId[] = []
    try {
      await settle(signal)
      for await (const event of libp2p.services.dht.getClosestPeers(key, { signal })) if (event.name === 'PEER_RESPONSE') answered.push(event.from)
    } catch (error) {
      logger.debug('the walk to a key ended early', { why: error instanceof Error ? error.message : String(error) })
    }
    return answered
  }
  return {
    pick,
    placeOf: (did) => placeOf(libp2p, peerOfDid(did), all),
    async closest(key, { signal }: SignalOption = {}) {
      signal?.throwIfAborted()
      using limit = deadline(clock, recordTimeoutMs, signal, 'walking to a key')
      const answered = await walk(key, limit.signal)
      const found: Provider[] = []
      for (const peer of await pick(key, answered)) {
        const did = didOfPeer(peer)
        if (did === undefined) continue
        const addresses = await libp2p.peerStore.get(peer).then(
          (known) => known.addresses.slice(0, providerAddressesMax).map(({ multiaddr }) => withPeer(multiaddr, peer).toString()),
          () => [],
        )
        found.push({ did, addresses })
      }
      signal?.throwIfAborted()
      return found
    },
  }
}
