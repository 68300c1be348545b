/** A node of ours: serves an echo agent, or asks one. */
import { createNode, type MeshNode } from '../../../src/node/index.ts'
import type { Did } from '../../../src/base/index.ts'
import { answerParent, createCpuMeter, load, type LoadOptions } from '../harness.ts'
import { settledRssBytes } from '../rss.ts'

const text = 'x'.repeat(1_024)
const cpuUs = createCpuMeter()
let node: MeshNode | undefined
let server: Did | undefined

const running = (): MeshNode => {
  if (node === undefined) throw new Error('not started')
  return node
}

answerParent({
  async start(dataDir: string) {
    node = await createNode({ dataDir })
    return node.addresses()[0]
  },
  serve: () => running().agents.add('echo'),
  async connect(address: string) {
    server = (await running().dial(address)).did
  },
  load: (options: LoadOptions) => load(() => running().ask(server as Did, text), options),
  cpuUs,
  rssBytes: settledRssBytes,
})
