import type { SandboxLimits } from './types.ts'

/** What a task gets when its sender names nothing. Source: sandbox/v1. */
export const sandboxLimitsDefault: SandboxLimits = { memoryMiB: 128, wallMs: 10_000, cpuMs: 5_000, outputBytes: 1 << 20, hostCalls: 10_000 }

/** The most an operator can allow. */
export const sandboxLimitsMax: SandboxLimits = { memoryMiB: 1_024, wallMs: 600_000, cpuMs: 600_000, outputBytes: 16 << 20, hostCalls: 1_000_000 }

/** The JSON text of a task's input. */
export const inputBytesMax = 4 << 20

/** Why these limits cannot be enforced; undefined when they can. */
export function limitsProblem(limits: SandboxLimits): string | undefined {
  for (const name of Object.keys(sandboxLimitsMax) as (keyof SandboxLimits)[]) {
    const value = limits[name]
    const lowest = name === 'hostCalls' || name === 'outputBytes' ? 0 : 1
    if (!Number.isSafeInteger(value) || value < lowest || value > sandboxLimitsMax[name]) {
      return `limit ${name} is ${value}, must be a whole number from ${lowest} to ${sandboxLimitsMax[name]}`
    }
  }
  return undefined
}
