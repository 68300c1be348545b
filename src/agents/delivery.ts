import { type Clock, type Did, hex, type Logger, MeshError, minuteMs, type Random, secondMs, type SignalOption, toMeshError, within } from '../base/index.ts'
import type { PrekeyBundle } from '../envelope/index.ts'
import { batchStatementsMax, type Composed } from '../identity/index.ts'
import type { Carried } from '../protocols/klp/index.ts'
import type { Courier } from './courier.ts'
import { type Outbox, type OutboxItem, retryFirstMs, retryLastMs } from './outbox.ts'

/** One try over a link takes at most so long. */
const tryTimeoutMs = 30 * secondMs
/** Mailboxes are tried too when no link is there by then. */
const depositAfterMs = 1_500
/** What lies in mailboxes is sent again this often, sealed anew: the receiver may have lost its session. */
const redepositEveryMs = 6 * 60 * minuteMs

/** Puts sealed items into the mailboxes a bundle names; gives how many holders signed for it. @throws when none did */
export type Deposit = (item: {
  readonly recipient: PrekeyBundle
  readonly sealed: Uint8Array
  readonly expiresAt: number
  readonly signal?: AbortSignal | undefined
}) => Promise<readonly unknown[]>

export interface DeliveryOptions {
  readonly outbox: Outbox
  readonly courier: Courier
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  bundleOf(peer: Did, options: SignalOption): Promise<PrekeyBundle>
  isLinked(peer: Did): boolean
  /** The key in force for an identity. */
  keyOf(to: Did, options: SignalOption): Promise<Did>
  /** The same message to that key and from ours, when it is not already. */
  readdress(item: OutboxItem, key: Did): Carried | undefined
  deposit: Deposit
  /** Checks the answer to an item. @throws when it is not about it */
  checkAnswer(item: OutboxItem, answer: Composed): void
  onDelivered(item: OutboxItem): void
}

export type Outcome = { readonly status: 'acknowledged'; readonly receipt: string } | { readonly status: 'deposited' | 'queued' }

/** Brings what is in the outbox to its receivers: over their link, else into their mailboxes, again and again until acknowledged or expired. */
export interface Delivery {
  /** Tries now; resolves when the item is acknowledged or this round is over. Rejects with the receiver's refusal. */
  attempt(item: OutboxItem, options: SignalOption): Promise<Outcome>
  /** The receiver can be reached: what waits for it goes now. */
  kick(to: Did): void
  start(): void
  stop(): void
}

/** Answers after which trying again may help. Everything else the receiver has decided. */
const isPassing = ({ code }: MeshError): boolean =>
  /^ERR_(?:NET_|TIMEOUT|ABORTED|OVERLOADED|STOPPED|STORE_|INTERNAL|SESSION_LOST|SEAL_PREKEY|NO_PREKEYS|RECORD_)/.test(code)

interface Lane {
  isRunning: boolean
  again: boolean
  failures: number
  depositedAt: number
  cancelRetry?: (() => void) | undefined
}
interface Waiter {
  settle(outcome: Outcome | MeshError): void
}

