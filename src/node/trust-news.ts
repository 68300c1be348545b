import { type Clock, createTally, type Did, hex, type Logger, MeshError, minuteMs, type Random, secondMs, toMeshError } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { checkTime } from '../identity/index.ts'
import type { GossipMessage, GossipVerdict, Host } from '../net/index.ts'
import { readTrustStatement, readWarrant, type TrustBook, type TrustItem, trustKinds, trustStatementBytesMax } from '../trust/index.ts'
import { bytesUpTo, codec, oneOf, row } from '../wire/index.ts'

/** News that cannot wait: what is withdrawn, who is distrusted, who contradicts himself, and that there is something to fetch. Source: trust/v1 section 5.7. */
export const newsTopic = '/kindmesh/news/1'
/** Largest piece of news: one statement and what is around it. Source: trust/v1 section 5.7. */
export const newsBytesMax = trustStatementBytesMax + 32
/** Pieces of news by one followed issuer passed on per minute, once verified. Source: trust/v1 section 5.7. */
export const newsOfIssuerMax = 120
/** The same of an issuer who is not followed. */
export const newsOfStrangerMax = 6
/** Of all who are not followed together. */
export const newsOfStrangersMax = 60
/** Pieces by issuers who are not followed that are verified per minute. */
export const newsOfStrangersVerifiedMax = 600
/** Pieces that one publisher may make us verify per minute. */
export const newsOfPublisherMax = 240
/** Pieces remembered, so that none is judged twice. */
export const newsSeenMax = 8_192
/** Pieces held until there is a neighbour to hear them; the oldest goes first. */
export const newsHeldMax = 256
/** Pieces that came another way and are passed on per minute. */
export const newsPassedOnMax = 120
/** News of this node are told again, ms after the first time: gossip loses some. */
export const newsAgainMs = [5 * secondMs, 20 * secondMs] as const
/** From a first connection to the first try: gossip has to hear that the neighbour listens. */
const settleMs = secondMs
const retryMsMin = 2 * secondMs
const retryMsMax = minuteMs

const newsCodec = codec('news', row({ kind: oneOf(trustKinds), bytes: bytesUpTo(trustStatementBytesMax) }), newsBytesMax)

/** A piece of news, read and not verified. */
interface Piece {
  readonly item: TrustItem
  readonly issuer: Did
  readonly subject: Did
  verify(): void
}

export interface NewsOptions {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly book: Pick<TrustBook, 'accept' | 'knows'>
  readonly self: Did
  /** Whose key it is. */
  subject(key: Did): Did
  /** Somebody whose word may count here. */
  isFollowed(issuer: Did): boolean
  /** A verified head of somebody followed or connected came. */
  onHead(issuer: Did): void
}

/** The topic of news about trust. */
export interface News {
  /** Tells everybody, at once or when there is somebody to hear it; `isOwn` is told again, for what gossip loses. */
  tell(item: TrustItem, options?: { readonly isOwn?: boolean }): void
  /** Pieces that wait for a neighbour. */
  readonly held: number
  stop(): void
}

/** Is it what travels as news: a head, a warrant, a revocation, distrust or caution? False for what is no statement. */
export function isNews(item: TrustItem): boolean {
  if (item.bytes.length > trustStatementBytesMax) return false
  try {
    if (item.kind === 'warrant') return true
    const { statement } = readTrustStatement({ kind: item.kind, bytes: item.bytes })
    return statement.kind !== 'attestation' || statement.attestation.level <= 0
  } catch (error) {
    if (error instanceof MeshError) return false
    throw error
  }
}

