import { type Clock, type Did, secondMs } from '../base/index.ts'

/** What a run costs its asker at least. */
export const runCostMsMin = 10
/** What a run is believed to cost before one of the asker has ended. */
const firstCostMs = secondMs
/** Askers that are remembered while they have nothing here. */
const idleAccountsMax = 1_000

/** By how many of its asker's runs a task is brought forward or put back against those of others, by priority 0 to 9. Source: task/v1 section 6. */
export const lifts = [-1, -1, -1, 0, 0, 0, 0, 1, 1, 2] as const

/** A task's place from when it is taken until it has ended. */
export interface Place {
  /** Resolves when it may run. @throws the signal's reason when that comes first */
  turn(signal: AbortSignal): Promise<void>
  /** It is over, or never mind. Idempotent. */
  leave(): void
}

/**
 * Tasks wait per asker and run in a fair order: whoever has used least of the slots goes first, by start-time fair queueing over the time the runs really took.
 * A priority orders the tasks of one asker, and brings one forward against others by at most two runs: it is paid for like any other, so nobody's share grows by it.
 */
export interface FairQueue {
  /** `onMove` is called with each new position while it waits: how many would run before it as things are. */
  enter(asker: Did, priority: number, onMove: (position: number) => void): Place
}

interface Entry {
  readonly account: Account
  readonly priority: number
  readonly order: number
  readonly onMove: (position: number) => void
  start: (() => void) | undefined
  position: number
}

interface Account {
  readonly asker: Did
  /** Where its next run begins, in time used per asker; what runs now counts with what it is believed to cost. */
  tag: number
  /** Of that, what is only believed. */
  believed: number
  /** Mean cost of its runs, ms. */
  cost: number
  isMeasured: boolean
  running: number
  readonly waiting: Entry[]
}

/** `slots` run at a time. */
export function createFairQueue({ slots, clock }: { readonly slots: number; readonly clock: Pick<Clock, 'monotonic'> }): FairQueue {
  const accounts = new Map<Did, Account>()
  let running = 0
  let order = 0
  /** Lowest tag among those who want something: who comes anew begins there and has saved up nothing. */
  let virtual = 0

  const isActive = ({ running: own, waiting }: Account): boolean => own > 0 || waiting.length > 0
  function activate(asker: Did): Account {
    const known = accounts.get(asker) ?? { asker, tag: 0, believed: 0, cost: firstCostMs, isMeasured: false, running: 0, waiting: [] }
    if (isActive(known)) return known
    let lowest = Infinity
    for (const account of accounts.values()) if (isActive(account)) lowest = Math.min(lowest, account.tag - account.believed)
    if (lowest !== Infinity) virtual = Math.max(virtual, lowest)
    known.tag = Math.max(known.tag, virtual)
    accounts.delete(asker)
    accounts.set(asker, known)
    for (const [name, account] of accounts) {
      if (accounts.size <= idleAccountsMax) break
      if (!isActive(account) && name !== asker) accounts.delete(name)
    }
    return known
  }
  /** Whose first task is next, if `ahead` were served already. */
  function choose(ahead: ReadonlyMap<Account, number>): Entry | undefined {
    let best: Entry | undefined
    let bestRank = Infinity
    for (const account of accounts.values()) {
      const served = ahead.get(account) ?? 0
      const entry = account.waiting[served]
      if (entry === undefined) continue
      const rank = account.tag + served * account.cost - (lifts[entry.priority] ?? 0) * account.cost
      if (rank < bestRank || (rank === bestRank && entry.order < (best?.order ?? Infinity))) [best, bestRank] = [entry, rank]
    }
    return best
  }
  function dispatch(): void {
    while (running < slots) {
      const entry = choose(new Map())
      if (entry === undefined) break
      const { account } = entry
      account.waiting.shift()
      account.running++
      running++
      account.tag += account.cost
      account.believed += account.cost
      entry.start?.()
    }
    const ahead = new Map<Account, number>()
    const moved: Entry[] = []
    for (let position = 0; ; position++) {
      const entry = choose(ahead)
      if (entry === undefined) break
      ahead.set(entry.account, (ahead.get(entry.account) ?? 0) + 1)
      if (entry.position !== position) moved.push(entry)
      entry.position = position
    }
    for (const { onMove, position } of moved) onMove(position)
  }

  return {
    enter(asker, priority, onMove) {
      const account = activate(asker)
      const entry: Entry = { account, priority, order: order++, onMove, start: undefined, position: -1 }
      const started = Promise.withResolvers<void>()
      let startedAt: number | undefined
      let charged = 0
      let hasLeft = false
      entry.start = () => {
        startedAt = clock.monotonic()
        charged = account.cost
        started.resolve()
      }
      const before = account.waiting.findIndex((other) => other.priority < priority)
      account.waiting.splice(before === -1 ? account.waiting.length : before, 0, entry)
      dispatch()

      function leave(): void {
        if (hasLeft) return
        hasLeft = true
        if (startedAt === undefined) {
          account.waiting.splice(account.waiting.indexOf(entry), 1)
        } else {
          const used = Math.max(runCostMsMin, clock.monotonic() - startedAt)
          account.tag += used - charged
          account.believed -= charged
          account.cost = account.isMeasured ? (3 * account.cost + used) / 4 : used
          account.isMeasured = true
          account.running--
          running--
        }
        dispatch()
      }
      return {
        async turn(signal) {
          signal.throwIfAborted()
          const onAbort = Promise.withResolvers<never>()
          const abort = (): void => onAbort.reject(signal.reason)
          signal.addEventListener('abort', abort, { once: true })
          try {
            await Promise.race([started.promise, onAbort.promise])
          } finally {
            signal.removeEventListener('abort', abort)
          }
        },
        leave,
      }
    },
  }
}
