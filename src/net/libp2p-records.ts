import type { PeerId } from '@libp2p/interface'
import type { QueryEvent } from '@libp2p/kad-dht'
import { type Clock, concat, equal, type Logger, MeshError, secondMs, type SignalOption, utf8 } from '../base/index.ts'
import { plain } from './frames.ts'
import type { Host, RecordRule } from './host.ts'
import type { MeshLibp2p } from './libp2p-options.ts'
import { recordTimeoutMs } from './limits.ts'
import { deadline } from './promises.ts'
import type { RecordGuard } from './record-guard.ts'

/** How long a fresh connection may take to show up in the routing table before a query goes out without it. */
const settleMs = secondMs
const settleStepMs = 25

export interface RecordValidators {
  readonly validators: Record<string, (key: Uint8Array, value: Uint8Array) => Promise<void>>
  readonly selectors: Record<string, (key: Uint8Array, values: Uint8Array[]) => number>
  /** Keys this node asks for right now: their answers are wanted, so no quota for strangers applies. */
  readonly wanted: Set<string>
}

/** What kad-dht calls: the guard in the validator, since its PUT handler asks nobody else. */
export function createValidators(guard: RecordGuard, rules: Readonly<Record<string, RecordRule>>): RecordValidators {
  const wanted = new Set<string>()
  const seqOf = (namespace: string, key: Uint8Array, value: Uint8Array): number => {
    try {
      return guard.check(namespace, keyBehind(namespace, key), plain(value)).seq
    } catch {
      return -1
    }
  }
  const all = Object.keys(rules)
  return {
    wanted,
    validators: Object.fromEntries(
      all.map((namespace) => [
        namespace,
        async (key: Uint8Array, value: Uint8Array) => {
          await guard.admit(namespace, keyBehind(namespace, key), plain(value), { own: wanted.has(nameOf(key)) })
        },
      ]),
    ),
    selectors: Object.fromEntries(
      all.map((namespace) => [
        namespace,
        (key: Uint8Array, values: Uint8Array[]) => {
          const seqs = values.map((value) => seqOf(namespace, key, value))
          return seqs.indexOf(Math.max(...seqs))
        },
      ]),
    ),
  }
}

export interface RecordsOptions {
  readonly libp2p: MeshLibp2p
  readonly guard: RecordGuard
  readonly wanted: Set<string>
  readonly clock: Clock
  readonly logger: Logger
  /** Of those who answered and of our routing table, the closest to a key that are not too many of one place. */
  pick(key: Uint8Array, answered: Iterable<PeerId>): Promise<readonly PeerId[]>
}

/** What of kad-dht is used here and not in its types. */
interface OpenDht {
  readonly network: {
    sendRequest(
      to: PeerId,
      message: { readonly type: 'GET_VALUE'; readonly key: Uint8Array },
      options: { readonly signal: AbortSignal; readonly path: object },
    ): AsyncIterable<QueryEvent>
  }
  readonly contentFetching: {
    /** Sends `best` to those who have another value. */
    sendCorrectionRecord(
      key: Uint8Array,
      answers: readonly { readonly value: Uint8Array; readonly from: PeerId }[],
      best: Uint8Array,
      options: { readonly signal: AbortSignal; readonly path: object },
    ): AsyncIterable<QueryEvent>
  }
}

const path = { index: -1, queued: 0, running: 0, total: 0 }

/** Waits until the peers of fresh connections are in the routing table, a moment at most. */
export async function settleRouting(libp2p: MeshLibp2p, clock: Clock, signal: AbortSignal): Promise<void> {
  const dht = libp2p.services.dht as unknown as { readonly routingTable: { readonly size: number } }
  const until = clock.monotonic() + settleMs
  while (dht.routingTable.size < Math.min(libp2p.getPeers().length, 20)) {
    const youngest = Math.max(...libp2p.getConnections().map(({ timeline }) => timeline.open))
    if (clock.monotonic() >= until || clock.now() - youngest > 2 * settleMs) return
    await clock.sleep(settleStepMs, { signal })
  }
}

