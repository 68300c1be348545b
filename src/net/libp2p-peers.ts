import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Did } from '../base/index.ts'
import type { PeerEvent, PeerInfo, Route } from './host.ts'
import type { MeshLibp2p } from './libp2p-options.ts'
import { didOfPeer } from './peer-key.ts'

/** Who is connected, and the news of it. */
export class Libp2pPeers {
  readonly #libp2p: MeshLibp2p
  /** What was last known of each: it is gone from libp2p when its last connection is. */
  readonly #connected = new Map<Did, PeerInfo>()
  readonly #listeners = new Set<(event: PeerEvent) => void>()
  readonly #upgradeListeners = new Set<(peer: PeerInfo) => void>()

  constructor(libp2p: MeshLibp2p) {
    this.#libp2p = libp2p
    libp2p.addEventListener('peer:connect', ({ detail }) => this.#onConnect(detail))
    libp2p.addEventListener('peer:disconnect', ({ detail }) => this.#onDisconnect(detail))
    libp2p.addEventListener('connection:open', ({ detail }) => this.#onConnection(detail))
    for (const peer of libp2p.getPeers()) this.#onConnect(peer)
  }

  all(): readonly PeerInfo[] {
    return this.#libp2p.getPeers().flatMap((peer) => this.info(peer) ?? [])
  }

  info(peer: PeerId): PeerInfo | undefined {
    const did = didOfPeer(peer)
    const connections = this.#libp2p.getConnections(peer)
    const best = bestOf(connections)
    if (did === undefined || best === undefined) return undefined
    return {
      did,
      peerId: peer.toString(),
      route: routeOf(best),
      direction: best.direction,
      addresses: connections.map(({ remoteAddr }) => remoteAddr.toString()),
    }
  }

  listen(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells of peers that were relayed and are reached directly now. */
  onUpgrade(listener: (peer: PeerInfo) => void): () => void {
    this.#upgradeListeners.add(listener)
    return () => this.#upgradeListeners.delete(listener)
  }

  #onConnection({ remotePeer }: Connection): void {
    const info = this.info(remotePeer)
    const before = info === undefined ? undefined : this.#connected.get(info.did)
    if (info === undefined || before === undefined) return
    this.#connected.set(info.did, info)
    if (before.route === 'direct' || info.route === 'relayed') return
    for (const listener of this.#upgradeListeners) listener(info)
  }

  #onConnect(peer: PeerId): void {
    const info = this.info(peer)
    if (info === undefined || this.#connected.has(info.did)) return
    this.#connected.set(info.did, info)
    this.#tell({ event: 'connected', peer: info })
  }

  #onDisconnect(peer: PeerId): void {
    const did = didOfPeer(peer)
    const info = did === undefined ? undefined : this.#connected.get(did)
    if (info === undefined) return
    this.#connected.delete(info.did)
    this.#tell({ event: 'disconnected', peer: info })
  }

  #tell(event: PeerEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}

export const isCircuit = (address: Multiaddr): boolean => address.getComponents().some(({ name }) => name === 'p2p-circuit')

export const routeOf = ({ remoteAddr }: Connection): Route => (isCircuit(remoteAddr) ? 'relayed' : 'direct')

/** A direct connection rather than a relayed one. */
export function bestOf(connections: readonly Connection[]): Connection | undefined {
  const open = connections.filter(({ status }) => status === 'open')
  return open.find((connection) => routeOf(connection) === 'direct') ?? open[0]
}
