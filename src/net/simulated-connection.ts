import { type Did, MeshError } from '../base/index.ts'
import type { Route } from './host.ts'
import type { SimulatedNetwork } from './simulated-network.ts'
import type { SimulatedStream } from './simulated-stream.ts'

/** One TCP-like connection, straight or through a relay: what goes in on one side comes out on the other in order, or the connection ends. */
export class SimulatedConnection {
  /** Who dialled. */
  readonly from: Did
  readonly to: Did
  /** Who carries it, when the two do not reach each other. */
  readonly via: Did | undefined
  readonly streams = new Set<SimulatedStream>()
  readonly #network: SimulatedNetwork
  readonly #arrivals = new Map<Did, number>()
  #alive = true

  constructor(network: SimulatedNetwork, from: Did, to: Did, via?: Did) {
    this.#network = network
    this.from = from
    this.to = to
    this.via = via
  }

  get route(): Route {
    return this.via === undefined ? 'direct' : 'relayed'
  }

  get alive(): boolean {
    return this.#alive
  }

  other(did: Did): Did {
    return did === this.from ? this.to : this.from
  }

  /** Sends from one end; `arrive` runs at the other, behind everything sent before it, unless the connection dies first. */
  transmit(sender: Did, what: string, bytes: number, arrive: () => void): void {
    if (!this.#alive) return
    const receiver = this.other(sender)
    const ms = this.#network.journey(sender, receiver, this.via)
    if (ms === undefined) {
      this.die()
      return
    }
    const now = this.#network.clock.monotonic()
    const at = Math.max(now + ms, this.#arrivals.get(receiver) ?? 0)
    this.#arrivals.set(receiver, at)
    this.#network.clock.after(at - now, () => {
      if (!this.#alive) return
      this.#network.record(what, sender, receiver, bytes)
      arrive()
    })
  }

  /** Nothing passes any more; both ends notice after a while. */
  die(): void {
    if (!this.#alive) return
    this.#alive = false
    for (const end of [this.from, this.to]) this.#network.clock.after(this.#network.settings.detectMs, () => this.#lose(end))
  }

  /** One end hangs up: it is done at once, the other sees it when the word arrives. */
  hangUp(by: Did): void {
    if (!this.#alive) return
    this.transmit(by, 'hang-up', 0, () => {
      this.#alive = false
      this.#lose(this.other(by))
    })
    this.#lose(by)
  }

  #lose(end: Did): void {
    for (const stream of [...this.streams]) if (stream.owner === end) stream.fail(new MeshError('ERR_NET_CLOSED', `${stream.protocol}: the connection ended`))
    this.#network.hosts.get(end)?.lost(this)
  }
}
