import type { Clock, ErrorCode } from '../base/index.ts'
import { consoleLevels, controlFrameBytesMax, type Frame, frameTypes, hostCallBytesMax, progressNoteMax, type WorkerTask } from './frames.ts'
import { GuestCalls } from './guest-calls.ts'
import { MessageTimes, type Spent } from './message-times.ts'
import type { RunControl, RunOptions, SandboxEvent, SandboxLimits, SandboxOutcome, SandboxUsage, SecurityEvent, TaskCode } from './types.ts'
import type { WorkerProcess } from './worker-process.ts'

/** How often memory and CPU time of a busy worker are read. Source: sandbox/v1. */
export const pollMs = 20
/** Resident memory beyond the task's limit that compiled code, stacks and garbage not yet collected may take. */
export const residentSlackBytes = 24 << 20
/** The same of an agent that rests. */
const restingPollMs = 100
/** An agent whose message is late says within this time that it is only waiting, or is killed. Source: sandbox/v1 section 9. */
export const pongTimeoutMs = 250
/** Share of the processor that an agent saves up while it rests, ms of its elapsed time. */
const savedShareMs = 1_000
/** The system counts in ticks of 10 ms. */
const cpuSlackMs = 20
const messageMax = 2_000

type Failure = Omit<Extract<SandboxOutcome, { type: 'failed' }>, 'type' | 'usage' | 'security'>

const decoder = new TextDecoder()

/** Refusals of one run that are written down; the rest are only refused. */
const securityEventsMax = 100

/** One task in one guest, seen from the node: counts, watches, kills. Ends exactly once, by calling `emit` with an outcome. */
export class TaskRun {
  readonly #worker: WorkerProcess
  readonly #clock: Clock
  readonly #limits: SandboxLimits
  readonly #emit: (event: SandboxEvent) => void
  readonly #host: RunOptions['host']
  readonly #capabilities: RunOptions['capabilities']
  readonly #calls: GuestCalls
  readonly #startedAtMs: number
  readonly #cpuMsAtStart: number
  readonly #memoryBytesAtStart: number
  readonly #security: SecurityEvent[] = []
  readonly #cleanUps: (() => void)[] = []
  readonly #times: MessageTimes | undefined
  readonly #usage = { cpuMs: 0, memoryBytes: 0, outputBytes: 0, hostCalls: 0 }
  #stopWall: () => void = () => undefined
  #stopPoll: () => void = () => undefined
  /** When it was suspended; time since then does not count. */
  #heldSinceMs: number | undefined
  #heldMs = 0
  #isThrottled = false
  /** Share of the processor that an agent did not use and has lost. */
  #lostShareMs = 0
  #stopPing: (() => void) | undefined
  /** An agent that rests was asked whether it is still there, and has not said so. */
  #isMute = false
  #usageTold = false
  #ending = false
  #ended = false

