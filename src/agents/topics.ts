import { type Audit, topicPublished } from '../audit/index.ts'
import {
  type Clock,
  createTally,
  type Did,
  hex,
  type Logger,
  MeshError,
  minuteMs,
  type Random,
  secondMs,
  type SignalOption,
  toMeshError,
} from '../base/index.ts'
import { openReplayGuard, type ReplayGuard } from '../envelope/index.ts'
import { type Keyring, signStatement } from '../identity/index.ts'
import type { GossipMessage, GossipVerdict, Host } from '../net/index.ts'
import type { Decision } from '../policy/index.ts'
import type { Store } from '../store/index.ts'
import { createListener, type Listener } from './listeners.ts'
import { encodeSaid, type Said } from './said.ts'
import { createMeeting } from './topic-meeting.ts'
import { openTopicMessage, topicBodyBytesMax, type TopicContent, type TopicId, topicIdOf, topicLifetimeMsMax } from './topic-message.ts'

/** Topics this node reads at a time. Source: topic/v1 section 4. */
export const topicsJoinedMax = 64
/** Readers of one topic at this node. */
export const topicReadersMax = 32
/** Messages of one author in one topic taken per minute. Source: topic/v1 section 4. */
export const topicAuthorMessagesMax = 120
/** Messages of one topic taken per minute: what is remembered of them fits the replay memory. Source: topic/v1 section 4. */
export const topicMessagesMax = 1_200
/** Messages of one topic remembered until they expire. Source: topic/v1 section 3. */
export const topicReplayEntriesMax = 12_288
/** How long `publish` looks for somebody who listens. Source: topic/v1 section 2. */
export const topicWaitMsDefault = 5 * secondMs
const lookAgainMs = 250

export interface TopicMessage {
  /** Statement id, hexadecimal. */
  readonly id: string
  readonly topic: string
  readonly from: Did
  readonly type: string
  readonly encoding: Said['encoding']
  readonly body: string
  readonly issuedAt: number
  readonly receivedAt: number
}

export interface TopicDraft {
  readonly type?: string
  readonly encoding?: Said['encoding']
  readonly body: string
}

export interface PublishOptions extends SignalOption {
  /** Time to wait for somebody who listens; 0 does not wait. */
  readonly waitMs?: number
}

/** Public topics: everybody may read and write, every message is signed by its author. Source: topic/v1. */
export interface Topics {
  /**
   * Signs a message and hands it to neighbours that read the topic, waiting for one if none is there yet.
   * `neighbours: 0` says that nobody was: the message is lost. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE, ERR_OVERLOADED over the rate of an author
   */
  publish(topic: string, draft: TopicDraft, options?: PublishOptions): Promise<{ readonly id: string; readonly topicId: string; readonly neighbours: number }>
  /** Joins a topic, and reads it until the signal aborts or the reader leaves. Each message comes at most once. @throws ERR_USAGE, ERR_OVERLOADED */
  subscribe(topic: string, options?: SignalOption): Promise<AsyncGenerator<TopicMessage>>
  /** Names of the topics read here. */
  list(): readonly string[]
}

export interface TopicsOptions {
  readonly host: Host
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  /** The root store: replay marks live under `topics/`. */
  readonly store: Store
  /** Whose key it is. */
  subject(key: Did): Did
  decide(from: Did): Decision
}

interface Joined {
  readonly id: TopicId
  readonly replay: ReplayGuard
  readonly readers: Set<Listener<TopicMessage>>
  leave(): void
}

