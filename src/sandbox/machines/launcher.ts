import { existsSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { type Clock, type Random, realRandom, toMeshError } from '../../base/index.ts'
import { failureOfThisBoot, noteFailure } from './boot-note.ts'
import { encodeFrame, frameTypes } from '../frames.ts'
import type { Launched, Launcher } from '../launched.ts'
import { unavailable } from '../programs.ts'
import { byDeadline } from './deadline.ts'
import { run, warmUp } from './errands.ts'
import { type GuestImage, guestImage } from './image.ts'
import type { Accelerator, Lack, Machine, MachineMonitor } from './monitor.ts'
import { isTemplateMade, prepareTemplate, type Template } from './template.ts'
import { wake } from './wake.ts'

/** From power on until a copy of the saved machine has run a task, and from the start of a copy until it takes tasks. Generous without KVM: the machine may be busy. */
const deadlines = { tcg: { makeMs: 180_000, readyMs: 30_000 }, kvm: { makeMs: 5_000, readyMs: 5_000 } } as const satisfies Record<Accelerator, Deadlines>
/** Machines that are kept ready, each with the memory of one; and so tasks that run at once. Source: sandbox/v1 section 3.2. */
export const machinesReadyMax = 2
/** Memory of a machine beyond what its task takes: code translated for it, pages of the guest's kernel and of Node that are written to. Source: sandbox/v1 section 3.2. */
export const machineSlackBytes = 96 << 20

export interface MachineLauncherOptions {
  readonly monitor: MachineMonitor
  readonly clock: Clock
  readonly random?: Random
  /** The script to run in place of the worker. */
  readonly entry?: string
  /** Where the guest image is; it throws ERR_SANDBOX_UNAVAILABLE when there is none. */
  readonly image?: () => GuestImage
  readonly deadlines?: Deadlines
}

interface Deadlines {
  readonly makeMs: number
  readonly readyMs: number
}

export interface MachineLauncher extends Launcher {
  /** What is missing on this machine; undefined when nothing is. */
  lacks(): Lack | undefined
  /** Whether the machine that is copied lies there: a task ran in a copy of it. */
  isMade(): boolean
  /** Makes it where it is not there. @throws ERR_SANDBOX_UNAVAILABLE */
  prepare(): Promise<void>
}

/** Copies of one saved machine, a new one a task. The machine is saved when the first is asked for. */
export function machineLauncher(options: MachineLauncherOptions): MachineLauncher {
  const { monitor, clock, random = realRandom, image = guestImage } = options
  const from = { monitor, image, ...(options.entry === undefined ? {} : { entry: options.entry }) }
  const { makeMs, readyMs } = options.deadlines ?? deadlines[monitor.accelerator]
  let preparing: Promise<Template> | undefined
  const prepared = (): Promise<Template> => {
    preparing ??= prepareTemplate({ ...from, clock, random, timeoutMs: makeMs }).catch((error: unknown) => {
      preparing = undefined
      throw error
    })
    return preparing
  }
  // That it worked before says nothing when the system has started anew; that it failed says enough until then.
  const isTriedEachBoot = monitor.accelerator === 'kvm'
  const note = (error: unknown): void => (isTriedEachBoot ? noteFailure(monitor.name, toMeshError(error).message) : undefined)
  const noting = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      note(error)
      throw error
    }
  }
  const lacks = (): Lack | undefined => {
    const missing = monitor.lacks()
    if (missing !== undefined) return missing
    try {
      image()
      return undefined
    } catch (error) {
      const { message, hint } = toMeshError(error)
      return { why: message, fix: hint }
    }
  }
  const assertUsable = (): void => {
    const missing = lacks()
    if (missing !== undefined) throw unavailable(missing.why, missing.fix)
    const failed = isTriedEachBoot ? failureOfThisBoot(monitor.name) : undefined
    if (failed !== undefined) throw unavailable(failed)
  }
  const restored = async (): Promise<Machine> => {
    const template = await prepared()
    if (existsSync(template.stateFile)) return await monitor.restore(template.parts, template.stateFile)
    // Removed for being old while this node ran.
    preparing = undefined
    const anew = await prepared()
    return await monitor.restore(anew.parts, anew.stateFile)
  }
  /** Wakes a copy and lets it run a task of ours: what that translated is there for the task that comes. */
  const makeReady = async (machine: Machine): Promise<void> => {
    await wake(machine, clock, random, readyMs)
    await byDeadline(clock, readyMs, 'the first task of a machine', run(machine, warmUp))
  }
  return {
    level: 'virtualized',
    name: monitor.name,
    tasksPerGuest: 1,
    readyTimeoutMs: readyMs,
    // Taken off in the samples: what a machine takes for itself grows while its task runs.
    memorySlackBytes: 0,
    poolSizeMax: machinesReadyMax,
    version: () => monitor.version(),
    lacks,
    isMade: () => isTemplateMade(from),
    async prepare() {
      assertUsable()
      await noting(prepared())
    },
    async start() {
      assertUsable()
      const machine = await noting(restored())
      const output = new PassThrough()
      let isKilled = false
      let failure = ''
      let memoryBytesAtStart = 0
      makeReady(machine).then(
        () => {
          memoryBytesAtStart = machine.sample()?.memoryBytes ?? 0
          // The worker said so before its machine was saved.
          output.write(encodeFrame(frameTypes.ready, new Uint8Array()))
          machine.frames.pipe(output)
        },
        (error: unknown) => {
          if (!isKilled) note(error)
          failure = toMeshError(error).message
          machine.kill()
        },
      )
      return {
        input: machine.frames,
        output,
        said: () => failure + machine.said(),
        closed: machine.closed,
        hasOwnClock: true,
        sample() {
          const sample = machine.sample()
          return sample && { cpuMs: sample.cpuMs, memoryBytes: Math.max(memoryBytesAtStart, sample.memoryBytes - machineSlackBytes) }
        },
        kill() {
          isKilled = true
          machine.kill()
        },
        freeze: () => machine.freeze(),
        thaw: () => machine.thaw(),
        hold: (busy) => machine.hold(busy),
      } satisfies Launched
    },
  }
}
