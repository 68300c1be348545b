import { alternate, type Bench, row, type Row } from '../harness.ts'

const mib = 1 << 20

/** What an idle node keeps in memory; its sandbox workers are processes of their own and not counted. */
export async function* memory(bench: Bench): AsyncIterable<Row> {
  let round = 0
  const rss = async (script: URL): Promise<number> => {
    const peer = bench.start(script, ['--expose-gc'])
    try {
      await peer.ask('start', bench.path(`memory-${round++}`))
      return (await peer.ask<number>('rssBytes')) / mib
    } finally {
      await peer.stop()
    }
  }
  const { node, bare } = await alternate(bench.rounds(2), {
    node: () => rss(new URL('../peers/node.ts', import.meta.url)),
    bare: () => rss(new URL('../peers/libp2p.ts', import.meta.url)),
  })
  yield row({
    id: 'memory-idle',
    what: 'resident memory of an idle node',
    unit: 'MiB',
    figures: node,
    against: 'bare libp2p (tcp, noise, yamux) in its own process',
    others: bare,
  })
}
