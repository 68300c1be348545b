import { type Clock, type Did, TokenBucket } from '../base/index.ts'

/** Streams one peer may open towards us per second on average, and at once. net/v1 section 5. */
export const streamRatePerSecond = 200
export const streamBurst = 1_000

/** Counts the streams each peer holds open towards us, by protocol, and rations how fast it opens them. */
export class InboundSlots {
  readonly #clock: Clock
  readonly #taken = new Map<string, number>()
  readonly #rates = new Map<Did, TokenBucket>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The release of the slot, or undefined when there is none to have. */
  take(peer: Did, protocol: string, max: number): (() => void) | undefined {
    const rate = this.#rates.get(peer) ?? new TokenBucket(this.#clock, streamRatePerSecond, streamBurst)
    this.#rates.set(peer, rate)
    const slot = `${peer} ${protocol}`
    const taken = this.#taken.get(slot) ?? 0
    if (taken >= max || !rate.take()) return undefined
    this.#taken.set(slot, taken + 1)
    return () => {
      const left = (this.#taken.get(slot) ?? 1) - 1
      if (left > 0) this.#taken.set(slot, left)
      else this.#taken.delete(slot)
    }
  }

  /** The peer has gone. */
  forget(peer: Did): void {
    this.#rates.delete(peer)
  }
}
