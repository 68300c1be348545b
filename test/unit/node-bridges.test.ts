import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, type Did, MeshError, silentLogger } from '../../src/base/index.ts'
import { createBridges } from '../../src/node/bridges.ts'
import { type OperatorGrants, readOperatorGrants } from '../../src/node/operator-grants.ts'
import { grantsSchema, type HostAnswer, parsePolicy, sandboxLimitsDefault } from '../../src/sandbox/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { TrustLevel } from '../../src/trust/index.ts'

const never = new AbortController().signal
let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kindmesh-test-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

describe('sandbox.toml', () => {
  const read = async (text: string, mode = 0o600): Promise<OperatorGrants> => {
    const path = join(home, 'sandbox.toml')
    writeFileSync(path, text)
    chmodSync(path, mode)
    return await readOperatorGrants(path)
  }
  const problem = async (text: string, mode?: number): Promise<string> =>
    await read(text, mode).then(
      () => 'taken',
      (error: unknown) => (error instanceof MeshError && error.code === 'ERR_SANDBOX_CONFIG' ? error.message : String(error)),
    )

  test('grants nothing where it is missing or empty', async () => {
    expect(await readOperatorGrants(join(home, 'sandbox.toml'))).toEqual({ tasks: {}, native: [] })
    expect(await read('')).toEqual({ tasks: {}, native: [] })
  })

  test('grants by the trust in who asks', async () => {
    const { tasks, native } = await read(`
      native = ["did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"]
      [tasks.TRUSTED]
      capabilities = ["network:outbound", "llm:invoke"]
      [tasks.TRUSTED.network]
      allowOutbound = true
      allowedDomains = ["api.example"]
      [tasks.TRUSTED.llm]
      url = "http://127.0.0.1:11434/api/chat"
      allowed = ["small"]
      headers = { authorization = "Bearer {secret:key}" }
    `)
    expect(native).toHaveLength(1)
    expect(Object.keys(tasks)).toEqual([String(TrustLevel.TRUSTED)])
    expect(tasks[TrustLevel.TRUSTED]).toMatchObject({
      capabilities: ['network:outbound', 'llm:invoke'],
      network: { allowedDomains: ['api.example'], allowedPorts: [443] },
      spawn: [],
    })
  })

  test('of the README is taken', async () => {
    const [, example = ''] = /```toml\n([\s\S]+?)```/.exec(readFileSync('README.md', 'utf8')) ?? []
    expect((await read(example)).tasks[TrustLevel.TRUSTED]).toMatchObject({
      capabilities: expect.arrayContaining(['network:outbound']) as string[],
      llm: { allowed: ['small'] },
    })
  })

  test.each([
    ['[tasks', /line 1, column \d+/],
    ['a = 1\nb = "x', /line 2, column \d+/],
    ['[tasks.BASIC]', /tasks: unknown: BASIC/],
    ['[tasks.TRUSTED]\ncapabilities = ["root"]', /tasks\.TRUSTED\.capabilities\.0/],
    ['[tasks.TRUSTED.network]\nallowInbound = true', /tasks\.TRUSTED\.network\.allowInbound: must be false/],
    ['[tasks.TRUSTED.network]\nallowedDomains = ["*"]', /tasks\.TRUSTED\.network\.allowedDomains\.0: "\*" is not a name/],
    ['[task.TRUSTED]', /unknown: task/],
    ['native = ["me"]', /native\.0: "me" is no did:key/],
  ])('%j is refused by line or field', async (text, why) => {
    expect(await problem(text)).toMatch(why)
  })

  test('that others can write is refused', async () => {
    expect(await problem('', 0o666)).toMatch(/can be written by others/)
  })
})

