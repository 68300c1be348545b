import type { Range, Store, StoreOp } from './store.ts'

// '0' is the byte after '/': no key under `prefix/` sorts behind `prefix0`.
const end = (prefix: string): string => `${prefix}0`

/** A view of `parent` whose keys live under `prefix/`. Writes go through the parent, so they share its group commit. */
export function prefixed(parent: Store, prefix: string): Store {
  const full = (key: string): string => `${prefix}/${key}`
  // The value is left alone: it may be one that is yet to be made.
  const into = (op: StoreOp): StoreOp =>
    op.type === 'del'
      ? { type: 'del', key: full(op.key) }
      : {
          type: 'put',
          key: full(op.key),
          get value() {
            return op.value
          },
        }
  const within = ({ gte, gt, lt, lte, reverse, limit }: Range): Range => ({
    ...(gt === undefined ? { gte: full(gte ?? '') } : { gt: full(gt) }),
    ...(lte === undefined ? { lt: lt === undefined ? end(prefix) : full(lt) } : { lte: full(lte) }),
    ...(reverse === undefined ? {} : { reverse }),
    ...(limit === undefined ? {} : { limit }),
  })
  const store: Store = {
    get: (key) => parent.get(full(key)),
    has: (key) => parent.has(full(key)),
    async *range(range) {
      for await (const [key, value] of parent.range(within(range))) yield [key.slice(prefix.length + 1), value] as const
    },
    batch: (ops) => parent.batch(ops.map(into)),
    durable: (ops) => parent.durable(ops.map(into)),
    qualify: (ops) => parent.qualify(ops.map(into)),
    sub: (deeper) => prefixed(store, deeper),
    close: async () => undefined,
  }
  return store
}
