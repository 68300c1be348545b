import { type Clock, type Random, realRandom, toMeshError } from '../../base/index.ts'
import { failureOfThisBoot, noteFailure } from './boot-note.ts'
import { encodeFrame, frameTypes } from '../frames.ts'
import type { Launched, Launcher } from '../launched.ts'
import { unavailable } from '../programs.ts'
import { type GuestImage, guestImage } from './image.ts'
import type { Accelerator, Lack, Machine, MachineMonitor } from './monitor.ts'
import { isTemplateMade, prepareTemplate, type Template } from './template.ts'
import { wake } from './wake.ts'

/** From power on until a copy of the saved machine has run a task, and from the start of a copy until it takes tasks. Generous without KVM: the machine may be busy. */
const deadlines = { tcg: { makeMs: 120_000, readyMs: 30_000 }, kvm: { makeMs: 5_000, readyMs: 5_000 } } as const satisfies Record<Accelerator, Deadlines>
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
  const copy = async (): Promise<Machine> => {
    const template = await prepared()
    const machine = await monitor.restore(template.parts, template.stateFile)
    try {
      await wake(machine, clock, random, readyMs)
      return machine
    } catch (error) {
      machine.kill()
      throw error
    }
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
    lacks() {
      const lacks = monitor.lacks()
      if (lacks !== undefined) return lacks
      try {
        image()
        return undefined
      } catch (error) {
        const { message, hint } = toMeshError(error)
        return { why: message, fix: hint }
      }
    },
    isMade: () => isTemplateMade(from),
    async start() {
      const lacks = monitor.lacks()
      if (lacks !== undefined) throw unavailable(lacks.why, lacks.fix)
      const failed = isTriedEachBoot ? failureOfThisBoot(monitor.name) : undefined
      if (failed !== undefined) throw unavailable(failed)
      const machine = await copy().catch((error: unknown) => {
        if (isTriedEachBoot) noteFailure(monitor.name, toMeshError(error).message)
        throw error
      })
      const memoryBytesAtStart = machine.sample()?.memoryBytes ?? 0
      // The worker said so before its machine was saved.
      machine.frames.unshift(encodeFrame(frameTypes.ready, new Uint8Array()))
      return {
        input: machine.frames,
        output: machine.frames,
        said: () => machine.said(),
        closed: machine.closed,
        sample() {
          const sample = machine.sample()
          return sample && { cpuMs: sample.cpuMs, memoryBytes: Math.max(memoryBytesAtStart, sample.memoryBytes - machineSlackBytes) }
        },
        kill: () => machine.kill(),
        freeze: () => machine.freeze(),
        thaw: () => machine.thaw(),
        hold: (busy) => machine.hold(busy),
      } satisfies Launched
    },
  }
}
