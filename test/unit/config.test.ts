import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createSeededRandom } from '../../src/base/index.ts'
import { type Config, configFiles, configValueOf, envLayer, type Layer, openConfig } from '../../src/config/index.ts'
import { policyDefault } from '../../src/node/policy-default.ts'
import { livePolicy, policyOf } from '../../src/node/live-policy.ts'

interface Given {
  readonly system?: string
  readonly organization?: string
  readonly user?: string
  readonly agent?: string
  readonly runtime?: readonly Layer[]
}

async function open({ system, organization, user, agent, runtime = [] }: Given): Promise<{ readonly config: Config; readonly home: string }> {
  const home = mkdtempSync(join(tmpdir(), 'kindmesh-config-'))
  const machine = join(home, 'etc')
  for (const folder of [machine, join(home, 'agents')]) mkdirSync(folder)
  const files = configFiles(home, machine)
  const texts = [
    [files.system, system],
    [files.organization, organization],
    [files.user, user],
    [files.agent('echo'), agent],
  ] as const
  for (const [path, text] of texts) if (text !== undefined) writeFileSync(path, text, { mode: 0o600 })
  const config = await openConfig({ files, runtime, random: createSeededRandom(1) })
  await config.loadAgent('echo')
  return { config, home }
}

const flag = (key: string, value: unknown): Layer => ({ name: 'flag', source: 'the command line', values: new Map([[key, value]]), locked: [] })
const level = 'policy.message_level_min'
const says = (value: string): string => `[policy]\nmessage_level_min = "${value}"\n`

test('config/v1 1.1: the layer nearest to the act is heard, and explain names those who are not', async () => {
  const { config } = await open({
    system: says('distrust'),
    organization: says('unknown'),
    user: says('basic'),
    agent: says('verified'),
    runtime: [envLayer({ KINDMESH_POLICY_MESSAGE_LEVEL_MIN: 'trusted' })],
  })
  expect(config.setting(level)).toMatchObject({ value: 'trusted', from: 'env', lockedBy: undefined })
  expect(config.setting(level, { agent: 'echo' }).unheard.map(({ layer, value, why }) => [layer, value, why])).toEqual([
    ['system', 'distrust', 'overridden'],
    ['organization', 'unknown', 'overridden'],
    ['user', 'basic', 'overridden'],
    ['agent', 'verified', 'overridden'],
  ])
})

test('config/v1 1.2: a locked setting stays what the layers up to the lock say, also for a group', async () => {
  const { config } = await open({
    system: says('basic'),
    organization: `locked = ["policy"]\n${says('verified')}`,
    user: says('unknown'),
    agent: says('distrust'),
  })
  expect(config.setting(level, { agent: 'echo' })).toMatchObject({ value: 'verified', from: 'organization', lockedBy: 'organization' })
  expect(config.setting(level).unheard).toContainEqual(expect.objectContaining({ layer: 'user', why: 'locked' }))
  expect(config.setting('policy.task_limits.memory_mib')).toMatchObject({ from: 'default', lockedBy: 'organization' })
})

test('config/v1 1.3: what is locked is neither written nor overruled by a flag, and the refusal names who locks', async () => {
  const { config, home } = await open({ system: 'locked = ["policy.message_level_min"]\n' })
  for (const layer of ['user', 'agent', 'session'] as const) {
    await expect(config.set({ layer, key: level, value: 'basic', agent: 'echo' })).rejects.toMatchObject({
      code: 'ERR_CONFIG_LOCKED',
      message: expect.stringContaining('system'),
    })
  }
  expect(() => readFileSync(join(home, 'config.toml'))).toThrow('ENOENT')
  await expect(open({ system: 'locked = ["node"]\n', runtime: [flag('node.mdns', true)] })).rejects.toMatchObject({ code: 'ERR_CONFIG_LOCKED' })
})

