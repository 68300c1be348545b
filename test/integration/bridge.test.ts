import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMemories } from '../../src/bridge/index.ts'
import type { IsolationLevel, Sandboxes } from '../../src/sandbox/index.ts'
import { createVirtualClock, fromBase64, utf8 } from '../../src/base/index.ts'
import { verify } from '../../src/crypto/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { type BridgeWorld, createBridgeWorld } from '../helpers/bridge-world.ts'
import { scratchWith } from '../helpers/bridge-scratch.ts'
import { createTestSandboxes, resultOf, runTask } from '../helpers/sandbox.ts'

/** One program that uses every call there is. */
const everyCall = `
const response = await fetch(input.url, { method: 'POST', body: 'x' })
const bytes = await fetch(input.url, { encoding: 'base64' })
await memory.set('k', { a: [1] }, { ttlMs: 1000 })
await writeFile('work/' + input.dir + '/a', 'text')
const refused = []
for (const act of [() => fetch('http://127.0.0.1/'), () => vault.get('other'), () => readFile('/etc/passwd'), () => spawn('sh', []), () => memory.get(''), () => bytes.text()]) {
  try { await act(); refused.push('nothing') } catch (error) { refused.push(error.code ?? error.name) }
}
return {
  fetched: [response.status, response.ok, response.url, await response.text(), await bytes.base64()],
  memory: [await memory.get('k'), await memory.list(''), await memory.delete('k'), await memory.get('k')],
  secret: await vault.get('key'),
  files: [await readFile('work/' + input.dir + '/a'), await list('work'), await list('')],
  asked: await mesh.ask('did:x', { q: 1 }),
  delegated: await delegate({ on: 'did:x', code: 'return 1' }),
  llm: await llm({ model: 'small' }),
  vectors: await vectordb({ collection: 'c', operation: 'query' }),
  signature: [await crypto.publicKey(), await crypto.sign('grüße')],
  refused,
}
`

let world: BridgeWorld
let sandboxes: Sandboxes
beforeAll(async () => {
  ;[world, sandboxes] = await Promise.all([createBridgeWorld(), createTestSandboxes()])
})
afterAll(async () => {
  await Promise.all([world.close(), sandboxes.stop()])
})

const bridge = (level: IsolationLevel, agentId = 'anna') => {
  world.at('/v1', (_, response) => response.end('{"answer":42}'))
  const provider = { url: world.filled('http://127.0.0.1:{outside}/v1'), allowed: ['small', 'c'] }
  const capabilities = [
    'network:outbound',
    'memory:read',
    'memory:write',
    'vault:access',
    'file:read',
    'file:write',
    'agent:delegate',
    'llm:invoke',
    'vectordb:access',
    'subprocess:spawn',
  ]
  const network = world.filled({
    allowOutbound: true,
    allowedDomains: ['127.0.0.1'],
    allowedPorts: [80],
    requireTLS: false,
    allowedPrivate: ['allowed.test:{outside}'],
  })
  return world.bridge(
    { capabilities, network, vault: ['key'], files: { scratch: true }, llm: provider, vectordb: provider, spawn: ['sh'] },
    { agentId, level },
    {
      resolve: async () => ['127.0.0.1'],
      memories: createMemories({ store: createMemoryStore(), clock: createVirtualClock() }),
      secrets: { get: async (name) => `secret ${name}` },
      ask: async (to, data) => ({ to, data }),
      delegate: async (order) => ({ order }),
    },
  )
}

describe.each(['sandboxed', 'native'] as const)('a task at level %s', (level) => {
  test('has the whole host API, and is refused what is not granted', async () => {
    const url = world.filled('http://allowed.test:{outside}/')
    const { outcome } = await runTask(sandboxes.get(level), everyCall, {
      input: { url, dir: `dir-${level}` },
      host: bridge(level),
      limits: { fsOps: 1_000, netKiBps: 100_000 },
    })
    if (outcome.type !== 'done') throw new Error(`${outcome.code}: ${outcome.message}`)
    const { signature, ...rest } = JSON.parse(outcome.result) as { readonly signature: readonly [string, string] }
    expect(rest).toEqual({
      fetched: [200, true, url, 'outside', Buffer.from('outside').toString('base64')],
      memory: [{ a: [1] }, ['k'], true, null],
      secret: 'secret key',
      files: ['text', [{ name: `dir-${level}`, type: 'folder', size: 0 }], [{ name: 'work', type: 'folder', size: 0 }]],
      asked: { to: 'did:x', data: { q: 1 } },
      delegated: { order: { on: 'did:x', code: 'return 1' } },
      llm: { answer: 42 },
      vectors: { answer: 42 },
      refused: ['ERR_POLICY_DENIED', 'ERR_POLICY_DENIED', 'ERR_POLICY_DENIED', 'ERR_POLICY_DENIED', 'ERR_HOST_ARGUMENTS', 'TypeError'],
    })
    expect(verify(fromBase64(signature[0]) ?? new Uint8Array(), utf8('grüße'), fromBase64(signature[1]) ?? new Uint8Array())).toBe(true)
    expect(outcome.usage.netBytes).toBeGreaterThan(100)
    expect(outcome.usage.fsOps).toBe(5)
    expect(outcome.security.map(({ kind }) => kind)).toEqual(['denied', 'denied', 'denied', 'denied'])
    expect(outcome.security[0]?.detail).toMatch(/^capability network:outbound: fetch: /)
    // The run is over, and so is its folder.
    await expect.poll(() => scratchWith(`dir-${level}`)).toEqual([])
  })
})

test('tasks in reused workers see nothing of each other', async () => {
  const backend = sandboxes.get('sandboxed')
  const store = createMemoryStore()
  const memories = createMemories({ store, clock: createVirtualClock() })
  const run = (agentId: string, code: string) =>
    resultOf(backend, code, {
      host: world.bridge({ capabilities: ['memory:read', 'memory:write', 'file:read', 'file:write'], files: { scratch: true } }, { agentId }, { memories }),
    })
  await run(
    'anna',
    `await memory.set('k', 'of anna'); await writeFile('work/a', 'of anna'); globalThis.left = 'of anna'; /(of anna)/.exec('of anna'); return 1`,
  )
  const look = `return [await memory.list(''), await memory.get('k'), await list('work'), globalThis.left ?? null, RegExp.$1, RegExp.lastMatch, Object.keys(globalThis).includes('left')]`
  // More than there are workers.
  for (let turn = 0; turn < 4; turn++) expect(await run('berta', look)).toEqual([[], null, [], null, '', '', false])
  expect(await run('anna', `return await memory.get('k')`)).toBe('of anna')
})
