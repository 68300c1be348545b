import { Level } from 'level'
import { MeshError } from '../base/index.ts'
import type { Range, Store, StoreOp } from './store.ts'
import { prefixed } from './prefixed.ts'

interface Waiting {
  readonly ops: readonly StoreOp[]
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Operations one sync may carry; more wait for the next. */
export const groupOpsMax = 4_096

// classic-level hands out Buffers.
const plain = (value: Uint8Array): Uint8Array => new Uint8Array(value.buffer, value.byteOffset, value.byteLength)

const failed = (cause: unknown): MeshError => {
  const code = (cause as { readonly code?: string } | undefined)?.code
  if (code === 'LEVEL_DATABASE_NOT_OPEN') return new MeshError('ERR_STORE_CLOSED', 'the store is closed', { cause })
  return new MeshError('ERR_STORE_FAILED', `the store failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
}

/**
 * Opens or creates the store in `path`.
 * @throws ERR_PROFILE_LOCKED when another process has it open, ERR_STORE_FAILED when it does not open
 */
export async function createLevelStore(path: string): Promise<Store> {
  const db = new Level<string, Uint8Array>(path, { keyEncoding: 'utf8', valueEncoding: 'view' })
  try {
    await db.open()
  } catch (error) {
    const cause = (error as { readonly cause?: { readonly code?: string } }).cause
    if (cause?.code === 'LEVEL_LOCKED') throw new MeshError('ERR_PROFILE_LOCKED', `another process has ${path} open`, { cause: error })
    throw failed(cause ?? error)
  }

  const write = (ops: readonly StoreOp[], options: { readonly sync: boolean }): Promise<void> => db.batch<string, Uint8Array>([...ops], options)

  const waiting: Waiting[] = []
  let flushing: Promise<void> | undefined

  function takeGroup(): Waiting[] {
    let count = 0
    let size = 0
    for (const { ops } of waiting) {
      if (count > 0 && size + ops.length > groupOpsMax) break
      size += ops.length
      count++
    }
    return waiting.splice(0, count)
  }
  async function flush(): Promise<void> {
    while (waiting.length > 0) {
      const group = takeGroup()
      try {
        await write(
          group.flatMap(({ ops }) => ops),
          { sync: true },
        )
        for (const { resolve } of group) resolve()
      } catch (error) {
        const reason = failed(error)
        // What was queued behind a failed write was decided on the belief that it lands: it fails too.
        for (const { reject } of [...group, ...waiting.splice(0)]) reject(reason)
      }
    }
    flushing = undefined
  }
  const guarded = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await act()
    } catch (error) {
      throw failed(error)
    }
  }
  const root: Store = {
    get: (key) =>
      guarded(async () => {
        const value = await db.get(key)
        return value === undefined ? undefined : plain(value)
      }),
    has: (key) => guarded(() => db.has(key)),
    async *range(range: Range) {
      let iterator: { close(): Promise<void> } | undefined
      try {
        const entriesOf = db.iterator<string, Uint8Array>(range)
        iterator = entriesOf
        // In chunks: one call into the database for many entries.
        for (let entries = await entriesOf.nextv(512); entries.length > 0; entries = await entriesOf.nextv(512)) {
          for (const [key, value] of entries) yield [key, plain(value)] as const
        }
      } catch (error) {
        throw failed(error)
      } finally {
        await iterator?.close()
      }
    },
    batch: (ops) => guarded(() => write(ops, { sync: false })),
    durable: (ops) =>
      new Promise<void>((resolve, reject) => {
        if (db.status !== 'open') {
          reject(new MeshError('ERR_STORE_CLOSED', 'the store is closed'))
          return
        }
        waiting.push({ ops, resolve, reject })
        // A microtask later, so that everything queued in this turn shares the first sync.
        flushing ??= Promise.resolve().then(flush)
      }),
    qualify: (ops) => ops,
    sub: (prefix) => prefixed(root, prefix),
    async close() {
      await flushing
      await guarded(() => db.close())
    },
  }
  return root
}
