import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSandboxResources } from '../../src/boxes/resources.ts'
import { createSandbox, type SandboxConfigurationGiven, type SandboxParts } from '../../src/boxes/index.ts'
import { createMemories } from '../../src/bridge/index.ts'
import { createSeededRandom, type MeshError, realClock, silentLogger } from '../../src/base/index.ts'
import type { SandboxEvent, Sandboxes, SecurityEvent } from '../../src/sandbox/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createTestSandboxes } from '../helpers/sandbox.ts'
import { startBackend, testBackends } from '../helpers/sandbox-backends.ts'

let sandboxes: Sandboxes
beforeAll(async () => {
  sandboxes = await createTestSandboxes(2)
}, 30_000)
afterAll(() => sandboxes.stop())

const told: (SecurityEvent & { readonly agentId: string })[] = []
const partsWith = (changes: Partial<SandboxParts> = {}): SandboxParts => ({
  sandboxes,
  services: { memories: createMemories({ store: createMemoryStore(), clock: realClock }) },
  resources: createSandboxResources(),
  clock: realClock,
  random: createSeededRandom(1),
  logger: silentLogger,
  onSecurityEvent: (event) => void told.push(event),
  ...changes,
})
const base: SandboxConfigurationGiven = { agentId: 'tester', isolationLevel: 'sandboxed' }
const make = (given: Partial<SandboxConfigurationGiven> = {}, changes: Partial<SandboxParts> = {}) => createSandbox({ ...base, ...given }, partsWith(changes))
const coded = (code: string): MeshError => expect.objectContaining({ code }) as MeshError
/** Prints a number as often as it can, and ends when it has printed `most`. */
const printing = (most: number): string => `for (let n = 0; n < ${most}; n++) console.log(n)`

describe('a configuration is read whole', () => {
  test('with defaults that grant nothing', () => {
    const { configuration, status, usage } = make()
    expect(configuration).toMatchObject({
      permissions: [],
      networkPolicy: { allowOutbound: false, allowInbound: false, allowedDomains: [], requireTLS: true },
      fileSystemPolicy: { roots: [], scratch: false },
      secrets: [],
      programs: [],
      monitoringEnabled: true,
      strict: false,
    })
    expect(status).toBe('ready')
    expect(usage).toEqual({ cpuMs: 0, wallMs: 0, memoryBytes: 0, netBytes: 0, fsOps: 0 })
  })
  const wrong: readonly (readonly [field: string, given: object])[] = [
    ['agentId', { agentId: '' }],
    ['agentId', { agentId: '../other' }],
    ['isolationLevel', { isolationLevel: 'strongest' }],
    ['isolationLevel', { isolationLevel: undefined }],
    ['more', { more: 1 }],
    ['__proto__', JSON.parse('{"__proto__":{"permissions":["file:read"]}}') as object],
    ['permissions', { permissions: ['file:execute'] }],
    ['permissions', { permissions: 'file:read' }],
    ['maxMemoryMB', { resourceLimits: { maxMemoryMB: 0 } }],
    ['maxMemoryMB', { resourceLimits: { maxMemoryMB: 1e9 } }],
    ['maxMemoryMB', { resourceLimits: { maxMemoryMB: 1.5 } }],
    ['maxCpuPercent', { resourceLimits: { maxCpuPercent: -1 } }],
    ['maxExecutionTimeMs', { resourceLimits: { maxExecutionTimeMs: Number.POSITIVE_INFINITY } }],
    ['maxNetworkBandwidth', { resourceLimits: { maxNetworkBandwidth: '1' } }],
    ['maxFileSystemOps', { resourceLimits: { maxFileSystemOps: null } }],
    ['maxProcesses', { resourceLimits: { maxProcesses: 1 } }],
    ['allowInbound', { networkPolicy: { allowInbound: true } }],
    ['allowedDomains', { networkPolicy: { allowedDomains: ['*'] } }],
    ['allowedPorts', { networkPolicy: { allowedPorts: [70_000] } }],
    ['partition', { memoryPolicy: { partition: '../x' } }],
    ['path', { fileSystemPolicy: { roots: [{ name: 'a', path: 'relative', mode: 'read' }] } }],
    ['monitoringEnabled', { monitoringEnabled: 'yes' }],
    ['secrets', { secrets: ['../key'] }],
  ]
  test.each(wrong)('wrong in %s it is refused: %j', (field, given) => {
    let reason: unknown
    try {
      createSandbox(Object.defineProperties({ ...base }, Object.getOwnPropertyDescriptors(given)), partsWith())
    } catch (error) {
      reason = error
    }
    expect(reason).toMatchObject({ code: 'ERR_SANDBOX_CONFIG', message: expect.stringContaining(field) as string })
  })
})

