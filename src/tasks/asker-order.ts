import { agentCapabilities, type AgentCapability, type Clock, type Did, hex, MeshError, minuteMs, type Random, secondMs, utf8 } from '../base/index.ts'
import { taskBundleBytesMax, taskCodeBytesMax, taskGrantsMax, taskInputBytesMax } from '../protocols/task/index.ts'
import { type Engine, engines, type IsolationLevel, isolationLevels, type SandboxLimits, sandboxLimitsDefault, type SandboxUsage } from '../sandbox/index.ts'
import { openFiles, type OutgoingFile, type TaskFile } from './asker-files.ts'
import { hashText } from './hashes.ts'
import type { ReceiptDocument } from './receipt.ts'

/** Other attempts of one idempotent task, after the first. */
export const taskRetriesMax = 8
export const taskRetriesDefault = 2
/** An executor that has said nothing by then is given up. Source: task/v1 section 9. */
export const taskAnswerMsMax = minuteMs
/** Longest silence of an executor that has the task in its queue. */
export const taskQueueMsMax = 10 * minuteMs
/** Time past its wall limit that a running task's result may take to come. */
export const taskGraceMs = 30 * secondMs
/** Longest a caller may let a task take in all. */
export const taskDeadlineMsMax = 24 * 60 * minuteMs
/** Scheduling classes, like those of messages: 9 is the most urgent. */
export const taskPriorityMax = 9
export const taskPriorityDefault = 5

export interface TaskOrder {
  /** Who runs it; `any` picks a peer by what it offers, how far it is trusted and how busy it is. */
  readonly on: Did | 'any'
  /** Body of an async function whose parameter is `input`, or what another engine takes. */
  readonly code: string
  /** Plain JSON data. */
  readonly input: unknown
  readonly engine?: Engine
  readonly limits?: Partial<SandboxLimits>
  /** The weakest isolation accepted; `sandboxed` when missing. */
  readonly isolation?: IsolationLevel
  /** Only a worker without a compiler that runs nothing else. */
  readonly strict?: boolean
  /** All it may ever do beyond computing; nothing when missing. */
  readonly capabilities?: readonly AgentCapability[]
  /** Files the task reads. */
  readonly files?: readonly TaskFile[]
  /** Folder for the files it leaves; without one they are checked and thrown away. */
  readonly out?: string
  /** A publisher's signed bundle of the code. */
  readonly bundle?: Uint8Array
  /** Chains of capability tokens it leans on. */
  readonly grants?: readonly Uint8Array[]
  /** 0 to 9, 5 when missing: which of this asker's own tasks an executor takes first. */
  readonly priority?: number
  /** Time for all of it, attempts included. */
  readonly deadlineMs?: number
  /** Running it twice does no harm: only then another attempt is made. */
  readonly idempotent?: boolean
  /** Attempts after the first, of an idempotent task. */
  readonly retries?: number
  /** Ties it to other work in logs of both sides: 32 hexadecimal digits. */
  readonly traceId?: string
}

export type TaskProgress =
  /** On disk here, not yet sent. */
  | { readonly type: 'asked'; readonly id: string }
  /** Where the next attempt goes. */
  | { readonly type: 'attempt'; readonly number: number; readonly executor: Did; readonly why: string }
  | { readonly type: 'accepted'; readonly isolation: IsolationLevel; readonly backend: string }
  /** Waits at the executor behind so many. */
  | { readonly type: 'queued'; readonly position: number }
  | { readonly type: 'running' }
  | { readonly type: 'usage'; readonly usage: SandboxUsage }
  /** A file the task left has come. */
  | { readonly type: 'artefact'; readonly name: string; readonly bytes: number; readonly hash: string }
  | { readonly type: 'console'; readonly level: string; readonly text: string }
  | { readonly type: 'progress'; readonly fraction: number; readonly note: string }
  /** An attempt failed and another follows. */
  | { readonly type: 'retry'; readonly code: string; readonly message: string; readonly inMs: number }
  | TaskResult

