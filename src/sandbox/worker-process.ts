import type { Clock } from '../base/index.ts'
import { MeshError } from '../base/index.ts'
import { encodeFrame, type Frame, FrameReader, frameTypes, type WorkerTask } from './frames.ts'
import { killLaunched, type Launched, type Launcher } from './launch.ts'
import { type ProcessSample, sampleProcess } from './watch.ts'

/** From start to the first frame. Generous: a busy machine starts a dozen at once. */
const readyTimeoutMs = 20_000
/** From SIGKILL to the end of all its pipes. */
const killedTimeoutMs = 2_000
/** The rest of what a worker says on stderr is thrown away. */
const stderrBytesMax = 4 << 10

/** What a child and the sockets of its pipes have in common. */
interface Handle {
  readonly destroyed?: boolean
  ref(): void
  unref(): void
}

export interface WorkerListener {
  readonly onFrame: (frame: Frame) => void
  /** The process and everything it started are gone. */
  readonly onEnd: () => void
  readonly onMalformed: (detail: string) => void
}

/** One worker, ready for tasks. Speaks to one listener at a time; trusts nothing the process says. */
export class WorkerProcess {
  readonly #launched: Launched
  readonly #pid: number
  readonly #clock: Clock
  readonly #reader: FrameReader
  #listener: WorkerListener | undefined
  #ended = false
  #killed = false
  readonly #whenEnded = Promise.withResolvers<void>()
  #stderr = ''
  /** Tasks begun. */
  tasks = 0
  /** Memory when it had just started. */
  readonly memoryBytesAtStart: number

  private constructor(launched: Launched, pid: number, clock: Clock, reader: FrameReader) {
    this.#launched = launched
    this.#pid = pid
    this.#clock = clock
    this.#reader = reader
    this.memoryBytesAtStart = this.sample()?.memoryBytes ?? 0
  }

  /** @throws ERR_SANDBOX_UNAVAILABLE when it does not come up */
  static async start(launcher: Launcher, clock: Clock): Promise<WorkerProcess> {
    const launched = launcher.start()
    const { child } = launched
    const reader = new FrameReader(1)
    const ready = Promise.withResolvers<void>()
    let stderr = ''
    const fail = (why: string): void =>
      ready.reject(new MeshError('ERR_SANDBOX_UNAVAILABLE', `${launcher.name}: ${why}${stderr === '' ? '' : `: ${stderr.trim()}`}`))
    const cancel = clock.after(readyTimeoutMs, () => fail(`not ready after ${readyTimeoutMs} ms`))
    let worker: WorkerProcess | undefined
    const onData = (chunk: Uint8Array): void => {
      if (worker !== undefined) return worker.#onData(chunk)
      try {
        for (const { type } of reader.push(chunk)) if (type === frameTypes.ready) ready.resolve()
      } catch {
        fail('does not speak our frames')
      }
    }
    child.stdout?.on('data', onData)
    child.stderr?.on('data', (chunk: Uint8Array) => {
      stderr = (stderr + Buffer.from(chunk).toString()).slice(0, stderrBytesMax)
      if (worker !== undefined) worker.#stderr = stderr
    })
    child.stdin?.on('error', () => undefined)
    child.on('error', (error) => fail(error.message))
    child.on('close', () => {
      fail('ended before it was ready')
      if (worker !== undefined) worker.#onClose()
    })
    try {
      const [pid] = await Promise.all([launched.pid, ready.promise])
      if (pid === undefined) throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `${launcher.name}: its process cannot be watched`)
      worker = new WorkerProcess(launched, pid, clock, reader)
      worker.#hold(false)
      return worker
    } catch (error) {
      killLaunched(launched)
      throw error
    } finally {
      cancel()
    }
  }

  get alive(): boolean {
    return !this.#ended && !this.#killed
  }

  get stderr(): string {
    return this.#stderr
  }

  sample(): ProcessSample | undefined {
    return this.#ended ? undefined : sampleProcess(this.#pid)
  }

  begin(task: WorkerTask, frameBytesMax: number, listener: WorkerListener): void {
    this.tasks++
    if (!this.alive) return listener.onEnd()
    this.#listener = listener
    this.#reader.max = frameBytesMax
    this.#hold(true)
    this.#launched.child.stdin?.write(encodeFrame(frameTypes.task, Buffer.from(JSON.stringify(task))))
  }

  /** Back to rest; whatever it says now is a breach. */
  release(): void {
    this.#listener = undefined
    this.#hold(false)
    if (!this.#reader.empty) void this.kill()
  }

  /** Resolves when nothing of it is left. */
  async kill(): Promise<void> {
    this.#killed = true
    this.#hold(true)
    if (!this.#ended) killLaunched(this.#launched)
    const cancel = this.#clock.after(killedTimeoutMs, () => this.#onClose())
    await this.#whenEnded.promise
    cancel()
  }

  #onData(chunk: Uint8Array): void {
    if (this.#killed) return
    if (this.#listener === undefined) return void this.kill()
    try {
      for (const frame of this.#reader.push(chunk)) this.#listener?.onFrame(frame)
    } catch (error) {
      this.#listener?.onMalformed(error instanceof Error ? error.message : 'unreadable frame')
    }
  }

  #onClose(): void {
    if (this.#ended) return
    this.#ended = true
    this.#whenEnded.resolve()
    this.#listener?.onEnd()
  }

  /** A resting worker does not keep the node's process alive. */
  #hold(busy: boolean): void {
    const { child } = this.#launched
    for (const handle of [child, child.stdin, child.stdout, child.stderr] as readonly (Handle | null)[]) {
      if (busy && handle?.destroyed !== true) handle?.ref()
      else handle?.unref()
    }
  }
}
