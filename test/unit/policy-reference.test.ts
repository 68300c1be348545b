import { expect, test } from 'vitest'
import { agentCapabilities, type AgentCapability, createSeededRandom, type Did, randomInt } from '../../src/base/index.ts'
import { type Caveats, commonHosts, outside, widened } from '../../src/policy/caveats.ts'
import { commandOf, explicitCommands } from '../../src/policy/commands.ts'
import { decideTask, type HeldToken, type Policy, type TaskQuestion } from '../../src/policy/index.ts'
import { roleCommands, type RoleName } from '../../src/policy/roles.ts'
import { engines, isolationLevels, type SandboxLimits } from '../../src/sandbox/index.ts'
import { type Level } from '../../src/trust/index.ts'
import { createOwner } from '../helpers/audit.ts'
import { referenceDecision } from '../helpers/policy-reference.ts'

const levels: readonly Level[] = [-1, 0, 1, 2, 3, 4]
const limitNames = ['memoryMiB', 'wallMs', 'cpuMs', 'outputBytes', 'hostCalls', 'cpuPercent', 'netKiBps', 'fsOps', 'processes'] as const
const askers: readonly Did[] = [createOwner(7).did, createOwner(8).did]
const paths = [
  '/',
  '/task',
  '/task/run',
  '/taskx',
  '/file',
  '/file/read',
  '/vault',
  '/vault/access',
  '/sandbox/native',
  '/network/outbound',
  '/subprocess/spawn',
]
const roleNames = Object.keys(roleCommands) as readonly RoleName[]

/** Everything a case is made of, from one seed. */
function chances(seed: number) {
  const random = createSeededRandom(seed)
  const chance = (share: number): boolean => random.fraction() < share
  const pick = <T>(values: readonly T[]): T => values[randomInt(random, values.length)] as T
  const some = <T>(values: readonly T[], share: number): readonly T[] => values.filter(() => chance(share))
  const limitsOf = (most: number): SandboxLimits => {
    const drawn = randomInt(random, 1 << 18)
    // Two bits each: a draw for every figure would cost more than the decision.
    return Object.fromEntries(limitNames.map((name, index) => [name, Math.min(most, (drawn >> (2 * index)) & 3)])) as unknown as SandboxLimits
  }
  return { random, chance, pick, some, limitsOf }
}

test('100,000 cases with levels, policies, roles and tokens agree with the rules written out long-hand', () => {
  const { chance, pick, some, limitsOf } = chances(1)
  const token = (): HeldToken => ({
    id: 'token',
    command: pick(paths),
    expiresAt: 0,
    isDirect: chance(0.7),
    binds: chance(0.3),
    throughLevel: pick([0, 2, 3, 4]),
    caveats: {
      ...(chance(0.2) ? { capabilities: some(agentCapabilities, 0.7) } : {}),
      ...(chance(0.2) ? { limits: { memoryMiB: 2, ...(chance(0.5) ? { wallMs: 1 } : {}) } } : {}),
      ...(chance(0.3) ? { isolation: pick(isolationLevels) } : {}),
      ...(chance(0.1) ? { code: ['aa', 'bb'] } : {}),
    },
    ...(chance(0.2) ? { problem: { code: 'ERR_GRANT_REVOKED', reason: 'revoked' } } : {}),
  })
  let [allowed, byToken, differences] = [0, 0, 0]
  for (let round = 0; round < 100_000; round++) {
    const policy: Policy = {
      taskLevelMin: pick(levels),
      isolationFloor: Object.fromEntries(levels.filter(() => chance(0.8)).map((level) => [level, pick(isolationLevels)])),
      taskLimitsMax: limitsOf(chance(0.7) ? 3 : 2),
      messageLevelMin: 0,
      taskCapabilities: { 1: agentCapabilities, 2: some(agentCapabilities, 0.9), 3: some(agentCapabilities, 0.9), 4: some(agentCapabilities, 0.8) },
      nativeGrants: chance(0.4) ? [pick(askers)] : [],
      strangers: chance(0.5),
      levelMin: chance(0.1) ? { '/file/read': pick(levels), '/vault/access': pick(levels) } : {},
      requireToken: chance(0.4) ? [pick(paths)] : [],
      roles: chance(0.2) ? { [pick(askers)]: pick(roleNames) } : {},
    }
    const question: TaskQuestion = {
      level: pick(levels),
      asker: pick(askers),
      isolation: pick(isolationLevels),
      limits: chance(0.8) ? policy.taskLimitsMax : limitsOf(3),
      engine: pick(engines),
      capabilities: chance(0.5) ? [] : some(agentCapabilities, 0.12),
      codeHash: pick(['aa', 'cc', 'any']),
      tokens: chance(0.5) ? [] : [token(), ...(chance(0.5) ? [token()] : [])],
    }
    const decision = decideTask(policy, question)
    const found = decision.allow ? decision.grant.isolation : undefined
    if (found !== referenceDecision(policy, question)) differences++
    if (!decision.allow) continue
    allowed++
    byToken += decision.grant.tokens.length > 0 ? 1 : 0
    const asIsAsked = decision.grant.limits === question.limits && decision.grant.capabilities === question.capabilities
    const isBelowCeiling = question.capabilities?.some((capability) => question.level < (explicitCommands.has(commandOf(capability)) ? 4 : 2)) === true
    if (!asIsAsked || isBelowCeiling || question.level < 0) differences++
  }
  expect(differences).toBe(0)
  expect(allowed).toBeGreaterThan(5_000)
  expect(byToken).toBeGreaterThan(1_000)
})

