import { MeshError } from '../base/index.ts'
import type { Range, Store, StoreOp } from './store.ts'
import { prefixed } from './prefixed.ts'

/** What a fault-injecting test may decide before a write reaches the store. */
export type Fault = 'fail' | 'lose' | undefined

export interface MemoryStoreOptions {
  /** Called before each write with its number from 1: 'fail' throws, 'lose' resolves but forgets it at the next `crash`. */
  readonly fault?: (write: number, durable: boolean) => Fault
}

export interface MemoryStore extends Store {
  /** Power cut: everything that was not durable is gone, and the store is open again. */
  crash(): void
}

const inRange = (key: string, { gte, gt, lt, lte }: Range): boolean =>
  (gte === undefined || compareKeys(key, gte) >= 0) &&
  (gt === undefined || compareKeys(key, gt) > 0) &&
  (lt === undefined || compareKeys(key, lt) < 0) &&
  (lte === undefined || compareKeys(key, lte) <= 0)

const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

function apply(map: Map<string, Uint8Array>, ops: readonly StoreOp[]): void {
  for (const op of ops) {
    if (op.type === 'put') map.set(op.key, op.value.slice())
    else map.delete(op.key)
  }
}

/** The memory twin of the level store, with power cuts and failing writes for tests. */
export function createMemoryStore({ fault }: MemoryStoreOptions = {}): MemoryStore {
  let seen = new Map<string, Uint8Array>()
  let synced = new Map<string, Uint8Array>()
  let closed = false
  let writes = 0

  const open = (): void => {
    if (closed) throw new MeshError('ERR_STORE_CLOSED', 'the store is closed')
  }
  // As with level's log, a durable write also carries every write before it to disk.
  let pending: StoreOp[] = []
  const write = (ops: readonly StoreOp[], durable: boolean): void => {
    open()
    writes++
    const decision = fault?.(writes, durable)
    if (decision === 'fail') throw new MeshError('ERR_STORE_FAILED', 'injected write failure')
    apply(seen, ops)
    if (decision === 'lose') return
    pending.push(...ops)
    if (!durable) return
    apply(synced, pending)
    pending = []
  }
  const root: Store = {
    get: async (key) => {
      open()
      return seen.get(key)?.slice()
    },
    has: async (key) => {
      open()
      return seen.has(key)
    },
    async *range(range) {
      open()
      const entries = [...seen].filter(([key]) => inRange(key, range)).sort(([a], [b]) => compareKeys(a, b))
      if (range.reverse === true) entries.reverse()
      for (const [key, value] of entries.slice(0, range.limit)) yield [key, value.slice()] as const
    },
    batch: async (ops) => write(ops, false),
    durable: async (ops) => write(ops, true),
    qualify: (ops) => ops,
    sub: (prefix) => prefixed(root, prefix),
    close: async () => {
      closed = true
    },
  }
  return {
    ...root,
    crash() {
      seen = new Map(synced)
      synced = new Map(synced)
      pending = []
      closed = false
    },
  }
}
