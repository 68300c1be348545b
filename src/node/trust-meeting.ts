import { attestationRefused, type Audit } from '../audit/index.ts'
import { type Clock, createTally, type Did, hourMs, keyFromDid, type Logger, minuteMs, type Random, secondMs, toMeshError, within } from '../base/index.ts'
import type { Host } from '../net/index.ts'
import { listAtMeeting, type MeetItem, meetListMax, meetPutMax, putAtMeeting, serveMeeting } from '../protocols/att-meet/index.ts'
import { createMeetingShelf, makeWarrant, type MeetingShelf, type SignedItem, type TrustBook } from '../trust/index.ts'
import { headNamespace, type Reach } from './trust-reach.ts'
import { meetBucketOf, meetBuckets, meetProviderKey } from './meet-provider-key.ts'
import { newestWords } from './trust-words.ts'

/** What is known at the rendezvous is put there again this often: it is forgotten after 48 h. trust/v1 section 5. */
export const meetAgainMs = 12 * hourMs
/** After the first peer: by then more of the mesh is known. */
export const meetFirstMs = 30 * secondMs
/** Told again to the DHT who can serve statements about whom: before providers are forgotten. trust/v1 section 5. */
export const meetProvideAgainMs = 3 * hourMs
/** Subjects whose newest word is put, and those for which one is a provider: the newest. trust/v1 section 5. */
export const meetSubjectsMax = 256
export const meetProvidesMax = 32
/** Words of others about oneself that are put. trust/v1 section 5. */
export const meetAboutSelfMax = 24
/** Time one lookup takes at most, and one peer of it. trust/v1 section 5. */
export const meetLookupMs = 4 * secondMs
export const meetPeerMs = 1_500
/** Certified peers on a connection asked besides those closest, and providers that nobody here knows. trust/v1 section 5. */
export const meetContactsMax = 4
export const meetProvidersMax = 8
/** Issuers nobody here knows who are looked up in their turn. trust/v1 section 5. */
export const meetIssuersMax = 8
/** Statements of one lookup that are verified. trust/v1 section 5. */
export const meetChecksMax = 256
/** Lookups that strangers cause in a minute. trust/v1 section 5. */
export const meetStrangersPerMinuteMax = 60
/** Refused puts written to the log in a minute. */
export const meetRefusalsNotedMax = 16
const walksAtOnce = 4
const puttingAtOnce = 8

export interface MeetingOptions {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly self: Did
  readonly book: Pick<TrustBook, 'acceptAll' | 'acceptWarrant' | 'about' | 'items' | 'parties' | 'settle'>
  readonly reach: Pick<Reach, 'subject'>
  /** May this identity introduce others here? */
  isCertified(did: Did): boolean
}

export interface LookupOptions {
  readonly signal?: AbortSignal | undefined
  /** A stranger causes it: only so many are made. */
  readonly limited?: boolean
  /** True once what is known suffices: the rest is left. */
  enough?(): boolean
}

/** Where strangers learn what others say about a subject: on the peers closest to it. Source: trust/v1 section 5. */
export interface TrustMeeting {
  /** Asks what certified issuers say about `subject` and gives it to the book; resolves with how much of it was new. Never throws. */
  lookup(subject: Did, options?: LookupOptions): Promise<number>
  /** Puts our newest word about `subject`, or all there is to put. Never throws. */
  announce(subject?: Did): Promise<{ readonly kept: number }>
  status(): { readonly held: number; readonly refused: MeetingShelf['refused'] }
  stop(): void
}

interface Heard {
  readonly item: MeetItem
  readonly issuer: Did
  readonly peers: Set<Did>
}

