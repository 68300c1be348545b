import { type Did, type ErrorCode, isErrorCode, MeshError } from '../base/index.ts'
import { openStatement, type Signed } from '../identity/index.ts'
import { receiptLifetimeMs } from '../protocols/task/index.ts'
import { type AskedRecord, fileViewOf } from './asked-records.ts'
import type { Request, ResultEvent } from './asker-attempt.ts'
import type { ReceivedFile } from './asker-files.ts'
import type { PreparedOrder, TaskProgress, TaskResult } from './asker-order.ts'
import type { Feed } from './feed.ts'
import type { ReceiptDocument } from './receipt.ts'
import type { LogLine, TaskLog } from './task-log.ts'

/** Failures after which another attempt of an idempotent task may end better. Source: task/v1 section 9. */
export const retryable = /^ERR_(?:NET_.*|TIMEOUT|OVERLOADED|TASK_LOST|TASK_NOT_RUN|SANDBOX_CRASHED|RECORD_MISSING|STOPPED)$/
/** Ends of a stream that say nothing about the task. */
export const cut = /^ERR_(?:NET_.*|TIMEOUT|RECORD_MISSING)$/

/** A task that is asked for, in memory. */
export interface Job {
  record: AskedRecord
  order: PreparedOrder | undefined
  log: TaskLog | undefined
  lines: number
  progress: { readonly fraction: number; readonly note: string } | undefined
  readonly feeds: Set<Feed<TaskProgress>>
  readonly logFeeds: Set<Feed<LogLine>>
  readonly stopper: AbortController
  /** The attempt that goes on may have left this machine. */
  isSent: boolean
  /** Resolves when the first attempt is on disk, or all is over. */
  readonly recorded: PromiseWithResolvers<void>
  driving: Promise<void> | undefined
}

export const createJob = (record: AskedRecord, order: PreparedOrder | undefined): Job => ({
  record,
  order,
  log: undefined,
  lines: 0,
  progress: undefined,
  feeds: new Set(),
  logFeeds: new Set(),
  stopper: new AbortController(),
  isSent: false,
  recorded: Promise.withResolvers(),
  driving: undefined,
})

/** Whether it ran is not known. */
export const isLoss = ({ isSent }: Job, { code, details }: MeshError): boolean =>
  code === 'ERR_TASK_LOST' || (isSent && code === 'ERR_TIMEOUT' && details?.['refused'] !== true)

export const codeOf = (code: string | undefined): ErrorCode => (isErrorCode(code) ? code : 'ERR_REFUSED')

export const bodiesOf = (order: PreparedOrder | undefined): { bodies?: () => AsyncIterable<Uint8Array> } => {
  if (order === undefined || order.files.length === 0) return {}
  return {
    async *bodies() {
      for (const file of order.files) yield* file.read()
    },
  }
}

export const countersignedOf = (bytes: Uint8Array): Signed =>
  openStatement('task-countersign', bytes, { now: 0, lifetimeMsMax: receiptLifetimeMs, atAnyTime: true })

export function recordOf(order: PreparedOrder, createdAt: number): AskedRecord {
  const { id, on, engine, isolation, strict, capabilities, limits, priority, idempotent, retries, codeHash, inputHash, traceId, deadlineAt } = order
  return {
    version: 1,
    id,
    on,
    status: 'asked',
    engine,
    isolation,
    strict,
    capabilities,
    limits,
    files: order.files.map(({ name, size, hash }) => ({ name, size, hash })),
    out: order.out ?? '',
    priority,
    idempotent,
    retries,
    codeHash,
    codeBytes: Buffer.byteLength(order.code),
    inputHash,
    inputBytes: Buffer.byteLength(order.inputText),
    traceId,
    createdAt,
    deadlineAt,
    acceptedAt: undefined,
    endedAt: undefined,
    backend: undefined,
    attempts: [],
    error: undefined,
    artefacts: [],
    receipt: undefined,
  }
}

/** The order again from what was sent; files are not: a task with some is not tried again after a restart. */
export function orderOf(record: AskedRecord, { fields }: Request): PreparedOrder | undefined {
  if (fields.artefacts.length > 0) return undefined
  const { id, engine, isolation, strict, capabilities, limits, priority, idempotent, retries, codeHash, inputHash, traceId, deadlineAt } = record
  return {
    id,
    on: record.on === 'any' ? 'any' : (record.on as Did),
    code: fields.code,
    codeHash,
    inputText: fields.input,
    inputHash,
    engine,
    limits,
    isolation,
    strict,
    capabilities,
    files: [],
    out: record.out === '' ? undefined : record.out,
    bundle: fields.bundle,
    grants: fields.grants,
    priority,
    deadlineAt,
    idempotent,
    retries,
    traceId,
  }
}

export function resultOf({ result, message, limit }: ResultEvent, receipt: ReceiptDocument, files: readonly ReceivedFile[]): TaskResult {
  const ok = receipt.outcome === 'ok'
  return {
    type: 'result',
    ok,
    result: result === undefined ? undefined : parseResult(result),
    error: ok ? undefined : { code: codeOf(receipt.outcome), message, limit },
    usage: receipt.usage,
    artefacts: files.map((file) => ({ ...fileViewOf(file), path: file.path })),
    receipt,
  }
}

export function parseResult(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('ERR_SANDBOX_RESULT', 'the result is no JSON', { cause })
  }
}
