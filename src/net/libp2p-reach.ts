import type { Connection, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type Clock, type Logger, MeshError } from '../base/index.ts'
import type { MeshLibp2p, Transports } from './libp2p-options.ts'
import { isCircuit } from './libp2p-peers.ts'

/** Head start of known addresses before the DHT is asked for others, and before relays are tried. net/v1 section 7. */
export const routingAfterMs = 750
export const relaysAfterMs = 1_500
/** Relays tried, and addresses of one answer of the DHT. net/v1 section 7. */
export const relaysTriedMax = 3
export const addressesTriedMax = 8
const hopProtocol = '/libp2p/circuit/relay/0.2.0/hop'

export interface ReachOptions {
  readonly libp2p: MeshLibp2p
  readonly transports: Transports
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Connects to a peer by whatever leads there first: addresses known of it, those the DHT knows, relays we are connected to.
 * libp2p alone tries one address after the other, so that two that swallow packets use up all the time there is. Source: net/v1 section 7.
 * @throws what the known addresses failed with, when nothing leads there
 */
export async function reach(peer: PeerId, { libp2p, transports, clock, logger }: ReachOptions, signal: AbortSignal): Promise<Connection> {
  const race = new AbortController()
  const both = AbortSignal.any([signal, race.signal])
  const tried = new Set<string>()
  const knownFailed = Promise.withResolvers<void>()

  async function tryAll(addresses: readonly Multiaddr[]): Promise<Connection> {
    const fresh = addresses.filter((address) => !tried.has(address.toString()))
    for (const address of fresh) tried.add(address.toString())
    if (fresh.length === 0) throw new MeshError('ERR_NET_UNREACHABLE', 'no other address')
    return await Promise.any(fresh.slice(0, addressesTriedMax).map((address) => transports.dial(address, { signal: both })))
  }
  const headStart = (ms: number): Promise<unknown> => Promise.race([knownFailed.promise, clock.sleep(ms, { signal: both })])

  const known = async (): Promise<Connection> => {
    for (const { multiaddr: address } of await libp2p.peerStore.get(peer).then(
      ({ addresses }) => addresses,
      () => [],
    )) {
      tried.add(withPeer(address, peer).toString())
    }
    return await libp2p.dial(peer, { signal: both })
  }
  const routed = async (): Promise<Connection> => {
    await headStart(routingAfterMs)
    // What is remembered is being tried already.
    const { multiaddrs } = await libp2p.peerRouting.findPeer(peer, { signal: both, useCache: false })
    return await tryAll(multiaddrs.map((address) => withPeer(address, peer)))
  }
  const relayed = async (): Promise<Connection> => {
    await headStart(relaysAfterMs)
    const circuits: Multiaddr[] = []
    for (const connection of libp2p.getConnections()) {
      if (circuits.length >= relaysTriedMax) break
      if (isCircuit(connection.remoteAddr) || connection.remotePeer.equals(peer)) continue
      const { protocols } = await libp2p.peerStore.get(connection.remotePeer)
      if (!protocols.includes(hopProtocol)) continue
      circuits.push(multiaddr(`${withPeer(connection.remoteAddr, connection.remotePeer).toString()}/p2p-circuit/p2p/${peer.toString()}`))
    }
    return await tryAll(circuits)
  }
  const first = known()
  first.catch(() => knownFailed.resolve())
  try {
    return await Promise.any([first, routed(), relayed()])
  } catch (error) {
    logger.debug('no way leads to the peer', { peer: peer.toString(), why: String(error) })
    return await first
  } finally {
    race.abort(new MeshError('ERR_ABORTED', 'another way was faster'))
  }
}

/** The address with the peer it is to lead to at its end. */
export const withPeer = (address: Multiaddr, peer: PeerId): Multiaddr => {
  const id = peer.toString()
  return address.toString().endsWith(`/p2p/${id}`) ? address : address.encapsulate(`/p2p/${id}`)
}