describe('what tasks and agents of a node reach', () => {
  const anna = 'did:key:anna' as Did
  const berta = 'did:key:berta' as Did
  const runs: unknown[] = []
  const bridges = (tasks: OperatorGrants['tasks'] = {}) =>
    createBridges({
      clock: createVirtualClock(),
      random: createSeededRandom(1),
      logger: silentLogger,
      store: createMemoryStore(),
      secrets: { get: async (name, reader) => `${name} for ${reader}` },
      grants: { tasks, native: [] },
      level: (did) => (did === anna ? TrustLevel.TRUSTED : TrustLevel.VERIFIED),
      resolve(text) {
        if (text === 'nobody') throw new MeshError('ERR_IDENTITY_INVALID', 'nobody of that name')
        return `did:key:${text}` as Did
      },
      ask: async (to, data, { agent, timeoutMs }) => ({ reply: { to, data, agent, timeoutMs } }),
      tasks: {
        async *run(order) {
          runs.push(order)
          yield { type: 'running' }
          yield { type: 'result', ok: true, result: 7, error: undefined, usage: {}, artefacts: [], receipt: {} } as never
        },
      },
    })
  const order = { limits: { ...sandboxLimitsDefault, fsOps: 100 }, isolation: 'sandboxed' } as const
  const value = (answer: HostAnswer): unknown => (answer.ok ? (JSON.parse(answer.value) as unknown) : answer)

  test('depends on the trust in who asks, and on what policy granted', async () => {
    const grants = parsePolicy(grantsSchema, { capabilities: ['vault:access'], vault: ['key'] })
    const { forTask } = bridges({ [TrustLevel.TRUSTED]: grants })
    const get = async (asker: Did, capabilities: readonly 'vault:access'[]) =>
      await forTask({ ...order, asker, capabilities }).call('vault.get', '["key"]', never)
    expect(value(await get(anna, ['vault:access']))).toBe('key for task did:key:anna')
    expect(await get(anna, [])).toMatchObject({ denied: expect.any(String) as string })
    expect(await get(berta, ['vault:access'])).toMatchObject({ denied: expect.any(String) as string })
  })

  test('is remembered for each asker and each agent alone', async () => {
    const { forTask, forAgent } = bridges()
    const capabilities = ['memory:read', 'memory:write'] as const
    const grants = parsePolicy(grantsSchema, { capabilities })
    const all = [
      forTask({ ...order, asker: anna, capabilities }),
      forTask({ ...order, asker: berta, capabilities }),
      forAgent({ ...order, did: anna, grants }),
      forAgent({ ...order, did: berta, grants }),
    ]
    for (const [at, bridge] of all.entries()) {
      expect(value(await bridge.call('memory.list', '[]', never))).toEqual([])
      await bridge.call('memory.set', JSON.stringify(['k', at]), never)
    }
    expect(await Promise.all(all.map(async (bridge) => value(await bridge.call('memory.get', '["k"]', never))))).toEqual([0, 1, 2, 3])
  })

  test('are agents of the mesh by name, and tasks elsewhere without rights of their own', async () => {
    const bridge = bridges().forAgent({ ...order, did: anna, grants: parsePolicy(grantsSchema, { capabilities: ['agent:delegate'] }) })
    expect(value(await bridge.call('mesh.ask', '["berta",{"q":1},{"agent":"shop"}]', never))).toEqual({ to: berta, data: { q: 1 }, agent: 'shop' })
    expect(await bridge.call('mesh.ask', '["nobody",1]', never)).toMatchObject({ ok: false, code: 'ERR_IDENTITY_INVALID' })
    expect(value(await bridge.call('delegate', '[{"on":"berta","code":"return 7","limits":{"wallMs":5}}]', never))).toMatchObject({
      ok: true,
      result: 7,
      error: null,
    })
    expect(runs.at(-1)).toEqual({ on: berta, code: 'return 7', input: null, limits: { wallMs: 5 } })
    for (const more of [{ capabilities: ['file:read'] }, { files: [] }, { out: '.' }, { code: 1 }, { engine: 'shell' }]) {
      expect(await bridge.call('delegate', JSON.stringify([{ on: 'berta', code: 'return 7', ...more }]), never)).toMatchObject({
        ok: false,
        code: 'ERR_HOST_ARGUMENTS',
      })
    }
  })

  test('are files of a folder that the run is given and that stays', async () => {
    const bridge = bridges().forTask({ ...order, asker: anna, capabilities: ['file:read', 'file:write'], work: home })
    expect(value(await bridge.call('writeFile', '["work/out/a","x"]', never))).toBe(1)
    expect(await bridge.call('readFile', '["etc/passwd"]', never)).toMatchObject({ denied: expect.any(String) as string })
    await bridge.close()
    expect(readFileSync(join(home, 'out', 'a'), 'utf8')).toBe('x')
  })

  test('tells an agent what was refused', async () => {
    const told: string[] = []
    const bridge = bridges().forAgent({ ...order, did: anna, grants: parsePolicy(grantsSchema, {}), onRefused: (detail) => told.push(detail) })
    await bridge.call('fetch', '["http://x.example/"]', never)
    expect(told).toEqual(['fetch: the capability network:outbound is not granted'])
  })
})