export function createTrustMeeting({ host, clock, random, logger, audit, self, book, reach, isCertified }: MeetingOptions): TrustMeeting {
  const noted = createTally<'all'>({ clock, most: meetRefusalsNotedMax, windowMs: minuteMs })
  const strangers = createTally<'all'>({ clock, most: meetStrangersPerMinuteMax, windowMs: minuteMs })
  const running = new Map<Did, Promise<number>>()
  const codeOf = (error: unknown): string => toMeshError(error).code

  function accuse(held: SignedItem, offered: SignedItem): void {
    Promise.resolve()
      .then(() => book.acceptWarrant(makeWarrant(held, offered)))
      .catch((error: unknown) => logger.info('a contradiction proves nothing', { code: codeOf(error) }))
  }
  const shelf = createMeetingShelf({ clock, subject: reach.subject, isCertified, onContradiction: accuse })
  serveMeeting({
    host,
    clock,
    logger,
    put: (peer, items) => items.map((item) => put(peer, item)),
    list(_peer, subject) {
      const known = newestWords(book.about(reach.subject(subject)))
      const seen = new Set(known.map(({ bytes }) => latin1(bytes)))
      return [...known, ...shelf.list(subject).filter(({ bytes }) => !seen.has(latin1(bytes)))].slice(0, meetListMax)
    },
  })
  function put(peer: Did, item: MeetItem): ReturnType<MeetingShelf['put']> {
    const outcome = shelf.put({ peer, place: host.placeOf(peer) ?? (host.routeTo(peer) === 'relayed' ? 'relayed' : undefined) }, item)
    if ((outcome === 'invalid' || outcome === 'full' || outcome === 'busy') && noted.count('all')) {
      const code = outcome === 'invalid' ? 'ERR_TRUST_INVALID' : 'ERR_OVERLOADED'
      const parties = book.parties(item)
      const entry = attestationRefused({
        did: self,
        issuer: parties?.from,
        subject: parties?.to,
        code,
        reason: `left at the rendezvous by ${peer}: ${outcome}`,
      })
      audit.record(entry).catch((error: unknown) => logger.error('a refusal was not logged', { code: codeOf(error) }))
    }
    return outcome
  }
  const stopListening = host.onContradiction(({ namespace, held, offered }) => {
    if (namespace === headNamespace) accuse({ kind: 'head', bytes: held }, { kind: 'head', bytes: offered })
  })

  const closestTo = async (subject: Did, signal: AbortSignal): Promise<readonly Did[]> =>
    (await host.closest(keyFromDid(subject), { signal }).catch(() => [])).map(({ did }) => did)

  /** What peers say that others say about `subject`, unverified. */
  async function collect(subject: Did, peers: readonly Did[], signal: AbortSignal): Promise<Map<string, Heard>> {
    const heard = new Map<string, Heard>()
    await Promise.all(
      peers.map(async (peer) => {
        try {
          for (const item of await listAtMeeting(host, peer, subject, { signal: within(clock, meetPeerMs, signal, 'asking at the rendezvous') })) {
            const parties = book.parties(item)
            if (parties?.to !== subject || parties.from === self || parties.from === subject) continue
            const name = latin1(item.bytes)
            const known = heard.get(name) ?? { item, issuer: parties.from, peers: new Set<Did>() }
            heard.set(name, known)
            known.peers.add(peer)
          }
        } catch (error) {
          logger.debug('a peer says nothing about a subject', { peer, code: codeOf(error) })
        }
      }),
    )
    return heard
  }
  const contacts = (): readonly Did[] =>
    host
      .peers()
      .map(({ did }) => did)
      .filter((did) => isCertified(reach.subject(did)))
      .slice(0, meetContactsMax)

  async function look(subject: Did, deadline: AbortSignal, enough: () => boolean): Promise<number> {
    const budget = { checks: meetChecksMax }
    /** Takes what certified issuers say; of the others it is not worth a look at the signature. */
    async function take(heard: Map<string, Heard>): Promise<number> {
      const wanted = [...heard].filter(([, { issuer }]) => isCertified(issuer)).slice(0, budget.checks)
      budget.checks -= wanted.length
      for (const [name] of wanted) heard.delete(name)
      const { kept, refused } = await book.acceptAll(wanted.map(([, { item }]) => item))
      for (const { error } of refused) logger.info('a statement of the rendezvous was refused', { subject, code: codeOf(error) })
      // What follows goes by who is certified now.
      if (kept > 0) await book.settle()
      return kept
    }
    const first = [...new Set([...contacts(), ...(await closestTo(subject, deadline))])].filter((peer) => reach.subject(peer) !== subject)
    const heard = await collect(subject, first, deadline)
    let taken = await take(heard)
    if (enough()) return taken
    // Those who vouch for it may be known to somebody known here: those first whom most peers name.
    const votes = new Map<Did, number>()
    for (const { issuer, peers } of heard.values()) votes.set(issuer, Math.max(votes.get(issuer) ?? 0, peers.size))
    const issuers = [...votes].toSorted(([, a], [, b]) => b - a).slice(0, meetIssuersMax)
    const vouched = await Promise.all(issuers.map(async ([issuer]) => await collect(issuer, await closestTo(issuer, deadline), deadline)))
    for (const more of vouched) taken += await take(more)
    if (issuers.length > 0) taken += await take(heard)
    if (taken > 0 || enough() || deadline.aborted) return taken
    return await take(await collect(subject, await providersOf(subject, first, deadline), deadline))
  }
  /** Who says to serve statements about a subject: certified ones, then a few others. */
  async function providersOf(subject: Did, asked: readonly Did[], signal: AbortSignal): Promise<readonly Did[]> {
    const buckets = Array.from({ length: meetBuckets }, (_, bucket) => bucket)
    const answers = await Promise.all(buckets.map((bucket) => host.providers(meetProviderKey(subject, bucket), { signal }).catch(() => [])))
    const found = new Map(answers.flat().map((provider) => [provider.did, provider]))
    const fresh = [...found.values()].filter(({ did }) => !asked.includes(did))
    const known = fresh.filter(({ did }) => isCertified(reach.subject(did))).slice(0, meetProvidersMax)
    const others = fresh.filter(({ did }) => !isCertified(reach.subject(did))).slice(0, meetProvidersMax)
    const chosen = [...known, ...others]
    await Promise.all(
      chosen.map(async ({ did, addresses }) => {
        const isConnected = host.peers().some((peer) => peer.did === did)
        // A stranger's word for where it is: tried, never remembered.
        if (!isConnected && addresses.length > 0) await host.dial({ addresses }, { signal }).catch(() => undefined)
      }),
    )
    return chosen.map(({ did }) => did)
  }

  /** Gives each item to the peers closest to its subject. */
  async function putAll(words: ReadonlyMap<Did, readonly MeetItem[]>): Promise<number> {
    const perPeer = new Map<Did, MeetItem[]>()
    await inTurns([...words], walksAtOnce, async ([subject, items]) => {
      for (const peer of await closestTo(subject, clock.timeout(10 * secondMs, 'walking to a subject'))) {
        perPeer.set(peer, [...(perPeer.get(peer) ?? []), ...items])
      }
    })
    let kept = 0
    await inTurns([...perPeer], puttingAtOnce, async ([peer, items]) => {
      try {
        for (let at = 0; at < items.length && !isStopped; at += meetPutMax) {
          const outcomes = await putAtMeeting(host, peer, items.slice(at, at + meetPutMax), { signal: clock.timeout(meetPeerMs, 'a put at the rendezvous') })
          kept += outcomes.filter((outcome) => outcome === 'kept' || outcome === 'known').length
        }
      } catch (error) {
        logger.debug('nothing was left with a peer', { peer, code: codeOf(error) })
      }
    })
    return kept
  }
  /** Our newest word about each subject, the newest first; then what others say about us. */
  function words(): Map<Did, readonly MeetItem[]> {
    const own = newestWords([...book.items({ issuers: new Set([self]) })])
      .toReversed()
      .slice(0, meetSubjectsMax)
    const all = new Map<Did, readonly MeetItem[]>()
    for (const item of own) {
      const subject = book.parties(item)?.to
      if (subject !== undefined) all.set(subject, [...(all.get(subject) ?? []), item])
    }
    const about = newestWords(book.about(self))
    const isKnown = (item: SignedItem): boolean => isCertified(book.parties(item)?.from ?? self)
    const aboutSelf = about.toSorted((a, b) => Number(isKnown(b)) - Number(isKnown(a))).slice(0, meetAboutSelfMax)
    if (aboutSelf.length > 0) all.set(self, aboutSelf)
    return all
  }
  async function provide(subjects: Iterable<Did>): Promise<void> {
    await inTurns([...subjects].slice(0, meetProvidesMax), walksAtOnce, async (subject) => {
      await host
        .provide(meetProviderKey(subject, meetBucketOf(self)))
        .catch((error: unknown) => logger.debug('not told as a provider', { code: codeOf(error) }))
    })
  }

  let isStopped = false
  let cancel = (): void => undefined
  let cancelProvide = (): void => undefined
  async function announce(subject?: Did): Promise<{ readonly kept: number }> {
    const all = words()
    const some = subject === undefined ? all : new Map([...all].filter(([did]) => did === subject))
    if (some.size === 0 || isStopped) return { kept: 0 }
    const kept = await putAll(some)
    if (subject !== undefined) await provide(some.keys())
    return { kept }
  }
  function later(ms: number): void {
    cancel()
    if (isStopped) return
    // Not all at the same minute.
    cancel = clock.after(ms * (0.9 + 0.2 * random.fraction()), () => void announce().finally(() => later(meetAgainMs)))
  }
  function provideLater(ms: number): void {
    cancelProvide()
    if (isStopped) return
    cancelProvide = clock.after(ms, () => void provide(words().keys()).finally(() => provideLater(meetProvideAgainMs)))
  }
  let isMet = false
  const begin = (): void => {
    if (isMet) return
    isMet = true
    later(meetFirstMs)
    provideLater(2 * meetFirstMs)
  }
  const stopWatching = host.onPeer(begin)
  if (host.peers().length > 0) begin()

  return {
    lookup(key, { signal, limited = false, enough = () => false } = {}) {
      const subject = reach.subject(key)
      const known = running.get(subject)
      if (known !== undefined) return known
      if (subject === self || isStopped || enough() || (limited && !strangers.count('all'))) return Promise.resolve(0)
      const looking = look(subject, within(clock, meetLookupMs, signal, 'asking at the rendezvous'), enough)
        .catch((error: unknown) => {
          logger.debug('nothing was learnt at the rendezvous', { subject, code: codeOf(error) })
          return 0
        })
        .finally(() => running.delete(subject))
      running.set(subject, looking)
      return looking
    },
    async announce(subject) {
      try {
        return await announce(subject === undefined ? undefined : reach.subject(subject))
      } catch (error) {
        logger.info('nothing was put at the rendezvous', { code: codeOf(error) })
        return { kept: 0 }
      }
    },
    status: () => ({ held: shelf.size, refused: shelf.refused }),
    stop() {
      isStopped = true
      stopListening()
      stopWatching()
      cancel()
      cancelProvide()
    },
  }
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')

async function inTurns<T>(items: readonly T[], atOnce: number, act: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
