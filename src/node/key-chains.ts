import { type Audit, identityFrozen, keyRotated } from '../audit/index.ts'
import {
  type Clock,
  createTally,
  type Did,
  equal,
  type Logger,
  MeshError,
  minuteMs,
  type Random,
  secondMs,
  type SignalOption,
  toMeshError,
  within,
} from '../base/index.ts'
import {
  type Chain,
  chainLengthMax,
  chainRecordKey,
  type ChainStatement,
  chainStatementBytesMax,
  clockSkewMsMax,
  encodeChainRecord,
  type Keyring,
  openChainRecord,
  openChainStatement,
  rankOf,
  readChain,
  recoveryWindowMs,
  type SeenStatement,
} from '../identity/index.ts'
import type { GossipMessage, GossipVerdict, Host } from '../net/index.ts'
import { put, type Store } from '../store/index.ts'
import { bytesUpTo, codec, instant, listOf, row } from '../wire/index.ts'
import type { EventHub } from './events.ts'

export const chainNamespace = 'kindmesh-kel'
export const chainTopic = '/kindmesh/kel/1'
/** Chains of others kept on disk because they rotated; those somebody here vouches for have as many places again. Source: identity/v1 section 7. */
export const chainsKeptMax = 20_000
/** Chains of one statement remembered in memory. */
export const chainsRememberedMax = 4_096
/** How long an answer of the DHT about an identity is good. Source: identity/v1 section 7. */
export const chainAgeMsMax = 10 * minuteMs
/** Time to ask the DHT about an identity before a peer is reached. */
export const chainLookupMsMax = 4 * secondMs
/** Of this so much is waited for; an answer that comes later cuts the link to a key out of force. Source: identity/v1 section 7. */
export const chainWaitMsMax = secondMs / 2
/** Chains of one peer that gossip may make us verify per minute. */
export const chainsHeardMax = 30

/** Times per minute that one piece of news about an identity is passed on. */
export const chainsPassedOnMax = 4
/** Who finds a fork waits up to so long before telling: one proof is enough. */
export const proofDelayMsMax = 3 * secondMs
/** When a node tells of its own succession again, ms after the first time: gossip loses some. */
export const announceAgainMs = [5 * secondMs, 20 * secondMs, 2 * minuteMs] as const

const keptCodec = codec(
  'kept chain',
  row({ statements: listOf(row({ seenAt: instant, bytes: bytesUpTo(chainStatementBytesMax) }), 3 * chainLengthMax) }),
  64 * 1024,
)

/** Which key speaks for whom, as far as this node knows. */
export interface KeyChains {
  /** The first key of the identity a key belongs to; the key itself when nothing else is known of it. */
  subject(key: Did): Did
  /** The key in force of an identity, given by any of its keys. Asks the DHT, for half a second, unless it is connected or was asked lately. @throws ERR_IDENTITY_FROZEN */
  current(did: Did, options?: SignalOption): Promise<Did>
  /** The same without asking anybody. */
  currentKnown(did: Did): Did
  /** @throws ERR_IDENTITY_FROZEN, ERR_IDENTITY_SUPERSEDED when what `key` says now, or said at `signedAt`, does not count */
  check(key: Did, signedAt?: number): void
  chain(did: Did): Chain | undefined
  /** Every statement kept of an identity, rivals among them. */
  held(did: Did): readonly ChainStatement[]
  /** This node's own chain as others are shown it. */
  own(): readonly Uint8Array[]
  /** Takes what a peer shows of its chain. @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_IDENTITY_* when the peer's key is not the one in force */
  meet(peer: Did, statements: readonly Uint8Array[]): Promise<void>
  /** Takes verified statements of one identity; true when they changed what is known. @throws ERR_IDENTITY_CHAIN, ERR_STATEMENT_FUTURE, ERR_WIRE_TOO_LARGE, ERR_OVERLOADED */
  learn(statements: readonly ChainStatement[]): Promise<boolean>
  /** Puts our chain into the DHT; while its last statement is news, also tells everybody at once. */
  publish(): Promise<void>
  /** Asks the DHT whether our key is still the one in force. @throws ERR_IDENTITY_SUPERSEDED, ERR_IDENTITY_FROZEN */
  confirm(): Promise<void>
  /** Our last succession is so young that others may not have heard of it. */
  isNews(): boolean
  stop(): void
}

