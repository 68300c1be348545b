import type { Readable, Writable } from 'node:stream'
import type { BackendReport, Engine, IsolationLevel, SandboxLimits } from './types.ts'

/** What a guest and everything it started have used since it started. */
export interface ProcessSample {
  readonly cpuMs: number
  /** Memory that is its own: anonymous and shared pages, not those of programs and libraries. */
  readonly memoryBytes: number
}

/** One guest that was started: a process tree, a container or a machine, that speaks the frames of `frames.ts`. The node trusts nothing it says. */
export interface Launched {
  readonly input: Writable
  readonly output: Readable
  /** What it has said beside the frames (its stderr), for the log and for saying why it died; capped by whoever collects it. */
  said(): string
  /** Resolves when nothing of it is left: no process, pipe, file, mount, cgroup or namespace. Never rejects. */
  readonly closed: Promise<void>
  /** Its clock is its own and goes on while it waits for a processor: what it says of processor time counts for nothing. */
  readonly hasOwnClock?: boolean
  /** Undefined when it is gone. */
  sample(): ProcessSample | undefined
  /** Narrows what all of it together may use to the limits of the task it is about to get, as far as the system can (cgroups, rlimits). The node watches besides. */
  limit?(limits: SandboxLimits): Promise<void>
  /** SIGKILL to all of it, in whatever state its start is. `closed` follows. */
  kill(): void
  /** Stops all of it in its tracks, and lets it go on. Immediate (SIGSTOP, freezer), idempotent, never throw: also used every 20 ms to hold a share of the processor. */
  freeze(): void
  thaw(): void
  /** Whether a resting guest may keep the node's own process alive. */
  hold(busy: boolean): void
}

/** Starts guests of one kind. */
export interface Launcher {
  readonly level: IsolationLevel
  /** What really isolates, for receipts. */
  readonly name: string
  /** A guest serves this many tasks, then a new one takes its place. */
  readonly tasksPerGuest: number
  /** From start to the first frame. */
  readonly readyTimeoutMs: number
  /** Resident memory of an idle guest beyond what its own process samples at start say; guests whose memory limit is their own (machines) say how much to add. */
  readonly memorySlackBytes: number
  /** Guests kept ready at most, where each takes much. */
  readonly poolSizeMax?: number
  /** Guests for engines that this one does not serve; the guest itself refuses what it cannot run. */
  readonly others?: readonly { readonly engine: Engine; readonly launcher: Launcher }[]
  /** Of the program that isolates. */
  version?(): Promise<string>
  /** Why it is weaker than it could be although it works, and what mends that. */
  readonly weakness?: Pick<BackendReport, 'why' | 'fix'>
  /** Starts one and returns at once or when the process exists; the frame `ready` says that it takes tasks. `late` aborts when `readyTimeoutMs` are over and this has not returned: what cannot say for itself when it hangs is killed then. @throws ERR_SANDBOX_UNAVAILABLE saying what is missing and what to install */
  start(late?: AbortSignal): Promise<Launched> | Launched
}
