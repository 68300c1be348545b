import { type AgentCapability, type ErrorCode } from '../base/index.ts'

/** Strongest last. Source: the seed's IsolationLevel; sandbox/v1. */
export const isolationLevels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const
export type IsolationLevel = (typeof isolationLevels)[number]

/** What runs a task's code. `javascript` takes the body of an async function, `wasm` a module in base64, `command` a JSON array of program and arguments. */
export const engines = ['javascript', 'wasm', 'command'] as const
export type Engine = (typeof engines)[number]

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
  /** Calls to host APIs (console, crypto, bridge). */
  readonly hostCalls: number
  /** Share of one core, percent: 100 is one core busy all the time. */
  readonly cpuPercent: number
  /** Through the bridge, both ways, KiB a second. */
  readonly netKiBps: number
  /** File operations a second through the bridge. */
  readonly fsOps: number
  /** Processes and threads of a `command`. */
  readonly processes: number
}

export interface SandboxUsage {
  readonly cpuMs: number
  readonly wallMs: number
  /** Peak of the isolate's heap and buffers, bytes. */
  readonly memoryBytes: number
  readonly outputBytes: number
  readonly hostCalls: number
  /** Bytes over the network through the bridge, both ways. */
  readonly netBytes: number
  /** File operations through the bridge. */
  readonly fsOps: number
}

/** Something the task tried and was refused, for the security monitor. */
export interface SecurityEvent {
  readonly kind: 'limit' | 'denied' | 'malformed' | 'crashed'
  /** One line, never a secret: the limit, the capability or the rule, and what was tried. */
  readonly detail: string
}

export interface TaskCode {
  /** `javascript` when missing. */
  readonly engine?: Engine
  /** As the engine takes it; TypeScript is stripped before. */
  readonly code: string
  /** JSON text. For `command` a JSON string is its stdin as it is, anything else as JSON. */
  readonly input: string
}

/** The answer to a host call. Errors cross as text. */
export type HostAnswer =
  /** JSON text. */
  | { readonly ok: true; readonly value: string }
  /** `denied` when capability or policy refused it: it becomes a security event of the run. */
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string; readonly denied?: string }

/** The only way out of a sandbox. One a run: it knows what this run may do and counts what it did. */
export interface HostBridge {
  /** Takes the arguments as the JSON text of an array; trusts neither. Never throws, and answers when the signal aborts. */
  call(name: string, args: string, signal: AbortSignal): Promise<HostAnswer>
  /** So far. */
  usage(): Pick<SandboxUsage, 'netBytes' | 'fsOps'>
  /** Called when the run has ended; again does nothing. Never rejects. */
  close?(): Promise<void>
}

/** Holds a run and lets it go on. Time held does not count against its wall clock. */
export interface RunControl {
  suspend(): Promise<void>
  resume(): Promise<void>
  /**
   * Hands a message to an agent; its answer as JSON text. Only for code that called `agent.receive`. ERR_TIMEOUT when the agent lives on but
   * has not answered within its limits; ERR_ABORTED with the signal, while the agent may go on with the message. Callers bound how many there are at once.
   */
  deliver(message: string, signal: AbortSignal): Promise<HostAnswer>
  /** So far. */
  usage(): SandboxUsage
}

export type SandboxEvent =
  | { readonly type: 'console'; readonly level: 'log' | 'info' | 'warn' | 'error' | 'debug'; readonly text: string }
  /** `progress(fraction, note)` of the task; fraction 0 to 1. */
  | { readonly type: 'progress'; readonly fraction: number; readonly note: string }
  /** An agent has said how it takes messages: `deliver` works from now on. */
  | { readonly type: 'receiving' }
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
  /** What was granted: code that names a call for which more is needed is refused before it runs. Without it only the call itself is refused. */
  readonly capabilities?: readonly AgentCapability[]
  /** Without one every host call but console, progress and random bytes is refused. */
  readonly host?: HostBridge
  /**
   * A long-lived agent: in a guest of its own that nobody had before and nobody gets after. Its limits hold for each message, and for the time
   * until it receives; the run itself has no end. Source: sandbox/v1 section 9.
   */
  readonly agent?: boolean
  /** Called once, when the run has begun. */
  readonly onControl?: (control: RunControl) => void
  /** Aborting kills the task; the outcome is then `failed` with ERR_TASK_CANCELLED. */
  readonly signal?: AbortSignal
}

/** One isolation level made real. Created once, runs many tasks, each isolated from all others. */
export interface IsolationBackend {
  readonly level: IsolationLevel
  /** What really isolates, for receipts: `isolated-vm+bubblewrap`, `runsc`, `qemu-tcg`. */
  readonly name: string
  /** Never throws for what the task does; the iteration ends with exactly one SandboxOutcome. Leaving the iteration early kills the task. */
  run(task: TaskCode, options: RunOptions): AsyncIterable<SandboxEvent>
  stop(): Promise<void>
}

/** One way to make a level real on this machine, as a probe found it. */
export interface BackendReport {
  readonly name: string
  /** True when a task ran in it just now, or when the cached probe did. */
  readonly ok: boolean
  /** Of the program that isolates; empty when unknown. */
  readonly version: string
  /** Why it does not work, or why it is weaker than it could be. */
  readonly why?: string
  /** The command or setting that mends it. */
  readonly fix?: string
}

export interface LevelReport {
  readonly level: IsolationLevel
  readonly available: boolean
  /** What the level promises here, in one sentence. */
  readonly promise: string
  /** In order of preference; the first that is ok is used. */
  readonly backends: readonly BackendReport[]
}

/** Profiles of `sandboxed`; both exist or the level is refused for the one that does not. */
export interface LevelOptions {
  /** Without a compiler and with a worker of its own: no bug of the compiler, no residue of the task before. */
  readonly strict?: boolean
}

/** The door of the room: picks the back end. */
export interface Sandboxes {
  /** Levels that work on this machine, weakest first, and why the others do not. */
  available(): readonly { readonly level: IsolationLevel; readonly backend: string | undefined; readonly lacks: string | undefined }[]
  /** The back end of exactly this level, found out now if nobody asked before. @throws ERR_SANDBOX_UNAVAILABLE, never a weaker or another level */
  ready(level: IsolationLevel, options?: LevelOptions): Promise<IsolationBackend>
  /** The same of a level that was found to work before; `native` always was. @throws ERR_SANDBOX_UNAVAILABLE */
  get(level: IsolationLevel, options?: LevelOptions): IsolationBackend
  /** Tries every back end of these levels, of all unless given. Takes seconds where there are many. */
  probe(levels?: readonly IsolationLevel[]): Promise<readonly LevelReport[]>
  stop(): Promise<void>
}
