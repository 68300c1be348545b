import { availableParallelism } from 'node:os'
import { MeshError } from '../base/index.ts'

/** Memory that stays free for the node itself when a run begins, bytes. Source: sandbox/v1 section 8. */
export const memoryReserveBytes = 64 << 20
/** Runs at once for each core. Source: sandbox/v1 section 8. */
export const runsPerCoreMax = 16

/** What this machine has left for runs. */
export interface SandboxResources {
  /** Takes a place and memory for one run; the answer gives both back. @throws ERR_OVERLOADED saying what is missing */
  take(memoryMiB: number): () => void
}

export interface SandboxResourcesOptions {
  readonly slots?: number
  /** Free now; the system's when missing. */
  readonly freeBytes?: () => number
}

export function createSandboxResources({
  slots = runsPerCoreMax * availableParallelism(),
  freeBytes = () => process.availableMemory(),
}: SandboxResourcesOptions = {}): SandboxResources {
  let taken = 0
  return {
    take(memoryMiB) {
      if (taken >= slots) throw new MeshError('ERR_OVERLOADED', `all ${slots} places for runs are taken`)
      const free = freeBytes()
      if (free < memoryMiB * 2 ** 20 + memoryReserveBytes) {
        throw new MeshError('ERR_OVERLOADED', `the run may need ${memoryMiB} MiB and ${Math.round(free / 2 ** 20)} MiB are free`)
      }
      taken++
      let isGiven = false
      return () => {
        if (!isGiven) taken--
        isGiven = true
      }
    },
  }
}
