import type { AgentCapability } from '../../src/base/index.ts'
import type { HeldToken, Policy, TaskQuestion } from '../../src/policy/index.ts'
import { type IsolationLevel, isolationLevels, type SandboxLimits } from '../../src/sandbox/index.ts'

// Grant/v1 section 4 and task/v1 section 3 written out long-hand: every condition on its own, nothing short-cut. It shares no code with src/policy.

const rank = (level: IsolationLevel): number => isolationLevels.indexOf(level)
const segments = (path: string): readonly string[] => (path === '/' ? [] : path.slice(1).split('/'))
const isBelow = (outer: string, inner: string): boolean => segments(outer).every((segment, index) => segments(inner)[index] === segment)
const named = new Set(['/vault/access', '/system/api', '/sandbox/native'])
const roleAllows: Readonly<Record<string, readonly string[]>> = {
  owner: ['/'],
  operator: ['/task', '/message', '/file', '/memory', '/network', '/subprocess', '/vectordb', '/llm', '/agent'],
  viewer: ['/message/send', '/file/send'],
  agent: ['/task/run', '/message/send', '/file', '/memory', '/network/outbound', '/vectordb', '/llm', '/agent'],
}

function serves({ caveats }: HeldToken, { capabilities = [], limits, codeHash }: TaskQuestion): boolean {
  const hasAll = caveats.capabilities === undefined || capabilities.every((capability) => caveats.capabilities?.includes(capability))
  const isWithin = (Object.keys(limits) as (keyof SandboxLimits)[]).every(
    (name) => caveats.limits?.[name] === undefined || limits[name] <= caveats.limits[name],
  )
  const isCode = caveats.code === undefined || codeHash === 'any' || caveats.code.some((hash) => hash === codeHash)
  return hasAll && isWithin && isCode
}

/** Where the task would run; undefined when it would not. */
export function referenceDecision(policy: Policy, question: TaskQuestion): IsolationLevel | undefined {
  const { level, isolation, limits, asker, engine = 'javascript', capabilities = [], tokens = [] } = question
  const commands = capabilities.map((capability: AgentCapability) => `/${capability.split(':').join('/')}`)
  const role = asker === undefined ? undefined : policy.roles?.[asker]
  const leastOf = (command: string): number => {
    const ceiling = named.has(command) ? 4 : command === '/task/run' ? (policy.strangers === true ? 0 : 1) : 2
    return Math.max(ceiling, command === '/task/run' ? policy.taskLevelMin : (policy.levelMin?.[command] ?? -1))
  }
  const isInPolicy = (capability: AgentCapability): boolean => policy.taskCapabilities?.[level]?.includes(capability) === true
  /** The token it leans on, `none` where none is needed; undefined for a no. */
  const tokenFor = (command: string, mustBeNamed: boolean): HeldToken | 'none' | undefined => {
    const isByName = named.has(command)
    const speaking = tokens.filter((token) => (isByName ? token.command === command && token.isDirect : isBelow(token.command, command)))
    const isNeeded = mustBeNamed || (policy.requireToken ?? []).some((required) => isBelow(required, command)) || speaking.some(({ binds }) => binds)
    if (!isNeeded) return 'none'
    return speaking.find((token) => token.problem === undefined && token.throughLevel >= leastOf(command) && serves(token, question))
  }

  const conditions: boolean[] = [
    level >= leastOf('/task/run'),
    role === undefined || roleAllows[role]?.some((allowed) => isBelow(allowed, '/task/run')) === true,
  ]
  const floor = level === 0 ? 'virtualized' : policy.isolationFloor[level]
  conditions.push(floor !== undefined)
  for (const name of Object.keys(limits) as (keyof SandboxLimits)[]) conditions.push(limits[name] <= policy.taskLimitsMax[name])
  const leant: (HeldToken | 'none' | undefined)[] = [tokenFor('/task/run', false)]
  commands.forEach((command, index) => {
    const inPolicy = isInPolicy(capabilities[index] as AgentCapability)
    conditions.push(
      level >= leastOf(command),
      role === undefined || roleAllows[role]?.some((allowed) => isBelow(allowed, command)) === true,
      inPolicy || named.has(command),
    )
    leant.push(tokenFor(command, !inPolicy))
  })
  const reachesOut = capabilities.some((capability) => capability !== 'file:read' && capability !== 'file:write')
  const raises = (tokenOrNot: HeldToken | 'none' | undefined): number =>
    tokenOrNot === undefined || tokenOrNot === 'none' || tokenOrNot.caveats.isolation === undefined ? 0 : rank(tokenOrNot.caveats.isolation)
  const wanted = [rank(isolation), rank(floor ?? 'native'), ...leant.map(raises)]
  if (engine === 'command' || capabilities.includes('subprocess:spawn') || (level <= 2 && reachesOut)) wanted.push(rank('containerized'))
  if (Math.max(...wanted) === 0) {
    conditions.push(level === 4)
    const token = tokenFor('/sandbox/native', asker === undefined || policy.nativeGrants?.includes(asker) !== true)
    leant.push(token)
    wanted.push(raises(token))
  }
  if (conditions.includes(false) || leant.includes(undefined)) return undefined
  return isolationLevels[Math.max(...wanted)]
}
