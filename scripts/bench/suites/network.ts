import { createLevelStore, put } from '../../../src/store/index.ts'
import { alternate, type Bench, type Load, median, type Peer, row, type Row, usPerCall } from '../harness.ts'
import { type Pair, script, startNodes, startPair } from '../pairs.ts'
import { createPrimitives } from '../primitives.ts'

const manyInFlight = 64
/** A signed statement with a payload of 1 KiB. */
const statementBytes = 1_300
const auditEntryBytes = 400

/** Two processes on loopback: ours, libp2p with nothing on top, gRPC over TLS. */
export async function* network(bench: Bench): AsyncIterable<Row> {
  const [nodes, plain, grpc] = await Promise.all([startNodes(bench), startPair(bench, 'libp2p'), startPair(bench, 'grpc')])
  yield* connects(bench, nodes.address, plain.address)
  yield* asks(bench, nodes, plain, grpc)
}

async function* connects(bench: Bench, nodeAddress: unknown, bareAddress: unknown): AsyncIterable<Row> {
  const [ours, bare] = [bench.start(script('connect')), bench.start(script('libp2p'))]
  const figures = await alternate(bench.rounds(41), {
    ours: () => ours.ask<number>('connectMs', nodeAddress),
    bare: () => bare.ask<number>('connectMs', bareAddress),
  })
  await Promise.all([ours.stop(), bare.stop()])
  yield row({
    id: 'connect-hello',
    what: 'connect and KLP hello, until the terms are agreed',
    unit: 'ms',
    figures: figures.ours,
    against: 'bare libp2p connect (tcp, noise, yamux)',
    others: figures.bare,
  })
}

async function* asks(bench: Bench, nodes: Pair, plain: Pair, grpc: Pair): AsyncIterable<Row> {
  await using stack = new AsyncDisposableStack()
  const store = await createLevelStore(bench.path('commits'))
  stack.defer(() => store.close())
  const entry = new Uint8Array(auditEntryBytes).fill(7)
  let commits = 0
  async function commitUs(): Promise<number> {
    const times: number[] = []
    for (let index = 0; index < bench.calls; index++) {
      const start = performance.now()
      await store.durable([put(String(commits++).padStart(12, '0'), entry)])
      times.push((performance.now() - start) * 1_000)
    }
    return median(times)
  }
  const bare = createPrimitives(statementBytes)
  const cryptoUs = (): number =>
    usPerCall(bench.calls, () => {
      for (let direction = 0; direction < 2; direction++) {
        bare.hash()
        bare.sign()
        bare.seal()
        bare.open()
        bare.hash()
        bare.verify()
      }
    })
  const ask = (peer: Peer, inFlight: number): Promise<Load> => peer.ask<Load>('load', { inFlight, ms: bench.loadMs })

  // CPU of a whole ask is that of the asking and of the answering process.
  const latency: number[] = []
  const stream: number[] = []
  const cpu: number[] = []
  const rate = async (peer: Peer, inFlight: number): Promise<number> => (await ask(peer, inFlight)).perSecond
  const figures = await alternate(bench.rounds(9), {
    async ours1() {
      const { perSecond, p50Us } = await ask(nodes.client, 1)
      latency.push(p50Us)
      return perSecond
    },
    async plain1() {
      const { perSecond, p50Us } = await ask(plain.client, 1)
      stream.push(p50Us)
      return perSecond
    },
    grpc1: () => rate(grpc.client, 1),
    async ours64() {
      await nodes.server.ask('cpuUs')
      const { perSecond, cpuUsPerAsk } = await ask(nodes.client, manyInFlight)
      const served = await nodes.server.ask<number>('cpuUs')
      cpu.push(cpuUsPerAsk + (served * 1_000) / (perSecond * bench.loadMs))
      return perSecond
    },
    plain64: () => rate(plain.client, manyInFlight),
    grpc64: () => rate(grpc.client, manyInFlight),
    commit: commitUs,
    crypto: cryptoUs,
  })
  // The first round of `alternate` does not count.
  for (const list of [latency, stream, cpu]) list.shift()

  const what = 'sealed, signed and durable ask of 1 KiB'
  const unit = 'asks/s'
  const plainly = 'plain coalesced round trip on an open libp2p stream, 1 KiB'
  const overGrpc = 'grpc-js, open bidirectional stream over TLS, 1 KiB'
  yield row({ id: 'ask-1-plain', what: `${what}, 1 in flight`, unit, figures: figures.ours1, against: plainly, others: figures.plain1 })
  yield row({ id: 'ask-1-grpc', what: `${what}, 1 in flight`, unit, figures: figures.ours1, against: overGrpc, others: figures.grpc1 })
  yield row({ id: 'ask-64-plain', what: `${what}, ${manyInFlight} in flight`, unit, figures: figures.ours64, against: plainly, others: figures.plain64 })
  yield row({ id: 'ask-64-grpc', what: `${what}, ${manyInFlight} in flight`, unit, figures: figures.ours64, against: overGrpc, others: figures.grpc64 })

  const parts = figures.crypto.map((crypto, round) => crypto + (figures.commit[round] ?? 0))
  const against = 'the median time of that ask'
  yield row({
    id: 'ask-1-parts',
    what: `median time of an ask, 1 in flight`,
    unit: 'us',
    figures: latency,
    against: 'primitives of both directions and one durable commit',
    others: parts,
  })
  yield row({ id: 'ask-1-crypto', what: 'of it: primitives of both directions', unit: 'us', figures: figures.crypto, against, others: latency })
  yield row({ id: 'ask-1-commit', what: 'of it: one durable commit', unit: 'us', figures: figures.commit, against, others: latency })
  yield row({ id: 'ask-1-stream', what: 'of it: plain round trip on an open stream', unit: 'us', figures: stream, against, others: latency })
  yield row({
    id: 'ask-64-cpu',
    what: `CPU of an ask, both processes, ${manyInFlight} in flight`,
    unit: 'us',
    figures: cpu,
    against: 'primitives of both directions',
    others: figures.crypto,
  })
}
