import { type GossipSub, TopicValidatorResult } from '@libp2p/gossipsub'
import { type Logger, MeshError } from '../base/index.ts'
import { plain } from './frames.ts'
import type { GossipVerdict, Host } from './host.ts'
import { gossipBytesMax } from './limits.ts'
import { didOfPeer } from './peer-key.ts'

const verdicts: Readonly<Record<GossipVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

/** Topics over gossipsub with strict signatures. Its sequence numbers are random and its memory two minutes: replays are the judge's to refuse. */
export function createGossip(gossip: GossipSub, logger: Logger): Pick<Host, 'subscribe' | 'gossip'> {
  return {
    subscribe(topic, judge) {
      if (gossip.topicValidators.has(topic)) throw new MeshError('ERR_USAGE', `already subscribed to ${topic}`)
      gossip.topicValidators.set(topic, async (_forwarder, message) => {
        const from = message.type === 'signed' ? didOfPeer(message.from) : undefined
        if (from === undefined) return TopicValidatorResult.Reject
        try {
          return verdicts[await judge({ topic, from, data: plain(message.data) })]
        } catch (error) {
          logger.warn('a judge of gossip threw', { topic, why: error instanceof Error ? error.message : String(error) })
          return TopicValidatorResult.Ignore
        }
      })
      gossip.subscribe(topic)
      return () => {
        if (!gossip.topicValidators.delete(topic)) return
        gossip.unsubscribe(topic)
      }
    },
    async gossip(topic, data) {
      if (data.length > gossipBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `gossip of ${data.length} bytes exceeds ${gossipBytesMax}`)
      const { recipients } = await gossip.publish(topic, data)
      return { neighbours: recipients.length }
    },
  }
}
