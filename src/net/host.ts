import type { Did, SignalOption } from '../base/index.ts'

/** How a peer is reached. */
export type Route = 'direct' | 'relayed'

/**
 * One bidirectional stream of frames to an authenticated peer, ordered and whole.
 * Frames handed to `send` in one microtask leave in one write.
 */
export interface HostStream {
  readonly peer: Did
  readonly protocol: string
  readonly route: Route
  /**
   * Queues a frame. Resolves once the transport has room for another: await it and you are slowed to the peer's pace. The frame is yours again then.
   * @throws ERR_WIRE_TOO_LARGE (the stream's frameBytesMax), ERR_NET_CLOSED
   */
  send(frame: Uint8Array, options?: SignalOption): Promise<void>
  /** Frames in order; ends when the peer closes; throws ERR_NET_CLOSED after a reset, ERR_WIRE_TOO_LARGE for an announced length over the limit (before allocation). Consumed once; not pulling slows the peer. */
  readonly frames: AsyncIterable<Uint8Array>
  /** Sends what is queued, then closes both ways. Idempotent. */
  close(): Promise<void>
  /** Drops the stream at once; the peer sees a reset. Idempotent. */
  abort(reason: Error): void
}

export interface ProtocolOptions {
  /** Largest frame either side may send. */
  readonly frameBytesMax: number
  /** Streams one peer may hold open towards us at a time. */
  readonly inboundStreamsMax: number
}

export type StreamHandler = (stream: HostStream) => void | Promise<void>

export interface PeerInfo {
  readonly did: Did
  readonly peerId: string
  readonly route: Route
  readonly direction: 'inbound' | 'outbound'
  readonly addresses: readonly string[]
}

/** Somebody who says to provide something, and where it says to be. */
export interface Provider {
  readonly did: Did
  readonly addresses: readonly string[]
}

/** Reads the order and life of a DHT record. `check` throws ERR_RECORD_INVALID for anything forged, expired or under another key. */
export interface RecordRule {
  check(key: Uint8Array, value: Uint8Array): { readonly seq: number; readonly expiresAt: number }
  /**
   * Where `seq` alone does not say it: how a record that passed `check` stands to the one held, which may have expired.
   * 'back' goes back behind it; 'contradiction' proves that its signer said two things.
   */
  order?(held: Uint8Array, offered: Uint8Array): 'next' | 'back' | 'contradiction'
}

/** Two signed records under one key that contradict each other; both passed `check`. */
export interface Contradiction {
  readonly namespace: string
  readonly key: Uint8Array
  readonly held: Uint8Array
  readonly offered: Uint8Array
}

export interface GossipMessage {
  readonly topic: string
  readonly from: Did
  readonly data: Uint8Array
}

/** 'accept' passes it on, 'ignore' drops it silently, 'reject' also counts against the forwarding peer. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject'

export interface PeerEvent {
  readonly event: 'connected' | 'disconnected'
  readonly peer: PeerInfo
}

/**
 * A peer among peers: streams, records, gossip. Two implementations, libp2p and the simulator, one contract suite.
 * Nothing above this room knows which one it runs on.
 */
export interface Host {
  readonly did: Did
  readonly peerId: string
  /** Multiaddrs with /p2p/ at the end, usable by another host as they stand. */
  addresses(): readonly string[]
  peers(): readonly PeerInfo[]
  /** Calls `listener` for each first connection made and last connection lost of a peer; returns the remover. */
  onPeer(listener: (event: PeerEvent) => void): () => void

  /** How the next stream to a peer would go; undefined when it is not connected. */
  routeTo(peer: Did): Route | undefined
  /** Calls `listener` when a peer that was reached through a relay is reached directly; returns the remover. */
  onUpgrade(listener: (peer: PeerInfo) => void): () => void

  /** Registers a protocol such as `/kindmesh/klp/1.0.0`. Registering twice throws. */
  handle(protocol: string, options: ProtocolOptions, handler: StreamHandler): void
  /** Connects by whatever is there first: known addresses, those the DHT knows, a relay. @throws ERR_NET_UNREACHABLE, ERR_NET_IDENTITY, ERR_NET_ADDRESS */
  dial(target: Did | { readonly addresses: readonly string[] }, options?: SignalOption): Promise<PeerInfo>
  /** Opens a stream, dialling if needed. @throws ERR_NET_UNREACHABLE, ERR_PROTOCOL when the peer does not speak it */
  open(peer: Did, protocol: string, options: Omit<ProtocolOptions, 'inboundStreamsMax'> & SignalOption): Promise<HostStream>
  /** Round trip of one ping in ms. */
  ping(peer: Did, options?: SignalOption): Promise<number>
  disconnect(peer: Did): Promise<void>
  /** Remembers addresses of a peer for later dials. */
  learn(peer: Did, addresses: readonly string[]): Promise<void>

  /**
   * Puts a record into the DHT under `/<namespace>/<key>`; the namespace must have a rule.
   * Resolves with the number of other peers that stored it. @throws ERR_RECORD_INVALID, ERR_RECORD_ROLLBACK
   */
  publish(namespace: string, key: Uint8Array, value: Uint8Array, options?: SignalOption): Promise<{ readonly stored: number }>
  /** The valid record with the highest seq among all answers, or undefined when nobody has one. Never one older than this node has seen. */
  lookup(namespace: string, key: Uint8Array, options?: SignalOption): Promise<Uint8Array | undefined>

  /**
   * Tells the DHT that this node provides what `key` (32 bytes) stands for, for `providerTtlMs`.
   * Resolves with the number of other peers told.
   */
  provide(key: Uint8Array, options?: SignalOption): Promise<{ readonly stored: number }>
  /** Who says to provide it, this node left out; nobody has checked. At most `providersFoundMax`. */
  providers(key: Uint8Array, options?: SignalOption): Promise<readonly Provider[]>

  /** Peers that are there and closest to a key by `SHA-256(key)`, closest first, this one left out: `closestPeersMax` at most, `closestPerPlaceMax` of one place. */
  closest(key: Uint8Array, options?: SignalOption): Promise<readonly Provider[]>
  /** The public network (/24, /48) a connected peer is seen in; undefined for private ones, those behind a relay and those not connected. */
  placeOf(peer: Did): string | undefined
  /** Calls `listener` for each pair of records by which a signer contradicts himself; returns the remover. */
  onContradiction(listener: (pair: Contradiction) => void): () => void

  /** Joins a topic. `judge` runs before a message is passed on. Returns the leaver. */
  subscribe(topic: string, judge: (message: GossipMessage) => GossipVerdict | Promise<GossipVerdict>): () => void
  /** Sends to the topic's subscribers; resolves with how many neighbours it went to. */
  gossip(topic: string, data: Uint8Array): Promise<{ readonly neighbours: number }>

  stop(): Promise<void>
}
