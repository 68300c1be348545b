import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { LevelDatastore } from 'datastore-level'
import { type Clock, type Did, type Logger, MeshError, type Random, secondMs } from '../base/index.ts'
import type { Signer } from '../crypto/index.ts'
import type { Store } from '../store/index.ts'
import type { Host, HostStream, PeerEvent, PeerInfo, ProtocolOptions, RecordRule, StreamHandler } from './host.ts'
import { InboundSlots } from './inbound-slots.ts'
import { netError } from './libp2p-errors.ts'
import { createGossip, gateTopics } from './libp2p-gossip.ts'
import { forgetRelays, keepConnected } from './libp2p-keep.ts'
import { buildLibp2p, type HostLimits, type MeshLibp2p } from './libp2p-options.ts'
import { bestOf, Libp2pPeers, routeOf } from './libp2p-peers.ts'
import { createProviders } from './libp2p-providers.ts'
import { createRecords, createValidators, settleRouting } from './libp2p-records.ts'
import { createLibp2pStream } from './libp2p-stream.ts'
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
    limits: options.limits ?? {},
  })
  if (options.mayExist !== undefined) gateTopics(libp2p.services.gossip, options.mayExist)
  const providers = createProviders({ libp2p, clock, random, logger, settle: (signal) => settleRouting(libp2p, clock, signal) })
  await forgetRelays(libp2p)
  try {
    await libp2p.start()
  } catch (cause) {
    await libp2p.stop()
    throw netError(cause, 'ERR_NET_ADDRESS', 'listening')
  }
  undo.defer(() => Promise.race([libp2p.stop(), clock.sleep(stopTimeoutMs)]))
  undo.defer(keepConnected({ libp2p, relaying, bootstrap: options.bootstrap, relays, clock, random, logger }))
  if (options.mdns === true) dialDiscovered(libp2p, logger)
  const routing = {
    ...createRecords({ libp2p, guard, wanted: records.wanted, clock, logger }),
    ...providers,
  }
  return new Libp2pHost(libp2p, clock, logger, routing, undo.move())
}

type Routing = Pick<Host, 'publish' | 'lookup' | 'provide' | 'providers'>

class Libp2pHost implements Host {
  readonly did: Did
  readonly peerId: string
  readonly publish: Host['publish']
  readonly lookup: Host['lookup']
  readonly provide: Host['provide']
  readonly providers: Host['providers']
  readonly subscribe: Host['subscribe']
  readonly gossip: Host['gossip']
  readonly #libp2p: MeshLibp2p
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #undo: AsyncDisposableStack
  readonly #protocols = new Set<string>()
  readonly #peers: Libp2pPeers
  readonly #slots: InboundSlots
  #stopping: Promise<void> | undefined

  constructor(libp2p: MeshLibp2p, clock: Clock, logger: Logger, routing: Routing, undo: AsyncDisposableStack) {
    this.#libp2p = libp2p
    this.#clock = clock
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
      await this.#connect(peer, limit.signal, signal)
      try {
        return await this.#libp2p.services.ping.ping(peerOfDid(peer), { signal: limit.signal, runOnLimitedConnection: true })
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

  /** Known addresses first; if none of them leads there, those the DHT knows. */
  async #connect(did: Did, both: AbortSignal, signal: AbortSignal | undefined): Promise<Connection> {
    const peer = peerOfDid(did)
    const open = bestOf(this.#libp2p.getConnections(peer))
    if (open !== undefined) return open
    try {
      return await this.#libp2p.dial(peer, { signal: both })
    } catch (error) {
      if (both.aborted) throw netError(error, 'ERR_NET_UNREACHABLE', 'dialling', signal)
      const found = await this.#libp2p.peerRouting.findPeer(peer, { signal: both }).catch(() => undefined)
      if (found === undefined || found.multiaddrs.length === 0) throw netError(error, 'ERR_NET_UNREACHABLE', 'dialling', signal)
      return await this.#connectTo(
        found.multiaddrs.map((address) => withPeer(address, peer)),
        both,
        signal,
      )
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

const withPeer = (address: Multiaddr, peer: PeerId): string => {
  const text = address.toString()
  return text.endsWith(`/p2p/${peer.toString()}`) ? text : `${text}/p2p/${peer.toString()}`
}

/** Peers a LAN announces are dialled as they appear; libp2p only tells of them. */
function dialDiscovered(libp2p: MeshLibp2p, logger: Logger): void {
  const discoveredDialsMax = 32
  libp2p.addEventListener('peer:discovery', ({ detail }) => {
    if (libp2p.getConnections().length >= discoveredDialsMax || libp2p.getConnections(detail.id).length > 0) return
    libp2p.dial(detail.id).catch((error: unknown) => logger.debug('a peer on the LAN was not reached', { peer: detail.id.toString(), why: String(error) }))
  })
}
