import { type Clock, errorTable, type Logger, MeshError, toMeshError } from '../base/index.ts'
import { createBackend } from './backend.ts'
import type { Launcher } from './launched.ts'
import { sandboxLimitsDefault } from './limits.ts'
import { mendOf } from './mend.ts'
import { WorkerPool } from './pool.ts'
import type { BackendReport, Engine, IsolationBackend, IsolationLevel } from './types.ts'

export interface LevelParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly poolSize: number
}

const probeTask = { code: 'return input.a + 1', input: '{"a":1}', result: '2' }

/** One level on this machine: tries its launchers in order of preference by running a task, once, and keeps the first that works. Costs nothing before. */
export class Level {
  readonly level: IsolationLevel
  readonly #launchers: readonly Launcher[]
  readonly #parts: LevelParts
  readonly #reports = new Map<Launcher, BackendReport>()
  #finding: Promise<IsolationBackend> | undefined
  #backend: IsolationBackend | undefined
  #stopped = false

  constructor(level: IsolationLevel, launchers: readonly Launcher[], parts: LevelParts) {
    this.level = level
    this.#launchers = launchers
    this.#parts = parts
    const [plain] = launchers
    if (level !== 'native' || plain === undefined) return
    // A plain process of this very program isolates nothing, so there is nothing to find out.
    this.#backend = createBackend({ launcher: plain, clock: parts.clock, pool: WorkerPool.lazy({ launcher: plain, ...parts, size: parts.poolSize }) })
    this.#finding = Promise.resolve(this.#backend)
    this.#reports.set(plain, { name: plain.name, ok: true, version: process.versions.node, ...plain.weakness })
  }

  /** Undefined until `ready` has found it. */
  get backend(): IsolationBackend | undefined {
    return this.#backend
  }

  /** What was tried so far. */
  get reports(): readonly BackendReport[] {
    return this.#launchers.flatMap((launcher) => this.#reports.get(launcher) ?? [])
  }

  /** Whether `ready` has been asked and has answered. */
  get isTried(): boolean {
    return this.#backend !== undefined || (this.#reports.size > 0 && this.#reports.size === this.#launchers.length)
  }

  /** @throws ERR_SANDBOX_UNAVAILABLE when none of its launchers runs a task */
  ready(): Promise<IsolationBackend> {
    this.#finding ??= this.#find()
    // Whoever asks later gets the same answer; nobody may have asked yet.
    this.#finding.catch(() => undefined)
    return this.#finding
  }

  /** Tries all launchers, those after the first that works too. */
  async probe(): Promise<readonly BackendReport[]> {
    await this.ready().catch(() => undefined)
    for (const launcher of this.#launchers) {
      if (this.#reports.has(launcher) || this.#stopped) continue
      const backend = await this.#try(launcher, 1)
      await backend?.stop()
    }
    return this.reports
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#finding?.catch(() => undefined)
    await this.#backend?.stop()
  }

  /** @throws ERR_SANDBOX_UNAVAILABLE */
  refusal(): MeshError {
    const failed = this.reports.filter(({ ok }) => !ok)
    const why = failed.map(({ name, why: reason }) => `${name}: ${reason ?? ''}`).join('; ')
    const fix = failed.find((report) => report.fix !== undefined)?.fix
    const message = `isolation level ${this.level}: ${why === '' ? 'this machine has no back end for it' : why}`
    return new MeshError('ERR_SANDBOX_UNAVAILABLE', message, fix === undefined ? {} : { hint: fix })
  }

  async #find(): Promise<IsolationBackend> {
    for (const launcher of this.#launchers) {
      if (this.#stopped) throw new MeshError('ERR_STOPPED', 'the sandboxes have stopped')
      const backend = await this.#try(launcher, this.#parts.poolSize)
      if (backend === undefined) continue
      this.#backend = backend
      return backend
    }
    throw this.refusal()
  }

  async #try(launcher: Launcher, poolSize: number): Promise<IsolationBackend | undefined> {
    const version = (await launcher.version?.().catch(() => undefined)) ?? ''
    try {
      const backend = await startBackend(launcher, { ...this.#parts, poolSize })
      this.#reports.set(launcher, { name: launcher.name, ok: true, version, ...launcher.weakness })
      return backend
    } catch (error) {
      const { message, hint, code } = toMeshError(error)
      const mend = hint === errorTable[code].hint ? mendOf(message) : hint.replaceAll('`', '')
      const fix = mend === undefined ? {} : { fix: mend }
      this.#reports.set(launcher, { name: launcher.name, ok: false, version, why: message, ...fix })
      return undefined
    }
  }
}

/** A back end whose first guest has run a task. @throws ERR_SANDBOX_UNAVAILABLE */
async function startBackend(launcher: Launcher, parts: LevelParts): Promise<IsolationBackend> {
  const pool = await WorkerPool.start({
    launcher,
    clock: parts.clock,
    logger: parts.logger,
    size: Math.min(parts.poolSize, launcher.poolSizeMax ?? parts.poolSize),
  })
  const own = createBackend({ launcher, pool, clock: parts.clock })
  const backend = withOtherEngines(own, launcher.others ?? [], parts)
  const unavailable = (why: string): MeshError => new MeshError('ERR_SANDBOX_UNAVAILABLE', `the probe ${why}`)
  try {
    for await (const event of own.run(probeTask, { limits: sandboxLimitsDefault })) {
      if (event.type === 'failed') throw unavailable(`failed: ${event.message}`)
      if (event.type === 'done' && event.result !== probeTask.result) throw unavailable('gave a wrong result')
    }
    return backend
  } catch (error) {
    await backend.stop()
    throw error
  }
}

/** Tasks of other engines run in guests that run nothing else, started with the first such task. */
function withOtherEngines(own: IsolationBackend, others: NonNullable<Launcher['others']>, { clock, logger, poolSize }: LevelParts): IsolationBackend {
  if (others.length === 0) return own
  const byEngine = new Map<Engine, IsolationBackend>(
    others.map(({ engine, launcher }) => [engine, createBackend({ launcher, clock, pool: WorkerPool.lazy({ launcher, clock, logger, size: poolSize }) })]),
  )
  return {
    level: own.level,
    name: own.name,
    run: (task, options) => (byEngine.get(task.engine ?? 'javascript') ?? own).run(task, options),
    async stop() {
      await Promise.all([own, ...byEngine.values()].map((backend) => backend.stop()))
    },
  }
}
