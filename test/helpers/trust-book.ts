import { createSeededRandom, createVirtualClock, type Did, minuteMs } from '../../src/base/index.ts'
import type { Keyring } from '../../src/identity/index.ts'
import { createMemoryStore, type Store } from '../../src/store/index.ts'
import { openTrustBook, type SignedItem, type TrustBook, type TrustChange } from '../../src/trust/index.ts'

export const bookScope = '/task/run'

/** Books of several identities on one virtual clock. */
export function createBookShelf({ start = 1_000_000_000_000 } = {}) {
  const clock = createVirtualClock({ start })
  const changes: TrustChange[] = []
  return {
    clock,
    /** What the audit log would have. */
    changes,
    open: (keyring: Keyring, store: Store = createMemoryStore()): Promise<TrustBook> =>
      openTrustBook({
        store,
        keyring,
        clock,
        random: createSeededRandom(6),
        async commit(change, ops) {
          await store.durable(ops)
          changes.push(change)
        },
      }),
  }
}

/** All that a book has of an issuer, its head first. */
export async function listed(book: TrustBook, issuer: Did): Promise<readonly SignedItem[]> {
  const items: SignedItem[] = []
  for await (const item of book.list(issuer, 0)) items.push(item)
  return items
}

export const saying = (subject: Did, level: -1 | 0 | 1 | 2 | 3 | 4, scopes: readonly string[] = [bookScope]) => ({
  subject,
  level,
  scopes,
  depth: 2,
  lifetimeMs: 1_440 * minuteMs,
})
