import type { Connection, Stream } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { LevelDatastore } from 'datastore-level'
import { type Clock, type Did, type Logger, MeshError, type Random, secondMs } from '../base/index.ts'
import type { Signer } from '../crypto/index.ts'
import type { Store } from '../store/index.ts'
import type { Host, HostStream, PeerEvent, PeerInfo, ProtocolOptions, RecordRule, Route, StreamHandler } from './host.ts'
import { InboundSlots } from './inbound-slots.ts'
import { netError } from './libp2p-errors.ts'
import { createClosest } from './libp2p-closest.ts'
import { createGossip, gateTopics } from './libp2p-gossip.ts'
import { forgetRelays, keepConnected } from './libp2p-keep.ts'
import { buildLibp2p, type HostLimits, type MeshLibp2p, type Transports } from './libp2p-options.ts'
import { bestOf, Libp2pPeers, routeOf } from './libp2p-peers.ts'
import { pingOn } from './libp2p-ping.ts'
import { limitPlaces } from './libp2p-places.ts'
import { createProviders } from './libp2p-providers.ts'
import { reach } from './libp2p-reach.ts'
import { createRecords, createValidators, settleRouting } from './libp2p-records.ts'
import { createLibp2pStream } from './libp2p-stream.ts'
import { upgradeRelayed } from './libp2p-upgrade.ts'
import { dialTimeoutMs, pingTimeoutMs } from './limits.ts'
import { didOfPeer, privateKeyOf, peerOfDid } from './peer-key.ts'
import { deadline } from './promises.ts'
import { createRecordGuard } from './record-guard.ts'

/** Streams of one protocol we hold open towards one peer. net/v1 section 5. */
export const outboundStreamsMax = 1_024
/** Time the network gets to say goodbye when the host stops. */
export const stopTimeoutMs = 5 * secondMs

export interface Libp2pHostOptions {
  /** Signs as the identity; its key stays outside this room. */
  readonly signer: Signer
  /** Multiaddrs; `<address of a relay>/p2p-circuit` keeps a reservation there. */
  readonly listen: readonly string[]
  /** Addresses others should use besides those listened on. */
  readonly announce?: readonly string[]
  readonly bootstrap: readonly string[]
  /** Durable memory of the newest DHT records seen. */
  readonly store: Store
  /** Folder of the peer store; in memory when missing. */
  readonly datastorePath?: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly rules: Readonly<Record<string, RecordRule>>
  /** Topics that may exist at all; without it a peer may subscribe to any. */
  readonly mayExist?: (topic: string) => boolean
  readonly mdns?: boolean
  readonly relayServer?: boolean
  /** Ask the router to let others in; true unless said otherwise, and never for a host that listens on loopback only. */
  readonly upnp?: boolean
  readonly limits?: Partial<HostLimits>
}

/** A host on the real network. Starts even when every bootstrap peer and relay is down. @throws ERR_NET_ADDRESS when an address cannot be listened on */
export async function createLibp2pHost(options: Libp2pHostOptions): Promise<Host> {
  const { clock, logger, random } = options
  await using undo = new AsyncDisposableStack()
  const privateKey = privateKeyOf(options.signer)
  const guard = await createRecordGuard({ store: options.store, clock, rules: options.rules })
  const records = createValidators(guard, options.rules)
  const datastore = options.datastorePath === undefined ? undefined : new LevelDatastore(options.datastorePath)
  if (datastore !== undefined) {
    await datastore.open()
    // libp2p neither opens nor closes it.
    undo.defer(() => datastore.close())
  }
  const relays = options.listen.filter((address) => address.endsWith('/p2p-circuit') && address !== '/p2p-circuit')
  const { libp2p, relaying } = await buildLibp2p({
    privateKey,
    listen: options.listen.filter((address) => !relays.includes(address)),
    announce: options.announce ?? [],
    datastore,
    records,
    mdns: options.mdns ?? false,
    relayServer: options.relayServer ?? false,
    upnp: options.upnp ?? true,
    limits: options.limits ?? {},
  })
  if (options.mayExist !== undefined) gateTopics(libp2p.services.gossip, options.mayExist)
  const settle = (signal: AbortSignal): Promise<void> => settleRouting(libp2p, clock, signal)
  const providers = createProviders({ libp2p, clock, random, logger, settle })
  const closest = createClosest({ libp2p, clock, logger, all: options.limits?.routingPeersPerPlaceMax !== undefined, settle })
  limitPlaces(libp2p, options.limits?.routingPeersPerPlaceMax)
  await forgetRelays(libp2p)
  try {
    await libp2p.start()
  } catch (cause) {
    await libp2p.stop()
    throw netError(cause, 'ERR_NET_ADDRESS', 'listening')
  }
  undo.defer(() => Promise.race([libp2p.stop(), clock.sleep(stopTimeoutMs)]))
  undo.defer(keepConnected({ libp2p, relaying, bootstrap: options.bootstrap, relays, clock, random, logger }))
  const transports = relaying.transportManager
  undo.defer(upgradeRelayed({ libp2p, transports, clock, logger }))
  if (options.mdns === true) dialDiscovered(libp2p, logger)
  const routing = {
    ...createRecords({ libp2p, guard, wanted: records.wanted, clock, logger, pick: closest.pick }),
    ...providers,
    closest: closest.closest,
    placeOf: closest.placeOf,
    onContradiction: guard.onContradiction,
  }
  return new Libp2pHost({ libp2p, transports, clock, random, logger, routing, undo: undo.move() })
}