  constructor(worker: WorkerProcess, clock: Clock, task: TaskCode, options: RunOptions, emit: (event: SandboxEvent) => void) {
    const { limits, signal } = options
    this.#worker = worker
    this.#clock = clock
    this.#limits = limits
    this.#emit = emit
    const sample = worker.sample()
    this.#cpuMsAtStart = sample?.cpuMs ?? 0
    this.#memoryBytesAtStart = sample?.memoryBytes ?? 0
    this.#startedAtMs = clock.monotonic()
    this.#host = options.host
    this.#capabilities = options.capabilities
    this.#times = options.agent === true ? new MessageTimes(limits) : undefined
    this.#calls = new GuestCalls({
      worker,
      host: options.host,
      onDenied: (detail) => this.#deny(detail),
      onMessage: (id, isOpen) => this.#onMessage(id, isOpen),
    })
    const onAbort = (): void => this.#kill({ code: 'ERR_TASK_CANCELLED', message: 'cancelled while it ran' })
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#cleanUps.push(
      () => signal?.removeEventListener('abort', onAbort),
      () => this.#stopWall(),
      () => this.#stopPoll(),
      () => this.#stopPing?.(),
      () => this.#calls.end(),
    )
    this.#armWall()
    worker.begin(frameBytesMax(limits), {
      onFrame: (frame) => this.#onFrame(frame),
      onEnd: () => this.#onWorkerEnd(),
      onMalformed: (detail) => this.#malformed(detail),
    })
    if (signal?.aborted === true) onAbort()
    void this.#begin(task)
    this.#poll()
  }

  /** The limits are in force before the guest sees the task. */
  async #begin({ engine = 'javascript', code, input }: TaskCode): Promise<void> {
    const { memoryMiB, outputBytes, hostCalls, processes } = this.#limits
    try {
      await this.#worker.limit(this.#limits)
    } catch (error) {
      return this.#kill({
        code: 'ERR_SANDBOX_UNAVAILABLE',
        message: `the limits cannot be enforced: ${error instanceof Error ? error.message : String(error)}`,
      })
    }
    const granted = this.#capabilities === undefined ? {} : { capabilities: this.#capabilities }
    const agent = this.#times === undefined ? {} : { agent: true }
    const task: WorkerTask = { engine, code, input, ...granted, memoryMiB, outputBytes, hostCalls, processes, ...agent }
    if (!this.#ending) void this.#worker.send(frameTypes.task, Buffer.from(JSON.stringify(task)))
  }

  readonly control: RunControl = {
    suspend: async () => {
      if (this.#ending || this.#heldSinceMs !== undefined) return
      this.#heldSinceMs = this.#clock.monotonic()
      this.#stopWall()
      this.#stopPing?.()
      this.#worker.freeze()
    },
    resume: async () => {
      if (this.#ending || this.#heldSinceMs === undefined) return
      this.#heldMs += this.#clock.monotonic() - this.#heldSinceMs
      this.#heldSinceMs = undefined
      this.#armWall()
      this.#stopPing = undefined
      if (!this.#isThrottled) this.#worker.thaw()
    },
    deliver: (message, signal) => this.#calls.deliver(message, signal),
    usage: () => this.#usageNow(),
  }

  get ended(): boolean {
    return this.#ended
  }

  stop(): void {
    this.#kill({ code: 'ERR_STOPPED', message: 'the sandboxes stopped while it ran' })
  }

  #onFrame({ type, payload }: Frame): void {
    if (this.#ending) return
    switch (type) {
      case frameTypes.console: {
        const level = consoleLevels[payload[0] ?? consoleLevels.length]
        if (level === undefined) return this.#malformed('unknown console level')
        if (this.#countCall() && this.#countOutput(payload.length - 1)) this.#emit({ type: 'console', level, text: decoder.decode(payload.subarray(1)) })
        return
      }
      case frameTypes.progress: {
        const event = parseProgress(decoder.decode(payload))
        if (event === undefined) return this.#malformed('unreadable progress')
        if (this.#countCall() && this.#countOutput(payload.length)) this.#emit(event)
        return
      }
      case frameTypes.call: {
        if (!this.#countCall()) return
        const problem = this.#calls.onCall(payload)
        return problem === undefined ? undefined : this.#malformed(problem)
      }
      case frameTypes.receiving:
        if (!this.#countCall()) return
        this.#times?.receiving()
        this.#emit({ type: 'receiving' })
        return
      case frameTypes.pong:
        return this.#onPong()
      case frameTypes.reply: {
        const problem = this.#calls.onReply(payload)
        return problem === undefined ? undefined : this.#malformed(problem)
      }
      case frameTypes.usage:
        return this.#onUsage(payload)
      case frameTypes.done:
        if (this.#countOutput(payload.length)) this.#onDone(decoder.decode(payload))
        return
      case frameTypes.failed:
        return this.#onFailed(payload)
      default:
        return this.#malformed(`unknown frame ${type}`)
    }
  }

  /** What the worker claims can only raise what was seen from outside. */
  #onUsage(payload: Uint8Array): void {
    const claim = payload.length <= controlFrameBytesMax ? parseRecord(payload) : undefined
    if (claim === undefined || this.#usageTold) return this.#malformed('unreadable usage')
    this.#usageTold = true
    const count = (name: 'cpuMs' | 'memoryBytes' | 'hostCalls'): number => {
      const value = claim[name]
      return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0
    }
    this.#raise({ cpuMs: this.#worker.hasOwnClock ? 0 : count('cpuMs'), memoryBytes: count('memoryBytes') })
    this.#usage.hostCalls = Math.max(this.#usage.hostCalls, Math.min(count('hostCalls'), this.#limits.hostCalls))
  }

  #onDone(result: string): void {
    try {
      JSON.parse(result)
    } catch {
      return this.#malformed('the result is not JSON')
    }
    this.#measure()
    const over = this.#exceeded()
    if (over !== undefined) return this.#kill(this.#overLimit(over))
    this.#finish({ type: 'done', result, usage: this.#usageNow(), security: this.#security })
  }

  #onFailed(payload: Uint8Array): void {
    const failure = payload.length <= controlFrameBytesMax ? parseRecord(payload) : undefined
    if (failure === undefined || typeof failure['text'] !== 'string') return this.#malformed('unreadable failure')
    const message = failure['text'].slice(0, messageMax)
    const { reason } = failure
    if (reason === 'memoryMiB' || reason === 'outputBytes' || reason === 'hostCalls') return this.#kill(this.#overLimit(reason))
    const code = typeof reason === 'string' && Object.hasOwn(failureCodes, reason) ? failureCodes[reason as keyof typeof failureCodes] : undefined
    if (code === undefined) return this.#malformed('unknown failure')
    if (reason === 'permission') this.#deny(message)
    this.#measure()
    this.#finish({ type: 'failed', code, message, usage: this.#usageNow(), security: this.#security })
  }

  #onWorkerEnd(): void {
    if (this.#ending) return
    this.#ending = true
    // An engine that runs out of memory aborts its process before the next poll sees it.
    this.#measure()
    const nearLimit = this.#usage.memoryBytes >= (this.#limits.memoryMiB << 20) * 0.9 || /out of memory|heap limit|OOM/i.test(this.#worker.stderr)
    if (nearLimit) return this.#fail(this.#overLimit('memoryMiB'))
    this.#security.push({ kind: 'crashed', detail: 'the worker process ended by itself' })
    this.#fail({ code: 'ERR_SANDBOX_CRASHED', message: 'the worker process ended without an answer' })
  }

  #malformed(detail: string): void {
    if (this.#ending) return
    this.#security.push({ kind: 'malformed', detail })
    this.#kill({ code: 'ERR_SANDBOX_CRASHED', message: `the worker broke its protocol: ${detail}` })
  }

  #poll(): void {
    if (this.#ending) return
    const { cpuMs: cpuMsBefore } = this.#usage
    this.#measure()
    const over = this.#exceeded()
    if (over !== undefined) return this.#kill(this.#overLimit(over))
    if (this.#heldSinceMs === undefined) this.#share()
    const isResting = this.#times?.busy === false && this.#usage.cpuMs === cpuMsBefore && !this.#isThrottled
    this.#stopPoll = this.#clock.after(isResting ? restingPollMs : pollMs, () => this.#poll())
  }

  #onMessage(id: number, isOpen: boolean): void {
    if (isOpen) this.#measure()
    if (isOpen) this.#times?.begin(id, this.#spent())
    else this.#times?.end(id, this.#spent())
  }

  #spent(): Spent {
    const { cpuMs, outputBytes, hostCalls } = this.#usage
    return { cpuMs, outputBytes, hostCalls, wallMs: this.#elapsedMs() }
  }

  /** A late message of an agent that only waits fails alone; one that computes without end takes the agent with it. */
  #askAlive(): void {
    if (this.#stopPing !== undefined || this.#heldSinceMs !== undefined) return
    this.#stopPing = this.#clock.after(pongTimeoutMs, () => this.#kill(this.#overLimit('wallMs')))
    void this.#worker.send(frameTypes.ping, new Uint8Array())
  }

  /** One that computes on without a message cannot answer: it has the time of a message for that. */
  #isStillMute(): boolean {
    if (this.#isMute) return true
    this.#isMute = true
    void this.#worker.send(frameTypes.ping, new Uint8Array())
    return false
  }

  #onPong(): void {
    this.#isMute = false
    // One that was asked before the agent was held, and answered after, says nothing.
    if (this.#stopPing === undefined) return
    this.#stopPing()
    this.#stopPing = undefined
    for (const id of this.#times?.over(this.#spent()).late ?? []) this.#calls.expire(id)
  }

  /** Holds a guest that has had more than its share of the processor, until it has not. */
  #share(): void {
    const share = (this.#elapsedMs() * this.#limits.cpuPercent) / 100 - this.#lostShareMs
    // An agent that rested for a day must not compute for a day.
    if (this.#times !== undefined) this.#lostShareMs += Math.max(0, share - this.#usage.cpuMs - (savedShareMs * this.#limits.cpuPercent) / 100)
    const isOver = this.#usage.cpuMs > share + cpuSlackMs
    if (isOver === this.#isThrottled) return
    this.#isThrottled = isOver
    if (isOver) this.#worker.freeze()
    else this.#worker.thaw()
  }

  #armWall(): void {
    if (this.#times !== undefined) return
    this.#stopWall = this.#clock.after(Math.max(0, this.#limits.wallMs - this.#elapsedMs()), () => this.#kill(this.#overLimit('wallMs')))
  }

  /** Since it began, without the time it was held. */
  #elapsedMs(): number {
    const now = this.#clock.monotonic()
    return now - this.#startedAtMs - this.#heldMs - (this.#heldSinceMs === undefined ? 0 : now - this.#heldSinceMs)
  }

  #deny(detail: string): void {
    if (this.#security.length < securityEventsMax) this.#security.push({ kind: 'denied', detail: detail.slice(0, 200) })
  }

  #measure(): void {
    const sample = this.#worker.sample()
    if (sample !== undefined) this.#raise({ cpuMs: sample.cpuMs - this.#cpuMsAtStart, memoryBytes: sample.memoryBytes - this.#memoryBytesAtStart })
  }

  #raise({ cpuMs, memoryBytes }: { readonly cpuMs: number; readonly memoryBytes: number }): void {
    this.#usage.cpuMs = Math.max(this.#usage.cpuMs, cpuMs)
    this.#usage.memoryBytes = Math.max(this.#usage.memoryBytes, memoryBytes)
  }

  #exceeded(): keyof SandboxLimits | undefined {
    if (this.#usage.memoryBytes > this.#limits.memoryMiB * 2 ** 20 + residentSlackBytes) return 'memoryMiB'
    if (this.#times !== undefined) {
      const { limit, late, rested } = this.#times.over(this.#spent())
      if (late.length > 0) this.#askAlive()
      return rested && !this.#isThrottled && this.#isStillMute() ? 'wallMs' : limit
    }
    return this.#usage.cpuMs > this.#limits.cpuMs ? 'cpuMs' : undefined
  }

  #countCall(): boolean {
    if (this.#times !== undefined) return this.#countForMessage({ hostCalls: 1 })
    if (++this.#usage.hostCalls <= this.#limits.hostCalls) return true
    this.#kill(this.#overLimit('hostCalls'))
    return false
  }

  #countOutput(bytes: number): boolean {
    if (this.#times !== undefined) return this.#countForMessage({ outputBytes: bytes })
    this.#usage.outputBytes += bytes
    if (this.#usage.outputBytes <= this.#limits.outputBytes) return true
    this.#kill(this.#overLimit('outputBytes'))
    return false
  }

  #countForMessage({ hostCalls = 0, outputBytes = 0 }: { readonly hostCalls?: number; readonly outputBytes?: number }): boolean {
    this.#usage.hostCalls += hostCalls
    this.#usage.outputBytes += outputBytes
    const over = this.#exceeded()
    if (over !== undefined) this.#kill(this.#overLimit(over))
    return over === undefined
  }

  #overLimit(limit: keyof SandboxLimits): Failure {
    this.#security.push({ kind: 'limit', detail: limit })
    return { code: 'ERR_SANDBOX_LIMIT', limit, message: `over the limit ${limit} of ${this.#limits[limit]}` }
  }

  /** The outcome is told when the process is gone, so that the time told is the time it took. */
  #kill(failure: Failure): void {
    if (this.#ending) return
    this.#ending = true
    this.#measure()
    void this.#worker.kill().then(() => this.#fail(failure))
  }

  #fail(failure: Failure): void {
    this.#finish({ type: 'failed', ...failure, usage: this.#usageNow(), security: this.#security })
  }

  #finish(outcome: SandboxOutcome): void {
    this.#ending = true
    if (this.#ended) return
    this.#ended = true
    for (const cleanUp of this.#cleanUps) cleanUp()
    void this.#host?.close?.()
    this.#emit(outcome)
  }

  #usageNow(): SandboxUsage {
    return { ...this.#usage, ...(this.#host?.usage() ?? { netBytes: 0, fsOps: 0 }), wallMs: Math.round(this.#elapsedMs()) }
  }
}

const failureCodes = {
  engine: 'ERR_SANDBOX_UNAVAILABLE',
  code: 'ERR_SANDBOX_CODE',
  permission: 'ERR_SANDBOX_PERMISSION',
  input: 'ERR_USAGE',
  threw: 'ERR_SANDBOX_THREW',
  result: 'ERR_SANDBOX_RESULT',
} as const satisfies Record<string, ErrorCode>

const frameBytesMax = (limits: SandboxLimits): number => Math.max(limits.outputBytes, controlFrameBytesMax, 3 * hostCallBytesMax) + 512

function parseRecord(payload: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(payload))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function parseProgress(text: string): SandboxEvent | undefined {
  const space = text.indexOf(' ')
  const fraction = Number(text.slice(0, space))
  if (space < 1 || !(fraction >= 0 && fraction <= 1)) return undefined
  return { type: 'progress', fraction, note: text.slice(space + 1, space + 1 + progressNoteMax) }
}
