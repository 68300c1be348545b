import { sessionFetch } from './api.ts'
import { session } from './session.svelte.ts'
import { sentEvents } from './sse.ts'

/** What happened at the node; the fields are those of the node's events. */
export interface LiveEvent {
  readonly event: string
  /** When this tab heard of it, ms since 1970. */
  readonly heardAt: number
  readonly [field: string]: unknown
}

export type LiveState = 'off' | 'connecting' | 'open' | 'waiting'

const keptMax = 200
const retryMsMin = 500
const retryMsMax = 15_000

/** Events of the node as they happen. After a break it goes on where it was; `gap` comes when something was missed. */
class Live {
  state: LiveState = $state('off')
  /** Newest first. */
  recent: readonly LiveEvent[] = $state.raw([])
  readonly #listeners = new Set<(event: LiveEvent) => void>()
  #cursor: string | undefined
  #stop: AbortController | undefined

  /** Calls `listener` for each event from now on; the returned function ends that. */
  on(listener: (event: LiveEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  start(): void {
    this.stop()
    const stop = new AbortController()
    this.#stop = stop
    void this.#keepReading(stop.signal)
  }

  stop(): void {
    this.#stop?.abort()
    this.#stop = undefined
    this.state = 'off'
  }

  async #keepReading(signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      this.state = 'connecting'
      try {
        await this.#read(signal, () => {
          failures = 0
        })
      } catch {
        // The node may be restarting: tried again below.
      }
      if (signal.aborted) return
      this.state = 'waiting'
      await pause(Math.min(retryMsMax, retryMsMin * 2 ** failures++) * (0.5 + Math.random() / 2), signal)
    }
  }

  async #read(signal: AbortSignal, opened: () => void): Promise<void> {
    const headers: Record<string, string> = this.#cursor === undefined ? {} : { 'last-event-id': this.#cursor }
    const response = await sessionFetch(`${location.origin}/v1/events`, { headers, signal })
    if (!response.ok || response.body === null) throw new Error(`events answered ${response.status}`)
    this.state = 'open'
    opened()
    for await (const { id, event, data } of sentEvents(response.body)) {
      if (id !== undefined) this.#cursor = id
      this.#hear({ ...(JSON.parse(data) as Readonly<Record<string, unknown>>), event, heardAt: Date.now() })
    }
  }

  #hear(event: LiveEvent): void {
    this.recent = [event, ...this.recent].slice(0, keptMax)
    for (const listener of this.#listeners) listener(event)
  }
}

/** Waits, but not longer than until the machine is back on its feet or the session is another. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done(): void {
      clearTimeout(timer)
      resolve()
    }
  })
}

export const live = new Live()

/** Reads events while there is a session; called once, by the shell. */
export function followSession(): void {
  $effect(() => {
    if (session.token === undefined || session.isEnded) live.stop()
    else live.start()
  })
}
