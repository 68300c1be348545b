import type { ErrorCode } from '../base/index.ts'

/** Strongest last. Source: the seed's IsolationLevel; sandbox/v1. */
export const isolationLevels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const
export type IsolationLevel = (typeof isolationLevels)[number]

/** Every field is enforced and reported in the usage. */
export interface SandboxLimits {
  /** Heap, buffers and resident memory together, MiB. */
  readonly memoryMiB: number
  /** Wall clock, ms. */
  readonly wallMs: number
  /** CPU time, ms. */
  readonly cpuMs: number
  /** Console and result together, bytes. */
  readonly outputBytes: number
  /** Calls to host APIs (console, crypto). */
  readonly hostCalls: number
}

export interface SandboxUsage {
  readonly cpuMs: number
  readonly wallMs: number
  /** Peak of the isolate's heap and buffers, bytes. */
  readonly memoryBytes: number
  readonly outputBytes: number
  readonly hostCalls: number
}

/** Something the task tried and was refused, for the security monitor. */
export interface SecurityEvent {
  readonly kind: 'limit' | 'denied' | 'malformed' | 'crashed'
  readonly detail: string
}

export interface TaskCode {
  /** Body of an async function whose one parameter is `input`. */
  readonly code: string
  /** JSON text. */
  readonly input: string
}

export type SandboxEvent =
  | { readonly type: 'console'; readonly level: 'log' | 'info' | 'warn' | 'error' | 'debug'; readonly text: string }
  /** `progress(fraction, note)` of the task; fraction 0 to 1. */
  | { readonly type: 'progress'; readonly fraction: number; readonly note: string }
  | SandboxOutcome

/** Always the last event of a run, whatever happened. */
export type SandboxOutcome =
  | { readonly type: 'done'; readonly result: string; readonly usage: SandboxUsage; readonly security: readonly SecurityEvent[] }
  | {
      readonly type: 'failed'
      readonly code: ErrorCode
      readonly message: string
      /** Which limit, when code is ERR_SANDBOX_LIMIT. */
      readonly limit?: keyof SandboxLimits
      readonly usage: SandboxUsage
      readonly security: readonly SecurityEvent[]
    }

export interface RunOptions {
  readonly limits: SandboxLimits
  /** Aborting kills the task; the outcome is then `failed` with ERR_TASK_CANCELLED. */
  readonly signal?: AbortSignal
}

/** One isolation level made real. Created once, runs many tasks, each isolated from all others. */
export interface IsolationBackend {
  readonly level: IsolationLevel
  /** What really isolates, for receipts: `isolated-vm+bubblewrap`, `isolated-vm+permission`. */
  readonly name: string
  /** Never throws for what the task does; the iteration ends with exactly one SandboxOutcome. Leaving the iteration early kills the task. */
  run(task: TaskCode, options: RunOptions): AsyncIterable<SandboxEvent>
  stop(): Promise<void>
}

/** The door of the room: picks the back end. */
export interface Sandboxes {
  /** Levels that work on this machine, weakest first, and why the others do not. */
  available(): readonly { readonly level: IsolationLevel; readonly backend: string | undefined; readonly lacks: string | undefined }[]
  /** The back end of exactly this level. @throws ERR_SANDBOX_UNAVAILABLE, never a weaker or another level */
  get(level: IsolationLevel): IsolationBackend
  stop(): Promise<void>
}
