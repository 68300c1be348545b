import { realClock, silentLogger } from '../../../src/base/index.ts'
import { createSandboxes, sandboxLimitsDefault, type TaskCode } from '../../../src/sandbox/index.ts'
import { alternate, type Bench, load, median, quantile, row, type Row } from '../harness.ts'

const task: TaskCode = { code: 'return input.a + 1', input: '{"a":41}' }
const poolSize = 2

/** A small task in a warm sandbox against the same in a bare isolate, both in a fresh isolate every time. */
export async function* sandbox(bench: Bench): AsyncIterable<Row> {
  const bare = bench.start(new URL('../peers/isolate.ts', import.meta.url), ['--no-node-snapshot'])
  await using stack = new AsyncDisposableStack()
  const sandboxes = await createSandboxes({ clock: realClock, logger: silentLogger, poolSize })
  stack.defer(() => sandboxes.stop())
  const backend = sandboxes.get('sandboxed')
  async function run(): Promise<void> {
    for await (const event of backend.run(task, { limits: sandboxLimitsDefault })) {
      if (event.type === 'failed') throw new Error(`the task failed: ${event.message}`)
    }
  }

  const ours: number[] = []
  const theirs: number[] = []
  const count = bench.rounds(40)
  const figures = await alternate(bench.rounds(7), {
    async warm() {
      const times: number[] = []
      for (let index = 0; index < count; index++) {
        const start = performance.now()
        await run()
        times.push(performance.now() - start)
      }
      ours.push(...times)
      return median(times)
    },
    async bare() {
      const times = await bare.ask<readonly number[]>('tasksMs', { ...task, count })
      theirs.push(...times)
      return median(times)
    },
    warmRate: async () => (await load(run, { inFlight: poolSize, ms: bench.loadMs })).perSecond,
    async bareRate() {
      const times = await bare.ask<readonly number[]>('tasksMs', { ...task, count })
      return (count * 1_000) / times.reduce((sum, ms) => sum + ms, 0)
    },
  })
  const against = 'bare isolated-vm, a fresh isolate each, in one process'
  yield row({
    id: 'sandbox-p50',
    what: `small task in a warm worker (${backend.name})`,
    unit: 'ms',
    figures: figures.warm,
    against,
    others: figures.bare,
    goal: 1.5,
  })
  yield row({
    id: 'sandbox-rate',
    what: `small tasks, ${poolSize} workers`,
    unit: 'tasks/s',
    figures: figures.warmRate,
    against,
    others: figures.bareRate,
    goal: 1,
  })
  yield row({
    id: 'sandbox-p99',
    what: 'small task, 99th percentile',
    unit: 'ms',
    figures: [quantile(ours, 0.99)],
    against: `${against}, 99th percentile`,
    others: [quantile(theirs, 0.99)],
  })
}
