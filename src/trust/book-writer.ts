import { del, type StoreOp } from '../store/index.ts'
import type { SteadyTime } from './book-clock.ts'
import { type BookRecords, type Held, type HeldWarrant, recordKeyOf } from './book-record.ts'
import type { BookState } from './book-state.ts'
import type { TrustBookOptions, TrustChange } from './book-types.ts'

/** Puts changes on disk, each with its audit entry, and then into memory. */
export interface BookWriter {
  /** One change at a time: a seq is taken once. */
  inTurn<T>(act: () => Promise<T>): Promise<T>
  /** Heads are written without an entry: they say nothing new. */
  keep(held: Held, change: TrustChange | undefined, dropped?: readonly Held[]): Promise<void>
  keepWarrant(held: HeldWarrant, change: TrustChange): Promise<void>
}

export interface BookWriterOptions extends Pick<TrustBookOptions, 'store' | 'commit'> {
  readonly records: BookRecords
  readonly state: BookState
  readonly time: SteadyTime
}

export function createBookWriter({ store, commit, records, state, time }: BookWriterOptions): BookWriter {
  let writing: Promise<unknown> = Promise.resolve()

  async function write(key: string, ops: readonly StoreOp[], change: TrustChange, remember: () => void): Promise<void> {
    try {
      await commit(change, store.qualify([...ops, time.op()]))
    } catch (error) {
      // A write that failed may have landed all the same: the disk decides, now as after a restart.
      if (await store.has(key).catch(() => false)) remember()
      throw error
    }
    remember()
  }
  return {
    inTurn(act) {
      const turn = writing.then(act)
      writing = turn.catch(() => undefined)
      return turn
    },
    async keep(held, change, dropped = []) {
      const op = records.put(held)
      if (change === undefined) {
        await store.batch([op])
        state.remember(held)
        return
      }
      await write(op.key, [op, ...dropped.map(({ statement }) => del(recordKeyOf(statement)))], change, () => {
        if (dropped.length > 0) state.forget(dropped)
        state.remember(held)
      })
    },
    async keepWarrant(held, change) {
      const op = records.putWarrant(held)
      await write(op.key, [op], change, () => state.rememberWarrant(held))
    },
  }
}
