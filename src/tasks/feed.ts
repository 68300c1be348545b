/** Items for one reader, in order. Who pushes waits while the reader is behind, or leaves the oldest out when it may. */
export interface Feed<T> {
  /** Resolves when there is room for more. */
  push(item: T): Promise<void>
  /** From now on nobody who pushes waits. */
  release(): void
  /** No more come; what is there is still read. */
  end(error?: unknown): void
  /** Once only. Leaving it lets everybody who waits go on. */
  read(): AsyncGenerator<T>
}

export interface FeedOptions {
  /** Items that wait for the reader. */
  readonly most: number
  /** Leave the oldest out rather than wait for a slow reader. */
  readonly lossy?: boolean
}

export function createFeed<T>({ most, lossy = false }: FeedOptions): Feed<T> {
  const items: T[] = []
  let hasNews = Promise.withResolvers<void>()
  let hasRoom = Promise.withResolvers<void>()
  let isOver = false
  let hasLeft = false
  let mayWait = !lossy
  let failure: { readonly error: unknown } | undefined
  return {
    async push(item) {
      if (isOver || hasLeft) return
      if (lossy && items.length >= most) items.shift()
      items.push(item)
      hasNews.resolve()
      while (mayWait && items.length >= most && !hasLeft) await hasRoom.promise
    },
    release() {
      mayWait = false
      hasRoom.resolve()
    },
    end(error) {
      if (isOver) return
      isOver = true
      if (error !== undefined) failure = { error }
      mayWait = false
      hasRoom.resolve()
      hasNews.resolve()
    },
    async *read() {
      try {
        for (;;) {
          const item = items.shift()
          if (item !== undefined) {
            hasRoom.resolve()
            hasRoom = Promise.withResolvers()
            yield item
          } else if (isOver) {
            if (failure !== undefined) throw failure.error
            return
          } else {
            await hasNews.promise
            hasNews = Promise.withResolvers()
          }
        }
      } finally {
        hasLeft = true
        items.length = 0
        hasRoom.resolve()
      }
    },
  }
}
