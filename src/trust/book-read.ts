import { type Did, MeshError } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Store, StoreOp } from '../store/index.ts'
import { type BookRecords, type Held, type HeldWarrant, statementsEnd, timeKey, warrantsRange } from './book-record.ts'

/** What was on disk. */
export interface BookRead {
  readonly held: readonly Held[]
  readonly warrants: readonly HeldWarrant[]
  readonly highestTime: number
  /** Keys of others of which something could not be read: it is asked for anew. */
  readonly damaged: ReadonlySet<Did>
}

export interface BookReadOptions {
  readonly store: Store
  readonly records: BookRecords
  readonly keyring: Pick<Keyring, 'keys'>
}

/**
 * Reads everything kept without checking a signature twice. What was damaged is left out: of others it can be had again, of one's own it cannot.
 * @throws ERR_TRUST_DAMAGED for a statement of one's own
 */
export async function readBook({ store, records, keyring }: BookReadOptions): Promise<BookRead> {
  const held: Held[] = []
  const warrants: HeldWarrant[] = []
  const damaged = new Set<Did>()
  const unmarked: StoreOp[] = []
  let highestTime = 0
  for await (const [key, value] of store.range({ lt: statementsEnd })) {
    const one = readable(() => records.open(key, value))
    if (one === undefined) {
      const issuer = key.slice(0, key.indexOf('/')) as Did
      if (keyring.keys.includes(issuer)) records.open(key, value)
      damaged.add(issuer)
      continue
    }
    held.push(one.held)
    if (!one.isMarked) unmarked.push(records.put(one.held))
    highestTime = Math.max(highestTime, one.held.firstSeenAt)
  }
  for await (const [key, value] of store.range(warrantsRange)) {
    const warrant = readable(() => records.openWarrant(key, value))
    if (warrant === undefined) {
      damaged.add(key.split('/')[1] as Did)
      continue
    }
    warrants.push(warrant)
    highestTime = Math.max(highestTime, warrant.firstSeenAt)
  }
  const time = await store.get(timeKey)
  if (time !== undefined) highestTime = Math.max(highestTime, readable(() => records.openTime(time)) ?? 0)
  if (unmarked.length > 0) await store.batch(unmarked)
  return { held, warrants, highestTime, damaged }
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof MeshError) return undefined
    throw error
  }
}
