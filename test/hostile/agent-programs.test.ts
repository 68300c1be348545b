import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { programMessagesAtOnceMax, programMessagesWaitingMax } from '../../src/agents/program.ts'
import { type MeshError, profilePaths, toMeshError } from '../../src/base/index.ts'
import { createNode, type MeshNode } from '../../src/node/index.ts'
import { descendants, isRunning } from '../helpers/sandbox-processes.ts'

const word = 'tulip-7f3a91'
const everything = ['memory:read', 'memory:write', 'vault:access', 'file:read', 'agent:delegate']

let folder: string
let node: MeshNode

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-agents-'))
  const dataDir = join(folder, 'home')
  await mkdir(join(folder, 'keeper'), { recursive: true })
  await mkdir(join(folder, 'thief'))
  await writeFile(join(folder, 'keeper', 'own.txt'), word)
  node = await createNode({ dataDir, upnp: false })
  await node.vault.set('keeper-key', word)
}, 120_000)
afterAll(async () => {
  await node.stop()
  await rm(folder, { recursive: true, force: true })
})

const ask = async (agent: string, data: unknown, timeoutMs = 30_000): Promise<unknown> => (await node.ask(node.did, data, { agent, timeoutMs })).reply
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => toMeshError(error).code,
  )
const until = async (holds: () => boolean): Promise<void> => {
  await expect.poll(holds, { timeout: 60_000, interval: 50 }).toBe(true)
}
const state = (name: string) => node.agents.programs.get(name)
const runs = (name: string): Promise<void> => until(() => state(name).status === 'running')

/** Keeps the word wherever an agent can keep one, and tells nobody. */
const keeper = `
globalThis.word = input
Object.prototype.word = Array.prototype.word = String.prototype.word = Promise.prototype.word = 'kept'
JSON.parse = ((parse) => (...all) => { globalThis.seen = all[0]; return parse(...all) })(JSON.parse)
agent.receive(async ({ data }) => {
  globalThis.word = data.word ?? globalThis.word;
  /(t.*)/.test(globalThis.word)
  if (data.keep) {
    await memory.set('word', globalThis.word)
    await memory.set('agent ' + data.of, globalThis.word)
    const [secret, file] = await Promise.all([vault.get('keeper-key'), readFile('own/own.txt')])
    return [secret, file, (await memory.list('')).length]
  }
  if (data.fail) throw Object.assign(new Error(globalThis.word), { code: globalThis.word, stack: globalThis.word })
  return null
})`
/** Looks for it everywhere it can think of. */
const thief = `
const look = async (act) => { try { return await act() } catch (error) { return 'no: ' + error.message } }
agent.receive(async ({ data }) => {
  const found = []
  for (const name of Object.getOwnPropertyNames(globalThis)) if (/word|seen/.test(name)) found.push(globalThis[name])
  found.push({}.word, [].word, ''.word, Promise.prototype.word, RegExp.$1, RegExp.lastMatch, RegExp.input, typeof process, typeof require)
  for (const key of ['word', 'agent ' + data.keeper, '../' + data.keeper + '/word', data.partition + '/word', '%2e%2e/word', 'word\\0', '']) found.push(await look(() => memory.get(key)))
  found.push(await look(() => memory.list('')), await look(() => memory.list('word')))
  for (const name of ['keeper-key', 'no-such-key', '../home/secrets/keeper-key']) found.push(await look(() => vault.get(name)))
  for (const path of ['own/own.txt', 'mine/own.txt', 'mine/../keeper/own.txt', '/etc/hostname', 'keeper/own.txt', 'work/own.txt']) found.push(await look(() => readFile(path)))
  found.push(await look(() => mesh.ask(data.keeper, { fail: true })), await look(() => mesh.ask(data.keeper, {})), await look(() => delegate({ on: data.keeper, code: 'return 1' })))
  try { null.word } catch (error) { found.push(error.stack) }
  return found
})`

