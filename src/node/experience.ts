import { type Clock, type Did, type Logger, toMeshError } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Store } from '../store/index.ts'
import { askedEndedMax, type AskedEnd, type AskedRecord, createAskedRecords, readOutcome, type TaskOutcome } from '../tasks/index.ts'
import type { KeyBook, TrustBook } from '../trust/index.ts'

/** Outcomes that count: the newest. Source: trust/v1 section 6. */
export const outcomesMax = askedEndedMax

/** What this node lived through with others, from receipts of tasks it asked for that both sides signed. */
export interface LocalExperience {
  /** A task ended. */
  take(record: AskedRecord, end: AskedEnd): void
  /** Resolves when the receipts kept from before are counted. */
  readonly ready: Promise<void>
}

export interface LocalExperienceOptions {
  readonly keyring: Pick<Keyring, 'keys' | 'box'>
  /** The root store. */
  readonly store: Store
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Logger
  readonly keys: KeyBook
  readonly book: Pick<TrustBook, 'experience'>
}

/** Counts in the background what is on disk, and from then on whatever ends. Forged, swapped, replayed and half-signed receipts count for nothing. */
export function createLocalExperience({ keyring, store, clock, logger, keys, book }: LocalExperienceOptions): LocalExperience {
  /** By request, oldest first: what is shown twice counts once. */
  const outcomes = new Map<string, TaskOutcome>()

  function tell(): void {
    const sums = new Map<Did, { subject: Did; successes: number; failures: number }>()
    for (const { executor, verdict } of outcomes.values()) {
      const subject = keys.subject(executor)
      const sum = sums.get(subject) ?? { subject, successes: 0, failures: 0 }
      sums.set(subject, sum)
      if (verdict === 'success') sum.successes++
      else sum.failures++
    }
    book.experience([...sums.values()])
  }
  /** True when it changes anything. */
  function count(record: AskedRecord, end: AskedEnd): boolean {
    try {
      const outcome = readOutcome(record, end, { askers: keyring.keys, now: clock.now() })
      keys.check(outcome.executor, outcome.signedAt)
      if (outcome.verdict === 'own' || outcomes.has(outcome.request)) return false
      outcomes.set(outcome.request, outcome)
      if (outcomes.size > outcomesMax) outcomes.delete(outcomes.keys().next().value as string)
      return true
    } catch (error) {
      logger.warn('a receipt that does not count', { code: toMeshError(error).code })
      return false
    }
  }
  async function rebuild(): Promise<void> {
    const records = createAskedRecords(store, keyring)
    const all: AskedRecord[] = []
    for await (const record of records.load()) if (record.endedAt !== undefined) all.push(record)
    let isNew = false
    for (const record of all.toSorted((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0))) {
      for (const { id } of record.attempts) {
        const end = await records.end(id)
        if (end !== undefined && count(record, end)) isNew = true
      }
    }
    if (isNew) tell()
  }
  return {
    take(record, end) {
      if (count(record, end)) tell()
    },
    ready: rebuild().catch((error: unknown) => logger.warn('experience not counted', { code: toMeshError(error).code })),
  }
}
