import { type Clock, type Did, hex, type Logger, MeshError, minuteMs, type Random, secondMs, type SignalOption, toMeshError, within } from '../base/index.ts'
import type { PrekeyBundle } from '../envelope/index.ts'
import type { Composed } from '../identity/index.ts'
import { type Carried, groupsOf } from '../protocols/klp/index.ts'
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
  /** The receiver has it: `receipt` names the statement that says so. */
  acknowledge(item: OutboxItem, receipt: string): void
  /** The receiver can be reached: what waits for it goes now, unless the receiver has said when to come back. */
  kick(to: Did): void
  start(): void
  stop(): void
}

/** Answers after which trying again may help, and no other message fares better meanwhile. */
const isOfAll = ({ code }: MeshError): boolean =>
  /^ERR_(?:NET_|TIMEOUT|ABORTED|OVERLOADED|STOPPED|STORE_|SESSION_LOST|SEAL_PREKEY|NO_PREKEYS|RECORD_)/.test(code)
/** Answers after which trying this one again may help. Everything else the receiver has decided. */
const isPassing = (error: MeshError): boolean => isOfAll(error) || error.code === 'ERR_INTERNAL'
/** The receiver is there and cannot take more now. */
const isFull = ({ code }: MeshError): boolean => code === 'ERR_OVERLOADED' || code.startsWith('ERR_STORE_')

interface Lane {
  /** The identity. */
  readonly to: Did
  isRunning: boolean
  again: boolean
  failures: number
  depositedAt: number
  /** Nothing is tried before: the receiver said so. Monotonic clock. */
  notBefore: number
  cancelRetry?: (() => void) | undefined
}
/** A message that fails by itself waits by itself. */
interface Hold {
  readonly failures: number
  /** Monotonic clock. */
  readonly until: number
}
interface Waiter {
  settle(outcome: Outcome | MeshError): void
}

