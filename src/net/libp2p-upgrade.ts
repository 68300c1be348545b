import type { Connection } from '@libp2p/interface'
import type { Clock, Logger } from '../base/index.ts'
import type { MeshLibp2p, Transports } from './libp2p-options.ts'
import { isCircuit, routeOf } from './libp2p-peers.ts'
import { addressesTriedMax, withPeer } from './libp2p-reach.ts'
import { dialTimeoutMs, upgradeTriesMs } from './limits.ts'
import { deadline } from './promises.ts'

export interface UpgradeOptions {
  readonly libp2p: MeshLibp2p
  readonly transports: Transports
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Tries the direct addresses of peers that we dialled through a relay. Peers that dial us through one are left to DCUtR, which keeps to public
 * addresses: a stranger must not have us knock at doors of our own network. Returns the stop. Source: net/v1 section 7.
 */
export function upgradeRelayed({ libp2p, transports, clock, logger }: UpgradeOptions): () => void {
  const stop = new AbortController()
  const trying = new Set<string>()

  async function upgrade({ remotePeer }: Connection): Promise<void> {
    const name = remotePeer.toString()
    if (trying.has(name)) return
    trying.add(name)
    try {
      for (const ms of upgradeTriesMs) {
        await clock.sleep(ms, { signal: stop.signal })
        const open = libp2p.getConnections(remotePeer)
        if (open.length === 0 || open.some((connection) => routeOf(connection) === 'direct')) return
        const { addresses } = await libp2p.peerStore.get(remotePeer)
        const direct = addresses.map(({ multiaddr }) => multiaddr).filter((address) => !isCircuit(address))
        if (direct.length === 0) continue
        using limit = deadline(clock, dialTimeoutMs, stop.signal, 'dialling')
        const race = new AbortController()
        const signal = AbortSignal.any([limit.signal, race.signal])
        const connection = await Promise.any(
          direct.slice(0, addressesTriedMax).map((address) => transports.dial(withPeer(address, remotePeer), { signal })),
        ).catch(() => undefined)
        race.abort()
        if (connection !== undefined) {
          logger.debug('a relayed peer is reached directly', { peer: name })
          return
        }
      }
    } catch {
      // The host stops, or the peer has been forgotten.
    } finally {
      trying.delete(name)
    }
  }
  const onOpen = ({ detail }: CustomEvent<Connection>): void => {
    if (routeOf(detail) === 'relayed' && detail.direction === 'outbound') void upgrade(detail)
  }
  libp2p.addEventListener('connection:open', onOpen)
  return () => {
    libp2p.removeEventListener('connection:open', onOpen)
    stop.abort()
  }
}
