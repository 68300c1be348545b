import type { PeerId } from '@libp2p/interface'
import type { QueryEvent } from '@libp2p/kad-dht'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { type Clock, type Did, type Logger, type Random, type SignalOption } from '../base/index.ts'
import type { Host, Provider } from './host.ts'
import type { MeshLibp2p } from './libp2p-options.ts'
import { placeOf } from './libp2p-places.ts'
import { withPeer } from './libp2p-reach.ts'
import { providersFoundMax, recordTimeoutMs } from './limits.ts'
import { didOfPeer, peerOfDid } from './peer-key.ts'
import { deadline } from './promises.ts'
import { checkProviderKey, ProviderBook } from './provider-book.ts'

/** Addresses taken of one provider. net/v1 section 9. */
export const providerAddressesMax = 16
/** Peers asked for providers at a time. */
const askedAtOnce = 5
const rawCodec = 0x55
const sha256Code = 0x12

interface ProviderMessage {
  providers?: { readonly id: Uint8Array; multiaddrs: Uint8Array[] }[]
}

/** What of kad-dht is used here and not in its types. */
interface OpenDht {
  readonly providers: {
    addProvider(cid: CID, provider: PeerId): Promise<void>
    getProviders(cid: CID): Promise<PeerId[]>
  }
  readonly rpc: { readonly handlers: Readonly<Record<string, { handle(peer: PeerId, message: ProviderMessage): Promise<unknown> }>> }
  readonly network: {
    sendRequest(
      to: PeerId,
      message: { readonly type: 'GET_PROVIDERS'; readonly key: Uint8Array },
      options: { readonly signal: AbortSignal; readonly path: object },
    ): AsyncIterable<QueryEvent>
  }
}

export interface ProvidersOptions {
  readonly libp2p: MeshLibp2p
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Waits until fresh connections are in the routing table. */
  settle(signal: AbortSignal): Promise<void>
}

/**
 * Provider records in the DHT. What kad-dht remembers of others is kept by `ProviderBook` instead of its datastore, where nothing bounds it.
 * Every one of the peers closest to a key is asked: kad-dht's own search ends with the first that names twenty. Source: net/v1 section 9.
 */
export function createProviders({ libp2p, clock, random, logger, settle }: ProvidersOptions): Pick<Host, 'provide' | 'providers'> {
  const dht = libp2p.services.dht as unknown as OpenDht
  const book = new ProviderBook(clock, random)
  dht.providers.addProvider = async (cid, provider) => {
    const key = keyOf(cid)
    const did = didOfPeer(provider)
    if (key === undefined || did === undefined || provider.equals(libp2p.peerId)) return
    book.add(key, did, placeOf(libp2p, provider))
  }
  dht.providers.getProviders = async (cid) => {
    const key = keyOf(cid)
    const known: PeerId[] = []
    for (const did of key === undefined ? [] : book.list(key)) {
      const peer = peerOfDid(did)
      // One whose addresses have been forgotten would spoil the whole answer.
      if (await libp2p.peerStore.has(peer)) known.push(peer)
    }
    return known
  }
  const adding = dht.rpc.handlers['ADD_PROVIDER']
  if (adding !== undefined) {
    const handle = adding.handle.bind(adding)
    adding.handle = async (peer, message) => {
      const providers = (message.providers ?? []).slice(0, 1)
      for (const provider of providers) provider.multiaddrs = provider.multiaddrs.slice(0, providerAddressesMax)
      return await handle(peer, { ...message, providers })
    }
  }

  /** Runs a query to its end or to our deadline; only the caller's own abort gets out. */
  async function run(what: string, { signal }: SignalOption, query: (signal: AbortSignal) => Promise<void>): Promise<void> {
    signal?.throwIfAborted()
    using limit = deadline(clock, recordTimeoutMs, signal, what)
    try {
      await settle(limit.signal)
      await query(limit.signal)
    } catch (error) {
      signal?.throwIfAborted()
      logger.debug(`${what} ended early`, { why: error instanceof Error ? error.message : String(error) })
    }
  }
  return {
    async provide(key, options = {}) {
      const cid = cidOf(key)
      const took = new Set<string>()
      await run('provide', options, async (signal) => {
        for await (const event of libp2p.services.dht.provide(cid, { signal })) {
          if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') took.add(event.from.toString())
        }
      })
      return { stored: took.size }
    },
    async providers(key, options = {}) {
      const cid = cidOf(key)
      const found = new Map<Did, Set<string>>()
      const add = (peer: PeerId, addresses: readonly string[]): void => {
        const did = didOfPeer(peer)
        if (did === undefined || peer.equals(libp2p.peerId)) return
        const known = found.get(did) ?? (found.size < providersFoundMax ? new Set<string>() : undefined)
        if (known === undefined) return
        for (const address of addresses) if (known.size < providerAddressesMax) known.add(address)
        found.set(did, known)
      }
      await run('providers', options, async (signal) => {
        for (const peer of await dht.providers.getProviders(cid)) {
          const { addresses } = await libp2p.peerStore.get(peer, { signal })
          add(
            peer,
            addresses.map(({ multiaddr }) => withPeer(multiaddr, peer).toString()),
          )
        }
        const closest: PeerId[] = []
        for await (const event of libp2p.services.dht.getClosestPeers(cid.multihash.bytes, { signal })) {
          if (event.name === 'FINAL_PEER') closest.push(event.peer.id)
        }
        await inTurns(closest, askedAtOnce, async (peer) => {
          try {
            for await (const event of dht.network.sendRequest(
              peer,
              { type: 'GET_PROVIDERS', key: cid.multihash.bytes },
              { signal, path: { index: -1, queued: 0, running: 0, total: 0 } },
            )) {
              if (event.name !== 'PEER_RESPONSE') continue
              for (const { id, multiaddrs } of event.providers) {
                add(
                  id,
                  multiaddrs.map((address) => withPeer(address, id).toString()),
                )
              }
            }
          } catch (error) {
            logger.debug('providers: a peer gave no answer', { peer: peer.toString(), why: error instanceof Error ? error.message : String(error) })
          }
        })
      })
      return [...found].map(([did, addresses]): Provider => ({ did, addresses: [...addresses] }))
    },
  }
}

/** @throws ERR_USAGE */
function cidOf(key: Uint8Array): CID {
  checkProviderKey(key)
  return CID.createV1(rawCodec, createDigest(sha256Code, Uint8Array.from(key)))
}

const keyOf = ({ multihash }: CID): Uint8Array | undefined => (multihash.code === sha256Code && multihash.digest.length === 32 ? multihash.digest : undefined)

async function inTurns<T>(items: readonly T[], atOnce: number, act: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
