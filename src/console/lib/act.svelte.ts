import { untrack } from 'svelte'
import { type MeshError, toMeshError } from '../../base/index.ts'

/** Something the user set going: whether it goes on, how far it is, how to stop it, and what went wrong. One at a time. */
export class Act {
  isBusy = $state(false)
  error: MeshError | undefined = $state.raw()
  /** From 0 to 1, when that is known. */
  fraction: number | undefined = $state()
  #current: AbortController | undefined

  /** True when it went through; false when it failed, was cancelled or another goes on. Never rejects. */
  async run(work: (options: { readonly signal: AbortSignal }) => Promise<void>): Promise<boolean> {
    // An effect that starts an act does not start it again when the act ends.
    if (untrack(() => this.isBusy)) return false
    const current = new AbortController()
    this.#current = current
    this.isBusy = true
    this.error = undefined
    this.fraction = undefined
    try {
      await work({ signal: current.signal })
      return true
    } catch (error) {
      if (!current.signal.aborted) this.error = toMeshError(error)
      return false
    } finally {
      this.isBusy = false
      this.#current = undefined
    }
  }

  cancel(): void {
    this.#current?.abort()
  }
}
