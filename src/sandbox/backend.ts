import { type Clock, type ErrorCode, toMeshError } from '../base/index.ts'
import type { Launcher } from './launched.ts'
import { inputBytesMax, limitsProblem } from './limits.ts'
import type { WorkerPool } from './pool.ts'
import { TaskRun } from './task-run.ts'
import type { IsolationBackend, RunOptions, SandboxEvent, SandboxOutcome, TaskCode } from './types.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface BackendOptions {
  readonly launcher: Pick<Launcher, 'level' | 'name'>
  readonly pool: WorkerPool
  readonly clock: Clock
}

/** One isolation level over the guests of a pool: at every level a task is one guest, or its turn in one, watched from outside. Source: sandbox/v1 section 1. */
export function createBackend({ launcher: { level, name }, pool, clock }: BackendOptions): IsolationBackend {
  const running = new Set<TaskRun>()
  const alone = new Set<WorkerPool>()
  return {
    level,
    name,
    async *run(task, options) {
      const refusal = refuse(task, options)
      if (refusal !== undefined) {
        yield refusal
        return
      }
      let worker: WorkerProcess
      // Whoever lives long shares its guest with nobody, before or after.
      const from = options.agent === true ? pool.alone() : pool
      const giveBack = async (): Promise<void> => {
        if (from === pool) return pool.give(worker)
        await from.stop()
        alone.delete(from)
      }
      if (from !== pool) alone.add(from)
      try {
        worker = await from.take(options.signal)
      } catch (error) {
        if (from !== pool) await from.stop()
        alone.delete(from)
        const { code, message } = toMeshError(error)
        yield failed(code, message)
        return
      }
      const events: SandboxEvent[] = []
      let wake: () => void = () => undefined
      let run: TaskRun | undefined
      try {
        run = new TaskRun(worker, clock, task, options, (event) => {
          events.push(event)
          wake()
        })
        running.add(run)
        options.onControl?.(run.control)
        for (;;) {
          // Bounded: a run emits at most outputBytes and hostCalls before it is killed.
          for (const event of events.splice(0)) {
            if (isOutcome(event)) await giveBack()
            yield event
            if (isOutcome(event)) return
          }
          if (events.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        if (run !== undefined) running.delete(run)
        // Left early: the caller does not want to know how it ends.
        if (run?.ended !== true) {
          await worker.kill()
          await giveBack()
        }
      }
    },
    async stop() {
      for (const run of running) run.stop()
      await Promise.all([pool, ...alone].map((each) => each.stop()))
    },
  }
}

function refuse(task: TaskCode, { limits, signal }: RunOptions): SandboxOutcome | undefined {
  const problem = limitsProblem(limits)
  if (problem !== undefined) return failed('ERR_USAGE', problem)
  if (Buffer.byteLength(task.input) > inputBytesMax) return failed('ERR_USAGE', `input over ${inputBytesMax} bytes`)
  if (signal?.aborted === true) return failed('ERR_TASK_CANCELLED', 'cancelled before it began')
  return undefined
}

const isOutcome = (event: SandboxEvent): event is SandboxOutcome => event.type === 'done' || event.type === 'failed'

const failed = (code: ErrorCode, message: string): SandboxOutcome => ({
  type: 'failed',
  code,
  message,
  usage: { cpuMs: 0, wallMs: 0, memoryBytes: 0, outputBytes: 0, hostCalls: 0, netBytes: 0, fsOps: 0 },
  security: [],
})
