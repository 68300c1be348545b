import {
  type Clock,
  createTally,
  type Did,
  fromHex,
  hourMs,
  type Logger,
  MeshError,
  minuteMs,
  type Random,
  randomInt,
  secondMs,
  toMeshError,
} from '../base/index.ts'
import type { Host } from '../net/index.ts'
import {
  createScope,
  createSequence,
  nameBytes,
  serveAttSync,
  syncBudget,
  type SyncEntry,
  type SyncItem,
  type SyncReport,
  syncIssuersMax,
  syncWith,
} from '../protocols/att-sync/index.ts'
import { readTrustStatement, readWarrant, type TrustBook, type TrustItem } from '../trust/index.ts'
import { isNews } from './trust-news.ts'
import type { Reach } from './trust-reach.ts'

/** How often a node compares what it holds with one certified peer, on average. Source: trust/v1 section 5.8. */
export const catchUpEveryMs = 10 * minuteMs
/** Sessions with one peer that new links may cause per hour. */
export const catchUpsPerHourMax = 12
/** Sessions in an hour that new links to peers cause that are not certified, with all of these together. */
export const catchUpsWithOthersMax = 12
/** Sessions that follow at once on one that was cut short by its budget and brought something. */
export const catchUpsInRowMax = 32
/** Sessions in vain after which a peer is left alone for a while, and for how long. */
export const catchUpsInVainMax = 3
export const inVainMs = 6 * hourMs
/** Tries of a session that did not come about, and the pause before the second, which doubles. */
export const catchUpTriesMax = 4
const retryMs = 5 * secondMs
/** Names of statements that were refused and are not fetched again. */
export const refusedNamesMax = 10_000
/** Warrants have no time of their own. */
const warrantsAt = 0
/** From a new link to the first session: the hello and what it shows come first. */
const metSoonMs = secondMs
/** Heads are asked for that are younger than this. */
const headsBackMs = hourMs

export interface CatchUpOptions {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly book: TrustBook
  readonly reach: Pick<Reach, 'subject'>
  isFollowed(issuer: Did): boolean
  /** Everybody whose word may count here. */
  followed(): Iterable<Did>
  /** Bad news came that others may not have heard. */
  onNews(item: TrustItem): void
}

/** Finds and fetches what gossip missed. */
export interface CatchUp {
  stop(): void
}

/** Everything a book holds but heads, in the order of anti-entropy. */
export function entriesOf(book: Pick<TrustBook, 'items' | 'warrants'>, isAsked: (issuer: Did) => boolean): readonly SyncEntry[] {
  const warrants = book
    .warrants()
    .filter(({ issuer }) => isAsked(issuer))
    .map(({ id, bytes }) => ({ kind: 'warrant' as const, id: fromHex(id), issuedAt: warrantsAt, expiresAt: Infinity, bytes }))
    .toSorted((a, b) => Buffer.compare(a.id, b.id))
  const entries: SyncEntry[] = [...warrants]
  for (const { id, issuer, issuedAt, expiresAt, kind, bytes } of book.items()) {
    if (isAsked(issuer)) entries.push({ id: fromHex(id), issuedAt, expiresAt, kind, bytes })
  }
  return entries
}

/** How a statement is called on the wire, in hex; undefined when it does not parse. */
function nameOf({ kind, bytes }: SyncItem): string | undefined {
  try {
    const id = kind === 'warrant' ? readWarrant(bytes).warrant.id : readTrustStatement({ kind, bytes }).statement.signed.ref
    return id.slice(0, 2 * nameBytes)
  } catch (error) {
    if (error instanceof MeshError) return undefined
    throw error
  }
}