export interface TaskResult {
  readonly type: 'result'
  readonly ok: boolean
  /** What the code returned; undefined when it failed. */
  readonly result: unknown
  /** Why it failed. */
  readonly error: { readonly code: string; readonly message: string; readonly limit: string } | undefined
  readonly usage: SandboxUsage
  /** Files it left; `path` is empty for those that were thrown away. */
  readonly artefacts: readonly { readonly name: string; readonly bytes: number; readonly hash: string; readonly path: string }[]
  readonly receipt: ReceiptDocument
}

/** An order that can be sent: every field given and within its limit. */
export interface PreparedOrder {
  readonly id: Uint8Array
  readonly on: Did | 'any'
  readonly code: string
  readonly codeHash: Uint8Array
  readonly inputText: string
  readonly inputHash: Uint8Array
  readonly engine: Engine
  readonly limits: SandboxLimits
  readonly isolation: IsolationLevel
  readonly strict: boolean
  readonly capabilities: readonly AgentCapability[]
  readonly files: readonly OutgoingFile[]
  readonly out: string | undefined
  readonly bundle: Uint8Array | undefined
  readonly grants: readonly Uint8Array[] | undefined
  readonly priority: number
  /** When all of it must be over. */
  readonly deadlineAt: number | undefined
  readonly idempotent: boolean
  readonly retries: number
  readonly traceId: string
}

/** @throws ERR_USAGE, ERR_WIRE_TOO_LARGE */
export async function prepareOrder(order: TaskOrder, { clock, random }: { readonly clock: Clock; readonly random: Random }): Promise<PreparedOrder> {
  const { on, code, input, engine = 'javascript', limits, isolation = 'sandboxed', capabilities = [], idempotent = false } = order
  const inputText = JSON.stringify(input ?? null)
  checkSize('code', code, taskCodeBytesMax)
  checkSize('input', inputText, taskInputBytesMax)
  checkOneOf('engine', engine, engines)
  checkOneOf('isolation', isolation, isolationLevels)
  for (const name of capabilities) checkOneOf('capability', name, agentCapabilities)
  if ((order.bundle?.length ?? 0) > taskBundleBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `the bundle is over ${taskBundleBytesMax} bytes`)
  const { grants = [] } = order
  if (grants.length > taskGrantsMax) throw new MeshError('ERR_USAGE', `a task takes at most ${taskGrantsMax} capability tokens`)
  const retries = whole('retries', order.retries ?? taskRetriesDefault, 0, taskRetriesMax)
  const deadlineMs = order.deadlineMs === undefined ? undefined : whole('deadlineMs', order.deadlineMs, 1, taskDeadlineMsMax)
  const traceId = order.traceId ?? hex(random.bytes(16))
  if (!/^[0-9a-f]{32}$/.test(traceId)) throw new MeshError('ERR_USAGE', 'traceId is not 32 hexadecimal digits')
  const [codeHash, inputHash] = await Promise.all([hashText(code), hashText(inputText)])
  return {
    id: random.bytes(16),
    on,
    code,
    codeHash,
    inputText,
    inputHash,
    engine,
    limits: { ...sandboxLimitsDefault, ...limits },
    isolation,
    strict: order.strict ?? false,
    // In their own order, each once: how the request has them.
    capabilities: agentCapabilities.filter((name) => capabilities.includes(name)),
    files: await openFiles(order.files ?? []),
    out: order.out,
    bundle: order.bundle,
    grants: grants.length === 0 ? undefined : grants,
    priority: whole('priority', order.priority ?? taskPriorityDefault, 0, taskPriorityMax),
    deadlineAt: deadlineMs === undefined ? undefined : clock.now() + deadlineMs,
    idempotent,
    retries: idempotent ? retries : 0,
    traceId,
  }
}

function checkSize(what: string, text: string, bytesMax: number): void {
  const size = utf8(text).length
  if (size > bytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${what} of ${size} bytes exceeds ${bytesMax}`)
}

function checkOneOf(what: string, value: string, values: readonly string[]): void {
  if (!values.includes(value)) throw new MeshError('ERR_USAGE', `'${value}' is no ${what}`, { hint: `one of ${values.join(', ')}` })
}

function whole(what: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new MeshError('ERR_USAGE', `${what} must be a whole number from ${least} to ${most}`)
}