/** Publishing to and looking up in the DHT. The answers are gathered here: one bad server makes kad-dht's `get` throw. */
export function createRecords({ libp2p, guard, wanted, clock, logger, pick }: RecordsOptions): Pick<Host, 'publish' | 'lookup'> {
  const { dht } = libp2p.services
  const open = dht as unknown as OpenDht
  /**
   * Those closest to a key that kad-dht passed by: where a crowd sits around a key, the twenty it takes are all of that crowd.
   * Each is asked by itself, so that one that fails spoils nothing.
   */
  async function alsoAsk(
    key: Uint8Array,
    { answered, done }: { readonly answered: ReadonlyMap<string, PeerId>; readonly done: { has(id: string): boolean } },
    ask: (peer: PeerId) => AsyncIterable<QueryEvent>,
    take: (event: QueryEvent) => void | Promise<void>,
  ): Promise<void> {
    const others = (await pick(key, answered.values())).filter((peer) => !done.has(idOf(peer)))
    await Promise.all(
      others.map(async (peer) => {
        try {
          for await (const event of ask(peer)) await take(event)
        } catch (error) {
          logger.debug('a peer close to a key gave no usable answer', { peer: idOf(peer), why: whyOf(error) })
        }
      }),
    )
  }
  /** Runs a query to its end or to our deadline; only the caller's own abort gets out. */
  const run = async (what: string, { signal }: SignalOption, query: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    signal?.throwIfAborted()
    using limit = deadline(clock, recordTimeoutMs, signal, what)
    try {
      await settleRouting(libp2p, clock, limit.signal)
      await query(limit.signal)
    } catch (error) {
      signal?.throwIfAborted()
      logger.debug(`${what} ended early`, { why: whyOf(error) })
    }
  }
  return {
    async publish(namespace, key, value, options = {}) {
      options.signal?.throwIfAborted()
      await guard.admit(namespace, key, value, { own: true })
      const stored = new Set<string>()
      await run('publish', options, async (signal) => {
        const full = fullKey(namespace, key)
        const answered = new Map<string, PeerId>()
        try {
          for await (const event of dht.put(full, value, { signal })) {
            if (event.name !== 'PEER_RESPONSE') continue
            answered.set(idOf(event.from), event.from)
            if (isHolder(event, value)) stored.add(idOf(event.from))
          }
        } catch (error) {
          logger.debug('publish: the walk ended early', { why: whyOf(error) })
        }
        await alsoAsk(
          full,
          { answered, done: stored },
          (peer) => open.contentFetching.sendCorrectionRecord(full, [{ value: new Uint8Array(0), from: peer }], value, { signal, path }),
          (event) => {
            if (event.name === 'PEER_RESPONSE' && isHolder(event, value)) stored.add(idOf(event.from))
          },
        )
      })
      return { stored: stored.size }
    },
    async lookup(namespace, key, options = {}) {
      const full = fullKey(namespace, key)
      const name = nameOf(full)
      wanted.add(name)
      try {
        await run('lookup', options, async (signal) => {
          const answered = new Map<string, PeerId>()
          try {
            // Each answer has passed the guard in our validator before it gets here: the guard keeps the newest.
            for await (const event of dht.get(full, { signal })) {
              if (event.name === 'PEER_RESPONSE') answered.set(idOf(event.from), event.from)
              if (event.name === 'QUERY_ERROR') logger.debug('lookup: a peer gave no usable answer', { peer: idOf(event.from), why: event.error.message })
            }
          } catch (error) {
            logger.debug('lookup: the walk ended early', { why: whyOf(error) })
          }
          await alsoAsk(
            full,
            { answered, done: answered },
            (peer) => open.network.sendRequest(peer, { type: 'GET_VALUE', key: full }, { signal, path }),
            async (event) => {
              if (event.name !== 'PEER_RESPONSE' || event.record === undefined || !equal(event.record.key, full)) return
              await guard.admit(namespace, key, plain(event.record.value), { own: true })
            },
          )
        })
      } finally {
        wanted.delete(name)
      }
      return (await guard.held(namespace, key))?.value
    },
  }
}

/** Does a peer say that it stored this very value? */
const isHolder = (event: Extract<QueryEvent, { readonly name: 'PEER_RESPONSE' }>, value: Uint8Array): boolean =>
  event.messageName === 'PUT_VALUE' && event.record !== undefined && equal(event.record.value, value)

const whyOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const idOf = (peer: PeerId): string => peer.toString()

const fullKey = (namespace: string, key: Uint8Array): Uint8Array => concat(utf8(`/${namespace}/`), key)

const nameOf = (full: Uint8Array): string => Buffer.from(full).toString('latin1')

/** The key behind `/<namespace>/`. @throws ERR_RECORD_INVALID */
function keyBehind(namespace: string, full: Uint8Array): Uint8Array {
  const prefix = utf8(`/${namespace}/`)
  if (full.length <= prefix.length || !equal(full.subarray(0, prefix.length), prefix)) throw new MeshError('ERR_RECORD_INVALID', `not a key of /${namespace}`)
  return plain(full.subarray(prefix.length))
}
