import { type Clock, type Did, type Logger, secondMs, toMeshError, within } from '../base/index.ts'
import type { Host } from '../net/index.ts'
import { fetchStatements } from '../protocols/att/index.ts'
import { headRecordKey, type TrustBook } from '../trust/index.ts'
import { headNamespace, type Reach } from './trust-reach.ts'

/** Connected peers asked for the newest head besides the DHT: certified ones first. trust/v1 section 5. */
export const headPeersAskedMax = 4
/** Time the search for one newest head takes at most. */
export const headTimeoutMs = 3 * secondMs

export interface HeadsOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  readonly book: Pick<TrustBook, 'accept' | 'parties'>
  readonly reach: Reach
  /** May this identity introduce others here? */
  isCertified(did: Did): boolean
}

export interface Heads {
  /**
   * Asks the DHT and peers that are connected, certified ones first, for an issuer's head; the book takes the newest of what comes.
   * A crowd around the issuer's key that keeps silent, or shows old ones, has to be all of them. Never throws.
   */
  newest(issuer: Did, options: { readonly signal?: AbortSignal | undefined }): Promise<void>
}

export function createHeads({ host, clock, logger, book, reach, isCertified }: HeadsOptions): Heads {
  /** Above any seq: the holder answers with the head alone. */
  const afterSeq = Number.MAX_SAFE_INTEGER

  return {
    async newest(issuer, { signal } = {}) {
      const deadline = within(clock, headTimeoutMs, signal, 'asking for a head')
      const found: Uint8Array[] = []
      const peers = host.peers().map(({ did }) => did)
      const order = peers.toSorted((a, b) => Number(isCertified(reach.subject(b))) - Number(isCertified(reach.subject(a))))
      const asking = order.slice(0, headPeersAskedMax).map(async (peer) => {
        const items = await fetchStatements(host, peer, { issuer, afterSeq, signal: deadline })
        for (const { kind, bytes } of items) if (kind === 'head') found.push(bytes)
      })
      const looking = host.lookup(headNamespace, headRecordKey(reach.currentKnown(issuer)), { signal: deadline }).then((record) => {
        if (record !== undefined) found.push(record)
      })
      for (const result of await Promise.allSettled([...asking, looking])) {
        if (result.status === 'rejected') logger.debug('no head from one asked', { issuer, code: toMeshError(result.reason).code })
      }
      // The book refuses what goes back, whoever showed it, and forgeries.
      for (const bytes of found) {
        const item = { kind: 'head', bytes } as const
        if (book.parties(item)?.from !== issuer) continue
        await book.accept(item).catch((error: unknown) => logger.info('head refused', { issuer, code: toMeshError(error).code }))
      }
    },
  }
}
