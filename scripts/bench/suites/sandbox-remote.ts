import { realClock, silentLogger } from '../../../src/base/index.ts'
import { createNode, type MeshNode } from '../../../src/node/index.ts'
import { createSandboxes, sandboxLimitsDefault } from '../../../src/sandbox/index.ts'
import { alternate, type Bench, median, quantile, row, type Row } from '../harness.ts'

const code = 'return input.a + 1'
const input = { a: 41 }
const askersCount = 16
const lifetimeMs = 3_600_000

/** A task on another node, receipts of both sides on both disks, against the same in a sandbox here; and sixteen askers of one executor. */
export async function* sandboxRemote(bench: Bench): AsyncIterable<Row> {
  await using stack = new AsyncDisposableStack()
  const sandboxes = await createSandboxes({ clock: realClock, logger: silentLogger, poolSize: 2 })
  stack.defer(() => sandboxes.stop())
  const backend = sandboxes.get('sandboxed')
  const nodeAt = async (name: string): Promise<MeshNode> => stack.use(await createNode({ dataDir: bench.path(name), upnp: false }))
  const executor = await nodeAt('executor')
  const askers: MeshNode[] = []
  for (let index = 0; index < askersCount; index++) {
    const asker = await nodeAt(`asker-${index}`)
    await asker.dial(executor.ticket())
    await executor.trust.attest({ subject: asker.did, level: 2, scopes: ['/task/run'], lifetimeMs })
    askers.push(asker)
  }
  const [first] = askers
  if (first === undefined) throw new Error('nobody asks')
  async function remote(asker: MeshNode): Promise<void> {
    for await (const event of asker.tasks.run({ on: executor.did, code, input })) {
      if (event.type === 'result' && !event.ok) throw new Error(`the task failed: ${event.error?.message ?? ''}`)
    }
  }
  async function local(): Promise<void> {
    for await (const event of backend.run({ code, input: JSON.stringify(input) }, { limits: sandboxLimitsDefault })) {
      if (event.type === 'failed') throw new Error(`the task failed: ${event.message}`)
    }
  }
  async function timed(run: () => Promise<void>, into: number[]): Promise<number> {
    const times: number[] = []
    for (let index = 0; index < bench.calls; index++) {
      const start = performance.now()
      await run()
      times.push(performance.now() - start)
    }
    into.push(...times)
    return median(times)
  }
  const [there, here]: readonly [number[], number[]] = [[], []]
  const figures = await alternate(bench.rounds(5), { remote: () => timed(() => remote(first), there), local: () => timed(local, here) })
  const against = 'the same in a sandbox of this process'
  yield row({
    id: 'sandbox-remote-p50',
    what: 'small task on another node, both receipts on disk',
    unit: 'ms',
    figures: figures.remote,
    against,
    others: figures.local,
  })
  yield row({
    id: 'sandbox-remote-p99',
    what: 'small task on another node, 99th percentile',
    unit: 'ms',
    figures: [quantile(there, 0.99)],
    against: `${against}, 99th percentile`,
    others: [quantile(here, 0.99)],
  })
  const until = performance.now() + 4 * bench.loadMs
  const counts = await Promise.all(
    askers.map(async (asker) => {
      let done = 0
      while (performance.now() < until) {
        await remote(asker)
        done++
      }
      return done
    }),
  )
  yield row({
    id: 'sandbox-remote-fair',
    what: `tasks of the asker that got most, of ${askersCount} that ask one executor at once`,
    unit: 'tasks',
    figures: [Math.max(...counts)],
    against: 'the asker that got fewest',
    others: [Math.min(...counts)],
    goal: 2,
  })
  const seconds = (4 * bench.loadMs) / 1_000
  yield row({
    id: 'sandbox-remote-rate',
    what: `small tasks of ${askersCount} askers`,
    unit: 'tasks/s',
    figures: [counts.reduce((sum, count) => sum + count, 0) / seconds],
    against: 'one asker, one task after the other',
    others: [1_000 / median(there)],
  })
}
