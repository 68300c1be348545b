import { spawnSync } from 'node:child_process'
import { createLevelStore, put } from '../../../src/store/index.ts'
import { alternate, type Bench, type Load, type Peer, row, type Row } from '../harness.ts'
import { type Pair, startNodes, startPair } from '../pairs.ts'

const inFlight = 64
const plainGoal = 0.4
const grpcGoal = 1
const syncGoal = 5
/** What one message adds to the disk of its receiver, about. */
const entryBytes = 600

/** Sealed, signed and durable asks of 1 KiB, two processes on loopback, against what carries bytes and no more. */
export async function* klpAsk(bench: Bench): AsyncIterable<Row> {
  const hasNats = spawnSync('nats-server', ['--version']).error === undefined
  if (!hasNats) process.stderr.write('nats-server is not installed: asks are compared without NATS\n')
  await using stack = new AsyncDisposableStack()
  const store = await createLevelStore(bench.path('one-by-one'))
  stack.defer(() => store.close())
  const [nodes, plain, grpc] = await Promise.all([startNodes(bench), startPair(bench, 'libp2p'), startPair(bench, 'grpc')])
  const nats = hasNats ? await startPair(bench, 'nats', bench.path('nats')) : undefined

  const entry = new Uint8Array(entryBytes).fill(7)
  let writes = 0
  async function syncsPerSecond(): Promise<number> {
    const start = performance.now()
    for (let call = 0; call < bench.calls; call++) await store.durable([put(String(writes++).padStart(12, '0'), entry)])
    return (bench.calls * 1_000) / (performance.now() - start)
  }
  const ask = (peer: Peer): Promise<Load> => peer.ask<Load>('load', { inFlight, ms: bench.loadMs })
  /** Asks a second; what one costs both processes goes to `cpu`. */
  const rate = async ({ client, server }: Pair, cpu: number[]): Promise<number> => {
    await server.ask('cpuUs')
    const { perSecond, cpuUsPerAsk } = await ask(client)
    cpu.push(cpuUsPerAsk + ((await server.ask<number>('cpuUs')) * 1_000) / (perSecond * bench.loadMs))
    return perSecond
  }
  const cpu = { ours: [] as number[], plain: [] as number[], grpc: [] as number[] }
  const figures = await alternate(bench.rounds(9), {
    ours: () => rate(nodes, cpu.ours),
    plain: () => rate(plain, cpu.plain),
    grpc: () => rate(grpc, cpu.grpc),
    nats: async () => (nats === undefined ? Number.NaN : (await ask(nats.client)).perSecond),
    syncs: syncsPerSecond,
  })
  // The first round of `alternate` does not count.
  for (const list of Object.values(cpu)) list.shift()

  const what = `sealed, signed and durable ask of 1 KiB, ${inFlight} in flight`
  const unit = 'asks/s'
  const plainly = 'plain coalesced round trip on an open libp2p stream'
  yield row({ id: 'klp-ask-plain', what, unit, figures: figures.ours, against: plainly, others: figures.plain, goal: plainGoal })
  yield row({
    id: 'klp-ask-grpc',
    what,
    unit,
    figures: figures.ours,
    against: 'grpc-js, open bidirectional stream over TLS',
    others: figures.grpc,
    goal: grpcGoal,
  })
  if (nats !== undefined) yield row({ id: 'klp-ask-nats', what, unit, figures: figures.ours, against: 'NATS request-reply over TLS', others: figures.nats })
  yield row({
    id: 'klp-ask-sync',
    what,
    unit,
    figures: figures.ours,
    against: 'one sync a message',
    others: figures.syncs,
    othersUnit: 'syncs/s',
    goal: syncGoal,
  })
  const cost = `CPU time of that ask, both processes, ${inFlight} in flight`
  yield row({ id: 'klp-ask-cpu-plain', what: cost, unit: 'us', figures: cpu.ours, against: plainly, others: cpu.plain })
  yield row({ id: 'klp-ask-cpu-grpc', what: cost, unit: 'us', figures: cpu.ours, against: 'grpc-js, open bidirectional stream over TLS', others: cpu.grpc })
}
