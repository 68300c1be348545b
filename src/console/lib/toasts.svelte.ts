import { type MeshError, toMeshError } from '../../base/index.ts'

export interface Toast {
  readonly id: number
  readonly kind: 'good' | 'bad' | 'info'
  readonly text: string
  readonly hint?: string
}

const shownMs = 6_000
const shownMax = 4

/** Short news at the edge of the page, read out by screen readers. Errors stay until they are closed. */
class Toasts {
  list: readonly Toast[] = $state.raw([])
  #last = 0

  good(text: string): void {
    this.#add({ kind: 'good', text })
  }

  info(text: string): void {
    this.#add({ kind: 'info', text })
  }

  /** Says what went wrong and what to do about it; an act that the user cancelled is no news. */
  bad(error: unknown): MeshError {
    const known = toMeshError(error)
    if (known.code !== 'ERR_ABORTED') this.#add({ kind: 'bad', text: known.message || known.code, hint: known.hint })
    return known
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id)
  }

  #add(toast: Omit<Toast, 'id'>): void {
    const id = ++this.#last
    this.list = [...this.list, { ...toast, id }].slice(-shownMax)
    if (toast.kind !== 'bad') setTimeout(() => this.close(id), shownMs)
  }
}

export const toasts = new Toasts()
