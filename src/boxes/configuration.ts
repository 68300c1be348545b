import type { AgentCapability } from '../base/index.ts'
import { z } from 'zod'
import {
  type FileSystemPolicy,
  type Grants,
  grantsSchema,
  type IsolationLevel,
  isolationLevels,
  type MemoryPolicy,
  type NetworkPolicy,
  parsePolicy,
  type ProviderPolicy,
  type SandboxLimits,
  sandboxLimitsDefault,
  sandboxLimitsMax,
} from '../sandbox/index.ts'

/** Source: the seed's ResourceLimits; sandbox/v1 section 8. */
export interface ResourceLimits {
  readonly maxMemoryMB: number
  /** Of one core. */
  readonly maxCpuPercent: number
  /** Wall clock; time suspended does not count. */
  readonly maxExecutionTimeMs: number
  /** KB/s, both ways. */
  readonly maxNetworkBandwidth: number
  /** Operations a second. */
  readonly maxFileSystemOps: number
}

/** How one agent's code is run. Source: the seed's SandboxConfiguration; sandbox/v1 section 8. The members after `monitoringEnabled` are ours. */
export interface SandboxConfiguration {
  readonly agentId: string
  readonly isolationLevel: IsolationLevel
  readonly resourceLimits: ResourceLimits
  readonly permissions: readonly AgentCapability[]
  readonly networkPolicy: NetworkPolicy
  readonly memoryPolicy: MemoryPolicy
  readonly fileSystemPolicy: FileSystemPolicy
  /** Whether security events are told as they happen; they are in the result either way. */
  readonly monitoringEnabled: boolean
  /** Without a compiler, in a worker of its own; at `sandboxed`. */
  readonly strict: boolean
  /** Names of secrets that may be read. */
  readonly secrets: readonly string[]
  readonly llm?: ProviderPolicy | undefined
  readonly vectordb?: ProviderPolicy | undefined
  /** Programs that may be started. */
  readonly programs: readonly string[]
  /** Calls of the host, in one run. */
  readonly maxHostCalls: number
  /** Console and result together, bytes. */
  readonly maxOutputBytes: number
  /** CPU time, ms; as long as the run may take when not given. */
  readonly maxCpuTimeMs?: number | undefined
  /** Processes and threads of a command. */
  readonly maxProcesses: number
}

const whole = (most: number, fallback: number, least = 1) => z.int().min(least).max(most).default(fallback)
const most = sandboxLimitsMax
const usual = sandboxLimitsDefault
const { capabilities, network, memory, files, vault, llm, vectordb, spawn } = grantsSchema.in.shape

const configurationSchema = z.strictObject({
  agentId: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.:#/+=-]{0,127}$/, 'takes 1 to 128 letters, digits and _ . : # / + = -'),
  isolationLevel: z.enum(isolationLevels),
  resourceLimits: z
    .strictObject({
      maxMemoryMB: whole(most.memoryMiB, usual.memoryMiB),
      maxCpuPercent: whole(most.cpuPercent, usual.cpuPercent),
      maxExecutionTimeMs: whole(most.wallMs, usual.wallMs),
      maxNetworkBandwidth: whole(most.netKiBps, usual.netKiBps, 0),
      maxFileSystemOps: whole(most.fsOps, usual.fsOps, 0),
    })
    .prefault({}),
  permissions: capabilities,
  networkPolicy: network,
  memoryPolicy: memory,
  fileSystemPolicy: files,
  monitoringEnabled: z.boolean().default(true),
  strict: z.boolean().default(false),
  secrets: vault,
  llm,
  vectordb,
  programs: spawn,
  maxHostCalls: whole(most.hostCalls, usual.hostCalls, 0),
  maxOutputBytes: whole(most.outputBytes, usual.outputBytes, 0),
  maxCpuTimeMs: z.int().min(1).max(most.cpuMs).optional(),
  maxProcesses: whole(most.processes, usual.processes),
})

/** What somebody may write down: everything but name and level has a default, and the default of every permission is none. */
export type SandboxConfigurationGiven = z.input<typeof configurationSchema>

/** Reads a configuration whole. @throws ERR_SANDBOX_CONFIG naming the field, for unknown ones too */
export const parseSandboxConfiguration = (value: unknown): SandboxConfiguration => parsePolicy<SandboxConfiguration>(configurationSchema, value)

export function limitsOf({ resourceLimits, maxHostCalls, maxOutputBytes, maxCpuTimeMs, maxProcesses }: SandboxConfiguration): SandboxLimits {
  const { maxMemoryMB, maxCpuPercent, maxExecutionTimeMs, maxNetworkBandwidth, maxFileSystemOps } = resourceLimits
  // Who may have several cores may use their time.
  const cpuMs = maxCpuTimeMs ?? Math.min(most.cpuMs, Math.ceil((maxExecutionTimeMs * Math.max(100, maxCpuPercent)) / 100))
  return {
    memoryMiB: maxMemoryMB,
    cpuPercent: maxCpuPercent,
    wallMs: maxExecutionTimeMs,
    netKiBps: maxNetworkBandwidth,
    fsOps: maxFileSystemOps,
    cpuMs,
    hostCalls: maxHostCalls,
    outputBytes: maxOutputBytes,
    processes: maxProcesses,
  }
}

export const grantsOf = (configuration: SandboxConfiguration): Grants => ({
  capabilities: configuration.permissions,
  network: configuration.networkPolicy,
  memory: configuration.memoryPolicy,
  files: configuration.fileSystemPolicy,
  vault: configuration.secrets,
  llm: configuration.llm,
  vectordb: configuration.vectordb,
  spawn: configuration.programs,
})
