import { type AgentCapability, type Did } from '../base/index.ts'
import { type Engine, type IsolationLevel, isolationLevels, type SandboxLimits } from '../sandbox/index.ts'
import { type Level, levelName, TrustLevel } from '../trust/index.ts'
import { commonHosts, type Use } from './caveats.ts'
import { ceilingOf, type Command, commandOf, explicitCommands, fileScope, messageScope, nativeCommand, taskScope } from './commands.ts'
import { allowed, denied, type Reasons, type Verdict } from './decision.ts'
import { roleAllows, type RoleName } from './roles.ts'
import type { HeldToken } from './standing.ts'
import { askTokens } from './token-part.ts'

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
  /** Tasks of UNKNOWN askers run in a machine of their own, with nothing, where `taskLevelMin` lets them. */
  readonly strangers?: boolean
  /** Lowest level in `messageScope` whose messages are taken; 0 takes strangers, -1 also the distrusted. */
  readonly messageLevelMin: Level
  /** Lowest level in `fileScope` whose files are taken while this node receives; `messageLevelMin` unless given. */
  readonly fileLevelMin?: Level
  /** Lowest level for what a task may do beyond computing, by command; never below the ceiling. */
  readonly levelMin?: Readonly<Partial<Record<Command, Level>>>
  /** Commands, and all below them, that nobody may without a capability token. */
  readonly requireToken?: readonly Command[]
  /** What an identity may at most. */
  readonly roles?: Readonly<Record<Did, RoleName>>
  /** Where each word of it came from; what is not here is built in. */
  readonly sources?: Readonly<Record<string, string>>
}

/** Who asks, and what it leans on. */
export interface Asker {
  readonly level: Level
  /** The asker's identity. */
  readonly asker?: Did
  /** Its tokens: those it shows, and those it was given here. */
  readonly tokens?: readonly HeldToken[]
}

export interface TaskQuestion extends Asker {
  /** The weakest level the asker accepts. */
  readonly isolation: IsolationLevel
  readonly limits: SandboxLimits
  /** `javascript` when missing. */
  readonly engine?: Engine
  /** All that the task asks for. */
  readonly capabilities?: readonly AgentCapability[]
  /** BLAKE3, hexadecimal; `any` where it is only asked what might be. */
  readonly codeHash?: string
}

/** How far a run reaches under its tokens; what is missing is as the operator grants it. */
export interface Reach {
  readonly hosts?: readonly string[]
  readonly secrets?: readonly string[]
  readonly roots?: readonly string[]
}

