import { type Clock, type Did, type Logger, secondMs, toMeshError } from '../base/index.ts'
import type { Host } from '../net/index.ts'
import { put, type Store } from '../store/index.ts'
import { codec, did, listOf, row, textUpTo } from '../wire/index.ts'

/** Peers remembered across restarts, the latest; and addresses of each. */
export const recentPeersMax = 64
const addressesMax = 4
const codecOfPeers = codec('recent peers', row({ peers: listOf(row({ did, addresses: listOf(textUpTo(256), addressesMax) }), recentPeersMax) }), 128 * 1024)
const key = 'recent'

/** Whom this node talked to last: the first who must hear that its key changed. */
export interface RecentPeers {
  /** Connects to them again, each at most once, for at most `withinMs`. */
  redial(withinMs: number): Promise<void>
  stop(): void
}

export async function openRecentPeers({
  store,
  host,
  clock,
  logger,
}: {
  readonly store: Store
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
}): Promise<RecentPeers> {
  const bytes = await store.get(key)
  const recent = new Map((bytes === undefined ? [] : codecOfPeers.decode(bytes).peers).map((peer) => [peer.did, peer.addresses]))
  let cancelWrite: (() => void) | undefined
  const write = (): void => {
    cancelWrite = undefined
    const peers = [...recent].map(([peer, addresses]) => ({ did: peer, addresses }))
    store.batch([put(key, codecOfPeers.encode({ peers }))]).catch((error: unknown) => logger.debug('recent peers not kept', { code: toMeshError(error).code }))
  }
  function note(peer: Did, addresses: readonly string[]): void {
    recent.delete(peer)
    recent.set(peer, addresses.filter((address) => address.length <= 256).slice(0, addressesMax))
    if (recent.size > recentPeersMax) recent.delete(recent.keys().next().value as Did)
    cancelWrite ??= clock.after(secondMs, write)
  }
  const remove = host.onPeer(({ event, peer }) => {
    if (event === 'connected') note(peer.did, peer.addresses)
  })
  return {
    async redial(withinMs) {
      const signal = clock.timeout(withinMs, 'meeting the last peers again')
      await Promise.allSettled(
        [...recent].map(async ([peer, addresses]) => {
          if (addresses.length > 0) await host.learn(peer, addresses).catch(() => undefined)
          await host.dial(peer, { signal })
        }),
      )
    },
    stop() {
      remove()
      if (cancelWrite !== undefined) {
        cancelWrite()
        write()
      }
    },
  }
}
