import { type Clock, MeshError, type SignalOption } from '../base/index.ts'
import { encodeFrame, type Frame, FrameReader, type FrameType, frameTypes } from './frames.ts'
import type { Launched, Launcher, ProcessSample } from './launched.ts'
import type { SandboxLimits } from './types.ts'

/** From SIGKILL to the end of all its pipes. */
const killedTimeoutMs = 2_000

export interface WorkerListener {
  readonly onFrame: (frame: Frame) => void
  /** The guest and everything it started are gone. */
  readonly onEnd: () => void
  readonly onMalformed: (detail: string) => void
}

/** One guest, ready for tasks. Speaks to one listener at a time; trusts nothing the guest says. */
export class WorkerProcess {
  readonly #launched: Launched
  readonly #clock: Clock
  readonly #reader: FrameReader
  #listener: WorkerListener | undefined
  #ended = false
  #killed = false
  /** Tasks begun. */
  tasks = 0
  /** Memory when it had just started. */
  readonly memoryBytesAtStart: number

  private constructor(launched: Launched, clock: Clock, reader: FrameReader) {
    this.#launched = launched
    this.#clock = clock
    this.#reader = reader
    this.memoryBytesAtStart = this.sample()?.memoryBytes ?? 0
  }

  /** @throws ERR_SANDBOX_UNAVAILABLE when it does not come up, ERR_STOPPED when the signal aborts before */
  static async start(launcher: Launcher, clock: Clock, { signal }: SignalOption = {}): Promise<WorkerProcess> {
    const late = new AbortController()
    const inTime = clock.after(launcher.readyTimeoutMs, () => late.abort())
    const launched = await Promise.resolve(launcher.start(late.signal)).finally(inTime)
    const reader = new FrameReader(1)
    const ready = Promise.withResolvers<void>()
    const fail = (why: string): void =>
      ready.reject(new MeshError('ERR_SANDBOX_UNAVAILABLE', `${launcher.name}: ${why}${launched.said() === '' ? '' : `: ${launched.said().trim()}`}`))
    const cancel = clock.after(launcher.readyTimeoutMs, () => fail(`not ready after ${launcher.readyTimeoutMs} ms`))
    const onAbort = (): void => ready.reject(new MeshError('ERR_STOPPED', 'not needed any more'))
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) onAbort()
    let worker: WorkerProcess | undefined
    launched.output.on('data', (chunk: Uint8Array) => {
      if (worker !== undefined) return worker.#onData(chunk)
      try {
        for (const { type } of reader.push(chunk)) if (type === frameTypes.ready) ready.resolve()
      } catch {
        fail('does not speak our frames')
      }
    })
    launched.output.on('error', () => undefined)
    void launched.closed.then(() => {
      fail('ended before it was ready')
      if (worker !== undefined) worker.#onClose()
    })
    try {
      await ready.promise
      if (launched.sample() === undefined) throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `${launcher.name}: its process cannot be watched`)
      worker = new WorkerProcess(launched, clock, reader)
      launched.hold(false)
      return worker
    } catch (error) {
      launched.kill()
      await Promise.race([launched.closed, clock.sleep(killedTimeoutMs)])
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
      cancel()
    }
  }

  get alive(): boolean {
    return !this.#ended && !this.#killed
  }

  get hasOwnClock(): boolean {
    return this.#launched.hasOwnClock === true
  }

  get stderr(): string {
    return this.#launched.said()
  }

  sample(): ProcessSample | undefined {
    return this.#ended ? undefined : this.#launched.sample()
  }

  /** Listens, and keeps frames up to `frameBytesMax`; the task follows by `send`. */
  begin(frameBytesMax: number, listener: WorkerListener): void {
    this.tasks++
    if (!this.alive) return listener.onEnd()
    this.#listener = listener
    this.#reader.max = frameBytesMax
    this.#launched.hold(true)
  }

  async limit(limits: SandboxLimits): Promise<void> {
    await this.#launched.limit?.(limits)
  }

  /** Resolves when it has left the node's memory, or never will. */
  async send(type: FrameType, payload: Uint8Array): Promise<void> {
    if (this.alive) await new Promise<void>((resolve) => this.#launched.input.write(encodeFrame(type, payload), () => resolve()))
  }

  freeze(): void {
    if (this.alive) this.#launched.freeze()
  }

  thaw(): void {
    if (this.alive) this.#launched.thaw()
  }

  /** Back to rest; whatever it says now is a breach. */
  release(): void {
    this.#listener = undefined
    this.#launched.hold(false)
    if (!this.#reader.empty) void this.kill()
  }

  /** Resolves when nothing of it is left. */
  async kill(): Promise<void> {
    this.#killed = true
    this.#launched.hold(true)
    if (!this.#ended) this.#launched.kill()
    const late = Promise.withResolvers<void>()
    const cancel = this.#clock.after(killedTimeoutMs, () => late.resolve())
    await Promise.race([this.#launched.closed, late.promise])
    cancel()
    this.#onClose()
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
    this.#listener?.onEnd()
  }
}