export function createNews({ host, clock, random, logger, book, self, subject, isFollowed, onHead }: NewsOptions): News {
  const ofIssuers = createTally<Did>({ clock, most: newsOfIssuerMax, windowMs: minuteMs })
  const ofStrangers = createTally<Did>({ clock, most: newsOfStrangerMax, windowMs: minuteMs })
  const ofAllStrangers = createTally<'all'>({ clock, most: newsOfStrangersMax, windowMs: minuteMs })
  const ofStrangersVerified = createTally<'all'>({ clock, most: newsOfStrangersVerifiedMax, windowMs: minuteMs })
  const ofPublishers = createTally<Did>({ clock, most: newsOfPublisherMax, windowMs: minuteMs })
  const passedOn = createTally<'all'>({ clock, most: newsPassedOnMax, windowMs: minuteMs })
  /** By hash: whether it was told or passed on. */
  const seen = new Map<string, boolean>()
  const held = new Map<string, Uint8Array>()
  const again = new Set<() => void>()
  let cancelRetry = (): void => undefined
  let retryMs = retryMsMin
  let isStopped = false

  function remember(name: string, isTold: boolean): void {
    seen.set(name, isTold)
    const [oldest] = seen.keys()
    if (seen.size > newsSeenMax && oldest !== undefined) seen.delete(oldest)
  }
  /** @throws ERR_WIRE_*, ERR_TRUST_INVALID for what is no news, ERR_STATEMENT_EXPIRED, ERR_STATEMENT_FUTURE */
  function read(data: Uint8Array): Piece {
    const item = newsCodec.decode(data)
    if (item.kind === 'warrant') {
      const { warrant, verify } = readWarrant(item.bytes)
      return { item, issuer: subject(warrant.key), subject: subject(warrant.key), verify }
    }
    const { statement, verify } = readTrustStatement({ kind: item.kind, bytes: item.bytes })
    if (statement.kind === 'attestation' && statement.attestation.level > 0) throw new MeshError('ERR_TRUST_INVALID', 'good words do not travel as news')
    checkTime(statement.signed.statement, { now: clock.now(), lifetimeMsMax: Infinity })
    const { from, to } = statement.signed.statement
    return { item, issuer: subject(from), subject: subject(to), verify }
  }
  const isNear = (did: Did): boolean => host.peers().some((peer) => subject(peer.did) === did)

  /** Judged before it is passed on: only what somebody here may care for, no flood, nothing forged. */
  async function judge(message: GossipMessage): Promise<GossipVerdict> {
    const name = hex(sha256(message.data))
    if (seen.has(name)) return 'ignore'
    remember(name, false)
    const verdict = await judgeNew(message)
    if (verdict === 'accept') remember(name, true)
    return verdict
  }
  async function judgeNew({ from, data }: GossipMessage): Promise<GossipVerdict> {
    try {
      const piece = read(data)
      const { item, issuer } = piece
      if (issuer === self) return 'ignore'
      const follows = isFollowed(issuer)
      const matters = follows || (item.kind === 'head' ? isNear(issuer) : piece.subject === self || book.knows(piece.subject) || isNear(piece.subject))
      // In this order: what costs a signature is asked last, and a forger uses up nobody's share but his own.
      if (!matters || !ofPublishers.count(from)) return 'ignore'
      if (!follows && !ofStrangersVerified.count('all')) return 'ignore'
      if (follows) {
        if (!(await book.accept(item, { from }))) return 'ignore'
      } else piece.verify()
      if (!(follows ? ofIssuers : ofStrangers).count(issuer) || (!follows && !ofAllStrangers.count('all'))) return 'ignore'
      if (item.kind === 'head') onHead(issuer)
      // About us everything is worth a place, within what the book gives strangers.
      else if (!follows && piece.subject === self) await book.accept(item, { from })
      return 'accept'
    } catch (error) {
      const { code } = toMeshError(error)
      logger.debug('news not taken', { from, code })
      return forged.test(code) ? 'reject' : 'ignore'
    }
  }
  const leave = host.subscribe(newsTopic, judge)

  async function flush(): Promise<void> {
    cancelRetry()
    for (const [name, data] of held) {
      try {
        const { neighbours } = await host.gossip(newsTopic, data)
        if (neighbours > 0) held.delete(name)
      } catch (error) {
        logger.debug('news not told', { code: toMeshError(error).code })
      }
    }
    if (held.size === 0 || isStopped) return
    // Nobody hears: at once when somebody comes, and from time to time.
    cancelRetry()
    cancelRetry = clock.after(retryMs, () => void flush())
    retryMs = Math.min(2 * retryMs, retryMsMax)
  }
  const stopListening = host.onPeer(({ event }) => {
    if (event !== 'connected' || held.size === 0) return
    retryMs = retryMsMin
    cancelRetry()
    cancelRetry = clock.after(settleMs * (1 + random.fraction()), () => void flush())
  })
  function hold(data: Uint8Array): void {
    const name = hex(sha256(data))
    remember(name, true)
    held.set(name, data)
    const [oldest] = held.keys()
    if (held.size > newsHeldMax && oldest !== undefined) held.delete(oldest)
    void flush()
  }

  return {
    tell(item, { isOwn = false } = {}) {
      if (isStopped || !isNews(item)) return
      const data = newsCodec.encode(item)
      if (!isOwn && (seen.get(hex(sha256(data))) === true || !passedOn.count('all'))) return
      hold(data)
      for (const ms of isOwn && item.kind !== 'head' ? newsAgainMs : []) {
        const cancel = clock.after(ms * (0.5 + random.fraction()), () => {
          again.delete(cancel)
          hold(data)
        })
        again.add(cancel)
      }
    },
    get held() {
      return held.size
    },
    stop() {
      isStopped = true
      leave()
      stopListening()
      cancelRetry()
      for (const cancel of again) cancel()
    },
  }
}

/** Faults of who made it, whom nobody who checks passes on; the rest is a matter of clocks and of room. */
const forged = /^ERR_(?:WIRE_.*|TRUST_INVALID|STATEMENT_SIGNATURE|STATEMENT_LIFETIME)$/
