import { type Clock, type Logger, toMeshError } from '../base/index.ts'
import type { Store, StoreOp } from '../store/index.ts'

/** Writes that may wait reach the disk by then at the latest. */
const waitMs = 100

/** Writes that ride along with the next durable batch; of several for one key only the last is made. */
export interface PendingWrites {
  add(ops: readonly StoreOp[]): void
  /** All of them, for the caller's own durable batch. */
  take(): readonly StoreOp[]
  flush(): Promise<void>
}

export function createPendingWrites({ store, clock, logger }: { readonly store: Store; readonly clock: Clock; readonly logger: Logger }): PendingWrites {
  const pending = new Map<string, StoreOp>()
  let cancel: (() => void) | undefined

  function take(): readonly StoreOp[] {
    const ops = [...pending.values()]
    pending.clear()
    cancel?.()
    cancel = undefined
    return ops
  }
  async function flush(): Promise<void> {
    const ops = take()
    // Durable for its order: it must not overtake a batch that holds an older value of the same key.
    if (ops.length > 0) await store.durable(ops).catch((error: unknown) => logger.error('session state not written', { code: toMeshError(error).code }))
  }
  return {
    add(ops) {
      for (const op of ops) pending.set(op.key, op)
      if (pending.size > 0) cancel ??= clock.after(waitMs, () => void flush())
    },
    take,
    flush,
  }
}