describe('execute', () => {
  test('tells result, usage, level and back end, and adds usage up', async () => {
    const box = make({ permissions: ['memory:read', 'memory:write'] })
    const first = await box.execute('await memory.set("n", input); return await memory.get("n")', { a: [1, 'ü'] })
    expect(first).toMatchObject({
      success: true,
      result: { a: [1, 'ü'] },
      level: 'sandboxed',
      backend: expect.stringMatching(/^isolated-vm/) as string,
      securityEvents: [],
    })
    expect(first).not.toHaveProperty('error')
    await box.execute('let s = 0; for (let i = 0; i < 2e6; i++) s += i; return s', null)
    expect(box.usage.wallMs).toBeGreaterThanOrEqual(first.resourceUsage.wallMs)
    expect(box.status).toBe('ready')
  })
  test('gives failures as codes, and security events to who watches', async () => {
    told.length = 0
    const early = await make().execute('return await vault.get("a")', null)
    expect(early).toMatchObject({ success: false, error: { code: 'ERR_SANDBOX_PERMISSION' }, securityEvents: [{ kind: 'denied' }] })
    const late = await make({ permissions: ['network:outbound'] }).execute('return await fetch("https://kindmesh.example/")', null)
    expect(late).toMatchObject({ success: false, error: { code: 'ERR_POLICY_DENIED' }, securityEvents: [{ kind: 'denied' }] })
    const caught = await make({ permissions: ['network:outbound'] }).execute('try { await fetch("https://kindmesh.example/") } catch { return 1 }', null)
    expect(caught).toMatchObject({ success: true, result: 1, securityEvents: [{ kind: 'denied' }] })
    expect(told.map(({ kind, agentId }) => [kind, agentId])).toEqual([
      ['denied', 'tester'],
      ['denied', 'tester'],
      ['denied', 'tester'],
    ])
    await make({ monitoringEnabled: false }).execute('return await vault.get("a")', null)
    expect(told).toHaveLength(3)
  })
  test('refuses what is no plain data before anything runs', async () => {
    const loop: Record<string, unknown> = {}
    loop['self'] = loop
    for (const input of [loop, 1n, () => 1]) {
      expect(await make().execute('return 1', input)).toMatchObject({ success: false, error: { code: 'ERR_JSON_INVALID' }, backend: '' })
    }
  })
  test('of a level that is not there runs nothing, and no other level in its place', async () => {
    const refuse = () => sandboxes.ready('strongest' as 'sandboxed')
    const refused = await make({}, { sandboxes: { ready: refuse } }).execute('return 1', null)
    expect(refused).toMatchObject({ success: false, error: { code: 'ERR_SANDBOX_UNAVAILABLE' }, backend: '' })
  })
  test('needs a place and the memory it may take', async () => {
    const full = createSandboxResources({ slots: 0 })
    expect(await make({}, { resources: full }).execute('return 1', null)).toMatchObject({
      error: { code: 'ERR_OVERLOADED', message: expect.stringContaining('places') as string },
    })
    const small = createSandboxResources({ freeBytes: () => 200 * 2 ** 20 })
    expect(await make({ resourceLimits: { maxMemoryMB: 512 } }, { resources: small }).execute('return 1', null)).toMatchObject({
      error: { code: 'ERR_OVERLOADED', message: expect.stringContaining('512 MiB') as string },
    })
    const one = createSandboxResources({ slots: 1 })
    expect(await make({}, { resources: one }).execute('return 1', null)).toMatchObject({ success: true })
    expect(await make({}, { resources: one }).execute('return 2', null)).toMatchObject({ success: true })
  })
})

