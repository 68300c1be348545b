import {
  createDepositor,
  createPickup,
  type Depositor,
  type HolderLimits,
  type HolderStatus,
  type MailboxHolder,
  openIntroductions,
  openMailboxHolder,
  openOwnMailboxes,
  type OwnMailbox,
  ownMailboxOf,
  type PickedUp,
  type ReceiveStored,
  withPage,
} from '../agents/index.ts'
import { type Audit, mailboxAdded, mailboxLeft, mailboxOpened, mailboxRemoved } from '../audit/index.ts'
import {
  type Clock,
  createTally,
  type Did,
  type Logger,
  MeshError,
  minuteMs,
  type Random,
  secondMs,
  type SignalOption,
  toMeshError,
  within,
} from '../base/index.ts'
import { mailboxesMax, type PrekeyBundle, type PrekeyRing } from '../envelope/index.ts'
import { type Keyring, partiesOf } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import {
  evidenceSlackMs,
  type MailboxPage,
  openAcceptance,
  openReceipt,
  type RequestOf,
  registrationLifetimeMsMax,
  serveMailbox,
  signDepositGrant,
  signRegistration,
  withHolder,
} from '../protocols/mailbox/index.ts'
import type { Store } from '../store/index.ts'

/** What an owner asks a holder for, unless it says otherwise. */
export const mailboxItemsWantedDefault = 4_096
export const mailboxBytesWantedDefault = 64 << 20
/** Holders are asked for mail this often, besides at start and when one connects. */
export const pickupEveryMs = 10 * minuteMs
/** Time one holder has for one visit. */
export const visitTimeoutMs = 60 * secondMs
/** Time `list` waits for a holder to say how full it is. */
export const usageTimeoutMs = 4 * secondMs
/** Time a change of the list of holders waits for the DHT. */
export const publishTimeoutMs = 5 * secondMs
/** Introductions one peer may make per minute. */
export const introductionsPerMinuteMax = 10
/** Mailboxes opened and left that are written down per minute. */
export const mailboxEventsNotedMax = 60

export interface MailboxOptions {
  readonly host: Host
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly prekeys: Pick<PrekeyRing, 'current' | 'nameMailboxes'>
  /** Hold mail for others, under these limits. */
  readonly serve?: boolean | Partial<HolderLimits> | undefined
  /** Puts our newest prekey bundle into the DHT. */
  publish(options: SignalOption): Promise<void>
  /** Takes a bundle that a peer shows. @throws what `openBundle` throws, ERR_STATEMENT_SENDER when it is of somebody else */
  learnBundle(peer: Did, bytes: Uint8Array): void
  /** The newest bundle of a peer that the DHT has. @throws ERR_NO_PREKEYS */
  newestBundle(peer: Did, options: SignalOption): Promise<PrekeyBundle>
  /** The key in force of a holder that has rotated since. @throws ERR_IDENTITY_FROZEN */
  currentKey(holder: Did, options: SignalOption): Promise<Did>
  /** May this peer leave mail for us without work? */
  isKnown(peer: Did): boolean
  receiveStored: ReceiveStored
}

/** One holder of our mail as a person sees it. */
export interface MailboxView {
  readonly did: Did
  /** Our quota there. */
  readonly items: number
  readonly bytes: number
  /** What lies there now; undefined while the holder does not say. */
  readonly used: { readonly items: number; readonly bytes: number } | undefined
  readonly until: number
  /** Items that were gone when we came: past their time, or lost. */
  readonly missed: number
  readonly status: 'ready' | 'unreachable' | 'refused'
  /** Code of what went wrong last; undefined when nothing did. */
  readonly problem: string | undefined
}

/** `delivered`: it was handed to us, or lies there still. `expired`: it was gone after its time. `lost`: it was gone before. */
export interface ReceiptVerdict {
  readonly holder: Did
  readonly seq: number
  readonly storedUntil: number
  readonly verdict: 'delivered' | 'expired' | 'lost'
}

/** Mail kept for others and by others. */
export interface Mailboxes {
  readonly deposit: Depositor
  readonly doors: MailboxDoors
  /** Names our holders, fetches mail now and from then on regularly. Called once, when mail can be received. */
  start(): Promise<void>
  /** A peer is linked: it learns where we get our mail. */
  met(peer: Did): void
  stop(): void
}

