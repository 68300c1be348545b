/** Items for one reader, in order; past `max` unread ones the oldest are forgotten. */
export interface Queue<T> {
  push(item: T): void
  /** No more come; what is there is still read. */
  end(): void
  read(): AsyncGenerator<T>
}

export function createQueue<T>(max: number): Queue<T> {
  const items: T[] = []
  let waiting = Promise.withResolvers<void>()
  let isOver = false
  return {
    push(item) {
      if (isOver) return
      if (items.length >= max) items.shift()
      items.push(item)
      waiting.resolve()
    },
    end() {
      isOver = true
      waiting.resolve()
    },
    async *read() {
      for (;;) {
        const item = items.shift()
        if (item !== undefined) yield item
        else if (isOver) return
        else {
          await waiting.promise
          waiting = Promise.withResolvers()
        }
      }
    },
  }
}
