import { type Clock, type Did, hourMs, keyFromDid, type Logger, MeshError, type SignalOption, toMeshError } from '../base/index.ts'
import { openBundle, type PrekeyBundle, type PrekeyRing } from '../envelope/index.ts'
import type { Host } from '../net/index.ts'

export const prekeyNamespace = 'kindmesh-pk'
/** Put again this often: DHT records fade. Source: klp/v1 section 4. */
export const prekeyRepublishMs = 12 * hourMs
const bundlesKnownMax = 4_096

/** Prekey bundles of others: from their hello, else from the DHT. */
export interface Directory {
  /** What the DHT has now, or what is known when that is newer. @throws ERR_NO_PREKEYS */
  newestBundle(peer: Did, options?: SignalOption): Promise<PrekeyBundle>
  /** `fresh` asks the DHT whatever is known. @throws ERR_NO_PREKEYS */
  bundleOf(peer: Did, options?: SignalOption & { readonly fresh?: boolean }): Promise<PrekeyBundle>
  /** Takes the bundle of a hello. @throws what `openBundle` throws, ERR_STATEMENT_SENDER when it is somebody else's */
  learn(peer: Did, bytes: Uint8Array): PrekeyBundle
  /** Puts our bundle into the DHT. */
  publish(options?: SignalOption): Promise<void>
}

export interface DirectoryOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  readonly prekeys: PrekeyRing
}

export function createDirectory({ host, clock, logger, prekeys }: DirectoryOptions): Directory {
  const bundles = new Map<Did, PrekeyBundle>()

  function remember(bundle: PrekeyBundle): PrekeyBundle {
    const known = bundles.get(bundle.owner)
    if (known !== undefined && known.seq > bundle.seq) return known
    if (bundles.size >= bundlesKnownMax && known === undefined) bundles.clear()
    bundles.set(bundle.owner, bundle)
    return bundle
  }
  return {
    learn(peer, bytes) {
      const bundle = openBundle(bytes, clock.now())
      if (bundle.owner !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the prekey bundle of a hello is of somebody else')
      return remember(bundle)
    },
    async bundleOf(peer, { signal, fresh = false } = {}) {
      const known = bundles.get(peer)
      if (!fresh && known !== undefined && known.expiresAt - hourMs > clock.now()) return known
      const record = await host.lookup(prekeyNamespace, keyFromDid(peer), { signal })
      if (record !== undefined) return remember(openBundle(record, clock.now()))
      if (!fresh && known !== undefined && known.expiresAt > clock.now()) return known
      throw new MeshError('ERR_NO_PREKEYS', `no prekey bundle of ${peer} was found`)
    },
    async newestBundle(peer, { signal } = {}) {
      const record = await host.lookup(prekeyNamespace, keyFromDid(peer), { signal })
      if (record === undefined) throw new MeshError('ERR_NO_PREKEYS', `no prekey bundle of ${peer} was found`)
      return remember(openBundle(record, clock.now()))
    },
    async publish({ signal } = {}) {
      const { bundle } = await prekeys.current()
      try {
        const { stored } = await host.publish(prekeyNamespace, keyFromDid(host.did), bundle.bytes, { signal })
        logger.debug('prekeys published', { stored })
      } catch (error) {
        logger.info('prekeys not published', { code: toMeshError(error).code })
      }
    },
  }
}
