import { type MeshError, toMeshError } from '../../base/index.ts'
import { live, type LiveEvent } from './live.svelte.ts'
import { session } from './session.svelte.ts'

export interface ResourceOptions {
  /** Loads again when such an event comes; `true` for any. A `gap` always does. */
  readonly on?: true | readonly string[] | ((event: LiveEvent) => boolean)
  /** Loads again after this long, while the page is seen. */
  readonly everyMs?: number
}

/** Events of the same breath cause one load. */
const gatherMs = 250

/**
 * What a page shows and where it comes from: loaded at once, again when something happens or the session is a new one. Made while a component is set up;
 * what `load` reads of reactive state (before its first `await`) makes it load again as well. An old value stays while the new one comes.
 */
export class Resource<T> {
  value: T | undefined = $state.raw()
  error: MeshError | undefined = $state.raw()
  isLoading = $state(false)
  readonly #load: (options: { readonly signal: AbortSignal }) => Promise<T>
  #current: AbortController | undefined

  constructor(load: (options: { readonly signal: AbortSignal }) => Promise<T>, { on, everyMs }: ResourceOptions = {}) {
    this.#load = load
    $effect(() => {
      if (session.token === undefined || session.isEnded) return undefined
      void this.reload()
      return () => this.#current?.abort()
    })
    $effect(() => {
      let timer: ReturnType<typeof setTimeout> | undefined
      const soon = (ms: number): void => {
        clearTimeout(timer)
        timer = setTimeout(() => void this.reload(), ms)
      }
      const off = live.on((event) => {
        if (event.event === 'gap' || isAsked(on, event)) soon(gatherMs)
      })
      const every = everyMs === undefined ? undefined : setInterval(() => document.visibilityState === 'visible' && soon(0), everyMs)
      return () => {
        off()
        clearTimeout(timer)
        clearInterval(every)
      }
    })
  }

  /** Resolves when the value or the error is there; never rejects. */
  async reload(): Promise<void> {
    this.#current?.abort()
    const current = new AbortController()
    this.#current = current
    this.isLoading = true
    try {
      const value = await this.#load({ signal: current.signal })
      if (current.signal.aborted) return
      this.value = value
      this.error = undefined
    } catch (error) {
      if (!current.signal.aborted) this.error = toMeshError(error)
    } finally {
      if (this.#current === current) this.isLoading = false
    }
  }
}

function isAsked(on: ResourceOptions['on'], event: LiveEvent): boolean {
  if (on === undefined || on === true) return on === true
  return typeof on === 'function' ? on(event) : on.includes(event.event)
}