describe('two agents of one node', () => {
  test('see nothing of each other: variables, prototypes, what the engine remembers, memory, secrets, files, errors, what the other was told', async () => {
    const grants = (own: string) => ({
      capabilities: everything,
      vault: own === 'keeper' ? ['keeper-key'] : [],
      files: { roots: [{ name: own === 'keeper' ? 'own' : 'mine', path: join(folder, own) }] },
    })
    const { did } = await node.agents.add('keeper', { code: keeper, grants: grants('keeper') })
    const other = await node.agents.add('thief', { code: thief, grants: grants('thief') })
    // The control: it is there to be found.
    expect(await ask('keeper', { word, keep: true, of: other.did })).toEqual([word, word, 2])

    const found = (await ask('thief', { keeper: did, partition: encodeURIComponent(`agent ${did}`) })) as readonly unknown[]
    expect(JSON.stringify(found)).not.toMatch(/tulip|kept/)
    const texts = found.filter((each): each is string => typeof each === 'string' && each.startsWith('no: '))
    // Whether there is such a secret is not told either.
    const [there, missing] = texts.filter((text) => text.includes('-key"'))
    expect(there?.replace('keeper-key', '')).toBe(missing?.replace('no-such-key', ''))
    expect(texts).toContain('no: agent keeper failed')

    // What was kept by one is not there for the other, nor for another of its name.
    expect(await ask('keeper', { word, keep: true, of: other.did })).toEqual([word, word, 2])
    await node.agents.remove('keeper')
    await node.agents.add('keeper', { code: `agent.receive(async () => [typeof word, await memory.list('')])`, grants: { capabilities: everything } })
    expect(await ask('keeper', {})).toEqual(['undefined', []])
    for (const name of ['keeper', 'thief']) await node.agents.remove(name)
  }, 120_000)

  test('have a process each, and none is left when they are gone', async () => {
    const before = new Set(descendants(process.pid))
    const own: number[][] = []
    for (const name of ['one', 'two']) {
      const known = new Set(descendants(process.pid))
      await node.agents.add(name, { code: 'agent.receive(({ data }) => data)' })
      own.push(descendants(process.pid).filter((pid) => !known.has(pid) && isRunning(pid)))
    }
    expect(own.every((pids) => pids.length > 0)).toBe(true)

    // Killed from outside one comes back in another process, and the other has noticed nothing.
    for (const pid of own[0] ?? []) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
    await until(() => state('one').restarts === 1)
    expect(state('one').lastError).toMatchObject({ code: 'ERR_SANDBOX_CRASHED' })
    expect(await ask('two', 2)).toBe(2)
    expect(await ask('one', 1)).toBe(1)
    expect(state('two')).toMatchObject({ restarts: 0, handled: 1 })

    for (const name of ['one', 'two']) await node.agents.remove(name)
    await until(() => descendants(process.pid).every((pid) => before.has(pid) || !isRunning(pid)))
  }, 120_000)
})

test('a flood of one agent is bounded, refused with a time to come back, and costs another agent nothing but time', async () => {
  await node.agents.add('slow', { code: 'agent.receive(() => new Promise(() => {}))', limits: { wallMs: 2_000 } })
  await node.agents.add('well', { code: 'agent.receive(({ data }) => data)' })
  const asked = Array.from({ length: 4 * programMessagesWaitingMax }, () =>
    node.ask(node.did, 1, { agent: 'slow', timeoutMs: 60_000 }).catch((error: unknown) => toMeshError(error)),
  )
  expect(await ask('well', 1)).toBe(1)
  const errors = (await Promise.all(asked)) as readonly MeshError[]
  const refused = errors.filter(({ code }) => code === 'ERR_OVERLOADED')
  expect(refused.length).toBeGreaterThan(2 * programMessagesWaitingMax)
  expect(refused[0]?.details).toMatchObject({ retryAfterMs: expect.any(Number) as number })
  expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['ERR_OVERLOADED', 'ERR_TIMEOUT']))
  expect(errors.length - refused.length).toBeGreaterThanOrEqual(programMessagesAtOnceMax)
  for (const name of ['slow', 'well']) await node.agents.remove(name)
}, 120_000)

