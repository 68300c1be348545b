import { type BridgeServices, createHostBridge, type RunBridge } from '../bridge/index.ts'
import type { CodeCache } from '../bundles/index.ts'
import { type Clock, type ErrorCode, fromUtf8, hex, type Logger, MeshError, type Random, toMeshError } from '../base/index.ts'
import {
  type Engine,
  type IsolationBackend,
  type IsolationLevel,
  type RunControl,
  type Sandboxes,
  type SandboxEvent,
  type SandboxLimits,
  type SandboxOutcome,
  type SandboxUsage,
  type SecurityEvent,
} from '../sandbox/index.ts'
import { grantsOf, limitsOf, parseSandboxConfiguration, type SandboxConfiguration, type SandboxConfigurationGiven } from './configuration.ts'
import type { SandboxResources } from './resources.ts'

/** Source: the seed's ExecutionResult; sandbox/v1 section 8. */
export interface ExecutionResult {
  readonly success: boolean
  /** Plain data. */
  readonly result?: unknown
  readonly error?: { readonly code: ErrorCode; readonly message: string }
  /** Ms since it was asked for, waiting included. */
  readonly executionTime: number
  readonly resourceUsage: Pick<SandboxUsage, 'cpuMs' | 'wallMs' | 'memoryBytes' | 'netBytes' | 'fsOps'>
  readonly securityEvents: readonly SecurityEvent[]
  /** What really isolated; empty when nothing ran. */
  readonly backend: string
  readonly level: IsolationLevel
}

export type SandboxStatus = 'ready' | 'executing' | 'suspended' | 'terminated'

/** Code as text, or by its BLAKE3 hash when it was kept before. */
export type SandboxCode = string | { readonly code: string; readonly engine: Engine } | { readonly hash: Uint8Array; readonly engine?: Engine }

export interface SandboxRunOptions {
  readonly signal?: AbortSignal | undefined
  readonly onEvent?: ((event: SandboxEvent) => void) | undefined
}

export interface Sandbox {
  readonly configuration: SandboxConfiguration
  readonly status: SandboxStatus
  /** Of all runs so far; `memoryBytes` is the most any took. */
  readonly usage: ExecutionResult['resourceUsage']
  /** One run at a time. Ends with exactly one outcome; `input` is plain data. @throws ERR_OVERLOADED while it runs or is suspended or the machine is full, ERR_STOPPED, ERR_SANDBOX_UNAVAILABLE */
  run(code: SandboxCode, input: unknown, options?: Pick<SandboxRunOptions, 'signal'>): AsyncIterable<SandboxEvent>
  /** The same to its end. Never throws. */
  execute(code: SandboxCode | Promise<SandboxCode>, input: unknown, options?: SandboxRunOptions): Promise<ExecutionResult>
  /** Stops what runs in its tracks, at every level; its clock stops too. */
  suspend(): Promise<void>
  resume(): Promise<void>
  /** Ends what runs, for good. */
  terminate(): Promise<void>
}

/** What runs where, for the log. */
export interface RunFacts {
  readonly agentId: string
  readonly level: IsolationLevel
  readonly backend: string
  readonly limits: SandboxLimits
  readonly code: string
  /** JSON text. */
  readonly input: string
}

export interface SandboxParts {
  readonly sandboxes: Pick<Sandboxes, 'ready'>
  readonly services: BridgeServices
  readonly resources: SandboxResources
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly cache?: CodeCache | undefined
  /** Writes down that a run begins, and then how it ended; neither goes on before it is written. */
  readonly watch?: ((run: RunFacts) => Promise<(outcome: SandboxOutcome) => Promise<void>>) | undefined
  /** What a run tried and was refused, as it happens; with `monitoringEnabled`. */
  readonly onSecurityEvent?: ((event: SecurityEvent & { readonly agentId: string }) => void) | undefined
}

/** A place for one agent's code. Checks the configuration whole; starts nothing yet. @throws ERR_SANDBOX_CONFIG. Source: sandbox/v1 section 8 */
export function createSandbox(given: SandboxConfigurationGiven, parts: SandboxParts): Sandbox {
  return new AgentSandbox(parseSandboxConfiguration(given), parts)
}

