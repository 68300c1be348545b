import { type Audit, codeExecuted, codeExecutionFailed, openCheckpoint, receiptSigned, taskCancelled } from '../audit/index.ts'
import { type Clock, type ErrorCode, hex, isErrorCode, MeshError, type Random } from '../base/index.ts'
import { verify } from '../crypto/index.ts'
import { type Keyring, type Signed, signStatement } from '../identity/index.ts'
import { receiptCodec, receiptLifetimeMs } from '../protocols/task/index.ts'
import type { SandboxOutcome, SandboxUsage } from '../sandbox/index.ts'
import type { KeptLog } from './executor-log.ts'
import type { ServedJournal, ServedRecord } from './executor-journal.ts'
import { hashText } from './hashes.ts'

export interface EndWriterOptions {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly journal: ServedJournal
  /** Of the policy in force. */
  /** Of the policy in force. */
  policyHash(): Uint8Array
}

/** Writes down how a task ended and signs the receipt of it. */
export type EndWriter = (
  id: string,
  record: ServedRecord,
  outcome: SandboxOutcome,
  log: KeptLog,
) => Promise<{ readonly record: ServedRecord; readonly receipt: Signed }>

export const usageNone: SandboxUsage = { cpuMs: 0, wallMs: 0, memoryBytes: 0, outputBytes: 0, hostCalls: 0, netBytes: 0, fsOps: 0 }

/** The end of a task that nothing is known to have been used by. */
export const failedBy = (code: ErrorCode, message: string): SandboxOutcome => ({ type: 'failed', code, message, usage: usageNone, security: [] })

export function createEndWriter({ keyring, clock, random, audit, journal, policyHash }: EndWriterOptions): EndWriter {
  return async (id, record, outcome, log) => {
    const parties = { did: keyring.did, requester: record.asker, executor: keyring.did, taskId: id }
    const usage = whole(outcome.usage)
    const { isolation, backend, engine, strict, capabilities, limits, codeHash, inputHash, requestHash } = record
    const result = outcome.type === 'done' ? outcome.result : undefined
    const resultHash = result === undefined ? undefined : await hashText(result)
    const failure = outcome.type === 'failed' ? outcome : undefined
    const facts = {
      ...parties,
      executionId: id,
      codeHash,
      inputHash,
      isolationLevel: isolation,
      backend,
      limits,
      usage,
      securityEvents: outcome.security.length,
    }
    if (failure !== undefined && stopCodes.has(failure.code)) await audit.record(taskCancelled({ ...parties, reason: `${failure.code}: ${failure.message}` }))
    // What never began has not been executed.
    if (record.startedAt !== undefined) {
      await audit.record(
        resultHash === undefined
          ? codeExecutionFailed({ ...facts, code: failure?.code ?? 'ERR_INTERNAL', reason: failure?.message ?? '' })
          : codeExecuted({ ...facts, resultHash }),
      )
    }
    const head = openCheckpoint(await audit.checkpoint(), { did: keyring.identity, keys: [keyring.did], verify })
    if (!head.ok) throw new MeshError('ERR_AUDIT_TAMPERED', head.reason)
    const endedAt = clock.now()
    const payload = receiptCodec.encode({
      version: 1,
      requestHash,
      codeHash,
      inputHash,
      resultHash,
      outcome: failure?.code ?? 'ok',
      startedAt: record.startedAt ?? endedAt,
      endedAt,
      usage,
      isolation,
      backend,
      engine,
      strict,
      capabilities,
      limits,
      artefactsIn: record.artefactsIn.map(({ hash }) => hash),
      artefactsOut: record.artefactsOut,
      policyHash: policyHash(),
      securityEvents: outcome.security.length,
      auditSize: head.size,
      auditRoot: head.root,
    })
    const receipt = signStatement(
      'task-receipt',
      { to: record.asker, type: 'task_result', payload, refs: [requestHash], issuedAt: endedAt, expiresAt: endedAt + receiptLifetimeMs },
      { keyring, random },
    )
    const kept = journal.keepEnd(id, { result, log, receipt: receipt.bytes })
    const ended: ServedRecord = {
      ...record,
      state: 'done',
      endedAt,
      outcome: failure?.code ?? 'ok',
      message: (failure?.message ?? '').slice(0, 8_192).toWellFormed(),
      limit: failure?.limit ?? '',
      usage,
      receiptHash: receipt.hash,
      bytes: kept.bytes,
    }
    await audit.record(receiptSigned({ ...parties, receiptHash: receipt.hash }), [...kept.ops, ...journal.keep(id, ended)])
    return { record: ended, receipt }
  }
}

/** Ends that somebody brought about. */
const stopCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_TASK_CANCELLED',
  'ERR_TASK_DEADLINE',
  'ERR_TASK_LOST',
  'ERR_TASK_NOT_RUN',
  'ERR_TRUST_LOW',
  'ERR_POLICY_DENIED',
])

const whole = (usage: SandboxUsage): SandboxUsage => ({
  cpuMs: Math.round(usage.cpuMs),
  wallMs: Math.round(usage.wallMs),
  memoryBytes: Math.round(usage.memoryBytes),
  outputBytes: usage.outputBytes,
  hostCalls: usage.hostCalls,
  netBytes: usage.netBytes,
  fsOps: usage.fsOps,
})

const noticeSchema = 'kindmesh.task-end/1'
/** What an asker that was not there is told: a `task_result` message. Source: task/v1 section 7. */
export interface TaskEndNotice {
  readonly taskId: string
  readonly receipt: string
  readonly output: {
    readonly schema: typeof noticeSchema
    /** Hash of the request, hexadecimal. */
    readonly request: string
    readonly outcome: string
  }
}

export const noticeOf = (id: string, { requestHash, receiptHash, outcome }: ServedRecord): TaskEndNotice => ({
  taskId: id,
  receipt: hex(receiptHash ?? new Uint8Array(32)),
  output: { schema: noticeSchema, request: hex(requestHash), outcome: isErrorCode(outcome) || outcome === 'ok' ? outcome : 'ERR_INTERNAL' },
})

/** The request, hexadecimal, whose end a `task_result` message tells of; undefined when it is about something else. */
export function readNotice(body: string): string | undefined {
  try {
    const { output } = JSON.parse(body) as Partial<TaskEndNotice>
    if (typeof output !== 'object' || output.schema !== noticeSchema) return undefined
    return /^[0-9a-f]{64}$/.test(output.request) ? output.request : undefined
  } catch {
    return undefined
  }
}
