import type { SandboxLimits } from './types.ts'

/** What counts against a limit of an agent, since its run began. */
export interface Spent {
  readonly cpuMs: number
  readonly outputBytes: number
  readonly hostCalls: number
  /** Time that passed, without that for which it was held. */
  readonly wallMs: number
}

const counted = ['cpuMs', 'outputBytes', 'hostCalls'] as const

/**
 * The limits of an agent count for each message: from when it is handed in until it is answered, whoever of the agent used it meanwhile.
 * While there is no message they count for each `wallMs` that passes, so that an agent at work by itself is bounded too. Source: sandbox/v1 section 9.
 */
export class MessageTimes {
  readonly #limits: SandboxLimits
  readonly #open = new Map<number, Spent>()
  #rest: Spent = { cpuMs: 0, outputBytes: 0, hostCalls: 0, wallMs: 0 }
  #isReceiving = false

  constructor(limits: SandboxLimits) {
    this.#limits = limits
  }

  get busy(): boolean {
    return this.#open.size > 0
  }

  /** From now on the time without messages has no end. */
  receiving(): void {
    this.#isReceiving = true
  }

  begin(id: number, spent: Spent): void {
    this.#open.set(id, spent)
  }

  end(id: number, spent: Spent): void {
    if (!this.#open.delete(id) || this.#open.size > 0) return
    this.#rest = spent
  }

  /** What is over its limit (`wallMs` only while the agent has not begun to receive), messages whose time is over, and whether it has rested for one more time of a message. */
  over(spent: Spent): { readonly limit: (typeof counted)[number] | 'wallMs' | undefined; readonly late: readonly number[]; readonly rested: boolean } {
    const since = [...(this.#open.size === 0 ? [this.#rest] : this.#open.values())]
    const limit = counted.find((name) => since.some((begun) => spent[name] - begun[name] > this.#limits[name]))
    if (limit !== undefined) return { limit, late: [], rested: false }
    const isLate = (begun: Spent): boolean => spent.wallMs - begun.wallMs > this.#limits.wallMs
    if (this.#open.size > 0) return { limit: undefined, late: [...this.#open].flatMap(([id, begun]) => (isLate(begun) ? [id] : [])), rested: false }
    if (!isLate(this.#rest)) return { limit: undefined, late: [], rested: false }
    this.#rest = spent
    return this.#isReceiving ? { limit: undefined, late: [], rested: true } : { limit: 'wallMs', late: [], rested: false }
  }
}
