import { expect, test } from 'vitest'
import type { SandboxLimits } from '../../src/sandbox/index.ts'
import { decideMessage, decideTask, type Policy, type TaskQuestion } from '../../src/policy/index.ts'
import { type Level, TrustLevel } from '../../src/trust/index.ts'
import { createOwner } from '../helpers/audit.ts'

const limits: SandboxLimits = { memoryMiB: 10, wallMs: 10, cpuMs: 10, outputBytes: 10, hostCalls: 10, cpuPercent: 10, netKiBps: 10, fsOps: 10, processes: 10 }
const granted = createOwner(7).did
const policy: Policy = {
  taskLevelMin: TrustLevel.VERIFIED,
  isolationFloor: { 2: 'containerized', 3: 'sandboxed', 4: 'native' },
  taskLimitsMax: limits,
  messageLevelMin: TrustLevel.UNKNOWN,
  taskCapabilities: { 2: ['file:read', 'file:write'], 3: ['file:read', 'network:outbound', 'subprocess:spawn'], 4: ['subprocess:spawn'] },
  nativeGrants: [granted],
}
const question: TaskQuestion = { level: 2, isolation: 'sandboxed', limits }

test('without a policy nothing is allowed', () => {
  expect(decideTask(undefined, question)).toMatchObject({ allow: false, code: 'ERR_POLICY_DENIED' })
  expect(decideMessage(undefined, TrustLevel.AUTHORITY)).toMatchObject({ allow: false, code: 'ERR_POLICY_DENIED' })
})

test.each<readonly [string, string, Partial<typeof question>]>([
  ['an unknown asker', 'ERR_TRUST_LOW', { level: 0 }],
  ['a distrusted asker', 'ERR_TRUST_LOW', { level: -1 }],
  ['one level too low', 'ERR_TRUST_LOW', { level: 1 }],
  ['exactly the level', 'containerized', { level: 2 }],
  ['the level, asking for more isolation than is demanded', 'virtualized', { level: 2, isolation: 'virtualized' }],
  ['the level, asking for less', 'containerized', { level: 2, isolation: 'native' }],
  ['a friend, asking for less', 'sandboxed', { level: 3, isolation: 'native' }],
  ['an authority nobody granted it by name, asking for none', 'ERR_POLICY_DENIED', { level: 4, isolation: 'native' }],
  ['an authority granted it by name, asking for none', 'native', { level: 4, isolation: 'native', asker: granted }],
  ['an authority granted it by name, asking for more', 'sandboxed', { level: 4, isolation: 'sandboxed', asker: granted }],
  ['a friend granted it by name, asking for none', 'sandboxed', { level: 3, isolation: 'native', asker: granted }],
  ['one who is not quite trusted, with files', 'containerized', { capabilities: ['file:read', 'file:write'] }],
  ['a friend, with files', 'sandboxed', { level: 3, capabilities: ['file:read'] }],
  ['a friend, with the network', 'sandboxed', { level: 3, capabilities: ['network:outbound'] }],
  ['a friend, with programs', 'containerized', { level: 3, capabilities: ['subprocess:spawn'] }],
  ['a friend, of a program', 'containerized', { level: 3, engine: 'command' }],
  ['an authority granted no isolation, of a program', 'containerized', { level: 4, engine: 'command', isolation: 'native', asker: granted }],
  ['a friend, with what is granted to nobody', 'ERR_POLICY_DENIED', { level: 3, capabilities: ['file:read', 'vault:access'] }],
  ['an authority, with what is granted to friends only', 'ERR_POLICY_DENIED', { level: 4, capabilities: ['network:outbound'] }],
  ['limits at the maximum', 'containerized', { limits: { ...limits } }],
  ['one limit over the maximum', 'ERR_POLICY_DENIED', { limits: { ...limits, hostCalls: 11 } }],
])('a task of %s gives %s', (_who, expected, changed) => {
  const decision = decideTask(policy, { ...question, ...changed })
  expect(decision.allow ? decision.grant.isolation : decision.code).toBe(expected)
})

test('a level without a floor is refused, however trusted', () => {
  const { 3: _left, ...floor } = policy.isolationFloor
  expect(decideTask({ ...policy, isolationFloor: floor }, { ...question, level: 3 })).toMatchObject({ allow: false, code: 'ERR_POLICY_DENIED' })
})

test('strangers run nothing even where the policy asks for no level, and are told which level would do', () => {
  const open: Policy = { ...policy, taskLevelMin: TrustLevel.UNKNOWN, isolationFloor: { 0: 'sandboxed', 1: 'sandboxed' } }
  const decision = decideTask(open, { ...question, level: 0 })
  expect(decision).toMatchObject({ allow: false, code: 'ERR_TRUST_LOW' })
  expect(decision.allow ? '' : decision.reason).toMatch(/basic is needed/)
  expect(decideTask(open, { ...question, level: 1 }).allow).toBe(true)
})

test.each([
  [-1, [false, true, true, true, true, true]],
  [0, [false, true, true, true, true, true]],
  [2, [false, false, false, true, true, true]],
] as const)('messages from level %d on', (messageLevelMin, expected) => {
  const levels: readonly Level[] = [-1, 0, 1, 2, 3, 4]
  const allowed = levels.map((level) => decideMessage({ ...policy, messageLevelMin }, level).allow)
  expect(allowed).toEqual(messageLevelMin === -1 ? levels.map(() => true) : expected)
})
