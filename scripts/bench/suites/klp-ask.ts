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
  const rate = async ({ client }: Pair): Promise<number> => (await ask(client)).perSecond
  const ask = (peer: Peer): Promise<Load> => peer.ask<Load>('load', { inFlight, ms: bench.loadMs })
  const figures = await alternate(bench.rounds(9), {
    ours: () => rate(nodes),
    plain: () => rate(plain),
    grpc: () => rate(grpc),
    nats: () => (nats === undefined ? Number.NaN : rate(nats)),
    syncs: syncsPerSecond,
  })
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
}