export interface TaskGrant {
  readonly isolation: IsolationLevel
  readonly limits: SandboxLimits
  /** What was asked for, never more. */
  readonly capabilities: readonly AgentCapability[]
  /** Ids of the tokens it leans on. */
  readonly tokens: readonly string[]
  readonly reach: Reach
  /** Of the capabilities those that the operator granted to this asker by a token of its own. */
  readonly byToken: readonly AgentCapability[]
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

const noPolicy = (): Verdict<never> => denied('policy', 'ERR_POLICY_DENIED', 'no policy is loaded')

/** The lowest level at which a command may be had: the ceiling's, or the policy's where it is higher. */
export function levelMinOf(policy: Policy, command: Command): Level | undefined {
  const ceiling = ceilingOf(command)
  if (ceiling === undefined) return undefined
  const own: Readonly<Partial<Record<Command, Level>>> = {
    ...policy.levelMin,
    [taskScope]: Math.max(policy.taskLevelMin, policy.strangers === true ? TrustLevel.UNKNOWN : TrustLevel.BASIC) as Level,
    [messageScope]: policy.messageLevelMin,
    [fileScope]: policy.fileLevelMin ?? policy.messageLevelMin,
  }
  return Math.max(ceiling, own[command] ?? ceiling) as Level
}

const holds = (text: string): Reasons[keyof Reasons] => ({ holds: true, text })
const ceilingText = (level: Level, command: Command): string => `${levelName(level)} is enough for ${command}`

function roleProblem({ roles }: Policy, asker: Did | undefined, command: Command): string | undefined {
  const role = asker === undefined ? undefined : roles?.[asker]
  return role === undefined || roleAllows(role, command) ? undefined : `its role here, ${role}, does not include ${command}`
}

/** May a peer of this level run this task here, and how? Source: task/v1 section 3, grant/v1 section 4. */
export function decideTask(policy: Policy | undefined, question: TaskQuestion): Verdict<TaskGrant> {
  if (policy === undefined) return noPolicy()
  const { level, isolation, limits, asker, capabilities = [], tokens = [], codeHash } = question
  const needed = levelMinOf(policy, taskScope) ?? TrustLevel.AUTHORITY
  if (level < needed) return denied('ceiling', 'ERR_TRUST_LOW', `the executor holds you ${levelName(level)} in ${taskScope}; ${levelName(needed)} is needed`)
  const ceiling = holds(ceilingText(level, taskScope))
  const no = (reason: string): Verdict<never> => denied('policy', 'ERR_POLICY_DENIED', reason, { ceiling })
  const role = roleProblem(policy, asker, taskScope)
  if (role !== undefined) return no(role)
  const floor = level === TrustLevel.UNKNOWN ? 'virtualized' : policy.isolationFloor[level]
  if (floor === undefined) return no(`no isolation level is allowed for ${levelName(level)}`)
  const over = (Object.keys(policy.taskLimitsMax) as (keyof SandboxLimits)[]).find((name) => limits[name] > policy.taskLimitsMax[name])
  if (over !== undefined) return no(`limit ${over} of ${limits[over]} is over the ${policy.taskLimitsMax[over]} allowed here`)

  const use: Use = { capabilities, limits, codeHash }
  const leant = new Set<HeldToken>()
  const byToken: AgentCapability[] = []
  const ask = (command: Command, isExplicit: boolean): Verdict<never> | undefined => {
    const levelMin = levelMinOf(policy, command) ?? TrustLevel.AUTHORITY
    const answer = askTokens({ command, tokens, requireToken: policy.requireToken ?? [], isExplicit, levelMin, use })
    if (!answer.holds) return denied('token', answer.code, answer.text, { ceiling, policy: holds('the policy allows it with a token') })
    if (answer.token !== undefined) leant.add(answer.token)
    return undefined
  }
  const refused = ask(taskScope, false)
  if (refused !== undefined) return refused
  for (const capability of capabilities) {
    const command = commandOf(capability)
    const levelMin = levelMinOf(policy, command) ?? TrustLevel.AUTHORITY
    if (level < levelMin) {
      const reason = `capability ${capability} is not granted to ${levelName(level)} here: ${levelName(levelMin)} is needed`
      return denied('ceiling', 'ERR_POLICY_DENIED', reason)
    }
    const roleSays = roleProblem(policy, asker, command)
    if (roleSays !== undefined) return no(roleSays)
    const isInPolicy = policy.taskCapabilities?.[level]?.includes(capability) === true
    // A token of the owner's own, by name, is the operator's word as much as his policy is.
    if (!isInPolicy && !explicitCommands.has(command)) return no(`capability ${capability} is not granted to ${levelName(level)} here`)
    const answer = ask(command, !isInPolicy)
    if (answer !== undefined) {
      return !answer.allow && answer.code === 'ERR_GRANT_NEEDED' && !isInPolicy
        ? no(`capability ${capability} is granted to nobody here but by name: in sandbox.toml or by a token for ${command}`)
        : answer
    }
    if (!isInPolicy) byToken.push(capability)
  }
  const raised = [floor, floorOfWhatIsAsked(question), ...[...leant].map(({ caveats }) => caveats.isolation ?? 'native')].reduce(stronger, isolation)
  if (raised === 'native') {
    if (level < TrustLevel.AUTHORITY) {
      return denied('ceiling', 'ERR_POLICY_DENIED', `native runs without isolation: it is for ${levelName(TrustLevel.AUTHORITY)} only`)
    }
    const isNamed = asker !== undefined && policy.nativeGrants?.includes(asker) === true
    const answer = ask(nativeCommand, !isNamed)
    if (answer !== undefined) {
      return !answer.allow && answer.code === 'ERR_GRANT_NEEDED' ? no('native runs without isolation: the operator has not granted it to you by name') : answer
    }
  }
  const used = [...leant]
  const grant: TaskGrant = {
    isolation: used.map(({ caveats }) => caveats.isolation ?? 'native').reduce(stronger, raised),
    limits,
    capabilities,
    tokens: used.map(({ id }) => id),
    reach: reachOf(used),
    byToken,
  }
  const token = used.length === 0 ? 'no token is needed' : `by ${used.map(({ id }) => `token ${id.slice(0, 12)}`).join(' and ')}`
  return allowed(grant, { ceiling: ceiling.text, token, policy: `runs ${grant.isolation}` })
}

/** What all of them allow. */
function reachOf(tokens: readonly HeldToken[]): Reach {
  const all = <K extends keyof Reach>(name: K, both: (a: readonly string[], b: readonly string[]) => readonly string[]): Reach => {
    const lists = tokens.flatMap(({ caveats }) => (caveats[name] === undefined ? [] : [caveats[name]]))
    const [first, ...rest] = lists
    return first === undefined ? {} : { [name]: rest.reduce(both, first) }
  }
  const common = (a: readonly string[], b: readonly string[]): readonly string[] => a.filter((entry) => b.includes(entry))
  return { ...all('hosts', commonHosts), ...all('secrets', common), ...all('roots', common) }
}

function decideByLevel(policy: Policy | undefined, command: Command, what: string, { level, asker, tokens = [] }: Asker): Verdict<undefined> {
  if (policy === undefined) return noPolicy()
  const levelMin = levelMinOf(policy, command) ?? TrustLevel.AUTHORITY
  if (level < levelMin) {
    return denied('policy', 'ERR_POLICY_DENIED', `${what} are taken from ${levelName(levelMin)} on`, { ceiling: holds('no level is needed for it') })
  }
  const ceiling = holds(ceilingText(level, command))
  const role = roleProblem(policy, asker, command)
  if (role !== undefined) return denied('policy', 'ERR_POLICY_DENIED', role, { ceiling })
  const answer = askTokens({ command, tokens, requireToken: policy.requireToken ?? [], isExplicit: false, levelMin })
  if (!answer.holds) return denied('token', answer.code, answer.text, { ceiling, policy: holds('the policy allows it with a token') })
  return allowed(undefined, { ceiling: ceiling.text, token: answer.text, policy: `${what} are taken from ${levelName(levelMin)} on` })
}

/** May a peer of this level send messages here? */
export const decideMessage = (policy: Policy | undefined, level: Level, more: Omit<Asker, 'level'> = {}): Verdict<undefined> =>
  decideByLevel(policy, messageScope, 'messages', { ...more, level })

/** May a peer of this level send files here? Asked only while somebody here receives. Source: stream/v1 section 4. */
export const decideFile = (policy: Policy | undefined, level: Level, more: Omit<Asker, 'level'> = {}): Verdict<undefined> =>
  decideByLevel(policy, fileScope, 'files', { ...more, level })
