import { MeshError } from '../../src/base/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'

/** A disk that can be told to fail, or to take the whole node down, at a write counted from `arm`. */
export interface FaultyDisk {
  readonly store: MemoryStore
  /** At the `write`th durable write from now: refuse it, say that it failed although it is on disk, or lose power just before or just after it. */
  arm(write: number, how: 'fail' | 'fail-late' | 'cut-before' | 'cut-after', onCut?: () => void): void
  /** Works again, with what was synced. */
  repair(): void
  /** Whether the armed write came. */
  readonly struck: boolean
  /** Durable writes since `arm`. */
  readonly writes: number
}

export function createFaultyDisk(): FaultyDisk {
  let writes = 0
  let armed = Number.POSITIVE_INFINITY
  let how: Parameters<FaultyDisk['arm']>[1] = 'fail'
  let onCut = (): void => undefined
  let isDown = false
  let struck = false
  let isLate = false

  const cut = (): void => {
    isDown = true
    onCut()
    inner.crash()
  }
  const inner = createMemoryStore({
    fault(_write, durable) {
      // Code of the dead node that still runs in this process writes nowhere.
      if (isDown) return 'fail'
      if (!durable || ++writes !== armed) return undefined
      struck = true
      if (how === 'cut-after') {
        // Before anybody who waits for this write is told.
        queueMicrotask(cut)
        return undefined
      }
      if (how === 'fail-late') {
        isLate = true
        return undefined
      }
      if (how === 'cut-before') cut()
      return 'fail'
    },
  })
  const store: MemoryStore = {
    ...inner,
    async durable(ops) {
      await inner.durable(ops)
      if (!isLate) return
      isLate = false
      throw new MeshError('ERR_STORE_FAILED', 'the sync failed, the write did not')
    },
  }
  return {
    store,
    arm(write, kind, act = () => undefined) {
      writes = 0
      armed = write
      how = kind
      onCut = act
      struck = false
    },
    repair() {
      armed = Number.POSITIVE_INFINITY
      isLate = false
      isDown = false
    },
    get struck() {
      return struck
    },
    get writes() {
      return writes
    },
  }
}
