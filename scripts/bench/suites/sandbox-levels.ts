import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { realClock, silentLogger } from '../../../src/base/index.ts'
import { createBackend } from '../../../src/sandbox/backend.ts'
import { containerLaunchers } from '../../../src/sandbox/containers/launchers.ts'
import { type IsolationBackend, sandboxLimitsDefault, type TaskCode } from '../../../src/sandbox/index.ts'
import { bubblewrapLauncher, nativeLauncher } from '../../../src/sandbox/launch.ts'
import type { Launcher } from '../../../src/sandbox/launched.ts'
import { machineLaunchers } from '../../../src/sandbox/machines/launchers.ts'
import { WorkerPool } from '../../../src/sandbox/pool.ts'
import type { HostBridge } from '../../../src/sandbox/types.ts'
import { WorkerProcess } from '../../../src/sandbox/worker-process.ts'
import { alternate, type Bench, median, quantile, row, type Row } from '../harness.ts'

const small: TaskCode = { code: 'return input.a + 1', input: '{"a":41}' }
const poolSize = 2
const bridgeCalls = 500

interface Level {
  readonly id: string
  readonly launcher: Launcher
  /** Cold time as a multiple of a plain `node -e`. */
  readonly coldGoal?: number
}

/** The first container counts as the level, the others stand beside it. */
const levels: readonly Level[] = [
  { id: 'native', launcher: nativeLauncher() },
  { id: 'isolate', launcher: bubblewrapLauncher() },
  { id: 'strict', launcher: bubblewrapLauncher({ strict: true }) },
  ...containerLaunchers().map((launcher, index) => ({ id: `container-${launcher.name}`, launcher, ...(index === 0 ? { coldGoal: 1.3 } : {}) })),
  ...machineLaunchers(realClock).map((launcher) => ({ id: `machine-${launcher.name}`, launcher })),
]

/** Every level cold (nothing is up) and warm (a guest waits), against a plain Node process that runs the same. */
export async function* sandboxLevels(bench: Bench): AsyncIterable<Row> {
  for (const { id, launcher, coldGoal } of levels) {
    try {
      await coldRun(launcher)
    } catch (error) {
      process.stderr.write(`${id} is left out: ${error instanceof Error ? error.message : String(error)}\n`)
      continue
    }
    yield* measureLevel(bench, id, launcher, coldGoal)
  }
  yield* memoryOfWarm(bench)
  yield* bridge(bench)
}

async function* measureLevel(bench: Bench, id: string, launcher: Launcher, coldGoal: number | undefined): AsyncIterable<Row> {
  const cold = await alternate(bench.rounds(9), { ours: () => timed(() => coldRun(launcher)), node: () => timed(plainNode) })
  const against = 'plain `node -e` with the same task'
  yield row({
    id: `sandbox-${id}-cold`,
    what: `first task of ${launcher.name}, start and end included`,
    unit: 'ms',
    figures: cold.ours,
    against,
    others: cold.node,
    ...(coldGoal === undefined ? {} : { goal: coldGoal }),
  })
  await using backend = await start(launcher)
  const count = bench.rounds(15)
  const times: number[] = []
  const warm = await alternate(bench.rounds(5), {
    async ours() {
      const own: number[] = []
      for (let index = 0; index < count; index++) {
        own.push(await timed(() => run(backend, small)))
        // A guest that serves one task is replaced before the next is measured: latency is what a caller sees who does not come every moment.
        if (launcher.tasksPerGuest === 1) await backend.settled()
      }
      times.push(...own)
      return median(own)
    },
    node: () => timed(plainNode),
  })
  yield row({ id: `sandbox-${id}-warm`, what: `task in a waiting guest of ${launcher.name}`, unit: 'ms', figures: warm.ours, against, others: warm.node })
  yield row({
    id: `sandbox-${id}-warm-p99`,
    what: 'the same, 99th percentile',
    unit: 'ms',
    figures: [quantile(times, 0.99)],
    against,
    others: [median(warm.node)],
  })
  const rate = await alternate(bench.rounds(3), {
    ours: () => perSecond(poolSize, bench.loadMs, () => run(backend, small)),
    node: () => perSecond(poolSize, bench.loadMs, plainNode),
  })
  yield row({ id: `sandbox-${id}-rate`, what: `small tasks, ${poolSize} at a time`, unit: 'tasks/s', figures: rate.ours, against, others: rate.node })
}