export interface MailboxDoors {
  /** Registers with a holder and names it in the prekey bundle. @throws the holder's refusal, ERR_NET_*, ERR_USAGE with too many */
  add(holder: Did, options?: SignalOption): Promise<MailboxView>
  list(options?: SignalOption): Promise<readonly MailboxView[]>
  /** Their keys, as they are named in the prekey bundle. */
  holders(): readonly Did[]
  /** Names the holder no more, fetches what lies there and leaves. @throws ERR_NOT_FOUND */
  remove(holder: Did, options?: SignalOption): Promise<{ readonly did: Did; readonly left: boolean }>
  /** Fetches mail from every holder now. */
  collect(options?: SignalOption): Promise<PickedUp>
  /** What became of an item for which a sender shows a holder's storage receipt. @throws ERR_STATEMENT_*, ERR_WIRE_*, ERR_NOT_FOUND when it is of no holder of ours, ERR_NET_* */
  check(receipt: Uint8Array, options?: SignalOption): Promise<ReceiptVerdict>
  /** What this node holds for others; undefined when it does not. */
  status(): HolderStatus | undefined
}

export async function createMailboxes(options: MailboxOptions): Promise<Mailboxes> {
  const { host, store, keyring, clock, random, logger, audit, prekeys } = options
  const own = await openOwnMailboxes(store.sub('own'))
  const introductions = await openIntroductions({ store: store.sub('introductions'), self: keyring.did, clock })
  const holder = await openHolder(options)
  const pickup = createPickup({ self: keyring.did, clock, logger, receiveStored: options.receiveStored })
  const problems = new Map<Did, string>()
  const lost = new Set<Did>()
  const visits = new Map<Did, Promise<PickedUp>>()
  const tally = createTally<Did>({ clock, most: introductionsPerMinuteMax, windowMs: minuteMs })

  serveMailbox({ host, clock, logger, handlers: { ...(holder ?? noHolder), introduce } })
  async function introduce(peer: Did, introduction: Omit<RequestOf<'introduce'>, 'ask'>): Promise<void> {
    if (!tally.count(peer)) throw new MeshError('ERR_OVERLOADED', 'introduced too often', { details: { retryAfterMs: minuteMs } })
    options.learnBundle(peer, introduction.bundle)
    await introductions.take(peer, introduction)
  }
  const signing = () => ({ keyring, random, now: clock.now() })
  const holders = (): readonly Did[] => own.list().map((mailbox) => mailbox.holder)

  async function register(to: Did, signal: AbortSignal, before = own.get(to)): Promise<OwnMailbox> {
    const wanted = { items: mailboxItemsWantedDefault, bytes: mailboxBytesWantedDefault }
    const registration = signRegistration(to, wanted, registrationLifetimeMsMax, signing())
    const bytes = await withHolder(host, to, { signal }, (session) => session.register(registration.bytes))
    const parties = { from: to, to: keyring.did, now: clock.now(), registrationHash: registration.hash }
    const addresses = host.peers().find(({ did }) => did === to)?.addresses ?? before?.addresses ?? []
    const acceptance = openAcceptance(bytes, parties)
    noteLast(before, acceptance.lastSeq)
    return ownMailboxOf(to, acceptance, addresses, before)
  }
  /** Past half of its time, lost by the holder, or agreed for a key that is no longer ours. */
  const isDue = ({ owner, registeredAt, until }: OwnMailbox): boolean => owner !== keyring.did || clock.now() > registeredAt + (until - registeredAt) / 2
  async function renew(to: Did, signal: AbortSignal): Promise<void> {
    await own.save(await register(to, signal))
  }
  /** A holder that gives out lower numbers than it signed for has lost what it held. */
  function noteLast(mailbox: OwnMailbox | undefined, lastSeq: number): void {
    if (mailbox === undefined || lastSeq >= mailbox.lastSeq) return
    logger.warn('a holder lost mail that it had signed for', { holder: mailbox.holder, signed: mailbox.lastSeq, now: lastSeq })
    lost.add(mailbox.holder)
  }
  async function notePage(page: MailboxPage): Promise<void> {
    const mailbox = own.get(page.holder)
    if (mailbox === undefined) return
    noteLast(mailbox, page.last)
    const next = withPage(mailbox, page)
    if (next.lastSeq !== mailbox.lastSeq || next.seenUpTo !== mailbox.seenUpTo) await own.save(next)
  }
  /** One visit to a holder at a time: renews what is due, then fetches. */
  function visit(to: Did, signal?: AbortSignal): Promise<PickedUp> {
    const going = visits.get(to)
    if (going !== undefined) return going
    const visiting = go(to, within(clock, visitTimeoutMs, signal, 'fetching mail')).finally(() => visits.delete(to))
    visits.set(to, visiting)
    return visiting
  }
  /** A holder goes on under another key, with what it holds. */
  async function follow(mailbox: OwnMailbox, to: Did, signal: AbortSignal): Promise<void> {
    const next = await register(to, signal, mailbox)
    const { items, bytes, until } = next
    await own.save(next, (ops) => audit.record(mailboxAdded({ did: keyring.did, holder: to, items, bytes, until }), ops))
    await own.remove(mailbox.holder, (ops) => audit.record(mailboxRemoved({ did: keyring.did, holder: mailbox.holder }), ops))
    await nameHolders()
  }
  async function go(holderKey: Did, signal: AbortSignal): Promise<PickedUp> {
    let to = holderKey
    try {
      const known = own.get(holderKey)
      if (known !== undefined) {
        to = await options.currentKey(holderKey, { signal })
        if (to !== holderKey) await follow(known, to, signal)
      }
      const mailbox = own.get(to)
      if (mailbox !== undefined && isDue(mailbox)) await renew(to, signal)
      const collect = (): Promise<PickedUp> => withHolder(host, to, { signal }, (session) => pickup.collect(to, session, notePage))
      const got = await collect().catch(async (error: unknown) => {
        // A holder that lost its disk, or forgot us: it holds again from now on.
        if (toMeshError(error).code !== 'ERR_MAILBOX_UNKNOWN' || own.get(to) === undefined) throw error
        await renew(to, signal)
        return await collect()
      })
      problems.delete(to)
      return got
    } catch (error) {
      if (own.get(to) !== undefined) problems.set(to, toMeshError(error).code)
      throw error
    }
  }
  async function collectAll(signal?: AbortSignal): Promise<PickedUp> {
    const sum = { taken: 0, known: 0, refused: 0, left: 0 }
    // One after the other, those first that are there: what one sender sent is met in its order.
    const connected = new Set(host.peers().map(({ did }) => did))
    const order = [...holders()].sort((a, b) => Number(connected.has(b)) - Number(connected.has(a)))
    for (const to of order) {
      try {
        const { taken, known, refused, left } = await visit(to, signal)
        sum.taken += taken
        sum.known += known
        sum.refused += refused
        sum.left += left
      } catch (error) {
        signal?.throwIfAborted()
        logger.info('no mail from a holder', { holder: to, code: toMeshError(error).code })
      }
    }
    return sum
  }
  const inBackground = (what: string, act: Promise<unknown>): void => void act.catch((error: unknown) => logger.debug(what, { code: toMeshError(error).code }))

  /** Tells a peer where we get our mail and, when we know it, that it may leave some. */
  async function introduceTo(peer: Did, { evenIfNone = false } = {}): Promise<void> {
    const list = own.list()
    if (list.length === 0 && !evenIfNone) return
    const delegation = options.isKnown(peer) ? signDepositGrant(peer, {}, signing()).bytes : undefined
    const bundle = (await prekeys.current()).bundle.bytes
    const introduction = { delegation, holders: list.map((mailbox) => ({ holder: mailbox.holder, addresses: mailbox.addresses.slice(0, 4) })), bundle }
    const signal = clock.timeout(usageTimeoutMs, 'an introduction')
    await withHolder(host, peer, { signal }, (session) => session.introduce(introduction))
  }
  async function nameHolders(): Promise<void> {
    await prekeys.nameMailboxes(holders())
    // Who is told now finds us later; who is not learns it from the DHT or at the next link.
    await Promise.allSettled([
      options.publish({ signal: clock.timeout(publishTimeoutMs, 'publishing') }),
      ...host.peers().map(({ did }) => introduceTo(did, { evenIfNone: true })),
    ])
  }
  async function viewOf({ holder: did, items, bytes, until, missedCount }: OwnMailbox, signal?: AbortSignal): Promise<MailboxView> {
    const agreed = { did, items, bytes, until, missed: missedCount }
    try {
      const usage = await withHolder(host, did, { signal: within(clock, usageTimeoutMs, signal) }, (session) => session.usage())
      return { ...agreed, used: { items: usage.items, bytes: usage.bytes }, status: 'ready', problem: lost.has(did) ? 'ERR_MAILBOX_LOST' : problems.get(did) }
    } catch (error) {
      const { code } = toMeshError(error)
      const isGone = code.startsWith('ERR_NET_') || code === 'ERR_TIMEOUT'
      return { ...agreed, used: undefined, status: isGone ? 'unreachable' : 'refused', problem: code }
    }
  }

  let isStopped = false
  let cancel: () => void = () => undefined
  let unwatch: () => void = () => undefined
  function later(): void {
    if (!isStopped) cancel = clock.after(pickupEveryMs, () => void collectAll().finally(later))
  }

  return {
    deposit: createDepositor({
      host,
      clock,
      logger,
      introductions,
      newestBundle: options.newestBundle,
      own: holder === undefined ? undefined : ownSession(holder, host.did),
    }),
    async start() {
      // After a crash between the two the bundle may still name other holders.
      await prekeys.nameMailboxes(holders())
      for (const { holder: did, addresses } of own.list()) inBackground('addresses not kept', host.learn(did, addresses))
      inBackground('no mail at start', collectAll())
      later()
      unwatch = host.onPeer(({ event, peer }) => {
        if (event === 'connected' && own.get(peer.did) !== undefined) inBackground('no mail from a holder', visit(peer.did))
      })
    },
    met: (peer) => inBackground('not introduced', introduceTo(peer)),
    stop() {
      isStopped = true
      cancel()
      unwatch()
      holder?.stop()
    },
    doors: {
      async add(to, { signal } = {}) {
        if (to === keyring.did) throw new MeshError('ERR_USAGE', 'a node does not hold its own mail', { hint: 'name another node' })
        if (own.get(to) === undefined && own.list().length >= mailboxesMax) {
          throw new MeshError('ERR_USAGE', `${mailboxesMax} holders are named at most`, { hint: 'run `kindmesh mailbox remove <did>` first' })
        }
        const mailbox = await register(to, within(clock, visitTimeoutMs, signal, 'registering'))
        const { items, bytes, until } = mailbox
        await own.save(mailbox, (ops) => audit.record(mailboxAdded({ did: keyring.did, holder: to, items, bytes, until }), ops))
        await nameHolders()
        inBackground('no mail from a holder', visit(to))
        return await viewOf(mailbox, signal)
      },
      holders,
      list: ({ signal } = {}) => Promise.all(own.list().map((mailbox) => viewOf(mailbox, signal))),
      async remove(to, { signal } = {}) {
        if (own.get(to) === undefined) throw new MeshError('ERR_NOT_FOUND', `${to} holds no mail of ours`, { hint: 'see `kindmesh mailbox list`' })
        await own.remove(to, (ops) => audit.record(mailboxRemoved({ did: keyring.did, holder: to }), ops))
        problems.delete(to)
        lost.delete(to)
        await nameHolders()
        try {
          const within60 = within(clock, visitTimeoutMs, signal, 'leaving')
          // It takes nothing more, then what it has is fetched.
          await withHolder(host, to, { signal: within60 }, (session) => session.leave())
          await visit(to, within60)
          return { did: to, left: true }
        } catch (error) {
          logger.info('a holder was left without a word', { holder: to, code: toMeshError(error).code })
          return { did: to, left: false }
        }
      },
      collect: ({ signal } = {}) => collectAll(signal),
      async check(receipt, { signal } = {}) {
        const from = partiesOf('storage-receipt', receipt)?.from
        if (from === undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'this is no storage receipt')
        const { seq, storedUntil } = openReceipt(receipt, { from, to: keyring.did, now: clock.now() })
        if (own.get(from) === undefined) throw new MeshError('ERR_NOT_FOUND', `${from} holds no mail of ours`, { hint: 'see `kindmesh mailbox list`' })
        await visit(from, signal)
        const { lastSeq = 0, missed = [] } = own.get(from) ?? {}
        const gone = seq > lastSeq ? clock.now() : missed.find((entry) => entry.seq === seq)?.at
        const verdict = gone === undefined ? 'delivered' : gone + evidenceSlackMs > storedUntil ? 'expired' : 'lost'
        if (verdict === 'lost') lost.add(from)
        return { holder: from, seq, storedUntil, verdict }
      },
      status: () => holder?.status(),
    },
  }
}