export function createDelivery(options: DeliveryOptions): Delivery {
  const { outbox, courier, clock, random, logger } = options
  const lanes = new Map<Did, Lane>()
  const waiters = new Map<OutboxItem, Waiter[]>()
  let isStopped = false

  const settle = (item: OutboxItem, outcome: Outcome | MeshError): void => {
    for (const waiter of waiters.get(item) ?? []) waiter.settle(outcome)
    waiters.delete(item)
  }
  function laneOf(to: Did): Lane {
    const lane = lanes.get(to) ?? { isRunning: false, again: false, failures: 0, depositedAt: 0 }
    lanes.set(to, lane)
    return lane
  }
  function run(to: Did): void {
    const lane = laneOf(to)
    lane.again = true
    if (lane.isRunning || isStopped) return
    lane.isRunning = true
    lane.cancelRetry?.()
    lane.cancelRetry = undefined
    void rounds(to, lane).finally(() => {
      lane.isRunning = false
      if (isStopped) return
      if (lane.again) run(to)
      else if (outbox.due(to, 1).length === 0) lanes.delete(to)
      else retryLater(to, lane)
    })
  }
  function retryLater(to: Did, lane: Lane): void {
    const isHeld = outbox.due(to, batchStatementsMax).every(({ deposits }) => deposits > 0)
    const longest = isHeld ? redepositEveryMs : retryLastMs
    const wait = isHeld ? longest : Math.min(longest, retryFirstMs * 2 ** Math.min(lane.failures, 12))
    lane.cancelRetry = clock.after(wait / 2 + ((wait / 2) * (random.bytes(1)[0] ?? 0)) / 255, () => run(to))
  }
  async function rounds(to: Did, lane: Lane): Promise<void> {
    // The microtask lets messages sent in one turn go together.
    await Promise.resolve()
    while (!isStopped) {
      lane.again = false
      const items = outbox.due(to, batchStatementsMax)
      if (items.length === 0) return
      const isReached = await round(lane, items, await addressed(to, items)).catch((error: unknown) => {
        logger.warn('a round of delivery failed', { code: toMeshError(error).code })
        return false
      })
      lane.failures = isReached ? 0 : lane.failures + 1
      for (const item of items) if (outbox.find(item.statement.ref) === item) settle(item, { status: item.deposits > 0 ? 'deposited' : 'queued' })
      if (!isReached) return
    }
  }
  /** Keys change while messages wait. */
  async function addressed(to: Did, items: readonly OutboxItem[]): Promise<Did> {
    const key = await options.keyOf(to, { signal: within(clock, tryTimeoutMs, undefined, 'looking for a key') }).catch((cause: unknown) => {
      const { code } = toMeshError(cause)
      if (!code.startsWith('ERR_IDENTITY')) return to
      for (const item of items) {
        outbox.fail(item, { status: 'refused', code })
        settle(item, toMeshError(cause))
      }
      return to
    })
    for (const item of items) {
      const anew = options.readdress(item, key)
      if (anew !== undefined) outbox.replace(item, anew)
    }
    return key
  }
  /** One round; true when the receiver was reached and took or refused at least the first. */
  async function round(lane: Lane, items: readonly OutboxItem[], to: Did): Promise<boolean> {
    for (const item of items) item.tries++
    const over = new AbortController()
    const fallback = clock.after(depositAfterMs, () => void (options.isLinked(to) ? undefined : depositAll(to, lane, items, over.signal)))
    const results = await Promise.all(items.map((item) => post(to, item)))
    fallback()
    const isReached = results[0] !== 'failed'
    if (!isReached) await depositAll(to, lane, items, over.signal)
    over.abort()
    await outbox.note(items)
    return isReached
  }
  async function post(to: Did, item: OutboxItem): Promise<'done' | 'failed'> {
    const signal = within(clock, tryTimeoutMs, undefined, 'a try')
    try {
      const answer = await courier.post(to, item.statement, { ttlMs: tryTimeoutMs, signal })
      options.checkAnswer(item, answer)
      acknowledge(item, answer.ref)
      return 'done'
    } catch (cause) {
      const error = toMeshError(cause)
      if (error.code === 'ERR_REPLAYED') acknowledge(item, item.statement.ref)
      else if (isPassing(error)) return 'failed'
      else {
        outbox.fail(item, { status: 'refused', code: error.code })
        settle(item, error)
      }
      return 'done'
    }
  }
  function acknowledge(item: OutboxItem, receipt: string): void {
    outbox.done(item)
    settle(item, { status: 'acknowledged', receipt })
    options.onDelivered(item)
  }

  /** One deposit at a time and in order; what a holder has signed for is not put there again before long. */
  const depositing = new Map<Did, Promise<void>>()
  function depositAll(to: Did, lane: Lane, items: readonly OutboxItem[], signal: AbortSignal): Promise<void> {
    const running = depositing.get(to) ?? depositNow(to, lane, items, signal).finally(() => depositing.delete(to))
    depositing.set(to, running)
    return running
  }
  async function depositNow(to: Did, lane: Lane, items: readonly OutboxItem[], signal: AbortSignal): Promise<void> {
    const isAgain = lane.depositedAt + redepositEveryMs / 2 < clock.monotonic()
    const wanted = items.filter(({ deposits }) => deposits === 0 || isAgain)
    if (wanted.length === 0) return
    try {
      const recipient = await options.bundleOf(to, { signal: within(clock, tryTimeoutMs, signal, 'looking for prekeys') })
      if (recipient.mailboxes.length === 0) return
      for (const item of wanted) {
        if (signal.aborted || outbox.find(item.statement.ref) !== item) continue
        const sealed = await courier.sealStored(to, item.statement, { signal })
        const receipts = await options.deposit({ recipient, sealed, expiresAt: item.expiresAt, signal: within(clock, tryTimeoutMs, undefined, 'a deposit') })
        item.deposits = Math.max(item.deposits, receipts.length)
      }
      lane.depositedAt = clock.monotonic()
      await outbox.note(wanted)
    } catch (error) {
      const { code, message } = toMeshError(error)
      logger.info('not deposited', { to, code, message, id: hex(wanted[0]?.statement.statement.id ?? new Uint8Array()) })
    }
  }

  return {
    attempt(item, { signal }) {
      return new Promise((resolve, reject) => {
        const waiter: Waiter = {
          settle(outcome) {
            signal?.removeEventListener('abort', onAbort)
            if (outcome instanceof MeshError) reject(outcome)
            else resolve(outcome)
          },
        }
        // Whoever gives up waiting leaves the item in the outbox.
        const onAbort = (): void => waiter.settle({ status: item.deposits > 0 ? 'deposited' : 'queued' })
        signal?.addEventListener('abort', onAbort, { once: true })
        waiters.set(item, [...(waiters.get(item) ?? []), waiter])
        run(item.to)
      })
    },
    kick(to) {
      if (outbox.due(to, 1).length > 0) run(to)
    },
    start() {
      for (const to of outbox.receivers()) run(to)
    },
    stop() {
      isStopped = true
      for (const lane of lanes.values()) lane.cancelRetry?.()
      for (const item of waiters.keys()) settle(item, { status: item.deposits > 0 ? 'deposited' : 'queued' })
    },
  }
}
