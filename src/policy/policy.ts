import { type AgentCapability, type Did, type ErrorCode } from '../base/index.ts'
import { type Engine, type IsolationLevel, isolationLevels, type SandboxLimits } from '../sandbox/index.ts'
import { type Level, levelName, TrustLevel } from '../trust/index.ts'

/** May *who* do *what* now? Denials carry a code and a sentence. */
export type Decision<Grant = unknown> =
  | { readonly allow: true; readonly grant: Grant }
  | { readonly allow: false; readonly code: ErrorCode; readonly reason: string }

const deny = (code: ErrorCode, reason: string): Decision<never> => ({ allow: false, code, reason })

/** The scope in which somebody must be trusted to run tasks here. */
export const taskScope = '/task/run'
/** The scope in which a node reads who may write to it. */
export const messageScope = '/message/send'
/** The scope in which a node reads who may send it files. */
export const fileScope = '/file/send'

/** What the operator allows; each rule only narrows. Without a policy nothing is allowed. */
export interface Policy {
  /** Lowest level in `taskScope` whose tasks run here. */
  readonly taskLevelMin: Level
  /** Weakest isolation by level of the asker; a level without an entry is refused. */
  readonly isolationFloor: Readonly<Partial<Record<Level, IsolationLevel>>>
  readonly taskLimitsMax: SandboxLimits
  /** What tasks may be granted, by level of the asker; nothing unless given. BASIC is granted nothing whatever stands here. */
  readonly taskCapabilities?: Readonly<Partial<Record<Level, readonly AgentCapability[]>>>
  /** Identities whose tasks may run natively, at AUTHORITY and when they ask for it: without isolation, as the operator's own code. */
  readonly nativeGrants?: readonly Did[]
  /** Lowest level in `messageScope` whose messages are taken; 0 takes strangers, -1 also the distrusted. */
  readonly messageLevelMin: Level
  /** Lowest level in `fileScope` whose files are taken while this node receives; `messageLevelMin` unless given. */
  readonly fileLevelMin?: Level
}

export interface TaskQuestion {
  readonly level: Level
  /** The asker's identity. */
  readonly asker?: Did
  /** The weakest level the asker accepts. */
  readonly isolation: IsolationLevel
  readonly limits: SandboxLimits
  /** `javascript` when missing. */
  readonly engine?: Engine
  /** All that the task asks for. */
  readonly capabilities?: readonly AgentCapability[]
}

export interface TaskGrant {
  readonly isolation: IsolationLevel
  readonly limits: SandboxLimits
  /** What was asked for, never more. */
  readonly capabilities: readonly AgentCapability[]
}

const stronger = (a: IsolationLevel, b: IsolationLevel): IsolationLevel => (isolationLevels.indexOf(a) >= isolationLevels.indexOf(b) ? a : b)

/** Reach the task's own folder, and roots that the operator names for everybody. */
const ownFiles: ReadonlySet<AgentCapability> = new Set(['file:read', 'file:write'])

/** The weakest isolation for what a task asks for, beside the floor of its asker's level. Source: task/v1 section 3. */
function floorOfWhatIsAsked({ level, engine = 'javascript', capabilities = [] }: TaskQuestion): IsolationLevel {
  if (engine === 'command' || capabilities.includes('subprocess:spawn')) return 'containerized'
  // Who is not quite trusted gets a second wall before anything outside is in reach.
  if (level <= TrustLevel.VERIFIED && capabilities.some((capability) => !ownFiles.has(capability))) return 'containerized'
  return 'native'
}

/** May a peer of this level run this task here, and how? Source: task/v1 section 3. */
export function decideTask(policy: Policy | undefined, question: TaskQuestion): Decision<TaskGrant> {
  const { level, isolation, limits, capabilities = [] } = question
  if (policy === undefined) return deny('ERR_POLICY_DENIED', 'no policy is loaded')
  const needed = policy.taskLevelMin < TrustLevel.BASIC ? TrustLevel.BASIC : policy.taskLevelMin
  if (level < needed) {
    return deny('ERR_TRUST_LOW', `the executor holds you ${levelName(level)} in ${taskScope}; ${levelName(needed)} is needed`)
  }
  const floor = policy.isolationFloor[level]
  if (floor === undefined) return deny('ERR_POLICY_DENIED', `no isolation level is allowed for ${levelName(level)}`)
  const over = (Object.keys(policy.taskLimitsMax) as (keyof SandboxLimits)[]).find((name) => limits[name] > policy.taskLimitsMax[name])
  if (over !== undefined) return deny('ERR_POLICY_DENIED', `limit ${over} of ${limits[over]} is over the ${policy.taskLimitsMax[over]} allowed here`)
  const granted = level <= TrustLevel.BASIC ? [] : (policy.taskCapabilities?.[level] ?? [])
  const lacking = capabilities.find((capability) => !granted.includes(capability))
  if (lacking !== undefined) return deny('ERR_POLICY_DENIED', `capability ${lacking} is not granted to ${levelName(level)} here`)
  const grant = { isolation: [floor, floorOfWhatIsAsked(question)].reduce(stronger, isolation), limits, capabilities }
  if (grant.isolation !== 'native') return { allow: true, grant }
  if (level < TrustLevel.AUTHORITY) return deny('ERR_POLICY_DENIED', `native runs without isolation: it is for ${levelName(TrustLevel.AUTHORITY)} only`)
  const isGranted = question.asker !== undefined && policy.nativeGrants?.includes(question.asker) === true
  return isGranted ? { allow: true, grant } : deny('ERR_POLICY_DENIED', 'native runs without isolation: the operator has not granted it to you by name')
}

/** May a peer of this level send messages here? */
export function decideMessage(policy: Policy | undefined, level: Level): Decision<undefined> {
  if (policy === undefined) return deny('ERR_POLICY_DENIED', 'no policy is loaded')
  if (level < policy.messageLevelMin) return deny('ERR_POLICY_DENIED', `messages are taken from ${levelName(policy.messageLevelMin)} on`)
  return { allow: true, grant: undefined }
}

/** May a peer of this level send files here? Asked only while somebody here receives. Source: stream/v1 section 4. */
export function decideFile(policy: Policy | undefined, level: Level): Decision<undefined> {
  if (policy === undefined) return deny('ERR_POLICY_DENIED', 'no policy is loaded')
  const needed = policy.fileLevelMin ?? policy.messageLevelMin
  if (level < needed) return deny('ERR_POLICY_DENIED', `files are taken from ${levelName(needed)} on`)
  return { allow: true, grant: undefined }
}