async function openHolder({ store, keyring, clock, random, logger, audit, serve }: MailboxOptions): Promise<MailboxHolder | undefined> {
  if (serve === undefined || serve === false) return undefined
  const noted = createTally<'all'>({ clock, most: mailboxEventsNotedMax, windowMs: minuteMs })
  return await openMailboxHolder({
    store: store.sub('held'),
    keyring,
    clock,
    random,
    logger,
    limits: serve === true ? {} : serve,
    onChange(change, owner) {
      if (!noted.count('all')) return
      const entry = change === 'opened' ? mailboxOpened : mailboxLeft
      audit.record(entry({ did: keyring.did, owner })).catch((error: unknown) => logger.error('mailbox event not logged', { code: toMeshError(error).code }))
    },
  })
}

const refuse = (): never => {
  throw new MeshError('ERR_CAPABILITY_DENIED', 'this node holds no mail for others', { hint: 'its operator turns it on with `kindmesh up --serve-mailbox`' })
}

/** The handlers of a node that is no holder. */
const noHolder: Omit<MailboxHolder, 'status' | 'sweep' | 'stop'> = {
  terms: refuse,
  register: async () => refuse(),
  deposit: async () => refuse(),
  collect: refuse,
  acknowledge: async () => refuse(),
  leave: async () => refuse(),
  usage: refuse,
}

/** Our own holder, asked by ourselves. */
const ownSession = (holder: MailboxHolder, self: Did) => ({
  terms: async (recipient: Did) => holder.terms(self, recipient),
  deposit: (request: Omit<RequestOf<'deposit'>, 'ask'>) => holder.deposit(self, request),
})
