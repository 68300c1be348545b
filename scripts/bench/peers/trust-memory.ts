/** What a ledger of so many statements takes in memory, and a scope of it once it was asked for. Needs `--expose-gc`. */
import { createLedger } from '../../../src/trust/index.ts'
import { answerParent } from '../harness.ts'
import { asStatements, busiest, now, synthetic } from '../trust-graphs.ts'

async function usedBytes(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    await new Promise((resolve) => setImmediate(resolve))
    globalThis.gc?.()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

answerParent({
  async bytes(count: number) {
    const words = synthetic(count)
    const root = busiest(words)
    const before = await usedBytes()
    const ledger = createLedger({ root })
    for (const word of words) for (const statement of asStatements([word])) ledger.add({ ...statement, id: crypto.randomUUID().replaceAll('-', '').repeat(2) })
    const held = await usedBytes()
    const snapshot = ledger.snapshot({ scope: '/task/run', now })
    const asked = await usedBytes()
    return { ledger: held - before, scope: asked - held, levels: snapshot.subjects().length }
  },
})
