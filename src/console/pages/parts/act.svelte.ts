import { untrack } from 'svelte'
import { type MeshError, toMeshError } from '../../../base/index.ts'

/** Something a user does that takes time: can be cancelled, and keeps its answer or its error. A new run takes the place of one that goes on. */
export class Act<T> {
  isRunning = $state(false)
  value: T | undefined = $state.raw()
  error: MeshError | undefined = $state.raw()
  #stop: AbortController | undefined

  /** Undefined when it failed, was cancelled, or another one took its place. */
  async run(act: (options: { readonly signal: AbortSignal }) => Promise<T>): Promise<T | undefined> {
    this.cancel()
    const stop = new AbortController()
    this.#stop = stop
    this.isRunning = true
    this.clear()
    try {
      // An effect that starts it is about what it asks for, not about how the asking goes.
      const value = await untrack(() => act({ signal: stop.signal }))
      if (stop.signal.aborted) return undefined
      this.value = value
      return value
    } catch (error) {
      if (!stop.signal.aborted) this.error = toMeshError(error)
      return undefined
    } finally {
      if (this.#stop === stop) this.isRunning = false
    }
  }

  cancel(): void {
    this.#stop?.abort()
  }

  clear(): void {
    this.value = undefined
    this.error = undefined
  }
}