test.each([
  ['an unknown setting', '[policy]\nmesage_level_min = "basic"\n', 'mesage_level_min'],
  ['a value of another kind', '[node]\nmdns = "yes"\n', 'node.mdns'],
  ['a level nobody knows', says('best'), level],
  ['no TOML', '[policy\n', 'line 1'],
  ['a lock on nothing', 'locked = ["polcy"]\n', 'polcy'],
  ['a limit above the built-in one', '[policy.task_limits]\nmemory_mib = 99999999\n', 'policy.task_limits.memory_mib'],
])('config/v1 2.1: %s is refused with file and field', async (_what, user, named) => {
  await expect(open({ user })).rejects.toMatchObject({
    code: 'ERR_CONFIG_INVALID',
    message: expect.stringMatching(new RegExp(`config\\.toml.*${named.replaceAll('.', '\\.')}`)),
  })
})

test('config/v1 2.1: a file that breaks while the node runs changes nothing', async () => {
  const { config, home } = await open({ user: says('basic') })
  writeFileSync(join(home, 'config.toml'), 'broken = \n', { mode: 0o600 })
  await expect(config.reload()).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
  expect(config.setting(level).value).toBe('basic')
})

test('config/v1 3.1: a file that others can write is refused', async () => {
  const { config, home } = await open({})
  writeFileSync(join(home, 'config.toml'), says('basic'))
  const { chmodSync } = await import('node:fs')
  chmodSync(join(home, 'config.toml'), 0o666)
  await expect(config.reload()).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID', hint: expect.stringContaining('chmod') })
})

test('config/v1 3.2: setting keeps comments and other settings; taking it out leaves what was there', async () => {
  const user = '# mine\nnode.mdns = true # here\n\n[policy]\n# why\ntask_level_min = "trusted"\n'
  const { config, home } = await open({ user })
  const text = (): string => readFileSync(join(home, 'config.toml'), 'utf8')
  await config.set({ layer: 'user', key: 'node.relay', value: true })
  expect(text()).toBe(`node.relay = true\n${user}`)
  await config.set({ layer: 'user', key: 'node.relay', value: undefined })
  expect(text()).toBe(user)
  await config.set({ layer: 'user', key: level, value: 'basic' })
  expect(config.setting(level)).toMatchObject({ value: 'basic', from: 'user' })
  expect(config.setting('policy.task_level_min').value).toBe('trusted')
})

test('a session is over with the node, and an agent has its own word only where that makes sense', async () => {
  const { config, home } = await open({})
  await config.set({ layer: 'session', key: level, value: 'basic' })
  expect(config.setting(level)).toMatchObject({ value: 'basic', from: 'session' })
  expect(() => readFileSync(join(home, 'config.toml'))).toThrow('ENOENT')
  await expect(config.set({ layer: 'agent', agent: 'echo', key: 'node.mdns', value: true })).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
  await expect(config.set({ layer: 'agent', agent: '../x', key: level, value: 'basic' })).rejects.toMatchObject({ code: 'ERR_USAGE' })
})

test('config/v1 2.2, 2.3: the policy follows its settings at once and is never wider than the built-in limits', async () => {
  const { config } = await open({})
  const policy = livePolicy(() => policyOf(policyDefault, config))
  expect(policy).toEqual({ ...policyDefault, nativeGrants: undefined, fileLevelMin: undefined })
  await config.set({ layer: 'session', key: 'policy.floor.verified', value: 'refuse' })
  await config.set({ layer: 'session', key: 'policy.floor.trusted', value: 'virtualized' })
  await config.set({ layer: 'session', key: 'policy.task_limits.memory_mib', value: 16 })
  await config.set({ layer: 'session', key: 'policy.task_limits.output_bytes', value: 16 << 20 })
  expect(policy.isolationFloor).toEqual({ 1: 'virtualized', 3: 'virtualized', 4: 'sandboxed' })
  expect(policy.taskLimitsMax).toEqual({ ...policyDefault.taskLimitsMax, memoryMiB: 16 })
  await config.set({ layer: 'session', key: 'policy.task_level_min', value: 'trusted' })
  expect(policy.taskLevelMin).toBe(3)
})

test('what a person types is read as its setting takes it', () => {
  expect(configValueOf('node.bootstrap', '/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2', 'here')).toEqual(['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2'])
  expect(configValueOf('node.mdns', 'true', 'here')).toBe(true)
  expect(configValueOf('node.api_port', '80', 'here')).toBe(80)
  expect(() => configValueOf('node.api_port', 'eighty', 'here')).toThrow(/node\.api_port/)
})
