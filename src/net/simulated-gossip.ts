import { type Did, MeshError, minuteMs, randomInt } from '../base/index.ts'
import type { GossipMessage, GossipVerdict, Host } from './host.ts'
import { gossipBytesMax } from './limits.ts'
import type { SimulatedHost } from './simulated-host.ts'
import type { SimulatedNetwork } from './simulated-network.ts'

type Judge = Parameters<Host['subscribe']>[1]

/** Neighbours a message is passed on to, and how long it is known again, about as in gossipsub. */
const meshSize = 8
const seenMs = 2 * minuteMs
const lateLatencies = 10

/** Topics by flooding among connected subscribers. Who subscribes to what is known at once; messages take their time. */
export class SimulatedGossip {
  readonly #network: SimulatedNetwork
  readonly #host: SimulatedHost
  readonly #judges = new Map<string, Judge>()
  readonly #seen = new Map<string, number>()
  #sent = 0

  constructor(network: SimulatedNetwork, host: SimulatedHost) {
    this.#network = network
    this.#host = host
  }

  subscribe(topic: string, judge: Judge): () => void {
    if (this.#judges.has(topic)) throw new MeshError('ERR_USAGE', `already subscribed to ${topic}`)
    this.#judges.set(topic, judge)
    return () => {
      if (this.#judges.get(topic) === judge) this.#judges.delete(topic)
    }
  }

  send(topic: string, data: Uint8Array): number {
    if (data.length > gossipBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `gossip of ${data.length} bytes exceeds ${gossipBytesMax}`)
    const { did } = this.#host
    const id = `${did} ${this.#network.clock.monotonic()} ${this.#sent++}`
    const message = { topic, from: did, data: data.slice() }
    const neighbours = this.#neighbours(topic)
    this.#seen.set(id, this.#network.clock.monotonic())
    for (const neighbour of neighbours) this.#pass(neighbour, id, message)
    return neighbours.length
  }

  #neighbours(topic: string): readonly SimulatedHost[] {
    return [...this.#host.connections.keys()].flatMap((did) => {
      const host = this.#network.hosts.get(did)
      return host !== undefined && host.gossiping.#judges.has(topic) ? [host] : []
    })
  }

  #pass(to: SimulatedHost, id: string, message: GossipMessage): void {
    const { did } = this.#host
    const { loss, duplicate, reorder } = this.#network.settings
    const copies = this.#network.happens(did, to.did, duplicate) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (this.#network.happens(did, to.did, loss)) continue
      const late = this.#network.happens(did, to.did, reorder) ? lateLatencies : 1
      const ms = this.#network.latency(did, to.did) * late
      this.#network.deliver(ms, 'gossip', did, to.did, message.data.length, () => {
        if (this.#host.connections.get(to.did)?.alive === true) to.gossiping.#arrive(did, id, message, copy > 0)
      })
    }
  }

  #arrive(forwarder: Did, id: string, message: GossipMessage, isReplay: boolean): void {
    const judge = this.#judges.get(message.topic)
    if (judge === undefined || (this.#seen.has(id) && !isReplay)) return
    this.#forget()
    this.#seen.set(id, this.#network.clock.monotonic())
    void this.#judge(judge, forwarder, id, { ...message, data: message.data.slice() }, isReplay)
  }

  async #judge(judge: Judge, forwarder: Did, id: string, message: GossipMessage, isReplay: boolean): Promise<void> {
    let verdict: GossipVerdict
    try {
      verdict = await judge(message)
    } catch {
      verdict = 'ignore'
    }
    // A replay is judged but not passed on: one that everybody accepts would go round for ever.
    if (verdict !== 'accept' || isReplay) return
    const others = this.#neighbours(message.topic).filter(({ did }) => did !== forwarder && did !== message.from)
    const random = this.#network.chance(this.#host.did, this.#host.did)
    const chosen = [...others]
    while (chosen.length > meshSize) chosen.splice(randomInt(random, chosen.length), 1)
    for (const neighbour of chosen) this.#pass(neighbour, id, message)
  }

  #forget(): void {
    const until = this.#network.clock.monotonic() - seenMs
    for (const [id, at] of this.#seen) {
      if (at >= until) return
      this.#seen.delete(id)
    }
  }
}
