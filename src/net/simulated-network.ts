import { createSeededRandom, type Did, MeshError, type Random, secondMs, type VirtualClock } from '../base/index.ts'
import type { SimulatedConnection } from './simulated-connection.ts'
import type { SimulatedHost } from './simulated-host.ts'

/**
 * How the simulated network behaves, the same for every pair; chance is drawn per direction of a pair from the seed.
 *
 * Streams are reliable and ordered like TCP: a lost segment arrives after a retransmission (and holds up what is behind it),
 * one lost `retransmissionsMax` times resets the connection. Gossip and DHT requests have no such help: lost is lost.
 */
export interface LinkSettings {
  /** One-way latency, uniform between the two. */
  readonly latencyMs: readonly [min: number, max: number]
  /** Chance that a segment, a gossip message, a DHT question or a DHT answer is lost. */
  readonly loss: number
  /** Chance that a gossip message is judged twice by one receiver, as a replay is once gossipsub has forgotten it. */
  readonly duplicate: number
  /** Chance that a gossip message is overtaken: it comes up to ten latencies late. */
  readonly reorder: number
  /** Chance per segment that the whole connection is reset. */
  readonly reset: number
  /** How long both ends take to notice that a connection is dead. */
  readonly detectMs: number
}

export const defaultLink: LinkSettings = { latencyMs: [5, 40], loss: 0, duplicate: 0, reorder: 0, reset: 0, detectMs: secondMs }
const retransmissionsMax = 8
const retransmissionMs = 200

/** Who is where, who can reach whom, how long it takes, and a running hash of everything that arrived. */
export class SimulatedNetwork {
  readonly clock: VirtualClock
  readonly hosts = new Map<Did, SimulatedHost>()
  readonly byIp = new Map<string, SimulatedHost>()
  readonly #seed: number
  readonly #chances = new Map<string, Random>()
  readonly #cuts = new Set<string>()
  #settings: LinkSettings
  #groups = new Map<Did, number>()
  readonly #places = new Map<Did, string>()
  #low = 0x811c9dc5
  #high = 0x9dc5811c
  #events = 0

  constructor(seed: number, clock: VirtualClock, settings: LinkSettings) {
    this.#seed = seed
    this.clock = clock
    this.#settings = settings
  }

  get settings(): LinkSettings {
    return this.#settings
  }

  set(settings: Partial<LinkSettings>): void {
    this.#settings = { ...this.#settings, ...settings }
  }

  place(host: SimulatedHost): string {
    if (this.hosts.has(host.did)) throw new MeshError('ERR_USAGE', `${host.did} is on the network already`)
    // Who comes back comes back to where it was.
    const ip = this.#places.get(host.did) ?? `10.${this.#places.size >> 16}.${(this.#places.size >> 8) & 0xff}.${this.#places.size & 0xff}`
    this.#places.set(host.did, ip)
    this.hosts.set(host.did, host)
    this.byIp.set(ip, host)
    return ip
  }

  remove(host: SimulatedHost): void {
    for (const connection of this.#connections()) if (connection.via === host.did) connection.die()
    if (this.hosts.get(host.did) === host) this.hosts.delete(host.did)
    for (const [ip, other] of this.byIp) if (other === host) this.byIp.delete(ip)
  }

  /** Hosts in no group form one of their own. */
  partition(groups: readonly (readonly Did[])[]): void {
    this.#groups = new Map(groups.flatMap((group, index) => group.map((did) => [did, index + 1] as const)))
    this.#breakUnreachable()
  }

  /** Cuts one pair. One direction is enough to end a connection, so there is no one-way cut. */
  cut(a: Did, b: Did): void {
    this.#cuts.add(pairOf(a, b))
    this.#breakUnreachable()
  }

  heal(): void {
    this.#groups.clear()
    this.#cuts.clear()
  }

  reachable(a: Did, b: Did): boolean {
    return (this.#groups.get(a) ?? 0) === (this.#groups.get(b) ?? 0) && !this.#cuts.has(pairOf(a, b))
  }

  chance(from: Did, to: Did): Random {
    const name = `${from}>${to}`
    let random = this.#chances.get(name)
    if (random === undefined) {
      random = createSeededRandom(mix(mix(0x811c9dc5, String(this.#seed)), name))
      this.#chances.set(name, random)
    }
    return random
  }

  latency(from: Did, to: Did): number {
    const [min, max] = this.#settings.latencyMs
    return min + this.chance(from, to).fraction() * (max - min)
  }

  happens(from: Did, to: Did, probability: number): boolean {
    return probability > 0 && this.chance(from, to).fraction() < probability
  }

  /** Latency of a segment with its retransmissions; undefined when the connection gives up. */
  segment(from: Did, to: Did): number | undefined {
    if (this.happens(from, to, this.#settings.reset)) return undefined
    let ms = this.latency(from, to)
    for (let lost = 0; this.happens(from, to, this.#settings.loss); lost++) {
      if (lost === retransmissionsMax) return undefined
      ms += retransmissionMs * 2 ** lost
    }
    return ms
  }

  /** The same from end to end, over a relay if there is one. */
  journey(from: Did, to: Did, via: Did | undefined): number | undefined {
    if (via === undefined) return this.segment(from, to)
    const [first, second] = [this.segment(from, via), this.segment(via, to)]
    return first === undefined || second === undefined ? undefined : first + second
  }

  /** Runs `arrive` after `ms` and records it. */
  deliver(ms: number, what: string, from: Did, to: Did, bytes: number, arrive: () => void): void {
    this.clock.after(ms, () => {
      this.record(what, from, to, bytes)
      arrive()
    })
  }

  record(what: string, from: Did, to: Did, bytes: number): void {
    const line = `${this.clock.monotonic()} ${what} ${from} ${to} ${bytes}\n`
    this.#low = mix(this.#low, line)
    this.#high = mix(this.#high ^ this.#low, line)
    this.#events++
  }

  get trace(): { readonly hash: string; readonly events: number } {
    const text = (part: number): string => (part >>> 0).toString(16).padStart(8, '0')
    return { hash: text(this.#high) + text(this.#low), events: this.#events }
  }

  /** Hosts that `from` can get to over connections, itself not among them: whom its DHT can know. */
  known(from: Did): readonly SimulatedHost[] {
    const seen = new Set<Did>([from])
    for (const did of seen) for (const next of this.hosts.get(did)?.connections.keys() ?? []) if (this.hosts.has(next)) seen.add(next)
    seen.delete(from)
    return [...seen].flatMap((did) => this.hosts.get(did) ?? [])
  }

  #breakUnreachable(): void {
    for (const connection of this.#connections()) {
      const { from, to, via } = connection
      const isWhole = via === undefined ? this.reachable(from, to) : this.reachable(from, via) && this.reachable(via, to)
      if (!isWhole) connection.die()
    }
  }

  #connections(): ReadonlySet<SimulatedConnection> {
    return new Set([...this.hosts.values()].flatMap((host) => [...host.connections.values()]))
  }
}

const pairOf = (a: Did, b: Did): string => (a < b ? `${a} ${b}` : `${b} ${a}`)

/** FNV-1a over the text, 32 bits. */
function mix(start: number, text: string): number {
  let state = start
  for (let index = 0; index < text.length; index++) state = Math.imul(state ^ text.charCodeAt(index), 0x01000193)
  return state
}