export interface KeyChainsOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly events: EventHub
  /** Somebody about whom this node keeps statements. */
  isKnown(did: Did): boolean
  /** Something changed about these keys. */
  onChange(keys: readonly Did[]): void
}

interface Known {
  readonly chain: Chain
  askedAt: number
}

/** The chain of one identity as a store keeps it; undefined when it keeps none. */
export async function readKeptChain(store: Store, did: Did): Promise<Chain | undefined> {
  const bytes = await store.get(did)
  return bytes === undefined ? undefined : chainFrom(bytes)
}

const chainFrom = (bytes: Uint8Array): Chain =>
  readChain(keptCodec.decode(bytes).statements.map(({ seenAt, bytes: statement }) => ({ ...openChainStatement(statement), seenAt })))

/** Opens what this node knows about the keys of others and of its own. */
export async function openKeyChains(options: KeyChainsOptions): Promise<KeyChains> {
  const { store, keyring, host, clock, random, logger, audit, events } = options
  const known = new Map<Did, Known>()
  const owners = new Map<Did, Did>()
  const asked = new Map<Did, number>()
  const heard = createTally<Did>({ clock, most: chainsHeardMax, windowMs: minuteMs })
  const passedOn = createTally<string>({ clock, most: chainsPassedOnMax, windowMs: minuteMs })
  /** Forks of which the proof is about to be told, with what cancels it. */
  const proofs = new Map<Did, () => void>()
  /** What cancels telling of our own succession again. */
  const again: (() => void)[] = []
  let isStopped = false
  let kept = 0
  let writing: Promise<unknown> = Promise.resolve()

  function remember(chain: Chain): void {
    const before = known.get(chain.did)
    known.set(chain.did, { chain, askedAt: before?.askedAt ?? -Infinity })
    if (isKept(chain) && (before === undefined || !isKept(before.chain))) kept++
    for (const { key } of chain.keys) owners.set(key, chain.did)
  }
  for await (const [, bytes] of store.range({})) {
    remember(chainFrom(bytes))
  }

  const subject = (key: Did): Did => owners.get(key) ?? key
  const chainOf = (did: Did): Chain | undefined => known.get(subject(did))?.chain
  const currentKnown = (did: Did): Did => chainOf(did)?.current ?? did

  function check(key: Did, signedAt?: number): void {
    const chain = chainOf(key)
    if (chain === undefined) return
    if (chain.status === 'frozen' && signedAt === undefined) {
      throw new MeshError('ERR_IDENTITY_FROZEN', `two successions number ${chain.seq} of ${chain.did} exist: nothing it says is taken`)
    }
    const { until } = chain.keys.find((entry) => entry.key === key) ?? { until: undefined }
    if (until === undefined || (signedAt !== undefined && signedAt < until)) return
    if (chain.status === 'frozen') throw new MeshError('ERR_IDENTITY_FROZEN', `${chain.did} was frozen before this was signed`)
    throw new MeshError('ERR_IDENTITY_SUPERSEDED', `${key} was replaced by succession ${chain.seq} of ${chain.did}`)
  }
  /** Whether there is room to keep one more chain. */
  function checkRoom(chain: Chain): void {
    if (chain.did === keyring.identity || kept < chainsKeptMax) return
    if (kept < 2 * chainsKeptMax && options.isKnown(chain.did)) return
    throw new MeshError('ERR_OVERLOADED', `${kept} chains of others are kept`)
  }
  function forgetOne(): void {
    if (known.size - kept < chainsRememberedMax) return
    for (const [did, { chain }] of known) {
      if (isKept(chain) || did === keyring.identity) continue
      known.delete(did)
      owners.delete(did)
      return
    }
  }
  async function merge(statements: readonly ChainStatement[]): Promise<boolean> {
    const [first] = statements
    if (first === undefined) return false
    const before = known.get(first.did)?.chain
    const now = clock.now()
    const isNew = ({ signed }: ChainStatement): boolean => before === undefined || !heldOf(before).some((held) => held.signed.ref === signed.ref)
    const isAhead = statements.some((statement) => statement.signed.statement.issuedAt > now + clockSkewMsMax && isNew(statement))
    // Our own is on disk: a clock set back does not lock us out.
    if (isAhead && first.did !== keyring.identity) throw new MeshError('ERR_STATEMENT_FUTURE', 'a chain that was continued in the future')
    const chain = readChain([...(before === undefined ? [] : heldOf(before)), ...statements.map((statement) => ({ ...statement, seenAt: now }))])
    if (before !== undefined && isSame(before, chain)) return false
    const taken = chain.keys.find(({ key }) => (owners.get(key) ?? chain.did) !== chain.did)
    if (taken !== undefined) throw new MeshError('ERR_IDENTITY_CHAIN', `${taken.key} is a key of another identity`)
    if (isKept(chain)) {
      if (before === undefined || !isKept(before)) checkRoom(chain)
      const facts = { did: keyring.identity, identity: chain.did, key: chain.current, seq: chain.seq }
      const statementsKept = heldOf(chain).map(({ seenAt, signed }) => ({ seenAt, bytes: signed.bytes }))
      await audit.record(
        chain.status === 'frozen' ? identityFrozen(facts) : keyRotated(facts),
        store.qualify([put(chain.did, keptCodec.encode({ statements: statementsKept }))]),
      )
    } else forgetOne()
    remember(chain)
    if (isKept(chain)) await tell(chain, before)
    return true
  }
  async function tell(chain: Chain, before: Chain | undefined): Promise<void> {
    const { did, current, seq, status } = chain
    options.onChange([...chain.keys, ...(before?.keys ?? [])].map(({ key }) => key))
    events.emit({ event: 'identity', did, key: current, seq, status })
    if (did === keyring.identity && (status === 'frozen' || current !== keyring.did)) {
      logger.error('somebody else continued the chain of this identity', { seq, status })
    }
    if (status === 'frozen' && before?.status !== 'frozen') proveFork(chain)
    // Who still holds a link under a key out of force loses it.
    const gone = host.peers().filter((peer) => subject(peer.did) === did && (status === 'frozen' || peer.did !== current))
    await Promise.allSettled(gone.map((peer) => host.disconnect(peer.did)))
  }
  /** One change at a time. */
  const learn: KeyChains['learn'] = (statements) => {
    const turn = writing.then(() => merge(statements))
    writing = turn.catch(() => undefined)
    return turn
  }
  async function ask(did: Did, signal?: AbortSignal): Promise<void> {
    asked.delete(did)
    asked.set(did, clock.monotonic())
    if (asked.size > chainsRememberedMax) asked.delete(asked.keys().next().value as Did)
    try {
      const record = await host.lookup(chainNamespace, chainRecordKey(did), { signal: within(clock, chainLookupMsMax, signal, 'asking for a chain of keys') })
      if (record !== undefined) await learn(openChainRecord(record))
    } catch (error) {
      signal?.throwIfAborted()
      logger.info('no chain of keys found', { did, code: toMeshError(error).code })
    }
  }
  async function judge({ from, data }: GossipMessage): Promise<GossipVerdict> {
    if (!heard.count(from)) return 'ignore'
    let statements: readonly ChainStatement[]
    try {
      statements = openChainRecord(data)
    } catch {
      return 'reject'
    }
    const did = statements[0]?.did
    if (did === undefined) return 'reject'
    const isNear = known.has(did) || options.isKnown(did) || host.peers().some((peer) => subject(peer.did) === did)
    if (!isNear) return 'ignore'
    const isSound = await learn(statements).then(
      () => true,
      () => false,
    )
    const chain = known.get(did)?.chain
    if (!isSound || chain === undefined || !isNews(chain)) return 'ignore'
    if (chain.status === 'frozen' && equal(encodeChainRecord(chain), data)) proofs.get(did)?.()
    // Passed on although a hello told us before: our neighbours may not have heard. An older record than ours is not.
    return equal(encodeChainRecord(chain), data) && passedOn.count(`${did} ${rankOf(chain)}`) ? 'accept' : 'ignore'
  }
  /** Young enough that others may not have heard of it. */
  function isNews({ path, rivals }: Chain): boolean {
    const last = Math.max(...[...path.slice(1), ...rivals].map(({ signed, seenAt }) => Math.max(seenAt, signed.statement.issuedAt)))
    return last + recoveryWindowMs > clock.now()
  }
  /** Shows everybody a fork that we found, unless somebody else does before our turn comes. */
  function proveFork(chain: Chain): void {
    proofs.get(chain.did)?.()
    const cancel = clock.after(Math.floor(random.fraction() * proofDelayMsMax), () => {
      proofs.delete(chain.did)
      const record = encodeChainRecord(chain)
      const signal = clock.timeout(10 * secondMs, 'publishing a fork')
      void Promise.allSettled([host.gossip(chainTopic, record), host.publish(chainNamespace, chainRecordKey(chain.did), record, { signal })])
    })
    proofs.set(chain.did, () => {
      proofs.delete(chain.did)
      cancel()
    })
  }
  const isOwnNews = (): boolean => {
    const own = chainOf(keyring.identity)
    return own !== undefined && isNews(own)
  }
  host.subscribe(chainTopic, judge)
  if (keyring.chain.length > 0) await learn(keyring.chain.map(openChainStatement))

  return {
    subject,
    currentKnown,
    check,
    chain: chainOf,
    held(did) {
      const chain = chainOf(did)
      return chain === undefined ? [] : heldOf(chain)
    },
    learn,
    own: () => chainOf(keyring.identity)?.path.map(({ signed }) => signed.bytes) ?? [],
    async current(did, { signal } = {}) {
      const owner = subject(did)
      const isFresh = (asked.get(owner) ?? -Infinity) + chainAgeMsMax > clock.monotonic()
      const isLinked = host.routeTo(currentKnown(owner)) !== undefined
      if (!isFresh && !isLinked && owner !== keyring.identity) await Promise.race([ask(owner, signal), clock.sleep(chainWaitMsMax, { signal })])
      const chain = chainOf(did)
      if (chain?.status === 'frozen') check(chain.did)
      return chain?.current ?? did
    },
    async meet(peer, bytes) {
      const statements = bytes.map(openChainStatement)
      if (statements.length > 0) await learn(statements)
      // Who knows that it is frozen shows a chain that ends before the fork: that it is frozen is what it should hear.
      check(peer)
      if (statements.length > 0 && !statements.some(({ key }) => key === peer)) {
        throw new MeshError('ERR_IDENTITY_CHAIN', 'the chain a peer shows does not lead to its key')
      }
    },
    isNews: isOwnNews,
    stop() {
      isStopped = true
      for (const cancel of [...proofs.values(), ...again]) cancel()
    },
    async confirm() {
      await ask(keyring.identity)
      check(keyring.did)
    },
    async publish() {
      await publish()
      if (!isOwnNews()) return
      for (const cancel of again.splice(0)) cancel()
      if (!isStopped) again.push(...announceAgainMs.map((ms) => clock.after(ms, () => void publish())))
    },
  }

  async function publish(): Promise<void> {
    const own = chainOf(keyring.identity)
    if (own === undefined) return
    const key = chainRecordKey(keyring.identity)
    const signal = clock.timeout(10 * secondMs, 'publishing the chain of keys')
    // What others hold under our name is looked at first: a succession that is not ours shows here.
    const found = await host.lookup(chainNamespace, key, { signal }).catch(() => undefined)
    if (found !== undefined) {
      const unsound = (error: unknown): void => logger.warn('our chain in the DHT is unsound', { code: toMeshError(error).code })
      await learn(openChainRecord(found)).catch(unsound)
    }
    const record = encodeChainRecord(chainOf(keyring.identity) ?? own)
    const results = await Promise.allSettled([host.publish(chainNamespace, key, record, { signal }), ...(isOwnNews() ? [host.gossip(chainTopic, record)] : [])])
    for (const result of results) if (result.status === 'rejected') logger.info('chain of keys not published', { code: toMeshError(result.reason).code })
  }
}

/** Worth a place on disk: there is more to it than its first key. */
const isKept = ({ path, rivals }: Chain): boolean => path.length > 1 || rivals.length > 0

const heldOf = ({ path, rivals, beaten }: Chain): readonly SeenStatement[] => [...path, ...rivals, ...beaten]

function isSame(a: Chain, b: Chain): boolean {
  const [old, fresh] = [heldOf(a), heldOf(b)]
  return old.length === fresh.length && old.every(({ signed }, index) => equal(signed.hash, fresh[index]?.signed.hash ?? new Uint8Array()))
}
