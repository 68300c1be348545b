import { MeshError, type SignalOption } from '../base/index.ts'

/** Items that wait for a slow reader before its stream is ended. Source: topic/v1 section 4. */
export const itemsWaitingMax = 1_024

/** One reader of a stream of items that nobody can slow down. */
export interface Listener<T> {
  give(item: T): void
  /** The items as they come, until the signal aborts. @throws the signal's reason, ERR_OVERLOADED for a reader that does not keep up */
  items(options?: SignalOption): AsyncGenerator<T>
}

export function createListener<T>(): Listener<T> {
  const waiting: T[] = []
  let isLate = false
  let wake: () => void = () => undefined
  return {
    give(item) {
      if (waiting.length >= itemsWaitingMax) isLate = true
      else waiting.push(item)
      wake()
    },
    async *items({ signal } = {}) {
      const onAbort = (): void => wake()
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        for (;;) {
          signal?.throwIfAborted()
          for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) yield item
          if (isLate) {
            throw new MeshError('ERR_OVERLOADED', `more than ${itemsWaitingMax} items waited for their reader`, { hint: 'read faster, or subscribe again' })
          }
          if (signal?.aborted !== true) await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    },
  }
}