export function createDelivery(options: DeliveryOptions): Delivery {
  const { outbox, courier, clock, random, logger } = options
  const lanes = new Map<Did, Lane>()
  const holds = new WeakMap<OutboxItem, Hold>()
  const waiters = new Map<OutboxItem, Waiter[]>()
  let isStopped = false

  const settle = (item: OutboxItem, outcome: Outcome | MeshError): void => {
    const all = waiters.get(item)
    waiters.delete(item)
    for (const waiter of all ?? []) waiter.settle(outcome)
  }
  const stateOf = ({ deposits }: OutboxItem): Outcome => ({ status: deposits > 0 ? 'deposited' : 'queued' })
  /** The rounds are over for whoever waits, unless its message came meanwhile and is tried at once. */
  function settleLeft(to: Did, lane: Lane): void {
    const isOver = !lane.again || lane.notBefore > clock.monotonic()
    for (const item of outbox.line(to)) if (waiters.has(item) && (isOver || item.tries > 0)) settle(item, stateOf(item))
  }
  const isHeld = (item: OutboxItem): boolean => (holds.get(item)?.until ?? 0) > clock.monotonic()
  function laneOf(to: Did): Lane {
    const lane = lanes.get(to) ?? { to, isRunning: false, again: false, failures: 0, depositedAt: 0, notBefore: 0 }
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
      else if (outbox.line(to).length > 0 || lane.notBefore > clock.monotonic()) retryLater(to, lane)
      else lanes.delete(to)
    })
  }
  const byChance = (wait: number): number => wait / 2 + ((wait / 2) * (random.bytes(1)[0] ?? 0)) / 255
  const doubled = (failures: number): number => Math.min(retryLastMs, retryFirstMs * 2 ** Math.min(failures, 12))
  function retryLater(to: Did, lane: Lane): void {
    const [now, line] = [clock.monotonic(), outbox.line(to)]
    const free = line.filter((item) => !isHeld(item))
    const again =
      free.length === 0 ? Number.POSITIVE_INFINITY : byChance(free.every(({ deposits }) => deposits > 0) ? redepositEveryMs : doubled(lane.failures))
    const next = line.reduce((soonest, item) => Math.min(soonest, isHeld(item) ? (holds.get(item)?.until ?? 0) - now : soonest), again)
    // Whoever waits learns in time that a message has expired.
    const expiry = line.reduce((soonest, { expiresAt }) => Math.min(soonest, expiresAt - clock.now()), retryLastMs * 100)
    lane.cancelRetry = clock.after(Math.max(0, Math.min(Math.max(next, lane.notBefore - now), expiry)), () => run(to))
  }
  async function rounds(to: Did, lane: Lane): Promise<void> {
    // The microtask lets messages sent in one turn go together.
    await Promise.resolve()
    while (!isStopped) {
      lane.again = false
      for (const item of outbox.expire(to)) settle(item, new MeshError('ERR_STATEMENT_EXPIRED', 'the message was not delivered in its time'))
      if (lane.notBefore > clock.monotonic()) break
      // One request at a time, so that none overtakes another.
      const [items] = groupsOf(
        outbox.line(to).filter((item) => !isHeld(item)),
        ({ statement }) => statement.body.length,
      )
      if (items === undefined) break
      const key = await addressed(to, items)
      if (key === undefined) continue
      const isReached = await round(key, lane, items).catch((error: unknown) => {
        logger.warn('a round of delivery failed', { code: toMeshError(error).code })
        lane.failures++
        return false
      })
      if (!isReached) break
    }
    settleLeft(to, lane)
  }
  /** Keys change while messages wait. Undefined when there is none any more: they are given up. */
  async function addressed(to: Did, items: readonly OutboxItem[]): Promise<Did | undefined> {
    const key = await options.keyOf(to, { signal: within(clock, tryTimeoutMs, undefined, 'looking for a key') }).catch((cause: unknown) => {
      const { code } = toMeshError(cause)
      if (!code.startsWith('ERR_IDENTITY')) return to
      for (const item of items) {
        outbox.fail(item, { status: 'refused', code })
        settle(item, toMeshError(cause))
      }
      return undefined
    })
    if (key === undefined) return undefined
    for (const item of items) {
      const anew = options.readdress(item, key)
      if (anew !== undefined) outbox.replace(item, anew)
    }
    return key
  }
  /** One round; true when nothing speaks against the next at once. */
  async function round(to: Did, lane: Lane, items: readonly OutboxItem[]): Promise<boolean> {
    for (const item of items) item.tries++
    const over = new AbortController()
    const fallback = clock.after(depositAfterMs, () => void (options.isLinked(to) ? undefined : depositAll(to, lane, over.signal)))
    const late = new AbortController()
    const stopTimer = clock.after(tryTimeoutMs, () => late.abort(new MeshError('ERR_TIMEOUT', `a try took longer than ${tryTimeoutMs} ms`)))
    const results = await Promise.all(items.map((item) => post(to, item, late.signal)))
    fallback()
    stopTimer()
    const failures = results.map((error, index) => ({ error, item: items[index] })).filter(({ error }) => error !== undefined)
    const isAnswered = failures.length < items.length
    let failed: MeshError | undefined
    for (const { error, item } of failures) {
      if (error === undefined || item === undefined) continue
      // One that alone gets no answer among others that do is the trouble itself: those behind it do not wait for it.
      const isOwn = !isOfAll(error) || (isAnswered && error.code === 'ERR_TIMEOUT')
      if (isOwn) hold(item)
      else failed ??= error
    }
    if (failed !== undefined) {
      lane.failures = isAnswered ? 0 : lane.failures + 1
      const wait = Number(failed.details?.['retryAfterMs'] ?? 0)
      if (wait > 0) lane.notBefore = clock.monotonic() + wait
      if (!isFull(failed)) await depositAll(to, lane, over.signal)
    } else lane.failures = 0
    over.abort()
    await outbox.note(items)
    return failed === undefined
  }
  function hold(item: OutboxItem): void {
    const failures = holds.get(item)?.failures ?? 0
    holds.set(item, { failures: failures + 1, until: clock.monotonic() + byChance(doubled(failures)) })
    settle(item, stateOf(item))
  }
  /** Undefined when the receiver has decided, else why it has not. */
  async function post(to: Did, item: OutboxItem, signal: AbortSignal): Promise<MeshError | undefined> {
    try {
      const answer = await courier.post(to, item.statement, { ttlMs: tryTimeoutMs, signal })
      options.checkAnswer(item, answer)
      acknowledge(item, answer.ref)
    } catch (cause) {
      const error = toMeshError(cause)
      if (error.code === 'ERR_REPLAYED') acknowledge(item, item.statement.ref)
      else if (isPassing(error)) return error
      // A node that is starting listens before it speaks: a link that could not be opened is no word of the receiver about a message.
      else if (error.code === 'ERR_PROTOCOL' && !options.isLinked(to)) return new MeshError('ERR_NET_UNREACHABLE', error.message, { cause: error })
      else {
        outbox.fail(item, { status: 'refused', code: error.code })
        settle(item, error)
      }
    }
    return undefined
  }
  function acknowledge(item: OutboxItem, receipt: string): void {
    if (outbox.find(item.statement.ref) !== item) return
    outbox.done(item)
    settle(item, { status: 'acknowledged', receipt })
    options.onDelivered(item)
  }

  /** One deposit at a time and in order; what a holder has signed for is not put there again before long. */
  const depositing = new Map<Did, Promise<void>>()
  function depositAll(to: Did, lane: Lane, signal: AbortSignal): Promise<void> {
    const running = depositing.get(to) ?? depositNow(to, lane, signal).finally(() => depositing.delete(to))
    depositing.set(to, running)
    return running
  }
  async function depositNow(to: Did, lane: Lane, signal: AbortSignal): Promise<void> {
    const isAgain = lane.depositedAt + redepositEveryMs / 2 < clock.monotonic()
    const wanted = outbox.line(lane.to).filter(({ deposits }) => deposits === 0 || isAgain)
    if (wanted.length === 0) return
    const noted: OutboxItem[] = []
    try {
      const recipient = await options.bundleOf(to, { signal: within(clock, tryTimeoutMs, signal, 'looking for prekeys') })
      for (const item of wanted) {
        if (signal.aborted || isStopped) break
        if (outbox.find(item.statement.ref) !== item) continue
        const anew = options.readdress(item, to)
        if (anew !== undefined) outbox.replace(item, anew)
        const sealed = await courier.sealStored(to, item.statement, { signal })
        const receipts = await options.deposit({ recipient, sealed, expiresAt: item.expiresAt, signal: within(clock, tryTimeoutMs, undefined, 'a deposit') })
        item.deposits = Math.max(item.deposits, receipts.length)
        noted.push(item)
      }
    } catch (error) {
      const { code, message } = toMeshError(error)
      logger.info('not deposited', { to, code, message, id: hex(wanted[0]?.statement.statement.id ?? new Uint8Array()) })
    }
    if (noted.length === 0) return
    lane.depositedAt = clock.monotonic()
    await outbox.note(noted).catch((error: unknown) => logger.warn('deposits not noted', { code: toMeshError(error).code }))
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
        const onAbort = (): void => waiter.settle(stateOf(item))
        signal?.addEventListener('abort', onAbort, { once: true })
        waiters.set(item, [...(waiters.get(item) ?? []), waiter])
        if (isStopped || signal?.aborted === true) settle(item, stateOf(item))
        if (!isStopped) run(item.to)
      })
    },
    acknowledge,
    kick(to) {
      if (outbox.line(to).length > 0) run(to)
    },
    start() {
      for (const to of outbox.receivers()) run(to)
    },
    stop() {
      isStopped = true
      for (const lane of lanes.values()) lane.cancelRetry?.()
      for (const item of [...waiters.keys()]) settle(item, stateOf(item))
    },
  }
}