interface HostParts extends Pick<Libp2pHostOptions, 'clock' | 'random' | 'logger'> {
  readonly libp2p: MeshLibp2p
  readonly transports: Transports
  readonly routing: Pick<Host, 'publish' | 'lookup' | 'provide' | 'providers' | 'closest' | 'placeOf' | 'onContradiction'>
  readonly undo: AsyncDisposableStack
}

class Libp2pHost implements Host {
  readonly did: Did
  readonly peerId: string
  readonly publish: Host['publish']
  readonly lookup: Host['lookup']
  readonly provide: Host['provide']
  readonly providers: Host['providers']
  readonly closest: Host['closest']
  readonly placeOf: Host['placeOf']
  readonly onContradiction: Host['onContradiction']
  readonly subscribe: Host['subscribe']
  readonly gossip: Host['gossip']
  readonly #libp2p: MeshLibp2p
  readonly #transports: Transports
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #undo: AsyncDisposableStack
  readonly #protocols = new Set<string>()
  readonly #peers: Libp2pPeers
  readonly #slots: InboundSlots
  #stopping: Promise<void> | undefined

  constructor({ libp2p, transports, clock, random, logger, routing, undo }: HostParts) {
    this.#libp2p = libp2p
    this.#transports = transports
    this.#clock = clock
    this.#random = random
    this.#logger = logger
    this.#undo = undo
    const did = didOfPeer(libp2p.peerId)
    if (did === undefined) throw new MeshError('ERR_IDENTITY_INVALID', 'the identity is not an Ed25519 key')
    this.did = did
    this.peerId = libp2p.peerId.toString()
    const gossip = createGossip(libp2p.services.gossip, logger)
    this.publish = (...args) => this.#running(() => routing.publish(...args))
    this.lookup = (...args) => this.#running(() => routing.lookup(...args))
    this.provide = (...args) => this.#running(() => routing.provide(...args))
    this.providers = (...args) => this.#running(() => routing.providers(...args))
    this.closest = (...args) => this.#running(() => routing.closest(...args))
    this.placeOf = routing.placeOf
    this.onContradiction = routing.onContradiction
    this.subscribe = gossip.subscribe
    this.gossip = (...args) => this.#running(() => gossip.gossip(...args))
    this.#slots = new InboundSlots(clock)
    this.#peers = new Libp2pPeers(libp2p)
    this.#peers.listen(({ event, peer }) => {
      if (event === 'disconnected') this.#slots.forget(peer.did)
    })
  }

  addresses(): readonly string[] {
    return this.#libp2p.getMultiaddrs().map(String)
  }

  peers(): readonly PeerInfo[] {
    return this.#peers.all()
  }

  onPeer(listener: (event: PeerEvent) => void): () => void {
    return this.#peers.listen(listener)
  }

  routeTo(peer: Did): Route | undefined {
    const best = bestOf(this.#libp2p.getConnections(peerOfDid(peer)))
    return best === undefined ? undefined : routeOf(best)
  }

  onUpgrade(listener: (peer: PeerInfo) => void): () => void {
    return this.#peers.onUpgrade(listener)
  }

  handle(protocol: string, { frameBytesMax, inboundStreamsMax }: ProtocolOptions, handler: StreamHandler): void {
    if (this.#protocols.has(protocol)) throw new MeshError('ERR_USAGE', `${protocol} is registered already`)
    this.#protocols.add(protocol)
    const onStream = (stream: Stream, connection: Connection): void => {
      const peer = didOfPeer(connection.remotePeer)
      const release = peer === undefined || stream.status !== 'open' ? undefined : this.#slots.take(peer, protocol, inboundStreamsMax)
      if (peer === undefined || release === undefined) {
        stream.abort(new MeshError('ERR_NET_LIMIT', `more than ${inboundStreamsMax} streams of ${protocol}`))
        return
      }
      stream.addEventListener('close', release, { once: true })
      const dressed = createLibp2pStream({ stream, peer, route: routeOf(connection), frameBytesMax, clock: this.#clock })
      void this.#serve(dressed, handler)
    }
    const limits = { maxInboundStreams: inboundStreamsMax, maxOutboundStreams: outboundStreamsMax, runOnLimitedConnection: true }
    this.#libp2p
      .handle(protocol, onStream, limits)
      .catch((error: unknown) => this.#logger.error('a protocol could not be announced', { protocol, why: String(error) }))
  }

  async dial(target: Did | { readonly addresses: readonly string[] }, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<PeerInfo> {
    return await this.#running(async () => {
      using limit = deadline(this.#clock, dialTimeoutMs, signal, 'dialling')
      const connection =
        typeof target === 'string' ? await this.#connect(target, limit.signal, signal) : await this.#connectTo(target.addresses, limit.signal, signal)
      const info = this.#peers.info(connection.remotePeer)
      if (info === undefined) throw new MeshError('ERR_NET_UNREACHABLE', 'the connection ended at once')
      return info
    })
  }

  async open(peer: Did, protocol: string, { frameBytesMax, signal }: Parameters<Host['open']>[2]): Promise<HostStream> {
    return await this.#running(async () => {
      using limit = deadline(this.#clock, dialTimeoutMs, signal, `opening ${protocol}`)
      const connection = await this.#connect(peer, limit.signal, signal)
      try {
        const stream = await connection.newStream([protocol], { signal: limit.signal, runOnLimitedConnection: true, maxOutboundStreams: outboundStreamsMax })
        return createLibp2pStream({ stream, peer, route: routeOf(connection), frameBytesMax, clock: this.#clock })
      } catch (error) {
        throw netError(error, 'ERR_NET_UNREACHABLE', `opening ${protocol}`, signal)
      }
    })
  }

  async ping(peer: Did, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<number> {
    return await this.#running(async () => {
      using limit = deadline(this.#clock, pingTimeoutMs, signal, 'ping')
      const connection = await this.#connect(peer, limit.signal, signal)
      try {
        // Not by libp2p's own `ping`: it dials anew when the connection is a relayed one.
        return await pingOn(connection, { clock: this.#clock, random: this.#random }, limit.signal)
      } catch (error) {
        throw netError(error, 'ERR_NET_UNREACHABLE', 'ping', signal)
      }
    })
  }

  async disconnect(peer: Did): Promise<void> {
    await this.#libp2p.hangUp(peerOfDid(peer))
  }

  async learn(peer: Did, addresses: readonly string[]): Promise<void> {
    await this.#libp2p.peerStore.merge(peerOfDid(peer), { multiaddrs: addresses.map(parseAddress) })
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#undo.disposeAsync()
    return this.#stopping
  }

  async #running<T>(act: () => Promise<T>): Promise<T> {
    if (this.#stopping !== undefined) throw new MeshError('ERR_STOPPED', 'the host has stopped')
    return await act()
  }

  async #connectTo(addresses: readonly string[], both: AbortSignal, signal: AbortSignal | undefined): Promise<Connection> {
    const targets = addresses.map(parseAddress)
    if (targets.length === 0) throw new MeshError('ERR_NET_ADDRESS', 'no address given')
    try {
      return await this.#libp2p.dial(targets, { signal: both })
    } catch (error) {
      throw netError(error, 'ERR_NET_UNREACHABLE', 'dialling', signal)
    }
  }

  async #connect(did: Did, both: AbortSignal, signal: AbortSignal | undefined): Promise<Connection> {
    const peer = peerOfDid(did)
    const open = bestOf(this.#libp2p.getConnections(peer))
    if (open !== undefined) return open
    try {
      return await reach(peer, { libp2p: this.#libp2p, transports: this.#transports, clock: this.#clock, logger: this.#logger }, both)
    } catch (error) {
      throw netError(error, 'ERR_NET_UNREACHABLE', 'dialling', signal)
    }
  }

  async #serve(stream: HostStream, handler: StreamHandler): Promise<void> {
    try {
      await handler(stream)
    } catch (error) {
      this.#logger.debug('a stream handler threw', { protocol: stream.protocol, peer: stream.peer, why: String(error) })
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** @throws ERR_NET_ADDRESS */
function parseAddress(text: string): Multiaddr {
  try {
    return multiaddr(text)
  } catch (cause) {
    throw new MeshError('ERR_NET_ADDRESS', 'not a multiaddr', { cause })
  }
}

/** Peers a LAN announces are dialled as they appear; libp2p only tells of them. */
function dialDiscovered(libp2p: MeshLibp2p, logger: Logger): void {
  const discoveredDialsMax = 32
  libp2p.addEventListener('peer:discovery', ({ detail }) => {
    if (libp2p.getConnections().length >= discoveredDialsMax || libp2p.getConnections(detail.id).length > 0) return
    libp2p.dial(detail.id).catch((error: unknown) => logger.debug('a peer on the LAN was not reached', { peer: detail.id.toString(), why: String(error) }))
  })
}
