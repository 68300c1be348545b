import type { Audit } from '../audit/index.ts'
import type { Did, Logger, SignalOption } from '../base/index.ts'
import type { TaskDecision } from '../protocols/task/index.ts'
import type { Store } from '../store/index.ts'
import type { AskedEnd, AskedRecord, AskedStatus, AskedTask } from './asked-records.ts'
import type { AttemptOptions } from './asker-attempt.ts'
import type { PreparedOrder, TaskOrder, TaskProgress, TaskResult } from './asker-order.ts'
import type { ReceiptDocument } from './receipt.ts'
import type { LogCut, LogLine } from './task-log.ts'

export interface AskerOptions extends AttemptOptions {
  readonly audit: Audit
  /** The root store. */
  readonly store: Store
  readonly logger: Logger
  /** Whose key it is, and which is in force. */
  readonly keys: { subject(key: Did): Did; current(identity: Did, options: SignalOption): Promise<Did> }
  /** After both signatures under the end of a task are on disk. */
  ended?(record: AskedRecord, end: AskedEnd): void
  /** Picks who runs a task for `any`: never one of `tried` while there are others. @throws ERR_NOT_FOUND, ERR_CAPABILITY_DENIED */
  choose(order: PreparedOrder, options: { readonly tried: readonly Did[]; readonly signal: AbortSignal }): Promise<Choice>
}

export interface Choice {
  /** The key to reach. */
  readonly executor: Did
  /** One sentence. */
  readonly why: string
}

export interface TaskDescription extends AskedTask {
  readonly progress: { readonly fraction: number; readonly note: string } | null
  readonly result: unknown
  readonly usage: TaskResult['usage'] | null
  readonly document: ReceiptDocument | null
}

export type TaskLogItem = ({ readonly type: 'cut' } & LogCut) | ({ readonly type: 'line' } & LogLine) | { readonly type: 'end'; readonly status: AskedStatus }

/** Tasks on other machines. */
export interface AskedTasks {
  /**
   * Runs code on another machine. Yields progress and ends with one `result`, of which both sides then hold a receipt signed by both.
   * Aborting or leaving early stops the task.
   * @throws ERR_TRUST_LOW, ERR_POLICY_DENIED, ERR_SANDBOX_UNAVAILABLE, ERR_OVERLOADED, ERR_RECEIPT_INVALID, ERR_TASK_LOST, ERR_TIMEOUT, ERR_NET_*, ERR_USAGE
   */
  run(order: TaskOrder, options?: SignalOption): AsyncGenerator<TaskProgress>
  /** The same, but it goes on by itself; resolves once it is on disk. */
  start(order: TaskOrder): Promise<AskedTask>
  /** Those that go on, then those that ended, the newest first. */
  list(): readonly AskedTask[]
  /** By its id, or the beginning of one. @throws ERR_NOT_FOUND, ERR_USAGE when several fit */
  describe(id: string): Promise<TaskDescription>
  /** What it printed; with `follow` until it ends. */
  logs(id: string, options?: SignalOption & { readonly follow?: boolean }): AsyncGenerator<TaskLogItem>
  /** Stops a task; resolves once it has ended. False when it had already. */
  stop(id: string): Promise<{ readonly id: string; readonly stopped: boolean; readonly status: AskedStatus }>
}

export interface Asker {
  readonly tasks: AskedTasks
  /** Bytes of the signed request that would be sent. @throws ERR_WIRE_TOO_LARGE */
  sizeOf(order: PreparedOrder, executor: Did): number
  /** Asks one executor whether it would take an order. @throws its coded refusal, ERR_NET_* */
  probe(order: PreparedOrder, executor: Did, options: { readonly signal: AbortSignal }): Promise<TaskDecision>
  /** This peer is here again: what it may still know of lost tasks is asked for. */
  wake(peer: Did): void
  /** Somebody says that a task ended. */
  hint(from: Did, requestHash: string): void
  /** Leaves what goes on to the next start. */
  stop(): Promise<void>
}
