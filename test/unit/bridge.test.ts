import { type AddressInfo, connect, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agentCapabilities, createSeededRandom, createVirtualClock, fromBase64, MeshError, realClock, silentLogger, utf8 } from '../../src/base/index.ts'
import { type BridgeConfiguration, type BridgeServices, createHostBridge, createMemories, type Refusal, type RunBridge } from '../../src/bridge/index.ts'
import { fetchMsMax } from '../../src/bridge/fetch.ts'
import { verify } from '../../src/crypto/index.ts'
import { type HostAnswer, hostCallBytesMax, hostCallCapabilities, parsePolicy, grantsSchema } from '../../src/sandbox/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { type BridgeWorld, createBridgeWorld } from '../helpers/bridge-world.ts'

let world: BridgeWorld
beforeAll(async () => {
  world = await createBridgeWorld()
})
afterAll(async () => world.close())

const never = new AbortController().signal
const all = { capabilities: agentCapabilities }
const value = (answer: HostAnswer): unknown => {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`)
  return JSON.parse(answer.value) as unknown
}
const call = async (bridge: RunBridge, name: string, ...args: readonly unknown[]): Promise<HostAnswer> => await bridge.call(name, JSON.stringify(args), never)
const memoryWorld = () => {
  const clock = createVirtualClock()
  const memories = createMemories({ store: createMemoryStore(), clock })
  const of = (agentId: string, memory: object = {}, capabilities: readonly string[] = ['memory:read', 'memory:write']) =>
    world.bridge({ capabilities, memory }, { agentId }, { memories })
  return { clock, of }
}

describe('every call', () => {
  test('without its capability is refused and leaves an event', async () => {
    const bridge = world.bridge({})
    for (const [name, capability] of Object.entries(hostCallCapabilities)) {
      if (capability === undefined) continue
      const answer = await bridge.call(name, '[]', never)
      expect(answer).toMatchObject({
        ok: false,
        code: 'ERR_POLICY_DENIED',
        denied: `capability ${capability}: ${name}: the capability ${capability} is not granted`,
      })
      expect(world.refusals.at(-1)).toEqual({ name, capability, reason: `the capability ${capability} is not granted` } satisfies Refusal)
    }
  })

  test.each(['', 'eval', 'constructor', '__proto__', 'toString', 'memory', 'memory.', 'fetch ', 'x'.repeat(100_000)])(
    'under the unknown name %.20j is refused',
    async (name) => {
      expect(await world.bridge(all).call(name, '[]', never)).toMatchObject({ ok: false, code: 'ERR_POLICY_DENIED', denied: expect.any(String) as string })
    },
  )

  test('with arguments of another form is refused, whatever they are', async () => {
    const bridge = world.bridge({ ...all, files: { scratch: true } })
    const hostile = [
      '',
      '{',
      'null',
      '{}',
      '1',
      '"x"',
      '[',
      '[[]]',
      '[{}]',
      '[1]',
      '[null]',
      '["a","b","c","d","e"]',
      '[{"__proto__":[]}]',
      '["a",[]]',
      `[${'['.repeat(100_000)}`,
      '["a",{"x":1}]',
      '[{"toString":"x"},{"length":-1}]',
    ]
    for (const name of Object.keys(hostCallCapabilities)) {
      for (const args of hostile) {
        const answer = await bridge.call(name, args, never)
        // Nothing is reached, so what is taken (a key, a path) finds nothing or is denied.
        if (answer.ok) expect(['crypto.sign', 'crypto.publicKey', 'list']).toContain(name)
        else expect(answer.message).not.toMatch(/\/tmp|node:|\.ts\b|at Object/)
      }
    }
    await bridge.close()
  })

  test('over its size is refused before it is read', async () => {
    const text = `["${'x'.repeat(hostCallBytesMax)}"]`
    expect(await world.bridge(all).call('crypto.sign', text, never)).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
  })

  test('beyond 32 at a time is turned away', async () => {
    const ask = async (): Promise<never> => await new Promise(() => undefined)
    const bridge = world.bridge(all, {}, { ask })
    const run = new AbortController()
    const held = Array.from({ length: 32 }, () => bridge.call('mesh.ask', '["did:x",1]', run.signal))
    expect(await call(bridge, 'mesh.ask', 'did:x', 1)).toMatchObject({ ok: false, code: 'ERR_OVERLOADED' })
    run.abort(new MeshError('ERR_TASK_CANCELLED', 'over'))
    for (const answer of await Promise.all(held)) expect(answer).toMatchObject({ ok: false, code: 'ERR_TASK_CANCELLED' })
    expect((await call(bridge, 'crypto.publicKey')).ok).toBe(true)
  })

  test('is answered when the bridge closes, and refused after', async () => {
    const bridge = world.bridge(all, {}, { ask: async () => await new Promise(() => undefined) })
    const held = call(bridge, 'mesh.ask', 'did:x', 1)
    await bridge.close()
    expect(await held).toMatchObject({ ok: false, code: 'ERR_STOPPED' })
    expect(await call(bridge, 'crypto.publicKey')).toMatchObject({ ok: false, code: 'ERR_STOPPED' })
  })

  test('whose service fails shows neither path nor secret', async () => {
    const secrets = {
      get: async () => {
        throw new Error('cannot open /srv/kindmesh/secrets/key')
      },
    }
    const answer = await call(world.bridge({ ...all, vault: ['key'] }, {}, { secrets }), 'vault.get', 'key')
    expect(answer).toEqual({ ok: false, code: 'ERR_HOST_FAILED', message: 'the host failed' })
    const inner = {
      get: async () => {
        throw new MeshError('ERR_STORE_FAILED', '/srv/kindmesh')
      },
    }
    expect(await call(world.bridge({ ...all, vault: ['key'] }, {}, { secrets: inner }), 'vault.get', 'key')).toEqual(answer)
  })
})

describe('memory', () => {
  test('keeps plain data from run to run', async () => {
    const { of } = memoryWorld()
    const data = { list: [1, null, 'ä'], deep: { a: true } }
    expect(value(await call(of('anna'), 'memory.set', 'k', data))).toBeNull()
    expect(value(await call(of('anna'), 'memory.get', 'k'))).toEqual(data)
    expect(value(await call(of('anna'), 'memory.delete', 'k'))).toBe(true)
    expect(value(await call(of('anna'), 'memory.get', 'k'))).toBeNull()
    expect(value(await call(of('anna'), 'memory.delete', 'k'))).toBe(false)
    // What has no value is not kept.
    expect(await call(of('anna'), 'memory.set', 'none')).toMatchObject({ ok: false, code: 'ERR_HOST_ARGUMENTS' })
  })

  test.each(['../berta/k', 'berta/k', '/k', '..', '%2e%2e/berta/k', 'k\0', 'anna0', '~'])('of another agent cannot be named: %j', async (key) => {
    const { of } = memoryWorld()
    const berta = of('berta')
    for (const name of ['k', 'anna/k', '0']) await call(berta, 'memory.set', name, 'secret of berta')
    for (const id of ['anna', 'bert', 'berta/', 'berta/anna', 'berta%2F', 'berta0', '..', '']) {
      const other = of(id)
      expect(value(await call(other, 'memory.get', key))).toBeNull()
      expect(value(await call(other, 'memory.list', ''))).toEqual([])
      expect(value(await call(other, 'memory.delete', key))).toBe(false)
    }
    expect(value(await call(berta, 'memory.list'))).toEqual(['0', 'anna/k', 'k'])
  })

  test('lists by prefix, in order, page after page', async () => {
    const { of } = memoryWorld()
    const bridge = of('anna', { maxKeys: 2_000 })
    for (let at = 0; at < 1_005; at++) await call(bridge, 'memory.set', `n/${String(at).padStart(4, '0')}`, at)
    await call(bridge, 'memory.set', 'm', 1)
    const first = value(await call(bridge, 'memory.list', 'n/')) as string[]
    expect(first).toHaveLength(1_000)
    expect(value(await call(bridge, 'memory.list', 'n/', { after: first.at(-1) }))).toEqual(['n/1000', 'n/1001', 'n/1002', 'n/1003', 'n/1004'])
    expect(await call(bridge, 'memory.list', 'n/', { after: 'm' })).toMatchObject({ ok: false, code: 'ERR_HOST_ARGUMENTS' })
  })

  test('has a quota of keys and bytes, which deleting and replacing give back', async () => {
    const { of } = memoryWorld()
    const [one, two] = [of('anna', { maxKeys: 2, maxBytes: 100 }), of('anna', { maxKeys: 2, maxBytes: 100 })]
    const set = async (bridge: RunBridge, key: string, text: string): Promise<boolean> => (await call(bridge, 'memory.set', key, text)).ok
    // Two runs of one agent at once share the quota.
    expect(await Promise.all(['a', 'b', 'c', 'd'].map((key, at) => set(at % 2 === 0 ? one : two, key, 'x')))).toEqual([true, true, false, false])
    expect(await call(one, 'memory.set', 'c', 1)).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
    expect(value(await call(two, 'memory.delete', 'a'))).toBe(true)
    expect(await set(one, 'c', 'x'.repeat(200))).toBe(false)
    expect(await set(one, 'c', 'x'.repeat(70))).toBe(true)
    expect(await set(one, 'b', 'x'.repeat(70))).toBe(false)
    expect(await set(one, 'c', 'y')).toBe(true)
    expect(await set(one, 'b', 'x'.repeat(70))).toBe(true)
    // Another agent has its own.
    expect(await set(of('berta', { maxKeys: 2, maxBytes: 100 }), 'b', 'x'.repeat(70))).toBe(true)
  })

  test('forgets at the end of the time given, at the latest at that of the policy, and what is forgotten makes room', async () => {
    const { clock, of } = memoryWorld()
    const bridge = of('anna', { maxKeys: 2, ttlMs: 1_000 })
    await call(bridge, 'memory.set', 'short', 1, { ttlMs: 10 })
    await call(bridge, 'memory.set', 'long', 1, { ttlMs: 1e9 })
    expect(await call(bridge, 'memory.set', 'more', 1)).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
    await clock.advance(10)
    expect(value(await call(bridge, 'memory.get', 'short'))).toBeNull()
    expect(value(await call(bridge, 'memory.list'))).toEqual(['long'])
    expect((await call(bridge, 'memory.set', 'more', 1)).ok).toBe(true)
    await clock.advance(990)
    expect(value(await call(bridge, 'memory.get', 'long'))).toBeNull()
    // An expired entry that is written again counts once.
    for (let turn = 0; turn < 3; turn++) {
      expect((await call(bridge, 'memory.set', 'long', turn)).ok).toBe(true)
      await clock.advance(1_000)
    }
  })

  test('is on disk when it says so', async () => {
    const store = createMemoryStore()
    const memories = createMemories({ store, clock: createVirtualClock() })
    await call(world.bridge(all, { agentId: 'anna' }, { memories }), 'memory.set', 'k', 1)
    store.crash()
    expect(
      value(await call(world.bridge(all, { agentId: 'anna' }, { memories: createMemories({ store, clock: createVirtualClock() }) }), 'memory.get', 'k')),
    ).toBe(1)
  })

  test.each(['', 'x'.repeat(257), 'ä'.repeat(129)])('takes no key such as %.5j', async (key) => {
    expect((await call(memoryWorld().of('anna'), 'memory.set', key, 1)).ok).toBe(false)
  })

  test('takes no half of a surrogate pair, which would be another key on disk', async () => {
    expect(
      await memoryWorld()
        .of('anna')
        .call('memory.set', String.raw`["\ud800",1]`, never),
    ).toMatchObject({ ok: false, code: 'ERR_HOST_ARGUMENTS' })
  })

  test('for reading alone cannot be written', async () => {
    expect(await call(memoryWorld().of('anna', {}, ['memory:read']), 'memory.set', 'k', 1)).toMatchObject({
      denied: expect.stringContaining('memory:write') as string,
    })
  })

  test('has the partition the operator names, whoever asks', async () => {
    const { of } = memoryWorld()
    await call(of('anna', { partition: 'shop' }), 'memory.set', 'k', 7)
    expect(value(await call(of('berta', { partition: 'shop' }), 'memory.get', 'k'))).toBe(7)
    expect(value(await call(of('shop2'), 'memory.get', 'k'))).toBeNull()
  })
})

describe('secrets', () => {
  const secrets = { get: async (name: string) => (name === 'there' ? 'a\n"secret"' : undefined) }

  test('are read by the names granted', async () => {
    expect(value(await call(world.bridge({ ...all, vault: ['there'] }, {}, { secrets }), 'vault.get', 'there'))).toBe('a\n"secret"')
  })

  test('that are not granted look the same whether they exist or not', async () => {
    const bridge = world.bridge({ ...all, vault: ['other'] }, {}, { secrets })
    const [there, missing] = await Promise.all(['there', 'gone!'].map((name) => call(bridge, 'vault.get', name)))
    expect(JSON.stringify(there).replaceAll('there', 'gone!')).toBe(JSON.stringify(missing))
    expect(there).toHaveProperty('denied')
    expect(await call(bridge, 'vault.get', 'other')).toMatchObject({ ok: false, code: 'ERR_NOT_FOUND' })
  })
})

describe('providers', () => {
  const secrets = { get: async () => 'key-of-the-operator' }
  const llm = () =>
    world.filled({ url: 'http://127.0.0.1:{outside}/v1/chat?x=1', headers: { Authorization: 'Bearer {secret:openai}' }, allowed: ['small'], maxBytes: 1_000 })
  const bridge = (more: object = {}) => world.bridge({ ...all, llm: llm(), ...more }, {}, { secrets })

  test('get the request with the secret that the guest never sees', async () => {
    world.at('/v1/chat', ({ headers }, response) => response.end(JSON.stringify({ text: `you are ${headers.authorization}` })))
    expect(value(await call(bridge(), 'llm', { model: 'small', messages: [1] }))).toEqual({ text: 'you are Bearer ***' })
    expect(world.seen.at(-1)).toMatchObject({
      method: 'POST',
      url: '/v1/chat?x=1',
      body: '{"model":"small","messages":[1]}',
      headers: { authorization: 'Bearer key-of-the-operator', 'content-type': 'application/json' },
    })
  })

  test.each([[{ model: 'large' }], [{}], [{ model: ['small'] }], [{ model: 'small ' }]])('are not called for %j', async (request) => {
    expect(await call(bridge(), 'llm', request)).toMatchObject({ ok: false, denied: expect.stringContaining('llm:invoke') as string })
  })

  test('that are not configured are refused', async () => {
    expect(await call(bridge(), 'vectordb', { collection: 'c' })).toMatchObject({ denied: expect.stringContaining('no provider') as string })
  })

  test('answer within their size, as JSON, and without redirects', async () => {
    expect(await call(bridge(), 'llm', { model: 'small', text: 'x'.repeat(1_000) })).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
    world.at('/v1/chat', (_, response) => response.end('x'.repeat(1_001)))
    expect(await call(bridge(), 'llm', { model: 'small' })).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
    world.at('/v1/chat', (_, response) => response.end('<html>key-of-the-operator'))
    expect(await call(bridge(), 'llm', { model: 'small' })).toEqual({
      ok: false,
      code: 'ERR_HOST_FAILED',
      message: 'the provider answered something else than JSON',
    })
    const before = world.hits()
    world.at('/v1/chat', (_, response) => response.writeHead(302, { location: world.filled('http://127.0.0.1:{target}/') }).end())
    expect(await call(bridge(), 'llm', { model: 'small' })).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED' })
    expect(world.hits()).toBe(before)
  })

  test('are not called without their secret', async () => {
    const none = world.bridge({ ...all, llm: llm() }, {}, { secrets: { get: async () => undefined } })
    expect(await call(none, 'llm', { model: 'small' })).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED' })
  })
})

describe('agents and tasks elsewhere', () => {
  test('are asked with plain data, one deeper than the run', async () => {
    const asked: unknown[] = []
    const services: BridgeServices = {
      ask: async (to, data, { depth, agent, timeoutMs }) => ({ to, data, depth, agent, timeoutMs }),
      delegate: async (order, { depth }) => void asked.push(order, depth),
    }
    const bridge = world.bridge(all, { depth: 2 }, services)
    expect(value(await call(bridge, 'mesh.ask', 'did:x', { q: 1 }, { agent: 'shop', timeoutMs: 5 }))).toEqual({
      to: 'did:x',
      data: { q: 1 },
      depth: 3,
      agent: 'shop',
      timeoutMs: 5,
    })
    expect(value(await call(bridge, 'delegate', { on: 'did:x', code: 'return 1' }))).toBeNull()
    expect(asked).toEqual([{ on: 'did:x', code: 'return 1' }, 3])
  })

  test('are not asked deeper than allowed, nor with more than allowed', async () => {
    const ask = async (): Promise<number> => 1
    expect(await call(world.bridge(all, { depth: 4 }, { ask }), 'mesh.ask', 'did:x', 1)).toMatchObject({ denied: expect.stringContaining('deep') as string })
    expect(value(await call(world.bridge(all, { depth: 3 }, { ask }), 'mesh.ask', 'did:x', 1))).toBe(1)
    expect(await call(world.bridge(all, {}, { ask }), 'mesh.ask', 'did:x', 'x'.repeat(1 << 20))).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
  })

  test('that ask each other in a circle come to an end', async () => {
    let asked = 0
    const pair: RunBridge[] = []
    const asks =
      (other: number): BridgeServices['ask'] =>
      async () => {
        asked++
        const answer = await call(pair[other] ?? bridge(0), 'mesh.ask', 'did:x', 1)
        if (!answer.ok) throw new MeshError(answer.code, answer.message)
        return null
      }
    const bridge = (other: number) => world.bridge(all, {}, { ask: asks(other) })
    pair.push(bridge(1), bridge(0))
    expect(await call(pair[0] ?? bridge(0), 'mesh.ask', 'did:x', 1)).toMatchObject({ ok: false, code: 'ERR_OVERLOADED' })
    expect(asked).toBe(64)
  })

  test('that refuse are told by their code', async () => {
    const ask = async (): Promise<never> => {
      throw new MeshError('ERR_TRUST_LOW', 'it trusts us too little')
    }
    expect(await call(world.bridge(all, {}, { ask }), 'mesh.ask', 'did:x', 1)).toEqual({ ok: false, code: 'ERR_TRUST_LOW', message: 'it trusts us too little' })
  })

  test('are not asked where there is no mesh', async () => {
    expect(await call(world.bridge(all), 'mesh.ask', 'did:x', 1)).toMatchObject({ denied: expect.stringContaining('not to be had') as string })
  })
})

describe('programs', () => {
  const grants = { ...all, spawn: ['ls', '/usr/bin/env'] }
  const at = (level: BridgeConfiguration['level']) => world.bridge(grants, { level })

  test('that are allowed are handed to the container with their arguments', async () => {
    expect(value(await call(at('containerized'), 'spawn', 'ls', ['-l', '; rm'], { stdin: 'x' }))).toEqual({ argv: ['ls', '-l', '; rm'], stdin: 'x' })
    expect(value(await call(at('virtualized'), 'spawn', '/usr/bin/env'))).toEqual({ argv: ['/usr/bin/env'], stdin: '' })
  })

  test.each([
    ['sandboxed', 'ls'],
    ['native', 'ls'],
    ['containerized', 'sh'],
    ['containerized', '/bin/ls'],
    ['containerized', 'ls '],
    ['containerized', '../ls'],
  ] as const)('are refused at %s: %j', async (level, program) => {
    expect(await call(at(level), 'spawn', program)).toHaveProperty('denied')
  })

  test('take no argument with a NUL', async () => {
    expect(await call(at('containerized'), 'spawn', 'ls', ['a\0b'])).toMatchObject({ ok: false, code: 'ERR_HOST_ARGUMENTS' })
  })
})

test('a run signs with a key of its own', async () => {
  const bridge = (seed: number) =>
    createHostBridge({
      configuration: { agentId: 'a', level: 'sandboxed', limits: { netKiBps: 0, fsOps: 0 }, grants: parsePolicy(grantsSchema, {}) },
      services: {},
      clock: realClock,
      random: createSeededRandom(seed),
      logger: silentLogger,
    })
  const [one, two] = [bridge(1), bridge(2)]
  const keyOf = async (run: RunBridge) => fromBase64(value(await call(run, 'crypto.publicKey')) as string) ?? new Uint8Array()
  const signature = fromBase64(value(await call(one, 'crypto.sign', 'grüße')) as string) ?? new Uint8Array()
  expect(verify(await keyOf(one), utf8('grüße'), signature)).toBe(true)
  expect(verify(await keyOf(two), utf8('grüße'), signature)).toBe(false)
})

describe('rates', () => {
  test('of file operations are waited for, in order, and counted', async () => {
    const clock = createVirtualClock()
    const bridge = createHostBridge({
      configuration: {
        agentId: 'a',
        level: 'sandboxed',
        limits: { netKiBps: 0, fsOps: 2 },
        grants: parsePolicy(grantsSchema, { capabilities: ['file:read'] }),
      },
      services: {},
      clock,
      random: createSeededRandom(1),
      logger: silentLogger,
    })
    const ended: number[] = []
    const calls = [0, 1, 2, 3, 4].map(async (at) => {
      expect((await call(bridge, 'list')).ok).toBe(true)
      ended.push(at)
    })
    await clock.advance(499)
    expect(ended).toEqual([0, 1])
    await clock.advance(1)
    expect(ended).toEqual([0, 1, 2])
    await clock.advance(1_000)
    await Promise.all(calls)
    expect(ended).toEqual([0, 1, 2, 3, 4])
    expect(bridge.usage()).toEqual({ netBytes: 0, fsOps: 5 })
    // A run that ends waits no longer.
    const waiting = [0, 1, 2].map(() => call(bridge, 'list'))
    await bridge.close()
    expect((await Promise.all(waiting)).map(({ ok }) => ok)).toContain(false)
  })

  test('of zero refuse', async () => {
    const bridge = world.bridge(
      { ...all, network: world.filled({ allowOutbound: true, allowedPrivate: ['allowed.test:{outside}'] }) },
      { limits: { netKiBps: 0, fsOps: 0 } },
      { resolve: async () => ['127.0.0.1'] },
    )
    expect(await call(bridge, 'list')).toMatchObject({ denied: expect.stringContaining('the limit fsOps is 0') as string })
    expect(await call(bridge, 'fetch', world.filled('http://allowed.test:{outside}/'))).toMatchObject({
      denied: expect.stringContaining('the limit netKiBps is 0') as string,
    })
  })

  test('of the network count both ways and slow a fetch down', async () => {
    // The network is real, so time is not: what is slept is added up.
    let sleptMs = 0
    const clock = { ...realClock, monotonic: () => sleptMs, sleep: async (ms: number) => void (sleptMs += ms) }
    const bridge = createHostBridge({
      configuration: {
        agentId: 'a',
        level: 'sandboxed',
        limits: { netKiBps: 1, fsOps: 0 },
        grants: parsePolicy(grantsSchema, {
          capabilities: ['network:outbound'],
          network: world.filled({ allowOutbound: true, allowedPrivate: ['127.0.0.1:{outside}'] }),
        }),
      },
      services: {},
      clock,
      random: createSeededRandom(1),
      logger: silentLogger,
    })
    world.at('/slow', (_, response) => response.end('x'.repeat(10_240)))
    const answer = await call(bridge, 'fetch', world.filled('http://127.0.0.1:{outside}/slow'))
    expect(answer.ok).toBe(true)
    expect(bridge.usage().netBytes).toBeGreaterThan(10_240)
    // 10 KiB and the heads at 1 KiB a second, of which the first comes at once.
    expect(sleptMs).toBeGreaterThan(9_000)
    expect(sleptMs).toBeLessThan(11_000)
    await bridge.close()
  })
})

test('a server that stays silent is left after a minute', async () => {
  const clock = createVirtualClock()
  const bridge = createHostBridge({
    configuration: {
      agentId: 'a',
      level: 'sandboxed',
      limits: { netKiBps: 1_000, fsOps: 0 },
      grants: parsePolicy(grantsSchema, {
        capabilities: ['network:outbound'],
        network: world.filled({ allowOutbound: true, allowedPrivate: ['127.0.0.1:{outside}'] }),
      }),
    },
    services: {},
    clock,
    random: createSeededRandom(1),
    logger: silentLogger,
  })
  const arrived = new Promise<void>((resolve) => world.at('/silent', () => resolve()))
  const answer = call(bridge, 'fetch', world.filled('http://127.0.0.1:{outside}/silent'))
  await arrived
  await clock.advance(fetchMsMax - 1)
  await clock.advance(1)
  expect(await answer).toEqual({ ok: false, code: 'ERR_TIMEOUT', message: `the fetch took longer than ${fetchMsMax} ms` })
  // Nothing of it is left in the clock.
  expect(await clock.step()).toBe(false)
  await bridge.close()
})

describe('connections of programs', () => {
  const policy = (more: object = {}) => ({
    capabilities: ['network:outbound'],
    network: world.filled({ allowOutbound: true, requireTLS: false, allowedPrivate: ['allowed.test:{outside}'], ...more }),
  })
  const services = { resolve: async (name: string) => (name === 'allowed.test' ? ['127.0.0.1'] : ['127.0.0.2']) }

  test('go where the policy allows, and are counted', async () => {
    const bridge = world.bridge(policy(), {}, services)
    const stream = await bridge.connect('ALLOWED.test.', world.ports.outside, never)
    stream.write('GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
    let text = ''
    for await (const part of stream) text += String(part)
    expect(text).toMatch(/^HTTP\/1\.1 200 OK[^]*outside/)
    expect(bridge.usage().netBytes).toBeGreaterThan(text.length)
    await bridge.close()
  })

  test.each([
    ['127.0.0.1', 'target'],
    ['[::1]', 'target'],
    ['2130706433', 'target'],
    ['allowed.test', 'target'],
    ['inside.wild.test', 'target'],
    ['allowed.test@127.0.0.1', 'target'],
    ['127.0.0.1/', 'target'],
    ['', 'target'],
    ['allowed.test:80', 'outside'],
  ] as const)('do not go to %j', async (host, port) => {
    const before = world.hits()
    const bridge = world.bridge(
      policy({ allowedDomains: ['allowed.test', '*.wild.test', '127.0.0.1', '[::1]'], allowedPorts: ['{target}'].map(() => world.ports.target) }),
      {},
      services,
    )
    await expect(bridge.connect(host, world.ports[port], never)).rejects.toMatchObject({
      code: expect.stringMatching(/ERR_POLICY_DENIED|ERR_HOST_ARGUMENTS/) as string,
    })
    expect(world.hits()).toBe(before)
    await bridge.close()
  })

  test('must begin as TLS where that is required', async () => {
    const server = createServer((socket) => socket.on('data', (chunk) => void heard.push(chunk)).on('error', () => undefined))
    const heard: Buffer[] = []
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    // Private hosts are exempt, so the egress is asked itself.
    const { createEgress } = await import('../../src/bridge/egress.ts')
    const { createAllowance } = await import('../../src/bridge/allowance.ts')
    const egress = createEgress({
      destinations: { ofUrl: async () => ({ host: 'a', port, addresses: [] }), ofHost: async () => ({ host: 'a', port, addresses: ['127.0.0.1'] }) },
      allowance: createAllowance({ clock: realClock, perSecond: 1e9, name: 'netKiBps' }),
      clock: realClock,
      mustBeTls: () => true,
    })
    const plain = await egress.connect('a', port, never)
    const failed = new Promise((resolve) => plain.once('error', resolve))
    plain.write('GET / HTTP/1.1\r\n')
    expect(await failed).toMatchObject({ code: 'ERR_POLICY_DENIED' })
    expect(heard).toEqual([])
    const tls = await egress.connect('a', port, never)
    tls.write(Buffer.from([0x16]))
    tls.write(Buffer.from([0x03, 0x01, 0x00]))
    await expect.poll(() => Buffer.concat(heard).toString('hex')).toBe('16030100')
    egress.close()
    server.close()
  })

  test('need the capability, and end with the run', async () => {
    await expect(world.bridge({ ...policy(), capabilities: [] }).connect('allowed.test', world.ports.outside, never)).rejects.toMatchObject({
      code: 'ERR_POLICY_DENIED',
    })
    const bridge = world.bridge(policy(), {}, services)
    const stream = await bridge.connect('allowed.test', world.ports.outside, never)
    const ended = new Promise<void>((resolve) => stream.once('close', resolve))
    await bridge.close()
    await ended
    await expect(bridge.connect('allowed.test', world.ports.outside, never)).rejects.toThrow()
  })
})

test('the control: the target answers whoever comes', async () => {
  const before = world.hits()
  await new Promise<void>((resolve) => connect(world.ports.target, '127.0.0.1', resolve).once('connect', resolve).unref())
  await expect.poll(() => world.hits()).toBe(before + 1)
})