const noUsage: ExecutionResult['resourceUsage'] = { cpuMs: 0, wallMs: 0, memoryBytes: 0, netBytes: 0, fsOps: 0 }

class AgentSandbox implements Sandbox {
  readonly configuration: SandboxConfiguration
  readonly #parts: SandboxParts
  #status: SandboxStatus = 'ready'
  #usage = noUsage
  #running: { readonly abort: AbortController; readonly ended: Promise<void>; control: RunControl | undefined } | undefined
  #backend = ''

  constructor(configuration: SandboxConfiguration, parts: SandboxParts) {
    this.configuration = configuration
    this.#parts = parts
  }

  get status(): SandboxStatus {
    return this.#status
  }

  get usage(): ExecutionResult['resourceUsage'] {
    return this.#usage
  }

  async *run(code: SandboxCode, input: unknown, { signal }: Pick<SandboxRunOptions, 'signal'> = {}): AsyncGenerator<SandboxEvent> {
    if (this.#status === 'terminated') throw new MeshError('ERR_STOPPED', 'the sandbox was terminated')
    if (this.#status !== 'ready') throw new MeshError('ERR_OVERLOADED', `the sandbox is ${this.#status}`)
    const { configuration } = this
    const abort = new AbortController()
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    this.#running = { abort, ended, control: undefined }
    this.#status = 'executing'
    let release: (() => void) | undefined
    let bridge: RunBridge | undefined
    try {
      const task = { ...(await this.#codeOf(code)), input: jsonOf(input) }
      const limits = limitsOf(configuration)
      release = this.#parts.resources.take(limits.memoryMiB)
      const backend = await this.#ready()
      bridge = this.#bridge()
      const { agentId, isolationLevel: level } = configuration
      const written = await this.#parts.watch?.({ agentId, level, backend: backend.name, limits, code: task.code, input: task.input })
      const options = {
        limits,
        capabilities: configuration.permissions,
        host: bridge,
        onControl: (control: RunControl) => void this.#onControl(control),
        signal: signal === undefined ? abort.signal : AbortSignal.any([signal, abort.signal]),
      }
      for await (const event of backend.run(task, options)) {
        if (event.type === 'done' || event.type === 'failed') {
          this.#account(event)
          await written?.(event)
        }
        yield event.type === 'failed' ? asDenied(event) : event
      }
    } finally {
      await bridge?.close()
      release?.()
      this.#running = undefined
      if (!this.#isTerminated()) this.#status = 'ready'
      end()
    }
  }

  async execute(code: SandboxCode | Promise<SandboxCode>, input: unknown, { signal, onEvent }: SandboxRunOptions = {}): Promise<ExecutionResult> {
    const { clock } = this.#parts
    const startedAtMs = clock.monotonic()
    this.#backend = ''
    let outcome: SandboxOutcome | undefined
    let error: ExecutionResult['error']
    try {
      for await (const event of this.run(await code, input, { signal })) {
        onEvent?.(event)
        if (event.type === 'done' || event.type === 'failed') outcome = event
      }
      if (outcome?.type === 'failed') error = { code: outcome.code, message: outcome.message }
    } catch (thrown) {
      const { code: reason, message } = toMeshError(thrown)
      error = { code: reason, message }
    }
    const { cpuMs, wallMs, memoryBytes, netBytes, fsOps } = outcome?.usage ?? noUsage
    return {
      success: error === undefined,
      ...(outcome?.type === 'done' ? { result: JSON.parse(outcome.result) as unknown } : {}),
      ...(error === undefined ? {} : { error }),
      executionTime: Math.round(clock.monotonic() - startedAtMs),
      resourceUsage: { cpuMs, wallMs, memoryBytes, netBytes, fsOps },
      securityEvents: outcome?.security ?? [],
      backend: this.#backend,
      level: this.configuration.isolationLevel,
    }
  }

  async suspend(): Promise<void> {
    if (this.#status !== 'executing') throw new MeshError('ERR_USAGE', `nothing to suspend: the sandbox is ${this.#status}`)
    this.#status = 'suspended'
    // Before there is a process to stop, it is stopped as soon as there is.
    await this.#running?.control?.suspend()
  }

  async resume(): Promise<void> {
    if (this.#status !== 'suspended') throw new MeshError('ERR_USAGE', `nothing to resume: the sandbox is ${this.#status}`)
    this.#status = 'executing'
    await this.#running?.control?.resume()
  }

  async terminate(): Promise<void> {
    this.#status = 'terminated'
    const running = this.#running
    running?.abort.abort(new MeshError('ERR_TASK_CANCELLED', 'the sandbox was terminated'))
    await running?.ended
  }

  #isTerminated(): boolean {
    return this.#status === 'terminated'
  }

  async #onControl(control: RunControl): Promise<void> {
    if (this.#running !== undefined) this.#running.control = control
    if (this.#status === 'suspended') await control.suspend()
  }

  async #ready(): Promise<IsolationBackend> {
    const { isolationLevel, strict } = this.configuration
    const backend = await this.#parts.sandboxes.ready(isolationLevel, { strict })
    this.#backend = backend.name
    return backend
  }

  async #codeOf(code: SandboxCode): Promise<{ readonly code: string; readonly engine: Engine }> {
    if (typeof code === 'string') return { code, engine: 'javascript' }
    if ('code' in code) return code
    const bytes = await this.#parts.cache?.get(code.hash)
    if (bytes === undefined) throw new MeshError('ERR_NOT_FOUND', `no code of the hash ${hex(code.hash)} is kept here`)
    return { code: fromUtf8(bytes), engine: code.engine ?? 'javascript' }
  }

  #bridge(): RunBridge {
    const { services, clock, random, logger } = this.#parts
    const { agentId, isolationLevel } = this.configuration
    const configuration = { agentId, level: isolationLevel, limits: limitsOf(this.configuration), grants: grantsOf(this.configuration) }
    return createHostBridge({
      configuration,
      services,
      clock,
      random,
      logger,
      onRefused: ({ name, capability, reason }) => this.#tell({ kind: 'denied', detail: `${capability ?? name}: ${name}: ${reason}` }),
    })
  }

  #tell(event: SecurityEvent): void {
    if (this.configuration.monitoringEnabled) this.#parts.onSecurityEvent?.({ ...event, agentId: this.configuration.agentId })
  }

  #account(outcome: SandboxOutcome): void {
    const { cpuMs, wallMs, memoryBytes, netBytes, fsOps } = outcome.usage
    const sum = this.#usage
    this.#usage = {
      cpuMs: sum.cpuMs + cpuMs,
      wallMs: sum.wallMs + wallMs,
      memoryBytes: Math.max(sum.memoryBytes, memoryBytes),
      netBytes: sum.netBytes + netBytes,
      fsOps: sum.fsOps + fsOps,
    }
    // Refusals of the bridge were told as they happened.
    const isEarly = outcome.type === 'failed' && outcome.code === 'ERR_SANDBOX_PERMISSION'
    for (const event of outcome.security) if (event.kind !== 'denied' || isEarly) this.#tell(event)
  }
}

/** A task that did not catch the refusal of a call was refused. */
function asDenied(outcome: Extract<SandboxOutcome, { type: 'failed' }>): SandboxOutcome {
  const words = outcome.message.replace(/^Error: /, '')
  const isRefusal =
    outcome.code === 'ERR_SANDBOX_THREW' && words !== '' && outcome.security.some(({ kind, detail }) => kind === 'denied' && detail.endsWith(words))
  return isRefusal ? { ...outcome, code: 'ERR_POLICY_DENIED', message: words } : outcome
}

function jsonOf(input: unknown): string {
  try {
    const text: string | undefined = JSON.stringify(input ?? null)
    if (text !== undefined) return text
  } catch (cause) {
    throw new MeshError('ERR_JSON_INVALID', 'the input is no plain data', { cause })
  }
  throw new MeshError('ERR_JSON_INVALID', 'the input is no plain data')
}
