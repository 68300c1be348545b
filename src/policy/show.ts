import type { AgentCapability, Did } from '../base/index.ts'
import type { IsolationLevel, SandboxLimits } from '../sandbox/index.ts'
import { type Level, levelName, scopeCovers, TrustLevel } from '../trust/index.ts'
import { capabilityOf, ceilingOf, type Command, commands, explicitCommands, fileScope, messageScope, nativeCommand, taskScope } from './commands.ts'
import { levelMinOf, type Policy } from './policy.ts'
import { roleCommands, type RoleName } from './roles.ts'

export interface CommandView {
  readonly command: Command
  /** Lowest level it may be had at by any policy, and by this one. */
  readonly ceiling: string
  readonly levelMin: string
  /** What each level has of it: `token` with a capability token, `named` by the operator's word about one peer. */
  readonly byLevel: Readonly<Record<string, 'no' | 'yes' | 'token' | 'named'>>
}

/** The policy in force as people see it. Source: grant/v1 section 5. */
export interface PolicyView {
  readonly levels: { readonly task: string; readonly message: string; readonly file: string }
  readonly strangers: boolean
  /** Weakest isolation by level of the asker. */
  readonly isolation: Readonly<Record<string, IsolationLevel | 'refused'>>
  readonly commands: readonly CommandView[]
  readonly capabilities: Readonly<Record<string, readonly AgentCapability[]>>
  readonly limits: SandboxLimits
  readonly requireToken: readonly Command[]
  readonly native: readonly Did[]
  readonly roles: Readonly<Record<RoleName, readonly Command[]>>
  readonly assigned: Readonly<Record<string, RoleName>>
  /** Where each word came from, by the name of its setting; what is said for one level stands beside what is built in for the others. */
  readonly sources: Readonly<Record<string, string>>
}

const levels: readonly Level[] = [0, 1, 2, 3, 4]
const builtIn = 'built in'
const paths = [
  'policy.task_level_min',
  'policy.message_level_min',
  'policy.file_level_min',
  'policy.command_level_min',
  'policy.strangers',
  'policy.floor',
  'policy.capabilities',
  'policy.task_limits',
  'policy.native',
  'policy.require_token',
  'policy.roles',
] as const

export function policyView(policy: Policy): PolicyView {
  const named = <T>(value: (level: Level) => T): Readonly<Record<string, T>> => Object.fromEntries(levels.map((level) => [levelName(level), value(level)]))
  const minOf = (command: Command): Level => levelMinOf(policy, command) ?? TrustLevel.AUTHORITY
  return {
    levels: { task: levelName(minOf(taskScope)), message: levelName(minOf(messageScope)), file: levelName(minOf(fileScope)) },
    strangers: policy.strangers === true,
    isolation: named((level) => {
      if (level < minOf(taskScope)) return 'refused'
      return level === TrustLevel.UNKNOWN ? 'virtualized' : (policy.isolationFloor[level] ?? 'refused')
    }),
    commands: commands.map((command) => ({
      command,
      ceiling: levelName(ceilingOf(command) ?? TrustLevel.AUTHORITY),
      levelMin: levelName(minOf(command)),
      byLevel: named((level) => answerAt(policy, command, level)),
    })),
    capabilities: named((level) => (level <= TrustLevel.BASIC ? [] : (policy.taskCapabilities?.[level] ?? []))),
    limits: policy.taskLimitsMax,
    requireToken: policy.requireToken ?? [],
    native: policy.nativeGrants ?? [],
    roles: roleCommands,
    assigned: policy.roles ?? {},
    sources: { ...Object.fromEntries(paths.map((path) => [path, builtIn])), ...policy.sources },
  }
}

function answerAt(policy: Policy, command: Command, level: Level): 'no' | 'yes' | 'token' | 'named' {
  const capability = capabilityOf(command)
  const isOfTask = capability !== undefined || command === nativeCommand
  const least = Math.max(
    levelMinOf(policy, command) ?? TrustLevel.AUTHORITY,
    isOfTask ? (levelMinOf(policy, taskScope) ?? TrustLevel.AUTHORITY) : command === taskScope ? 0 : -1,
  )
  if (level < least) return 'no'
  const isGranted = capability === undefined ? command !== nativeCommand : policy.taskCapabilities?.[level]?.includes(capability) === true
  if (command === nativeCommand && policy.isolationFloor[level] !== 'native') return 'no'
  if (!isGranted) return explicitCommands.has(command) ? 'named' : 'no'
  return policy.requireToken?.some((required) => scopeCovers(required, command)) === true ? 'token' : 'yes'
}
