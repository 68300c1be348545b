import { type Config, limitKeys } from '../config/index.ts'
import type { AgentCapability, Did } from '../base/index.ts'
import type { Policy, RoleName } from '../policy/index.ts'
import type { IsolationLevel, SandboxLimits } from '../sandbox/index.ts'
import { type Level, parseAnswerLevel, TrustLevel } from '../trust/index.ts'

const levels = { basic: TrustLevel.BASIC, verified: TrustLevel.VERIFIED, trusted: TrustLevel.TRUSTED, authority: TrustLevel.AUTHORITY } as const

/** The policy with what the settings say, in place of what it says itself. Source: protocols/config/v1 section 2. */
export function policyOf(base: Policy, config: Pick<Config, 'setting' | 'settings'>, agent?: string): Policy {
  const said = <T>(key: string): T | undefined => {
    const { from, value } = config.setting(key, { agent })
    return from === 'default' ? undefined : (value as T)
  }
  const level = (key: string): Level | undefined => {
    const name = said<string>(key)
    return name === undefined ? undefined : parseAnswerLevel(name)
  }
  const floors = new Map<string, IsolationLevel>(Object.entries(base.isolationFloor))
  const taskCapabilities: Partial<Record<Level, readonly AgentCapability[]>> = { ...base.taskCapabilities }
  for (const [name, at] of Object.entries(levels)) {
    const floor = said<IsolationLevel | 'refuse'>(`policy.floor.${name}`)
    if (floor === 'refuse') floors.delete(String(at))
    else if (floor !== undefined) floors.set(String(at), floor)
    const capabilities = at === TrustLevel.BASIC ? undefined : said<readonly AgentCapability[]>(`policy.capabilities.${name}`)
    if (capabilities !== undefined) taskCapabilities[at] = capabilities
  }
  const limits = Object.entries(limitKeys).flatMap(([name, field]) => {
    const most = said<number>(`policy.task_limits.${name}`)
    // Settings narrow what a task may ask for, they never widen it.
    return most === undefined ? [] : [[field, Math.min(most, base.taskLimitsMax[field])] as const]
  })
  const fileLevelMin = level('policy.file_level_min') ?? base.fileLevelMin
  const byCommand = Object.entries(said<Record<string, string>>('policy.command_level_min') ?? {})
  const levelMin = Object.fromEntries(byCommand.map(([command, name]): [string, Level] => [command, parseAnswerLevel(name)]))
  return {
    ...base,
    strangers: said<boolean>('policy.strangers') ?? base.strangers ?? false,
    levelMin: { ...base.levelMin, ...levelMin },
    requireToken: said<readonly string[]>('policy.require_token') ?? base.requireToken ?? [],
    roles: { ...base.roles, ...said<Record<Did, RoleName>>('policy.roles') },
    sources: { ...base.sources, ...sourcesOf(config, agent) },
    taskLevelMin: level('policy.task_level_min') ?? base.taskLevelMin,
    messageLevelMin: level('policy.message_level_min') ?? base.messageLevelMin,
    ...(fileLevelMin === undefined ? {} : { fileLevelMin }),
    isolationFloor: Object.fromEntries(floors),
    taskCapabilities,
    taskLimitsMax: { ...base.taskLimitsMax, ...(Object.fromEntries(limits) as Partial<SandboxLimits>) },
  }
}

/** Where each word of the policy came from that is not built in. */
function sourcesOf(config: Pick<Config, 'settings'>, agent: string | undefined): Readonly<Record<string, string>> {
  const said = config.settings({ agent }).filter(({ key, from }) => key.startsWith('policy.') && from !== 'default')
  return Object.fromEntries(said.map(({ key, from, source }) => [key, `${from}: ${source}`]))
}

const fields: readonly (keyof Policy)[] = Object.keys({
  taskLevelMin: true,
  isolationFloor: true,
  taskLimitsMax: true,
  taskCapabilities: true,
  nativeGrants: true,
  messageLevelMin: true,
  fileLevelMin: true,
  strangers: true,
  levelMin: true,
  requireToken: true,
  roles: true,
  sources: true,
} satisfies Record<keyof Policy, true>) as (keyof Policy)[]

/** A policy that always is what `now` says: whoever was handed it sees a change of the settings at once. */
export const livePolicy = (now: () => Policy): Policy =>
  Object.defineProperties({}, Object.fromEntries(fields.map((field) => [field, { enumerable: true, get: () => now()[field] }]))) as Policy