test.each([
  ['a reply of 8 MiB', `agent.receive(() => 'x'.repeat(2 ** 23))`, 'ERR_AGENT_FAILED', 'running'],
  ['a reply over what a message takes', `agent.receive(() => 'x'.repeat(70_000))`, 'ERR_WIRE_TOO_LARGE', 'running'],
  ['a reply that is no data', `agent.receive(() => () => 1)`, 'ERR_AGENT_FAILED', 'running'],
  ['a reply with a getter that throws', `agent.receive(() => ({ get a() { throw 1 } }))`, 'ERR_AGENT_FAILED', 'running'],
  ['a promise that is refused with nothing', `agent.receive(() => Promise.reject())`, 'ERR_AGENT_FAILED', 'running'],
  ['a thenable without end', `agent.receive(() => ({ then(resolve) { resolve(this) } }))`, 'ERR_AGENT_DOWN', 'waiting'],
  ['lines without end', `agent.receive(() => { for (;;) console.log('x'.repeat(10_000)) })`, 'ERR_AGENT_DOWN', 'waiting'],
  ['host calls without end', `agent.receive(async () => { for (;;) await crypto.publicKey() })`, 'ERR_AGENT_DOWN', 'waiting'],
  ['buffers without end', `agent.receive(() => { for (const all = []; ; ) all.push(new Uint8Array(1 << 24).fill(1)) })`, 'ERR_AGENT_FAILED', 'running'],
  ['objects without end', `agent.receive(() => { for (const all = []; ; ) all.push({ all }) })`, 'ERR_AGENT_DOWN', 'waiting'],
])(
  '%s harms nobody but whoever asked',
  async (_what, code, expected, status) => {
    await node.agents.add('bad', { code, limits: { wallMs: 3_000, cpuMs: 2_000, memoryMiB: 64, outputBytes: 1 << 20, hostCalls: 500 } })
    try {
      expect(await codeOf(ask('bad', 1))).toBe(expected)
      if (status === 'running') expect(state('bad')).toMatchObject({ status, restarts: 0 })
      else await until(() => state('bad').restarts > 0)
      await runs('bad')
    } finally {
      await node.agents.remove('bad')
    }
  },
  120_000,
)

test('code on disk that was changed is not run, and the agent says why', async () => {
  const home = join(folder, 'altered')
  const first = await createNode({ dataDir: home, upnp: false })
  await first.agents.add('a', { code: 'agent.receive(() => 1)' })
  await first.stop()
  const { createLevelStore } = await import('../../src/store/index.ts')
  const store = await createLevelStore(profilePaths(home).store)
  const codes = await Array.fromAsync(store.range({ gte: 'agent-programs/code/', lt: 'agent-programs/code0' }))
  expect(codes).toHaveLength(1)
  for (const [key] of codes) await store.durable([{ type: 'put', key, value: new TextEncoder().encode('agent.receive(() => 2)') }])
  await store.close()
  await using again = await createNode({ dataDir: home, upnp: false })
  await expect.poll(() => again.agents.programs.get('a').status, { timeout: 30_000 }).toBe('failed')
  expect(again.agents.programs.get('a').lastError).toMatchObject({ code: 'ERR_AGENT_CODE' })
  expect(await codeOf(again.ask(again.did, 1, { agent: 'a' }))).toBe('ERR_AGENT_DOWN')
  await again.agents.programs.update('a', { code: 'agent.receive(() => 3)', language: 'javascript' })
  expect((await again.ask(again.did, 1, { agent: 'a' })).reply).toBe(3)
}, 120_000)

test('the example of the specification keeps notes, also when the key of its node is replaced', async () => {
  const spec = await readFile(new URL('../../protocols/sandbox/v1/spec.md', import.meta.url), 'utf8')
  const [, code = ''] = /## 9\. Agents[\s\S]*?```ts\n([\s\S]*?)```/.exec(spec) ?? []
  await using own = await createNode({ dataDir: join(folder, 'example'), upnp: false })
  await own.agents.add('notes', { code, language: 'typescript', grants: { capabilities: ['memory:read', 'memory:write'] } })
  const tell = async (data: unknown): Promise<unknown> => (await own.ask(own.did, data, { agent: 'notes' })).reply
  expect(await tell({ add: 'a' })).toBe(1)
  await own.rotate()
  expect(await tell({ add: 'b' })).toBe(2)
  expect(await tell({})).toEqual([
    { text: 'a', from: own.did },
    { text: 'b', from: own.did },
  ])
  expect(own.agents.programs.get('notes')).toMatchObject({ status: 'running', restarts: 0, handled: 2 })
}, 120_000)
