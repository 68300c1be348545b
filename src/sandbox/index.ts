export { buildRootfs } from './containers/rootfs.ts'
export { setUpMachines } from './machines/set-up.ts'
export type { Launched, Launcher } from './launched.ts'
export { hostCallBytesMax } from './frames.ts'
export { stripTypes } from './strip-types.ts'
export { limitsProblem, sandboxLimitsDefault, sandboxLimitsMax } from './limits.ts'
export { type HostCallName, hostCallCapabilities } from './capabilities.ts'
export {
  type FileRoot,
  type FileSystemPolicy,
  fileSystemPolicySchema,
  type Grants,
  grantsSchema,
  type MemoryPolicy,
  memoryPolicySchema,
  type NetworkPolicy,
  networkPolicySchema,
  noGrants,
  parsePolicy,
  policyEntriesMax,
  type ProviderPolicy,
} from './policies.ts'
export { analyse, codeFileBytesMax, prepareCode, type PreparedCode } from './prepare.ts'
export { createSandboxes, openSandboxes, type SandboxesOptions } from './sandboxes.ts'
export {
  type Engine,
  engines,
  type HostAnswer,
  type HostBridge,
  type IsolationBackend,
  type IsolationLevel,
  isolationLevels,
  type LevelReport,
  type RunControl,
  type RunOptions,
  type Sandboxes,
  type SandboxEvent,
  type SandboxLimits,
  type SandboxOutcome,
  type SandboxUsage,
  type SecurityEvent,
  type TaskCode,
} from './types.ts'