/** What one more warm worker takes, against a Node process that does nothing. */
async function* memoryOfWarm(bench: Bench): AsyncIterable<Row> {
  const figures = await alternate(bench.rounds(5), {
    async ours() {
      const worker = await WorkerProcess.start(bubblewrapLauncher(), realClock)
      try {
        return (worker.sample()?.memoryBytes ?? Number.NaN) / 2 ** 20
      } finally {
        await worker.kill()
      }
    },
    async node() {
      const worker = await WorkerProcess.start(nativeLauncher(), realClock)
      try {
        return (worker.sample()?.memoryBytes ?? Number.NaN) / 2 ** 20
      } finally {
        await worker.kill()
      }
    },
  })
  yield row({
    id: 'sandbox-worker-memory',
    what: 'own memory of a warm worker',
    unit: 'MiB',
    figures: figures.ours,
    against: 'a plain Node process that waits',
    others: figures.node,
  })
}

/** A call of a task to its host and back, against the same question over a pipe between two plain Node processes. */
async function* bridge(bench: Bench): AsyncIterable<Row> {
  const echo = bench.start(new URL('../peers/echo.ts', import.meta.url))
  await using backend = await start(bubblewrapLauncher())
  const host: HostBridge = { call: async (_name, args) => ({ ok: true, value: args }), usage: () => ({ netBytes: 0, fsOps: 0 }) }
  const code = `const start = Date.now(); for (let i = 0; i < ${bridgeCalls}; i++) await memory.get('key'); return Date.now() - start`
  const figures = await alternate(bench.rounds(5), {
    async ours() {
      const ms = Number(await run(backend, { code, input: 'null' }, host))
      return (ms * 1_000) / bridgeCalls
    },
    async pipe() {
      const begin = performance.now()
      for (let call = 0; call < bridgeCalls; call++) await echo.ask('echo', ['key'])
      return ((performance.now() - begin) * 1_000) / bridgeCalls
    },
  })
  yield row({
    id: 'sandbox-bridge-call',
    what: 'host call of a task, one after the other',
    unit: 'us',
    figures: figures.ours,
    against: 'child_process message and answer',
    others: figures.pipe,
  })
}

interface Started extends IsolationBackend, AsyncDisposable {
  /** Resolves when as many guests wait as can. */
  settled(): Promise<void>
}

async function start(launcher: Launcher): Promise<Started> {
  const pool = await WorkerPool.start({ launcher, clock: realClock, logger: silentLogger, size: Math.min(poolSize, launcher.poolSizeMax ?? poolSize) })
  const backend = createBackend({ launcher, pool, clock: realClock })
  return { ...backend, settled: () => pool.settled(), [Symbol.asyncDispose]: () => backend.stop() }
}

async function run(backend: IsolationBackend, task: TaskCode, host?: HostBridge): Promise<string> {
  for await (const event of backend.run(task, { limits: { ...sandboxLimitsDefault, cpuPercent: 200 }, ...(host === undefined ? {} : { host }) })) {
    if (event.type === 'failed') throw new Error(`the task failed: ${event.message}`)
    if (event.type === 'done') return event.result
  }
  throw new Error('a run without an outcome')
}

async function coldRun(launcher: Launcher): Promise<void> {
  const pool = await WorkerPool.start({ launcher, clock: realClock, logger: silentLogger, size: 1 })
  const backend = createBackend({ launcher, pool, clock: realClock })
  try {
    await run(backend, small)
  } finally {
    await backend.stop()
  }
}

async function plainNode(): Promise<void> {
  const program = `const input = ${small.input}; process.stdout.write(JSON.stringify((() => { ${small.code} })()))`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  child.stdout.resume()
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`node -e ended with ${String(code)}`)
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await act()
  return performance.now() - begin
}

async function perSecond(inFlight: number, ms: number, act: () => Promise<unknown>): Promise<number> {
  let count = 0
  const begin = performance.now()
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (performance.now() - begin < ms) {
        await act()
        count++
      }
    }),
  )
  return (count * 1_000) / (performance.now() - begin)
}
