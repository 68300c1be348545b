import { type Did, MeshError, type SignalOption } from '../base/index.ts'
import type { Store } from '../store/index.ts'
import type { Host, HostStream, PeerEvent, PeerInfo, ProtocolOptions, RecordRule, Route, StreamHandler } from './host.ts'
import { InboundSlots } from './inbound-slots.ts'
import { dialTimeoutMs, pingTimeoutMs, upgradeTriesMs } from './limits.ts'
import { peerIdTextOfDid } from './peer-key.ts'
import { deadline, orAborted, redialPause } from './promises.ts'
import { createRecordGuard } from './record-guard.ts'
import { SimulatedConnection } from './simulated-connection.ts'
import { SimulatedGossip } from './simulated-gossip.ts'
import type { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedRecords } from './simulated-records.ts'
import { SimulatedStream } from './simulated-stream.ts'

const port = 4_160

export interface SimulatedHostOptions {
  readonly store: Store
  readonly rules: Readonly<Record<string, RecordRule>>
  /** Peers dialled at once and again while they are not there. */
  readonly bootstrap?: readonly string[]
  /** Carries others. */
  readonly relayServer?: boolean
  /** Addresses of relays that carry to this host; it stays connected to them. */
  readonly relays?: readonly string[]
  /** Takes no dials but through its relays, as behind a NAT. */
  readonly hidden?: boolean
  /** The public network it is said to be in; none unless given. */
  readonly place?: string
}

/** Where to dial: an address, or the far end of a relay at one. */
interface Target {
  readonly ip: string
  readonly peerId: string | undefined
  /** The peer behind the relay at `ip`. */
  readonly beyond: string | undefined
}

interface Served {
  readonly options: ProtocolOptions
  readonly handler: StreamHandler
}

/** A host that exists in memory only and lives on the virtual clock. */
export class SimulatedHost implements Host {
  readonly did: Did
  readonly peerId: string
  readonly connections = new Map<Did, SimulatedConnection>()
  readonly records: SimulatedRecords
  readonly gossiping: SimulatedGossip
  readonly #network: SimulatedNetwork
  readonly #ip: string
  readonly #protocols = new Map<string, Served>()
  readonly #slots: InboundSlots
  readonly #options: SimulatedHostOptions
  readonly #book = new Map<Did, readonly Target[]>()
  readonly #dialling = new Map<string, Promise<SimulatedConnection>>()
  readonly #listeners = new Set<(event: PeerEvent) => void>()
  readonly #upgradeListeners = new Set<(peer: PeerInfo) => void>()
  #stopped = false

  static async create(network: SimulatedNetwork, did: Did, options: SimulatedHostOptions): Promise<SimulatedHost> {
    const guard = await createRecordGuard({ store: options.store, clock: network.clock, rules: options.rules })
    const host = new SimulatedHost(network, did, options, (self) => new SimulatedRecords(network, self, guard))
    for (const address of [...(options.bootstrap ?? []), ...(options.relays ?? [])]) void host.#keep(address)
    return host
  }

  private constructor(network: SimulatedNetwork, did: Did, options: SimulatedHostOptions, records: (host: SimulatedHost) => SimulatedRecords) {
    this.did = did
    this.peerId = peerIdTextOfDid(did)
    this.#network = network
    this.#options = options
    this.#slots = new InboundSlots(network.clock)
    this.records = records(this)
    this.gossiping = new SimulatedGossip(network, this)
    this.#ip = network.place(this)
  }

  get place(): string | undefined {
    return this.#options.place
  }

  get running(): boolean {
    return !this.#stopped
  }

