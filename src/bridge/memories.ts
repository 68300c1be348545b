import { type Clock, fromUtf8, MeshError, utf8 } from '../base/index.ts'
import type { MemoryPolicy } from '../sandbox/index.ts'
import { del, put, type Range, type Store, type StoreOp } from '../store/index.ts'

/** Bytes of a key in UTF-8. Source: sandbox/v1 section 5.3. */
export const memoryKeyBytesMax = 256
/** Keys of one answer of `memory.list`; the next call goes on after the last. */
export const memoryKeysListedMax = 1_000

/** What one agent or asker remembers from run to run. Nothing of another can be named. */
export interface Memory {
  /** JSON text; undefined when there is none or its time is over. */
  get(key: string): Promise<string | undefined>
  /** On disk when it resolves. @throws ERR_HOST_QUOTA, ERR_HOST_ARGUMENTS */
  set(key: string, json: string, ttlMs: number | undefined): Promise<void>
  delete(key: string): Promise<boolean>
  /** Keys that begin so, in order, behind `after`. */
  list(prefix: string, after: string | undefined): Promise<readonly string[]>
  close(): void
}

/** The memories of everybody on this node, over one store. */
export interface Memories {
  open(partition: string, policy: MemoryPolicy): Memory
}

interface Held {
  bytes: number
  keys: number
}

interface Partition {
  readonly store: Store
  users: number
  held: Held | undefined
  /** Writes of a partition follow each other, whichever run they come from. */
  last: Promise<unknown>
}

interface Entry {
  /** Wall clock; 0 for ever. */
  readonly until: number
  readonly json: string
}

export function createMemories({ store, clock }: { readonly store: Store; readonly clock: Clock }): Memories {
  const partitions = new Map<string, Partition>()

  const isOver = ({ until }: Entry): boolean => until !== 0 && until <= clock.now()

  async function countAll(partition: Partition): Promise<Held> {
    const held: Held = { bytes: 0, keys: 0 }
    const over: StoreOp[] = []
    for await (const [key, value] of partition.store.range({})) {
      if (isOver(entryOf(value))) over.push(del(key))
      else {
        held.keys++
        held.bytes += sizeOf(key, value)
      }
    }
    if (over.length > 0) await partition.store.durable(over)
    return held
  }

  return {
    open(name, policy) {
      // Encoded, no name can reach into the keys of another.
      const id = encodeURIComponent(name)
      const partition = partitions.get(id) ?? { store: store.sub(id), users: 0, held: undefined, last: Promise.resolve() }
      partitions.set(id, partition)
      partition.users++
      let isOpen = true

      async function inTurn<T>(act: () => Promise<T>): Promise<T> {
        const result = partition.last.then(act)
        partition.last = result.catch(() => undefined)
        return await result
      }
      async function heldOf(): Promise<Held> {
        partition.held ??= await countAll(partition)
        return partition.held
      }
      const fits = ({ bytes, keys }: Held): boolean => bytes <= policy.maxBytes && keys <= policy.maxKeys

      return {
        async get(key) {
          const value = await partition.store.get(checkedKey(key))
          const entry = value === undefined ? undefined : entryOf(value)
          return entry === undefined || isOver(entry) ? undefined : entry.json
        },
        async set(given, json, ttlMs) {
          const key = checkedKey(given)
          const lifeMs = Math.min(...[ttlMs ?? 0, policy.ttlMs].filter((ms) => ms > 0))
          const value = utf8(`${Number.isFinite(lifeMs) ? clock.now() + lifeMs : 0}\n${json}`)
          const size = sizeOf(key, value)
          if (size > policy.maxBytes) throw new MeshError('ERR_HOST_QUOTA', `the entry exceeds the ${policy.maxBytes} bytes of this memory`)
          await inTurn(async () => {
            const before = await partition.store.get(key)
            const after = ({ bytes, keys }: Held): Held => ({
              bytes: bytes + size - (before === undefined ? 0 : sizeOf(key, before)),
              keys: keys + (before === undefined ? 1 : 0),
            })
            let next = after(await heldOf())
            if (!fits(next)) {
              // Entries whose time is over make room; the old one of this key may be among them.
              partition.held = await countAll(partition)
              const still = before !== undefined && (await partition.store.has(key))
              next = still || before === undefined ? after(partition.held) : { bytes: partition.held.bytes + size, keys: partition.held.keys + 1 }
            }
            if (!fits(next)) throw new MeshError('ERR_HOST_QUOTA', `this memory takes ${policy.maxBytes} bytes in ${policy.maxKeys} keys`)
            await partition.store.durable([put(key, value)])
            partition.held = next
          })
        },
        async delete(given) {
          const key = checkedKey(given)
          return await inTurn(async () => {
            const before = await partition.store.get(key)
            if (before === undefined) return false
            const { bytes, keys } = await heldOf()
            await partition.store.durable([del(key)])
            partition.held = { bytes: bytes - sizeOf(key, before), keys: keys - 1 }
            return !isOver(entryOf(before))
          })
        },
        async list(prefix, after) {
          if (prefix !== '') checkedKey(prefix)
          if (after !== undefined && !checkedKey(after).startsWith(prefix)) throw new MeshError('ERR_HOST_ARGUMENTS', 'after: not a key of this list')
          const start: Range = after === undefined ? { gte: prefix } : { gt: after }
          const keys: string[] = []
          for await (const [key, value] of partition.store.range(start)) {
            if (!key.startsWith(prefix) || keys.length === memoryKeysListedMax) break
            if (!isOver(entryOf(value))) keys.push(key)
          }
          return keys
        },
        close() {
          if (!isOpen) return
          isOpen = false
          partition.users--
          // A write on its way still counts for whoever opens the partition now.
          void partition.last.then(() => {
            if (partition.users === 0 && partitions.get(id) === partition) partitions.delete(id)
          })
        },
      }
    },
  }
}

function checkedKey(key: string): string {
  if (key === '' || !key.isWellFormed()) throw new MeshError('ERR_HOST_ARGUMENTS', 'a key is a text of at least one character')
  if (key.length > memoryKeyBytesMax || utf8(key).length > memoryKeyBytesMax) {
    throw new MeshError('ERR_HOST_QUOTA', `a key takes ${memoryKeyBytesMax} bytes at most`)
  }
  return key
}

const sizeOf = (key: string, value: Uint8Array): number => utf8(key).length + value.length

function entryOf(value: Uint8Array): Entry {
  const text = fromUtf8(value)
  const end = text.indexOf('\n')
  return { until: Number(text.slice(0, end)), json: text.slice(end + 1) }
}
