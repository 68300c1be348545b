import { type Clock, keepAlive, type Logger, MeshError, toMeshError } from '../base/index.ts'
import type { Launcher } from './launched.ts'
import { WorkerProcess } from './worker-process.ts'

export const poolSizeDefault = 2
/** Tasks that wait for a worker; more are refused with ERR_OVERLOADED. */
export const queuedTasksMax = 64
/** A worker that kept more memory than this after a task is replaced. */
export const workerResidueBytesMax = 32 << 20
/** Starts that fail in a row before waiting tasks are refused. */
const startFailuresMax = 3
const restartDelayMs = 200

export interface PoolOptions {
  readonly launcher: Launcher
  readonly clock: Clock
  readonly logger: Logger
  /** Tasks that run at once. */
  readonly size: number
  /** Workers that wait besides, so that nobody waits for the replacement of one that was killed; 1 unless a guest is a machine. */
  readonly spares?: number
}

interface Waiting {
  readonly give: (worker: WorkerProcess) => void
  readonly refuse: (error: MeshError) => void
}

/** Warm workers, each lent to one task at a time. */
export class WorkerPool {
  readonly #options: PoolOptions
  #idle: WorkerProcess[] = []
  #waiting: Waiting[] = []
  readonly #all = new Set<WorkerProcess>()
  readonly #starting = new Set<Promise<void>>()
  readonly #kills = new Set<Promise<void>>()
  #failures = 0
  readonly #stopping = new AbortController()
  readonly #workersMax: number

  /** One of the same kind for one task: its guest serves nobody else. Stopped by the caller. */
  alone(): WorkerPool {
    const { launcher } = this.#options
    const pool = new WorkerPool({ ...this.#options, launcher: { ...launcher, tasksPerGuest: 1 }, size: 1, spares: 0 })
    if (this.#stopped) pool.#stopping.abort()
    return pool
  }

  /** Starts nothing before the first task. */
  static lazy(options: PoolOptions): WorkerPool {
    return new WorkerPool(options)
  }

  private constructor(options: PoolOptions) {
    const { launcher, size, spares = launcher.poolSizeMax === undefined ? 1 : 0 } = options
    this.#options = options
    this.#workersMax = size + spares
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted
  }

  get #busy(): number {
    return this.#all.size - this.#idle.length
  }

  /** @throws ERR_SANDBOX_UNAVAILABLE when the first worker does not come up */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options)
    pool.#add(await WorkerProcess.start(options.launcher, options.clock))
    pool.#fill()
    return pool
  }

  /** @throws ERR_OVERLOADED, ERR_STOPPED, ERR_TASK_CANCELLED, ERR_SANDBOX_CRASHED */
  async take(signal: AbortSignal | undefined): Promise<WorkerProcess> {
    if (this.#stopped) throw new MeshError('ERR_STOPPED', 'the sandboxes have stopped')
    if (signal?.aborted === true) throw new MeshError('ERR_TASK_CANCELLED', 'cancelled before it began')
    while (this.#busy < this.#options.size) {
      const worker = this.#idle.pop()
      if (worker === undefined) break
      if (worker.alive) return worker
      this.#retire(worker)
    }
    if (this.#waiting.length >= queuedTasksMax) throw new MeshError('ERR_OVERLOADED', `${queuedTasksMax} tasks already wait for a worker`)
    return await this.#wait(signal)
  }

  /** Takes a worker back; one that is not fit any more is replaced. */
  give(worker: WorkerProcess): void {
    if (worker.tasks >= this.#options.launcher.tasksPerGuest) return this.#retire(worker)
    const residue = (worker.sample()?.memoryBytes ?? 0) - worker.memoryBytesAtStart
    const isFit = worker.alive && !this.#stopped && residue <= workerResidueBytesMax
    if (isFit) worker.release()
    if (!isFit || !worker.alive) return this.#retire(worker)
    this.#offer(worker)
  }

  /** Resolves when no guest is being started. */
  async settled(): Promise<void> {
    while (this.#starting.size > 0 && !this.#stopped) await Promise.all(this.#starting)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const { refuse } of this.#waiting.splice(0)) refuse(new MeshError('ERR_STOPPED', 'the sandboxes have stopped'))
    const release = keepAlive()
    await Promise.all(this.#starting)
    await Promise.all([...this.#all].map((worker) => worker.kill()))
    await Promise.all(this.#kills)
    release()
    this.#all.clear()
    this.#idle = []
  }

  async #wait(signal: AbortSignal | undefined): Promise<WorkerProcess> {
    const turn = Promise.withResolvers<WorkerProcess>()
    const waiting: Waiting = { give: turn.resolve, refuse: turn.reject }
    const onAbort = (): void => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting)
      turn.reject(new MeshError('ERR_TASK_CANCELLED', 'cancelled while it waited for a worker'))
    }
    this.#waiting.push(waiting)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#fill()
    try {
      return await turn.promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #add(worker: WorkerProcess): void {
    this.#all.add(worker)
    this.#failures = 0
    this.#offer(worker)
  }

  #offer(worker: WorkerProcess): void {
    this.#idle.push(worker)
    this.#serve()
  }

  /** Lends idle workers to those who wait. */
  #serve(): void {
    while (this.#waiting.length > 0 && this.#busy < this.#options.size) {
      const worker = this.#idle.pop()
      if (worker === undefined) return
      if (worker.alive) this.#waiting.shift()?.give(worker)
      else this.#retire(worker)
    }
  }

  #retire(worker: WorkerProcess): void {
    this.#all.delete(worker)
    const killed = worker.kill()
    this.#kills.add(killed)
    void killed.then(() => this.#kills.delete(killed))
    this.#serve()
    this.#fill()
  }

  #fill(): void {
    while (!this.#stopped && this.#all.size + this.#starting.size < this.#workersMax) {
      const starting = this.#startOne()
      this.#starting.add(starting)
      void starting.then(() => {
        this.#starting.delete(starting)
        this.#fill()
      })
    }
  }

  /** Never rejects. */
  async #startOne(): Promise<void> {
    const { launcher, clock, logger } = this.#options
    try {
      const worker = await WorkerProcess.start(launcher, clock, this.#stopping)
      if (!this.#stopped) return this.#add(worker)
      await worker.kill()
    } catch (error) {
      if (this.#stopped) return
      this.#failures++
      logger.warn('a sandbox worker did not start', { error: toMeshError(error).message, failures: this.#failures })
      if (this.#failures >= startFailuresMax) {
        for (const { refuse } of this.#waiting.splice(0)) refuse(new MeshError('ERR_SANDBOX_CRASHED', 'no sandbox worker starts', { cause: error }))
      }
      await clock.sleep(restartDelayMs * Math.min(this.#failures, 25), this.#stopping).catch(() => undefined)
    }
  }
}
