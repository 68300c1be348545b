/** A whole node that sends a file or receives some. */
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createNode, type MeshNode, parseDid } from '../../../src/index.ts'
import { answerParent, createCpuMeter } from '../harness.ts'

let node: MeshNode
const received: PromiseWithResolvers<number>[] = []
const startOf = (): number => performance.timeOrigin + performance.now()

/** Highest resident memory of this process so far, bytes. */
const peakRssBytes = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN) * 1_024

const cpuUs = createCpuMeter()

answerParent({
  cpuUs,
  async start(dataDir: string) {
    node = await createNode({ dataDir })
    return { did: node.did, address: node.addresses()[0] ?? '' }
  },
  async receive(folder: string) {
    const dir = join(folder, 'files')
    await mkdir(dir, { recursive: true })
    const files = await node.files.receive({ dir })
    void (async () => {
      for await (const _file of files) received.shift()?.resolve(startOf())
    })()
  },
  connect: (address: string) => node.dial(address),
  /** Milliseconds from the first offer to the receipt, and those of reading the file for its hash before that. */
  async send({ to, path }: { readonly to: string; readonly path: string }) {
    const begun = startOf()
    let offered = begun
    let last
    for await (const state of node.files.send(parseDid(to), path)) {
      if (last === undefined) offered = startOf()
      last = state
    }
    if (last?.status !== 'acknowledged') throw new Error(JSON.stringify(last))
    return { ms: startOf() - offered, hashMs: offered - begun }
  },
  rssBytes: () => process.memoryUsage.rss(),
  peakRssBytes,
})
