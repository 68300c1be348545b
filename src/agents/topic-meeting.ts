import { type Clock, hourMs, type Logger, minuteMs, type Random, randomInt, secondMs, toMeshError } from '../base/index.ts'
import type { Host } from '../net/index.ts'
import type { TopicId } from './topic-message.ts'

/** Readers of a topic, found in the DHT, that are dialled at a time. Source: topic/v1 section 2. */
export const topicPeersDialledMax = 6
/** A reader tells the DHT again: first soon, when more of the mesh is known, then well before it is forgotten. */
const provideSoonMs = minuteMs
const provideAgainMs = hourMs
const lookupTimeoutMs = 4 * secondMs

/** Brings readers of a topic together that are not connected: the DHT knows who reads it. Source: topic/v1 section 2. */
export interface Meeting {
  /** Connects to a few readers. Never throws. */
  meet(topic: TopicId): Promise<void>
  /** Says that this node reads a topic, and meets others, until the returned function is called. */
  attend(topic: TopicId): () => void
}

export function createMeeting({
  host,
  clock,
  random,
  logger,
}: {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}): Meeting {
  async function meet({ bytes, channel }: TopicId): Promise<void> {
    try {
      const found = await host.providers(bytes, { signal: clock.timeout(lookupTimeoutMs, 'looking for readers of a topic') })
      const connected = new Set(host.peers().map(({ did }) => did))
      const others = found.filter(({ did, addresses }) => !connected.has(did) && addresses.length > 0)
      while (others.length > topicPeersDialledMax) others.splice(randomInt(random, others.length), 1)
      // Addresses are a stranger's word: tried, never remembered.
      const signal = clock.timeout(lookupTimeoutMs, 'meeting readers of a topic')
      await Promise.allSettled(others.map(({ addresses }) => host.dial({ addresses }, { signal })))
    } catch (error) {
      logger.debug('no readers found', { channel, code: toMeshError(error).code })
    }
  }
  return {
    meet,
    attend(topic) {
      let isOver = false
      let cancel = (): void => undefined
      async function round(nextMs: number): Promise<void> {
        await Promise.allSettled([host.provide(topic.bytes, { signal: clock.timeout(lookupTimeoutMs, 'telling of a topic') }), meet(topic)])
        if (!isOver) cancel = clock.after(nextMs, () => void round(provideAgainMs))
      }
      void round(provideSoonMs)
      return () => {
        isOver = true
        cancel()
      }
    },
  }
}
