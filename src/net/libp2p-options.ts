import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, Ed25519PrivateKey } from '@libp2p/interface'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { uPnPNAT } from '@libp2p/upnp-nat'
import { webSockets } from '@libp2p/websockets'
import type { LevelDatastore } from 'datastore-level'
import { createLibp2p, type Libp2p } from 'libp2p'
import { base64, concat, hourMs, MeshError, minuteMs, secondMs, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { connectionsPerAddressMax, connectionsPerSubnetMax, createGater } from './libp2p-gater.ts'
import { gossipBytesMax, streamWindowBytesMax } from './limits.ts'
import type { RecordValidators } from './libp2p-records.ts'

/** Our own DHT, so that it never mixes with that of IPFS. net/v1 section 4. */
export const dhtProtocol = '/kindmesh/kad/1.0.0'
/** Connections at a time. net/v1 section 5. */
export const connectionsMax = 300
/** New connections per second from one address. A node that listens on loopback only takes 1,000. net/v1 section 5. */
export const connectionRatePerSecond = 5
export const connectionRateLoopbackPerSecond = 1_000
/** Connections that have not yet proved who they are; ten silent sockets block everybody by default. net/v1 section 5. */
export const pendingConnectionsMax = 200
/** Time for a stranger to prove who it is. net/v1 section 5. */
export const upgradeTimeoutMs = 3 * secondMs
/** Time for a stranger to name the protocol of a new stream. net/v1 section 5. */
export const negotiationTimeoutMs = 5 * secondMs
/** Time for one of several addresses of a peer. net/v1 section 5. */
export const addressTimeoutMs = 3 * secondMs
/** How often a gateway that maps ports is looked for, and how long; mappings live as long as they are refreshed. net/v1 section 7. */
export const gatewaySearchMs = 15 * minuteMs
export const gatewaySearchTimeoutMs = 10 * secondMs
/** Streams of all protocols one connection may hold open towards us. net/v1 section 5. */
export const streamsPerConnectionMax = 1_000
/** Topics one peer may be subscribed to as we see it; more of its subscriptions are passed over. net/v1 section 6. */
export const topicsPerPeerMax = 128
/** What gossipsub charges for one of our topics: its name and a fixed sum. */
const topicCost = '/kindmesh/topic/1/'.length + 64 + 1_024
/** Reservations a relay grants, and what one relayed connection may carry and how long. net/v1 section 7. */
export const relayReservationsMax = 256
export const relayBytesMax = 1n << 30n
export const relayDurationMsMax = 2 * hourMs

export interface HostLimits {
  readonly connectionsMax: number
  readonly connectionRatePerSecond: number
  readonly connectionsPerAddressMax: number
  readonly connectionsPerSubnetMax: number
  readonly pendingConnectionsMax: number
  /** Peers of one place in the routing table; when set, private places count too. */
  readonly routingPeersPerPlaceMax: number
}

export interface MeshServices extends Record<string, unknown> {
  readonly identify: Identify
  readonly ping: Ping
  readonly dht: KadDHT
  readonly gossip: GossipSub
}

export type MeshLibp2p = Libp2p<MeshServices>

export interface BuildOptions {
  readonly privateKey: Ed25519PrivateKey
  readonly listen: readonly string[]
  readonly announce: readonly string[]
  readonly datastore: LevelDatastore | undefined
  readonly records: RecordValidators
  readonly mdns: boolean
  readonly relayServer: boolean
  /** Ask gateways to map our ports; never for a host that listens on loopback only. */
  readonly upnp: boolean
  readonly limits: Partial<HostLimits>
}

/** The libp2p node with every setting that differs from its defaults. Not started. */
export async function buildLibp2p(options: BuildOptions): Promise<{ readonly libp2p: MeshLibp2p; readonly relaying: Relaying }> {
  const { limits } = options
  const onLoopback = options.listen.length > 0 && options.listen.every((address) => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address))
  const isOpen = options.listen.length > 0 && !onLoopback
  let relaying: Relaying | undefined
  const relayTransport = circuitRelayTransport({ reservationCompletionTimeout: upgradeTimeoutMs * 2 })
  const libp2p: MeshLibp2p = await createLibp2p<MeshServices>({
    start: false,
    privateKey: options.privateKey,
    nodeInfo: { name: 'kindmesh', version: '1' },
    addresses: { listen: [...options.listen], appendAnnounce: [...options.announce] },
    ...(options.datastore === undefined ? {} : { datastore: options.datastore }),
    transports: [
      tcp(),
      webSockets(),
      (components) => {
        const transport = relayTransport(components)
        relaying = {
          transportManager: components.transportManager,
          reservationStore: (transport as unknown as Pick<Relaying, 'reservationStore'>).reservationStore,
        }
        return transport
      },
    ],
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [
      yamux({
        maxInboundStreams: streamsPerConnectionMax,
        maxOutboundStreams: streamsPerConnectionMax,
        streamOptions: { maxStreamWindowSize: streamWindowBytesMax, maxReadBufferLength: 4 * streamWindowBytesMax },
      }),
    ],
    ...(options.mdns ? { peerDiscovery: [mdns({ serviceTag: '_kindmesh._udp.local' })] } : {}),
    connectionGater: createGater({
      connections: (): Connection[] => libp2p.getConnections(),
      perAddressMax: limits.connectionsPerAddressMax ?? (onLoopback ? connectionsMax : connectionsPerAddressMax),
      perSubnetMax: limits.connectionsPerSubnetMax ?? (onLoopback ? connectionsMax : connectionsPerSubnetMax),
    }),
    connectionManager: {
      maxConnections: limits.connectionsMax ?? connectionsMax,
      inboundConnectionThreshold: limits.connectionRatePerSecond ?? (onLoopback ? connectionRateLoopbackPerSecond : connectionRatePerSecond),
      maxIncomingPendingConnections: limits.pendingConnectionsMax ?? pendingConnectionsMax,
      addressDialTimeout: addressTimeoutMs,
      inboundUpgradeTimeout: upgradeTimeoutMs,
      inboundStreamProtocolNegotiationTimeout: negotiationTimeoutMs,
    },
    // The monitor kills busy connections and costs half a core for 50 idle peers; liveness is seen on open streams.
    connectionMonitor: { abortConnectionOnPingFailure: false, pingInterval: minuteMs },
    services: {
      identify: identify({ runOnLimitedConnection: true }),
      // The DHT pings through the same service, whose quota is one stream.
      ping: ping({ maxInboundStreams: 16, maxOutboundStreams: 64, runOnLimitedConnection: true }),
      dht: kadDHT({
        protocol: dhtProtocol,
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        validators: options.records.validators,
        selectors: options.records.selectors,
        allowQueryWithZeroPeers: true,
        initialQuerySelfInterval: 250,
      }),
      gossip: gossipsub({
        fallbackToFloodsub: false,
        allowPublishToZeroTopicPeers: true,
        ignoreDuplicatePublishError: true,
        emitSelf: false,
        runOnLimitedConnection: true,
        maxInboundDataLength: gossipBytesMax,
        maxInboundStreams: 4,
        maxOutboundStreams: 4,
        maxTopicBytesPerPeer: topicsPerPeerMax * topicCost,
        // Everything that can differ is hashed, the signature too: a forgery must not stand in for the true message.
        fastMsgIdFn: ({ from, seqno, signature, data, topic }) => {
          const parts = [from, seqno, signature, data].map((part) => part ?? new Uint8Array(0))
          const lengths = utf8(`${parts.map(({ length }) => length).join()} ${topic}`)
          return base64(sha256(concat(lengths, ...parts)))
        },
        scoreParams: { IPColocationFactorWhitelist: new Set(['127.0.0.1', '::1']) },
      }),
      dcutr: dcutr(),
      // Both look at public addresses only, which a host on loopback has none of.
      ...(isOpen ? { autonat: autoNATv2() } : {}),
      ...(isOpen && options.upnp
        ? {
            upnp: uPnPNAT({
              portMappingDescription: 'kindmesh',
              initialGatewaySearchInterval: gatewaySearchMs,
              initialGatewaySearchTimeout: gatewaySearchTimeoutMs,
              initialGatewaySearchMessageInterval: gatewaySearchTimeoutMs / 2,
              gatewaySearchInterval: gatewaySearchMs,
              gatewaySearchTimeout: gatewaySearchTimeoutMs,
            }),
          }
        : {}),
      ...(options.relayServer
        ? {
            relay: circuitRelayServer({
              reservations: { maxReservations: relayReservationsMax, defaultDataLimit: relayBytesMax, defaultDurationLimit: relayDurationMsMax },
            }),
          }
        : {}),
    },
  })
  if (relaying === undefined) throw new MeshError('ERR_INTERNAL', 'libp2p made no relay transport')
  return { libp2p, relaying }
}

/** What dials one address, besides the queue that tries the addresses of a peer one after the other. */
export interface Transports {
  dial(address: import('@multiformats/multiaddr').Multiaddr, options: { readonly signal: AbortSignal }): Promise<Connection>
}

/** What reserving at a relay again needs of the transport; libp2p itself does it once, at start, and fails the start. */
export interface Relaying {
  readonly transportManager: Transports & { listen(addresses: import('@multiformats/multiaddr').Multiaddr[]): Promise<void> }
  readonly reservationStore: {
    hasReservation(relay: import('@libp2p/interface').PeerId): boolean
    addRelay(relay: import('@libp2p/interface').PeerId, type: 'configured'): Promise<unknown>
  }
}
