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

/** What gossipsub does with what a peer sends: public there, left out of its interface. */
interface Receiver {
  handleReceivedRpc(
    from: unknown,
    rpc: { readonly subscriptions: readonly { readonly topic?: string }[]; readonly messages: readonly { readonly topic: string }[] },
  ): Promise<void>
}

/**
 * Bounds what peers can make gossipsub keep: subscriptions to topics that may exist only, and messages of topics that somebody here reads.
 * gossipsub's own `allowedTopics` knows no topic that comes later, and would forget who had subscribed to it before us.
 */
export function gateTopics(gossip: GossipSub, mayExist: (topic: string) => boolean): void {
  const receiver = gossip as unknown as Receiver
  const receive = receiver.handleReceivedRpc.bind(gossip)
  receiver.handleReceivedRpc = async (from, rpc) =>
    await receive(from, {
      ...rpc,
      subscriptions: rpc.subscriptions.filter(({ topic }) => topic !== undefined && mayExist(topic)),
      messages: rpc.messages.filter(({ topic }) => gossip.topicValidators.has(topic)),
    })
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