const hosts = ['example.org', 'a.example.org', 'b.a.example.org', 'badexample.org', 'other.net']
const patterns = [...hosts, '*.example.org', '*.a.example.org', '*.org', '*.net']
const [codes, names] = [
  ['aa', 'bb', 'cc'],
  ['one', 'two', 'three'],
]
const reaches = (caveats: Caveats, host: string): boolean =>
  caveats.hosts === undefined || caveats.hosts.some((pattern) => (pattern.startsWith('*') ? host.endsWith(pattern.slice(1)) : host === pattern))

test('of 100,000 children none that is taken does what its parent may not, at any length of a chain', () => {
  const { chance, pick, some, limitsOf } = chances(2)
  const usual = limitsOf(0)
  const draw = (share: number): Caveats => ({
    ...(chance(share) ? { capabilities: some(agentCapabilities, 0.8) } : {}),
    ...(chance(share) ? { limits: { memoryMiB: pick([1, 2]), ...(chance(0.5) ? { fsOps: pick([0, 1]) } : {}) } } : {}),
    ...(chance(share) ? { isolation: pick(isolationLevels) } : {}),
    ...(chance(share) ? { code: some(codes ?? [], 0.7) } : {}),
    ...(chance(share) ? { hosts: some(patterns, 0.3) } : {}),
    ...(chance(share) ? { secrets: some(names ?? [], 0.6) } : {}),
    ...(chance(share) ? { roots: some(names ?? [], 0.6) } : {}),
  })
  /** Each single thing that can be had under caveats, by a name. */
  const everything = (caveats: Caveats): ReadonlySet<string> => {
    const had = new Set<string>()
    const served = (what: string, use: Parameters<typeof outside>[1]): void => void (outside(caveats, use) === undefined && had.add(what))
    const codeHash = caveats.code?.[0] ?? 'aa'
    for (const capability of agentCapabilities) served(`can ${capability}`, { capabilities: [capability], limits: usual, codeHash })
    for (const most of [0, 1, 2, 3]) {
      served(`memory ${most}`, { capabilities: [], limits: { ...usual, memoryMiB: most }, codeHash })
      served(`operations ${most}`, { capabilities: [], limits: { ...usual, fsOps: most }, codeHash })
    }
    for (const code of codes ?? []) served(`code ${code}`, { capabilities: [], limits: usual, codeHash: code })
    for (const host of hosts) if (reaches(caveats, host)) had.add(`host ${host}`)
    for (const name of names ?? []) {
      if (caveats.secrets?.includes(name) !== false) had.add(`secret ${name}`)
      if (caveats.roots?.includes(name) !== false) had.add(`root ${name}`)
    }
    for (const level of isolationLevels) if (isolationLevels.indexOf(level) >= isolationLevels.indexOf(caveats.isolation ?? 'native')) had.add(`at ${level}`)
    return had
  }
  let [taken, deep, over] = [0, 0, 0]
  // One root, then up to three children, each of them a case.
  for (let cases = 0; cases < 100_000;) {
    let parent = draw(0.25)
    let may: ReadonlySet<string> | undefined
    for (let length = 1; length < 4; length++) {
      cases++
      // Often close to its parent, so that many are taken.
      const child: Caveats = chance(0.7) ? { ...parent, ...draw(0.12) } : draw(0.7)
      if (widened(child, parent) !== undefined) continue
      taken++
      if (length > 1) deep++
      may ??= everything(parent)
      const wants = everything(child)
      if (!wants.isSubsetOf(may)) over++
      ;[parent, may] = [child, wants]
    }
  }
  expect(over).toBe(0)
  expect(taken).toBeGreaterThan(20_000)
  expect(deep).toBeGreaterThan(10_000)
})

test('what two lists of hosts both allow is what each of them does', () => {
  const { some } = chances(3)
  for (let round = 0; round < 5_000; round++) {
    const [one, other] = [some(patterns, 0.4), some(patterns, 0.4)]
    const both = commonHosts(one, other)
    for (const host of hosts) expect(reaches({ hosts: both }, host)).toBe(reaches({ hosts: one }, host) && reaches({ hosts: other }, host))
  }
})

test('no capability is left without a command', () => {
  expect(agentCapabilities.map((capability: AgentCapability) => commandOf(capability))).toContain('/subprocess/spawn')
  expect(new Set(agentCapabilities.map(commandOf)).size).toBe(12)
})
