import { setTimeout as sleep } from 'node:timers/promises'

const settleMs = 1_000

/** Resident memory of this process once the garbage is collected; needs `--expose-gc`. */
export async function settledRssBytes(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    await sleep(settleMs)
    globalThis.gc?.()
  }
  return process.memoryUsage.rss()
}
