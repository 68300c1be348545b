import type { SandboxLimits } from './types.ts'

/** A share of more cores than this is not told apart. */
const coresMax = 64

/** What a task gets when its sender names nothing. Source: sandbox/v1. */
export const sandboxLimitsDefault: SandboxLimits = {
  memoryMiB: 128,
  wallMs: 10_000,
  cpuMs: 5_000,
  outputBytes: 1 << 20,
  hostCalls: 10_000,
  cpuPercent: 100,
  netKiBps: 1_024,
  fsOps: 100,
  processes: 32,
}

/** The most an operator can allow. */
export const sandboxLimitsMax: SandboxLimits = {
  memoryMiB: 1_024,
  wallMs: 600_000,
  cpuMs: 600_000,
  outputBytes: 16 << 20,
  hostCalls: 1_000_000,
  cpuPercent: 100 * coresMax,
  netKiBps: 1 << 20,
  fsOps: 100_000,
  processes: 512,
}

/** The JSON text of a task's input. */
export const inputBytesMax = 4 << 20

const mayBeNone: ReadonlySet<keyof SandboxLimits> = new Set(['hostCalls', 'outputBytes', 'netKiBps', 'fsOps'])

/** Why these limits cannot be enforced; undefined when they can. */
export function limitsProblem(limits: SandboxLimits): string | undefined {
  for (const name of Object.keys(sandboxLimitsMax) as (keyof SandboxLimits)[]) {
    const value = limits[name]
    const lowest = mayBeNone.has(name) ? 0 : 1
    if (!Number.isSafeInteger(value) || value < lowest || value > sandboxLimitsMax[name]) {
      return `limit ${name} is ${value}, must be a whole number from ${lowest} to ${sandboxLimitsMax[name]}`
    }
  }
  return undefined
}