  addresses(): readonly string[] {
    const own = this.#options.hidden === true ? [] : [`/ip4/${this.#ip}/tcp/${port}/p2p/${this.peerId}`]
    const relays = [...this.connections].filter(([did, { alive }]) => alive && this.#isRelay(did))
    return [
      ...own,
      ...relays.flatMap(
        ([did]) =>
          this.#network.hosts
            .get(did)
            ?.addresses()
            .map((address) => `${address}/p2p-circuit/p2p/${this.peerId}`) ?? [],
      ),
    ]
  }

  routeTo(peer: Did): Route | undefined {
    const connection = this.connections.get(peer)
    return connection?.alive === true ? connection.route : undefined
  }

  onUpgrade(listener: (peer: PeerInfo) => void): () => void {
    this.#upgradeListeners.add(listener)
    return () => this.#upgradeListeners.delete(listener)
  }

  peers(): readonly PeerInfo[] {
    return [...this.connections.values()].map((connection) => this.#info(connection))
  }

  onPeer(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  handle(protocol: string, options: ProtocolOptions, handler: StreamHandler): void {
    if (this.#protocols.has(protocol)) throw new MeshError('ERR_USAGE', `${protocol} is registered already`)
    this.#protocols.set(protocol, { options, handler })
  }

  async dial(target: Did | { readonly addresses: readonly string[] }, { signal }: SignalOption = {}): Promise<PeerInfo> {
    this.#mustRun()
    const connection = typeof target === 'string' ? await this.#connect(target, signal) : await this.#connectTo(target.addresses, signal)
    return this.#info(connection)
  }

  async open(peer: Did, protocol: string, { frameBytesMax, signal }: Parameters<Host['open']>[2]): Promise<HostStream> {
    this.#mustRun()
    const connection = await this.#connect(peer, signal)
    const stream = new SimulatedStream(connection, this.did, protocol, frameBytesMax, this.#network.clock)
    connection.transmit(this.did, 'open', protocol.length, () => this.#network.hosts.get(peer)?.answer(connection, stream))
    using limit = deadline(this.#network.clock, dialTimeoutMs, signal, `opening ${protocol}`)
    try {
      await orAborted(stream.opened.promise, limit.signal)
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
    return stream
  }

  async ping(peer: Did, { signal }: SignalOption = {}): Promise<number> {
    this.#mustRun()
    const connection = await this.#connect(peer, signal)
    const start = this.#network.clock.monotonic()
    const pong = Promise.withResolvers<void>()
    connection.transmit(this.did, 'ping', 32, () => connection.transmit(peer, 'pong', 32, () => pong.resolve()))
    using limit = deadline(this.#network.clock, pingTimeoutMs, signal, 'ping')
    await orAborted(pong.promise, limit.signal)
    return this.#network.clock.monotonic() - start
  }

  async disconnect(peer: Did): Promise<void> {
    this.connections.get(peer)?.hangUp(this.did)
  }

  async learn(peer: Did, addresses: readonly string[]): Promise<void> {
    this.#book.set(peer, addresses.map(parseAddress))
  }

  async publish(...args: Parameters<Host['publish']>): ReturnType<Host['publish']> {
    this.#mustRun()
    return await this.records.publish(...args)
  }

  async lookup(...args: Parameters<Host['lookup']>): ReturnType<Host['lookup']> {
    this.#mustRun()
    return await this.records.lookup(...args)
  }

  async provide(...args: Parameters<Host['provide']>): ReturnType<Host['provide']> {
    this.#mustRun()
    return await this.records.provide(...args)
  }

  async providers(...args: Parameters<Host['providers']>): ReturnType<Host['providers']> {
    this.#mustRun()
    return await this.records.providers(...args)
  }

  async closest(...args: Parameters<Host['closest']>): ReturnType<Host['closest']> {
    this.#mustRun()
    return await this.records.closest(...args)
  }

  placeOf(peer: Did): string | undefined {
    return this.routeTo(peer) === 'direct' ? this.#network.hosts.get(peer)?.place : undefined
  }

  onContradiction(...args: Parameters<Host['onContradiction']>): () => void {
    return this.records.onContradiction(...args)
  }

  subscribe(...args: Parameters<Host['subscribe']>): () => void {
    return this.gossiping.subscribe(...args)
  }

  async gossip(topic: string, data: Uint8Array): Promise<{ readonly neighbours: number }> {
    this.#mustRun()
    return { neighbours: this.gossiping.send(topic, data) }
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    for (const connection of [...this.connections.values()]) connection.hangUp(this.did)
    this.#network.remove(this)
  }

  /** As after a power cut: nothing is said to anybody. */
  crash(): void {
    if (this.#stopped) return
    this.#stopped = true
    for (const connection of [...this.connections.values()]) connection.die()
    this.#network.remove(this)
  }

  /** The other end of a dial. */
  join(connection: SimulatedConnection): void {
    const peer = connection.other(this.did)
    const before = this.connections.get(peer)
    this.connections.set(peer, connection)
    if (before?.alive === true && before.route === 'relayed' && connection.route === 'direct') {
      for (const listener of this.#upgradeListeners) listener(this.#info(connection))
    }
    if (before === undefined) this.#tell({ event: 'connected', peer: this.#info(connection) })
  }

  lost(connection: SimulatedConnection): void {
    const peer = connection.other(this.did)
    if (this.connections.get(peer) !== connection) return
    this.connections.delete(peer)
    this.#slots.forget(peer)
    this.#tell({ event: 'disconnected', peer: this.#info(connection) })
  }

  /** A peer asks for a stream. */
  answer(connection: SimulatedConnection, theirs: SimulatedStream): void {
    const served = this.#protocols.get(theirs.protocol)
    const peer = theirs.owner
    if (served === undefined || this.#stopped) {
      connection.transmit(this.did, 'refuse', 0, () => theirs.fail(new MeshError('ERR_PROTOCOL', `the peer does not speak ${theirs.protocol}`)))
      return
    }
    const release = this.#slots.take(peer, theirs.protocol, served.options.inboundStreamsMax)
    if (release === undefined) {
      // As on libp2p: the opening succeeds, then the stream is reset.
      connection.transmit(this.did, 'accept', 0, () => theirs.opened.resolve())
      connection.transmit(this.did, 'reset', 0, () => theirs.fail(new MeshError('ERR_NET_CLOSED', `${theirs.protocol}: the stream ended`)))
      return
    }
    const ours = new SimulatedStream(connection, this.did, theirs.protocol, served.options.frameBytesMax, this.#network.clock)
    ours.onDone = release
    ours.meet(theirs)
    connection.transmit(this.did, 'accept', 0, () => theirs.meet(ours))
    void this.#serve(ours, served.handler)
  }

  async #serve(stream: HostStream, handler: StreamHandler): Promise<void> {
    try {
      await handler(stream)
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #keep(address: string): Promise<void> {
    const { clock } = this.#network
    for (let attempt = 0; !this.#stopped; attempt++) {
      try {
        const { did } = await this.dial({ addresses: [address] })
        attempt = 0
        const gone = Promise.withResolvers<void>()
        const remove = this.onPeer(({ event, peer }) => {
          if (event === 'disconnected' && peer.did === did) gone.resolve()
        })
        await gone.promise
        remove()
      } catch {
        // Not there yet.
      }
      await clock.sleep(redialPause(attempt, this.#network.chance(this.did, this.did)))
    }
  }

  /** Known addresses first, then what the peers of peers know. */
  async #connect(did: Did, signal: AbortSignal | undefined): Promise<SimulatedConnection> {
    const open = this.connections.get(did)
    if (open?.alive === true) return open
    for (const target of this.#book.get(did) ?? []) {
      try {
        return await this.#dialTarget(target, did, signal)
      } catch (error) {
        if (signal?.aborted === true) throw error
      }
    }
    const found = this.#network.known(this.did).find((host) => host.did === did)
    const addresses = found?.addresses() ?? []
    if (addresses.length === 0) throw new MeshError('ERR_NET_UNREACHABLE', `no address of ${did} is known`)
    return await this.#connectTo(addresses, signal)
  }

  async #connectTo(addresses: readonly string[], signal: AbortSignal | undefined): Promise<SimulatedConnection> {
    const targets = addresses.map(parseAddress)
    let last: unknown = new MeshError('ERR_NET_ADDRESS', 'no address given')
    for (const target of targets) {
      try {
        return await this.#dialTarget(target, target.beyond ?? target.peerId, signal)
      } catch (error) {
        if (signal?.aborted === true) throw error
        last = error
      }
    }
    throw last
  }

  #dialTarget(target: Target, expected: Did | string | undefined, signal: AbortSignal | undefined): Promise<SimulatedConnection> {
    const name = `${target.ip} ${target.beyond ?? ''} ${expected ?? ''}`
    const running = this.#dialling.get(name) ?? (target.beyond === undefined ? this.#shake(target, expected) : this.#shakeThrough(target, target.beyond))
    this.#dialling.set(name, running)
    running.catch(() => undefined).finally(() => this.#dialling.delete(name))
    return orAborted(running, signal)
  }

  /** A handshake takes three latencies; whoever is not there is not heard from until the deadline. */
  async #shake(target: Target, expected: Did | string | undefined): Promise<SimulatedConnection> {
    const { ip } = target
    const { clock } = this.#network
    const host = this.#network.byIp.get(ip)
    if (host === undefined || host.#options.hidden === true || !this.#network.reachable(this.did, host.did)) {
      await clock.sleep(host === undefined ? this.#network.latency(this.did, this.did) : dialTimeoutMs)
      throw new MeshError('ERR_NET_UNREACHABLE', `nobody answers at ${ip}`)
    }
    if (host === this) throw new MeshError('ERR_NET_UNREACHABLE', 'that is this host')
    const ms = [0, 1, 2].map(() => this.#network.segment(this.did, host.did) ?? dialTimeoutMs).reduce((sum, one) => sum + one)
    await clock.sleep(ms)
    this.#mustRun()
    if (!host.running || !this.#network.reachable(this.did, host.did)) throw new MeshError('ERR_NET_UNREACHABLE', `nobody answers at ${ip}`)
    if (expected !== undefined && expected !== host.did && expected !== host.peerId) throw new MeshError('ERR_NET_IDENTITY', `${host.peerId} answered at ${ip}`)
    this.#book.set(host.did, [target])
    const open = this.connections.get(host.did)
    if (open?.alive === true && open.route === 'direct') return open
    return this.#joined(host)
  }

  /** Through a relay, which must be connected to the other. */
  async #shakeThrough({ ip, peerId }: Target, beyond: string): Promise<SimulatedConnection> {
    const relay = await this.#dialTarget({ ip, peerId, beyond: undefined }, peerId, undefined)
    const via = relay.other(this.did)
    const server = this.#network.hosts.get(via)
    const host = [...(server?.connections.keys() ?? [])].map((did) => this.#network.hosts.get(did)).find((one) => one?.peerId === beyond)
    const ms = host === undefined ? this.#network.latency(this.did, via) : (this.#network.journey(this.did, host.did, via) ?? dialTimeoutMs)
    await this.#network.clock.sleep(3 * ms)
    this.#mustRun()
    const isWhole = server?.running === true && server.#options.relayServer === true && host?.running === true && host !== this && host.#isRelay(via)
    if (!isWhole || server.connections.get(host.did)?.alive !== true || !relay.alive) {
      throw new MeshError('ERR_NET_UNREACHABLE', `the relay at ${ip} does not reach ${beyond}`)
    }
    const open = this.connections.get(host.did)
    if (open?.alive === true) return open
    void this.#upgrade(host)
    return this.#joined(host, via)
  }

  /** As on libp2p, who dialled through a relay tries the direct addresses behind it. */
  async #upgrade(host: SimulatedHost): Promise<void> {
    for (const ms of upgradeTriesMs) {
      await this.#network.clock.sleep(ms)
      if (this.#stopped || !host.running || this.routeTo(host.did) !== 'relayed') return
      if (host.#options.hidden === true) continue
      const isDone = await this.#dialTarget({ ip: host.#ip, peerId: host.peerId, beyond: undefined }, host.did, undefined).then(
        () => true,
        () => false,
      )
      if (isDone) return
    }
  }

  #joined(host: SimulatedHost, via?: Did): SimulatedConnection {
    const connection = new SimulatedConnection(this.#network, this.did, host.did, via)
    this.#network.record(via === undefined ? 'connect' : 'connect-relayed', this.did, host.did, 0)
    this.join(connection)
    host.join(connection)
    return connection
  }

  /** Is the peer one of the relays this host keeps to? */
  #isRelay(did: Did): boolean {
    const { peerId } = this.#network.hosts.get(did) ?? {}
    return (this.#options.relays ?? []).some((address) => address.endsWith(`/${peerId ?? ''}`))
  }

  #info(connection: SimulatedConnection): PeerInfo {
    const did = connection.other(this.did)
    const direction = connection.from === this.did ? 'outbound' : 'inbound'
    return {
      did,
      peerId: this.#network.hosts.get(did)?.peerId ?? peerIdTextOfDid(did),
      route: connection.route,
      direction,
      addresses: this.#network.hosts.get(did)?.addresses() ?? [],
    }
  }

  #mustRun(): void {
    if (this.#stopped) throw new MeshError('ERR_STOPPED', 'the host has stopped')
  }

  #tell(event: PeerEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}

/** @throws ERR_NET_ADDRESS */
function parseAddress(text: string): Target {
  const [, ip, peerId, beyond] = /^\/ip4\/([\d.]+)\/tcp\/\d+(?:\/p2p\/(\w+))?(?:\/p2p-circuit\/p2p\/(\w+))?$/.exec(text) ?? []
  if (ip === undefined) throw new MeshError('ERR_NET_ADDRESS', 'not an address of the simulator')
  return { ip, peerId, beyond }
}