export function createCatchUp({ host, clock, random, logger, book, reach, isFollowed, followed, onNews }: CatchUpOptions): CatchUp {
  const links = createTally<Did>({ clock, most: catchUpsPerHourMax, windowMs: hourMs })
  const others = createTally<'all'>({ clock, most: catchUpsWithOthersMax, windowMs: hourMs })
  const inVain = createTally<Did>({ clock, most: catchUpsInVainMax, windowMs: inVainMs })
  const idle = new Set<Did>()
  const running = new Set<Did>()
  const refused = new Set<string>()
  const timers = new Set<() => void>()
  const stopping = new AbortController()

  serveAttSync({
    host,
    clock,
    logger,
    entries: (isAsked) => entriesOf(book, isAsked),
    async heads(isAsked, after) {
      const heads: SyncItem[] = []
      const issuers = new Set(Array.from(book.items(), ({ issuer }) => issuer))
      for (const issuer of issuers) {
        const head = isAsked(issuer) ? await book.head(issuer) : undefined
        if (head !== undefined && head.statement.issuedAt > after) heads.push({ kind: 'head', bytes: head.bytes })
      }
      return heads
    },
  })

  function refuse(name: string): void {
    refused.add(name)
    const [oldest] = refused
    if (refused.size > refusedNamesMax && oldest !== undefined) refused.delete(oldest)
  }
  /** Takes what came; gives how many were new. */
  async function take(items: readonly SyncItem[], names: ReadonlySet<string>, from: Did): Promise<number> {
    const wanted = items.filter((item) => {
      const name = nameOf(item)
      if (item.kind !== 'head') return name !== undefined && names.has(name)
      const parties = book.parties(item)
      return parties !== undefined && isFollowed(parties.from)
    })
    const { kept, refused: bad } = await book.acceptAll(wanted, { from })
    const badItems = new Set<TrustItem>()
    for (const { item, error } of bad) {
      badItems.add(item)
      const { code } = toMeshError(error)
      logger.info('statement refused', { kind: item.kind, code, from })
      if (code !== 'ERR_OVERLOADED') refuse(nameOf(item) ?? '')
    }
    for (const item of wanted) if (item.kind !== 'head' && !badItems.has(item) && isNews(item)) onNews(item)
    return kept
  }
  async function session(peer: Did): Promise<{ readonly report: SyncReport; readonly kept: number }> {
    const liveAt = clock.now()
    const issuers = [...followed()].slice(0, syncIssuersMax)
    const scope = createScope(issuers)
    let kept = 0
    const own = createSequence(entriesOf(book, scope.has).filter(({ expiresAt }) => expiresAt > liveAt))
    const report = await syncWith(host, peer, {
      clock,
      scope,
      own,
      liveAt,
      headsAfter: liveAt - headsBackMs,
      budget: syncBudget,
      refused,
      signal: stopping.signal,
      async take(items, names) {
        kept += await take(items, new Set(names), peer)
      },
    })
    logger.debug('statements compared', { peer, ...report, kept })
    return { report, kept }
  }
  /** Compares until nothing is missing, or nothing more comes of it. */
  async function run(peer: Did, attempt = 1): Promise<void> {
    if (running.has(peer) || idle.has(peer) || stopping.signal.aborted) return
    if ([...followed()].length === 0) return
    running.add(peer)
    try {
      for (let count = 0; count < catchUpsInRowMax; count++) {
        const { report, kept } = await session(peer)
        if (report.missing > 0 && kept === 0 && !inVain.count(peer)) rest(peer)
        if (report.isWhole || kept === 0) return
      }
    } catch (error) {
      const { code } = toMeshError(error)
      logger.debug('statements not compared', { peer, code })
      if (isFaultOfPeer.test(code)) {
        if (!inVain.count(peer)) rest(peer)
      } else if (attempt < catchUpTriesMax && host.routeTo(peer) !== undefined) {
        // A holder that many come back to at once refuses some.
        later(retryMs * 2 ** (attempt - 1) * (1 + random.fraction()), () => void run(peer, attempt + 1))
      }
    } finally {
      running.delete(peer)
    }
  }
  function rest(peer: Did): void {
    idle.add(peer)
    later(inVainMs, () => void idle.delete(peer))
  }
  function later(ms: number, act: () => void): void {
    const cancel = clock.after(ms, () => {
      timers.delete(cancel)
      act()
    })
    timers.add(cancel)
  }
  function next(): void {
    later(catchUpEveryMs * (0.5 + random.fraction()), () => {
      const peers = host.peers().map(({ did }) => did)
      const certified = peers.filter((did) => isFollowed(reach.subject(did)))
      // Where nobody certified is near, any peer may have news: what it gives is signed all the same.
      const choice = certified.length > 0 ? certified : peers
      const peer = choice[randomInt(random, Math.max(1, choice.length))]
      void (peer === undefined ? Promise.resolve() : run(peer)).finally(() => {
        if (!stopping.signal.aborted) next()
      })
    })
  }
  next()
  function met(did: Did): void {
    later(metSoonMs * (1 + random.fraction()), () => {
      const subject = reach.subject(did)
      if (isFollowed(subject) ? links.count(subject) : others.count('all')) void run(did)
    })
  }
  // Where two parts of the mesh meet again, what one of them missed crosses here and goes on as news.
  const stopListening = host.onPeer(({ event, peer: { did } }) => {
    if (event === 'connected') met(did)
  })
  for (const { did } of host.peers()) met(did)
  return {
    stop() {
      stopListening()
      stopping.abort(new MeshError('ERR_STOPPED', 'the node is stopping'))
      for (const cancel of timers) cancel()
    },
  }
}

const isFaultOfPeer = /^ERR_(?:WIRE_.*|PROTOCOL|OVERLOADED)$/