describe('a sandbox', () => {
  test('that is suspended prints nothing, its clock stands still, and it goes on where it was', async () => {
    const box = make({ resourceLimits: { maxExecutionTimeMs: 20_000 }, maxHostCalls: 1_000_000, maxOutputBytes: 16 << 20 })
    const begun = Promise.withResolvers<void>()
    const printed: number[] = []
    const running = box.execute(printing(30_000), null, {
      onEvent: (event: SandboxEvent) => {
        if (event.type === 'console') printed.push(Number(event.text))
        if (printed.length === 100) begun.resolve()
      },
    })
    await begun.promise
    expect(box.status).toBe('executing')
    await box.suspend()
    expect(box.status).toBe('suspended')
    // What was on its way arrives while two others run from start to end; then nothing does.
    await make().execute('return 1', null)
    const before = printed.length
    for (let others = 0; others < 3; others++) expect(await make().execute(printing(2_000), null)).toMatchObject({ success: true })
    expect(printed.length).toBe(before)
    expect(before).toBeLessThan(30_000)
    const suspendedAt = realClock.monotonic()
    await make().execute('let s = 0; for (let i = 0; i < 3e8; i++) s += i; return s', null)
    const heldMs = realClock.monotonic() - suspendedAt
    await box.resume()
    const result = await running
    expect(result).toMatchObject({ success: true })
    expect(printed).toEqual(Array.from({ length: 30_000 }, (_, n) => n))
    expect(result.executionTime - result.resourceUsage.wallMs).toBeGreaterThanOrEqual(heldMs)
    expect(box.status).toBe('ready')
  }, 60_000)
  test('that is terminated ends what runs, suspended or not, and runs nothing any more', async () => {
    for (const isSuspended of [false, true]) {
      const box = make()
      const begun = Promise.withResolvers<void>()
      const running = box.execute('console.log(1); for (;;);', null, { onEvent: () => begun.resolve() })
      await begun.promise
      if (isSuspended) await box.suspend()
      await box.terminate()
      expect(box.status).toBe('terminated')
      expect(await running).toMatchObject({ success: false, error: { code: 'ERR_TASK_CANCELLED' } })
      expect(await box.execute('return 1', null)).toMatchObject({ error: { code: 'ERR_STOPPED' } })
      await expect(box.suspend()).rejects.toThrow(coded('ERR_USAGE'))
    }
  })
  test('runs one thing at a time, and is ready again after each, also one left in the middle', async () => {
    const box = make()
    for await (const event of box.run('console.log(1); for (;;);', null)) {
      expect(event).toMatchObject({ type: 'console' })
      expect(await box.execute('return 1', null)).toMatchObject({ error: { code: 'ERR_OVERLOADED' } })
      break
    }
    expect(await box.execute('return 1', null)).toMatchObject({ success: true })
    await expect(box.suspend()).rejects.toThrow(coded('ERR_USAGE'))
    await expect(box.resume()).rejects.toThrow(coded('ERR_USAGE'))
  })
})

/** Busy for so long, by the clock of the guest. */
const busy = (ms: number): string => `for (const until = Date.now() + ${ms}; Date.now() < until;);`

describe.each(testBackends.map((one) => [one.title, one] as const))('%s', (_title, { lacks, launcher }) => {
  test.skipIf(lacks !== undefined)(
    'stops in its tracks when it is suspended, and goes on',
    async () => {
      const own = await startBackend(launcher(), 1)
      try {
        const box = make({ isolationLevel: own.level, resourceLimits: { maxExecutionTimeMs: 30_000 } }, { sandboxes: { ready: async () => own } })
        const printed: string[] = []
        const begun = Promise.withResolvers<void>()
        const code = `const end = Date.now() + 1500; let n = 0; while (Date.now() < end) { ${busy(5)} console.log(n++) } return n`
        const running = box.execute(code, null, {
          onEvent: (event) => {
            if (event.type === 'console' && printed.push(event.text) === 3) begun.resolve()
          },
        })
        await begun.promise
        await box.suspend()
        // Others tell the time: what was on its way has arrived after the first, nothing comes during the second.
        await make().execute(busy(300), null)
        const before = printed.length
        await make().execute(busy(700), null)
        expect(printed.length).toBe(before)
        await box.resume()
        const result = await running
        expect(result).toMatchObject({ success: true, level: own.level, result: printed.length })
        expect(result.executionTime - result.resourceUsage.wallMs).toBeGreaterThan(900)
      } finally {
        await own.stop()
      }
    },
    120_000,
  )
})
