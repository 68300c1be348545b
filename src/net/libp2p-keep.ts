import type { Connection, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Clock, Logger, Random } from '../base/index.ts'
import type { MeshLibp2p, Relaying } from './libp2p-options.ts'
import { dialTimeoutMs } from './limits.ts'
import { deadline, redialPause } from './promises.ts'

/** libp2p redials relays it finds under this tag at start and bars one that is down for good. */
const relayTag = 'keep-alive-circuit-relay'

export interface KeepOptions {
  readonly libp2p: MeshLibp2p
  readonly relaying: Relaying
  readonly bootstrap: readonly string[]
  /** Relays to reserve at, as `<address of the relay>/p2p-circuit`. */
  readonly relays: readonly string[]
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Keeps a connection to each bootstrap peer and a reservation at each relay, dialling again with backoff and jitter. Returns the stop. */
export function keepConnected(options: KeepOptions): () => void {
  const stop = new AbortController()
  for (const address of options.bootstrap) void keep(multiaddr(address), undefined, options, stop.signal)
  for (const address of options.relays) {
    const relay = multiaddr(address).decapsulate('/p2p-circuit')
    void keep(relay, multiaddr(address), options, stop.signal)
  }
  return () => stop.abort()
}

/** Lets go of what an earlier run remembered about relays, before libp2p starts. */
export async function forgetRelays(libp2p: MeshLibp2p): Promise<void> {
  const relays = await libp2p.peerStore.all({ filters: [({ tags }) => tags.has(relayTag)] })
  for (const { id } of relays) await libp2p.peerStore.merge(id, { tags: { [relayTag]: undefined } })
}

async function keep(address: Multiaddr, circuit: Multiaddr | undefined, options: KeepOptions, signal: AbortSignal): Promise<void> {
  const { libp2p, clock, random, logger } = options
  let listening = false
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      using limit = deadline(clock, dialTimeoutMs, signal, 'dialling')
      const connection = await libp2p.dial(address, { signal: limit.signal })
      if (circuit !== undefined) {
        await reserve(connection, circuit, listening, options)
        listening = true
      }
      logger.debug('connected', { address: address.toString() })
      attempt = 0
      await disconnected(libp2p, connection.remotePeer, signal)
    } catch (error) {
      if (signal.aborted) return
      logger.info('bootstrap peer or relay not reached, trying again later', {
        address: address.toString(),
        why: error instanceof Error ? error.message : String(error),
      })
    }
    await clock.sleep(redialPause(attempt, random), { signal }).catch(() => undefined)
  }
}

/** The first time a listener is made; later its reservation is renewed, and the listener announces the address again. */
async function reserve(connection: Connection, circuit: Multiaddr, listening: boolean, { relaying }: KeepOptions): Promise<void> {
  if (relaying.reservationStore.hasReservation(connection.remotePeer)) return
  if (listening) await relaying.reservationStore.addRelay(connection.remotePeer, 'configured')
  else await relaying.transportManager.listen([circuit])
}

function disconnected(libp2p: MeshLibp2p, peer: PeerId, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      libp2p.removeEventListener('peer:disconnect', onDisconnect)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const onDisconnect = (event: CustomEvent<PeerId>): void => {
      if (event.detail.equals(peer)) done()
    }
    libp2p.addEventListener('peer:disconnect', onDisconnect)
    signal.addEventListener('abort', done)
    if (libp2p.getConnections(peer).length === 0 || signal.aborted) done()
  })
}
