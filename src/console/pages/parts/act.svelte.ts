import { type MeshError, toMeshError } from '../../../base/index.ts'

/** Something a user does that takes time: runs one at a time, can be cancelled, and keeps its answer or its error. */
export class Act<T> {
  isRunning = $state(false)
  value: T | undefined = $state.raw()
  error: MeshError | undefined = $state.raw()
  #stop: AbortController | undefined

  /** Undefined when it failed, was cancelled, or another one runs. */
  async run(act: (options: { readonly signal: AbortSignal }) => Promise<T>): Promise<T | undefined> {
    if (this.isRunning) return undefined
    const stop = new AbortController()
    this.#stop = stop
    this.isRunning = true
    this.clear()
    try {
      const value = await act({ signal: stop.signal })
      if (!stop.signal.aborted) this.value = value
      return this.value
    } catch (error) {
      if (!stop.signal.aborted) this.error = toMeshError(error)
      return undefined
    } finally {
      this.isRunning = false
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