export function createTopics({ host, keyring, clock, random, logger, audit, store, subject, decide }: TopicsOptions): Topics & { stop(): void } {
  const stopping = new AbortController()
  const meeting = createMeeting({ host, clock, random, logger })
  const joined = new Map<string, Promise<Joined>>()
  const ofAuthors = createTally<string>({ clock, most: topicAuthorMessagesMax, windowMs: minuteMs })
  const ofTopics = createTally<string>({ clock, most: topicMessagesMax, windowMs: minuteMs })

  async function take(name: string, topic: Joined, { signed, encoding, body }: TopicContent): Promise<void> {
    const { statement } = signed
    const claim = topic.replay.claim(signed)
    try {
      await store.durable(claim.ops)
    } catch (error) {
      await claim.release()
      throw error
    }
    const { from, type, issuedAt } = statement
    const message: TopicMessage = { id: hex(statement.id), topic: name, from: subject(from), type, encoding, body, issuedAt, receivedAt: clock.now() }
    for (const reader of topic.readers) reader.give(message)
  }
  /** Judged before it is passed on: what is forged counts against who forwards it, what is late, repeated or too much goes no further. */
  async function judge(name: string, topic: Joined, { from, data }: GossipMessage): Promise<GossipVerdict> {
    try {
      const content = openTopicMessage(data, { topic: topic.id, from, now: clock.now() })
      // In this order: a flood of one author must not use up what all share.
      if (!ofAuthors.count(`${name}\0${from}`) || !ofTopics.count(name) || !decide(from).allow) return 'ignore'
      await take(name, topic, content)
      return 'accept'
    } catch (error) {
      const { code } = toMeshError(error)
      logger.debug('topic message not taken', { topic: name, from, code })
      return lateOrFull.has(code) ? 'ignore' : 'reject'
    }
  }
  async function join(name: string, id: TopicId): Promise<Joined> {
    const readers = new Set<Listener<TopicMessage>>()
    const replay = await openReplayGuard({ store: store.sub('topics').sub(hex(id.bytes)), clock, entriesMax: topicReplayEntriesMax })
    const leaveGossip = host.subscribe(id.channel, (message) => judge(name, topic, message))
    const leaveMeeting = meeting.attend(id)
    const topic: Joined = {
      id,
      replay,
      readers,
      leave() {
        leaveMeeting()
        leaveGossip()
      },
    }
    return topic
  }
  function joinedTopic(name: string): Promise<Joined> {
    const id = topicIdOf(name)
    const known = joined.get(name)
    if (known !== undefined) return known
    if (joined.size >= topicsJoinedMax) throw new MeshError('ERR_OVERLOADED', `${topicsJoinedMax} topics are read here`)
    const joining = join(name, id)
    joined.set(name, joining)
    joining.catch(() => joined.delete(name))
    return joining
  }
  async function* read(reader: Listener<TopicMessage>, signal: AbortSignal, leave: () => void): AsyncGenerator<TopicMessage> {
    try {
      yield* reader.items({ signal })
    } finally {
      leave()
    }
  }

  return {
    async publish(name, { type = 'text', encoding = 'text', body }, { signal, waitMs = topicWaitMsDefault } = {}) {
      const id = topicIdOf(name)
      const payload = encodeSaid(type, { encoding, body }, topicBodyBytesMax)
      if (!ofAuthors.count(`${name}\0${keyring.did}`)) {
        throw new MeshError('ERR_OVERLOADED', `more than ${topicAuthorMessagesMax} messages a minute would not be taken`, {
          details: { retryAfterMs: minuteMs },
        })
      }
      const issuedAt = clock.now()
      const fields = { to: id.audience, type, payload, issuedAt, expiresAt: issuedAt + topicLifetimeMsMax }
      const signed = signStatement('message', fields, { keyring, random })
      const { statement, hash, bytes } = signed
      await audit.record(topicPublished({ did: keyring.did, topic: id.bytes, id: statement.id, type, statementHash: hash, bytes: bytes.length }))
      const here = await joined.get(name)
      if (here !== undefined) await take(name, here, { signed, encoding, body })
      let looking: Promise<void> | undefined
      const until = clock.monotonic() + Math.min(waitMs, topicLifetimeMsMax)
      for (;;) {
        const { neighbours } = await host.gossip(id.channel, bytes)
        if (neighbours > 0 || clock.monotonic() >= until) return { id: hex(statement.id), topicId: hex(id.bytes), neighbours }
        looking ??= meeting.meet(id)
        await clock.sleep(lookAgainMs, { signal })
      }
    },
    async subscribe(name, { signal } = {}) {
      const ending = signal === undefined ? stopping.signal : AbortSignal.any([signal, stopping.signal])
      ending.throwIfAborted()
      const joining = joinedTopic(name)
      const topic = await joining
      // Its last reader may have left meanwhile.
      if (joined.get(name) !== joining) return await this.subscribe(name, { signal })
      if (topic.readers.size >= topicReadersMax) throw new MeshError('ERR_OVERLOADED', `${topicReadersMax} readers of '${name}'`)
      const reader = createListener<TopicMessage>()
      topic.readers.add(reader)
      const leave = (): void => {
        if (!topic.readers.delete(reader) || topic.readers.size > 0) return
        joined.delete(name)
        topic.leave()
      }
      // A reader that never began to read leaves too.
      ending.addEventListener('abort', leave, { once: true })
      return read(reader, ending, leave)
    },
    list: () => [...joined.keys()].sort(),
    stop: () => stopping.abort(new MeshError('ERR_STOPPED', 'the node is stopping')),
  }
}

/** No fault of who forwards: clocks differ, gossip repeats itself, memories fill. */
const lateOrFull: ReadonlySet<string> = new Set([
  'ERR_REPLAYED',
  'ERR_OVERLOADED',
  'ERR_STATEMENT_EXPIRED',
  'ERR_STATEMENT_FUTURE',
  'ERR_STORE_FAILED',
  'ERR_STORE_CLOSED',
  'ERR_INTERNAL',
])
