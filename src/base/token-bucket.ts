import { type Clock, secondMs } from './clock.ts'

/** Lets `burst` through at once and `perSecond` on average. */
export class TokenBucket {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  constructor(clock: Pick<Clock, 'monotonic'>, perSecond: number, burst: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#filledAt = clock.monotonic()
  }

  take(): boolean {
    this.#fill()
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  /** Until one more is let through, in ms. */
  waitMs(): number {
    this.#fill()
    return Math.max(0, Math.ceil(((1 - this.#tokens) * secondMs) / this.#perSecond))
  }

  /** Nothing was taken that has not come back. */
  isFull(): boolean {
    this.#fill()
    return this.#tokens >= this.#burst
  }

  #fill(): void {
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) * this.#perSecond) / secondMs)
    this.#filledAt = now
  }
}
