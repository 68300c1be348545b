export { sandboxLimitsDefault, sandboxLimitsMax } from './limits.ts'
export { createSandboxes, type SandboxesOptions } from './sandboxes.ts'
export {
  type IsolationBackend,
  type IsolationLevel,
  isolationLevels,
  type RunOptions,
  type Sandboxes,
  type SandboxEvent,
  type SandboxLimits,
  type SandboxOutcome,
  type SandboxUsage,
  type SecurityEvent,
  type TaskCode,
} from './types.ts'
