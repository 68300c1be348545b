import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HostBridge, IsolationBackend, RunOptions, Sandboxes } from '../../src/sandbox/index.ts'
import { findProgram } from '../../src/sandbox/programs.ts'
import { createTestSandboxes, runTask } from '../helpers/sandbox.ts'
import { startBackend, testBackends } from '../helpers/sandbox-backends.ts'
import { alloc, assemble, echo, f64, i32, i64, type Module, op, packed, run } from '../helpers/wasm.ts'

let sandboxes: Sandboxes
let backend: IsolationBackend
beforeAll(async () => {
  sandboxes = await createTestSandboxes(1)
  backend = sandboxes.get('sandboxed')
}, 30_000)
afterAll(() => sandboxes.stop())

const runModule = (module: Module | string, options: Parameters<typeof runTask>[2] = {}) =>
  runTask(backend, typeof module === 'string' ? module : assemble(module), { engine: 'wasm', ...options })
const call = { takes: [i32, i32, i32, i32], gives: [i64], name: 'call' }
const get = { takes: [i32, i32], gives: [i64], name: 'memory.get' }

const forEver = [...op.loop, ...op.br(0), ...op.end, ...op.unreachable]

/** Answers every call by its name and arguments. */
const echoing: HostBridge = {
  call: async (name, args) =>
    name === 'vault.get' ? { ok: false, code: 'ERR_POLICY_DENIED', message: 'no such secret' } : { ok: true, value: JSON.stringify({ name, args }) },
  usage: () => ({ netBytes: 0, fsOps: 0 }),
}

describe('a WebAssembly module', () => {
  test('gets its input and gives its result as JSON in its own memory', async () => {
    const { outcome } = await runModule({ functions: [alloc, run(echo)] }, { input: { text: 'Grüße, 世界' } })
    expect(outcome).toMatchObject({ type: 'done', result: '{"text":"Grüße, 世界"}' })
  })
  test('that leaves no result gives null', async () => {
    expect((await runModule({ functions: [alloc, run(op.i64(0n))] })).outcome).toMatchObject({ type: 'done', result: 'null' })
  })
  test('logs, tells its progress and draws random bytes', async () => {
    const imports = [
      { takes: [i32, i32, i32], gives: [], name: 'log' },
      { takes: [f64, i32, i32], gives: [], name: 'progress' },
      { takes: [i32, i32], gives: [], name: 'random' },
    ]
    const code = [
      ...op.i32(2),
      ...op.i32(0),
      ...op.i32(7),
      ...op.call(0),
      ...op.f64(0.5),
      ...op.i32(0),
      ...op.i32(7),
      ...op.call(1),
      // The random bytes are printed as they are: as text they differ from run to run.
      ...op.i32(64),
      ...op.i32(32),
      ...op.call(2),
      ...op.i32(0),
      ...op.i32(64),
      ...op.i32(32),
      ...op.call(0),
      ...packed(16, 4),
    ]
    const module: Module = { imports, functions: [alloc, run(code)], data: { 0: 'größe', 16: 'true' } }
    const first = await runModule(module)
    expect(first.outcome).toMatchObject({ type: 'done', result: 'true', usage: { hostCalls: 4 } })
    expect(first.events.slice(0, 2)).toEqual([
      { type: 'console', level: 'warn', text: 'größe' },
      { type: 'progress', fraction: 0.5, note: 'größe' },
    ])
    expect((await runModule(module)).printed[1]).not.toBe(first.printed[1])
  })
  test('calls its host and waits for the answer, by name as it runs or by the name of an import', async () => {
    const byName: Module = {
      imports: [call],
      functions: [alloc, run([...op.i32(0), ...op.i32(9), ...op.i32(16), ...op.i32(5), ...op.call(0)])],
      data: { 0: 'vault.get', 16: '["k"]' },
    }
    expect((await runModule(byName, { host: echoing })).outcome).toMatchObject({
      type: 'done',
      result: '{"error":{"code":"ERR_POLICY_DENIED","message":"no such secret"}}',
    })
    const byImport: Module = { imports: [get], functions: [alloc, run([...op.i32(16), ...op.i32(6), ...op.call(0)])], data: { 16: '["ü"]' } }
    const { outcome } = await runModule(byImport, { host: echoing })
    expect(outcome).toMatchObject({ type: 'done', result: JSON.stringify({ ok: { name: 'memory.get', args: '["ü"]' } }) })
    expect((await runModule(byImport)).outcome).toMatchObject({
      result: expect.stringContaining('ERR_POLICY_DENIED') as string,
      security: [{ kind: 'denied' }],
    })
  })
  test('that imports a call it was not granted is refused before it runs', async () => {
    const functions = [alloc, run(op.i64(0n))]
    const needs = async (module: Module, capabilities: NonNullable<RunOptions['capabilities']>) => (await runModule(module, { capabilities })).outcome
    expect(await needs({ imports: [get], functions }, [])).toMatchObject({
      code: 'ERR_SANDBOX_PERMISSION',
      message: 'import kindmesh.memory.get needs memory:read',
    })
    expect(await needs({ imports: [call], functions }, ['memory:read'])).toMatchObject({ code: 'ERR_SANDBOX_PERMISSION' })
    expect(await needs({ imports: [get], functions }, ['memory:read'])).toMatchObject({ type: 'done' })
    expect(await needs({ functions }, [])).toMatchObject({ type: 'done' })
  })
  test('fails with words of its own, or with those of its trap', async () => {
    const fail: Module = {
      imports: [{ takes: [i32, i32], gives: [], name: 'fail' }],
      functions: [alloc, run([...op.i32(0), ...op.i32(6), ...op.call(0), ...op.unreachable])],
      data: { 0: 'nö no' },
    }
    expect((await runModule(fail)).outcome).toMatchObject({ code: 'ERR_SANDBOX_THREW', message: 'nö no' })
    expect((await runModule({ functions: [alloc, run(op.unreachable)] })).outcome).toMatchObject({
      code: 'ERR_SANDBOX_THREW',
      message: expect.stringContaining('unreachable') as string,
    })
  })

  const functions = [alloc, run(op.i64(0n))]
  const refused: readonly (readonly [what: string, module: Module | string, code: string])[] = [
    ['that is no module', Buffer.from('return 1').toString('base64'), 'ERR_SANDBOX_CODE'],
    ['that is not base64', 'return 1', 'ERR_SANDBOX_CODE'],
    ['that is empty', '', 'ERR_SANDBOX_CODE'],
    ['without run', { functions: [alloc] }, 'ERR_SANDBOX_CODE'],
    ['without alloc', { functions: [run(op.i64(0n))] }, 'ERR_SANDBOX_CODE'],
    ['without memory', { functions, memory: 'none' }, 'ERR_SANDBOX_CODE'],
    ['whose memory is shared', { functions, memory: 'shared' }, 'ERR_SANDBOX_THREW'],
    ['that asks for WASI', { imports: [{ ...call, from: 'wasi_snapshot_preview1', name: 'fd_write' }], functions }, 'ERR_SANDBOX_CODE'],
    ['that asks for texts of the engine', { imports: [{ ...call, from: 'wasm:js-string', name: 'concat' }], functions }, 'ERR_SANDBOX_CODE'],
    ['that asks for what is no call', { imports: [{ ...call, name: 'constructor' }], functions }, 'ERR_SANDBOX_CODE'],
    ['that asks for a prototype', { imports: [{ ...call, name: '__proto__' }], functions }, 'ERR_SANDBOX_CODE'],
    ['whose result lies outside its memory', { functions: [alloc, run(packed(65_530, 100))] }, 'ERR_SANDBOX_THREW'],
    ['whose result is at the end of the world', { functions: [alloc, run(packed(0xffff_ffff, 0x7fff))] }, 'ERR_SANDBOX_THREW'],
    ['whose result is no JSON', { functions: [alloc, run(packed(0, 3))], data: { 0: 'abc' } }, 'ERR_SANDBOX_RESULT'],
    ['whose result is no i64', { functions: [alloc, { takes: [i32, i32], gives: [i32], exported: 'run', code: op.i32(1) }] }, 'ERR_SANDBOX_THREW'],
    ['that hands out memory it has not', { functions: [{ ...alloc, code: op.i32(-4) }, run(echo)] }, 'ERR_SANDBOX_THREW'],
    [
      'whose alloc calls its host, which calls alloc',
      { imports: [get], functions: [{ ...alloc, code: [...op.i32(0), ...op.i32(2), ...op.call(0), ...op.wrap] }, run(echo)], data: { 0: '[]' } },
      'ERR_SANDBOX_',
    ],
  ]
  test.each(refused)('%s is refused', async (_what, module, code) => {
    const { outcome } = await runModule(module, { limits: { hostCalls: 100 } })
    expect(outcome).toMatchObject({ type: 'failed', code: expect.stringContaining(code) as string })
    expect(outcome).not.toMatchObject({ code: 'ERR_SANDBOX_CRASHED' })
  })

  const bombs: readonly (readonly [what: string, module: Module, limits: object, limit: string])[] = [
    ['an endless loop', { functions: [alloc, run(forEver)] }, { wallMs: 300 }, 'wallMs'],
    ['an endless loop in alloc', { functions: [{ ...alloc, code: forEver }, run(echo)] }, { wallMs: 300 }, 'wallMs'],
    [
      'an endless log',
      {
        imports: [{ takes: [i32, i32, i32], gives: [], name: 'log' }],
        functions: [alloc, run([...op.loop, ...op.i32(0), ...op.i32(0), ...op.i32(1), ...op.call(0), ...op.br(0), ...op.end, ...op.unreachable])],
      },
      { hostCalls: 50 },
      'hostCalls',
    ],
    [
      'a long line',
      {
        imports: [{ takes: [i32, i32, i32], gives: [], name: 'log' }],
        functions: [alloc, run([...op.i32(0), ...op.i32(0), ...op.i32(60_000), ...op.call(0), ...op.i64(0n)])],
      },
      { outputBytes: 1_000 },
      'outputBytes',
    ],
    ['a long result', { functions: [alloc, run(packed(0, 60_000))] }, { outputBytes: 1_000 }, 'outputBytes'],
    // Grows by 16 MiB and writes to every page, for ever.
    [
      'memory without end',
      {
        functions: [
          alloc,
          run(
            [
              ...op.loop,
              ...op.i32(256),
              ...op.grow,
              ...op.drop,
              ...op.loop,
              ...op.get(2),
              ...op.i32(1),
              ...op.store8,
              ...op.get(2),
              ...op.i32(4_096),
              ...op.add,
              ...op.set(2),
              ...op.br(0),
              ...op.end,
              ...op.br(0),
              ...op.end,
              ...op.unreachable,
            ],
            1,
          ),
        ],
      },
      { wallMs: 5_000 },
      '',
    ],
  ]
  test.each(bombs)('%s is stopped, and the next task runs', async (_what, module, limits, limit) => {
    const { outcome } = await runModule(module, { limits })
    expect(outcome).toMatchObject({ type: 'failed' })
    if (limit !== '') expect(outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT', limit })
    expect((await runModule({ functions: [alloc, run(echo)] }, { input: 1 })).outcome).toMatchObject({ type: 'done', result: '1' })
  })
  test('that keeps writing is held to the memory of its task', async () => {
    const fill = [
      ...op.i32(4_096),
      ...op.grow,
      ...op.drop,
      ...op.loop,
      ...op.get(2),
      ...op.i32(1),
      ...op.store8,
      ...op.get(2),
      ...op.i32(4_096),
      ...op.add,
      ...op.set(2),
      ...op.br(0),
      ...op.end,
      ...op.unreachable,
    ]
    const { outcome } = await runModule({ functions: [alloc, run(fill, 1)] }, { limits: { memoryMiB: 32 } })
    expect(outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT', limit: 'memoryMiB' })
  })
})

test('JavaScript never sees WebAssembly, and never runs where a module ran', async () => {
  const seen = await runTask(backend, 'return [typeof WebAssembly, Object.getOwnPropertyNames(globalThis).includes("WebAssembly")]')
  expect(seen.outcome).toMatchObject({ result: '["undefined",false]' })
})

describe.skipIf(findProgram('bwrap') === undefined)('without a compiler (needs bubblewrap)', () => {
  test('modules are refused by a code', async () => {
    const strict = await sandboxes.ready('sandboxed', { strict: true })
    const { outcome } = await runTask(strict, assemble({ functions: [alloc, run(echo)] }), { engine: 'wasm' })
    expect(outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_UNAVAILABLE' })
  }, 20_000)
})

const walled = testBackends.filter(({ title }) => /^(?:container|machine) /.test(title))
describe.each(walled.map((one) => [one.title, one] as const))('in a %s', (_title, { lacks, launcher }) => {
  test.skipIf(lacks !== undefined)(
    'a module runs, calls its host and is held to its limits',
    async () => {
      const own = await startBackend(launcher(), 1)
      try {
        const asks = assemble({ imports: [get], functions: [alloc, run([...op.get(0), ...op.get(1), ...op.call(0)])] })
        const asked = await runTask(own, asks, { engine: 'wasm', input: ['k'], host: echoing, capabilities: ['memory:read'] })
        expect(asked.outcome).toMatchObject({ type: 'done', result: JSON.stringify({ ok: { name: 'memory.get', args: '["k"]' } }) })
        expect((await runTask(own, asks, { engine: 'wasm', capabilities: [] })).outcome).toMatchObject({ code: 'ERR_SANDBOX_PERMISSION' })
        const endless = assemble({ functions: [alloc, run(forEver)] })
        expect((await runTask(own, endless, { engine: 'wasm', limits: { wallMs: 2_000 } })).outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT' })
      } finally {
        await own.stop()
      }
    },
    120_000,
  )
})

test('two hundred modules one after the other, good and bad, leave their worker as it was', async () => {
  const good = assemble({ functions: [alloc, run(echo)], pages: 100 })
  const bad = assemble({ functions: [alloc, run(op.unreachable)] })
  for (let number = 0; number < 200; number++) {
    const { outcome } = await runTask(backend, number % 2 === 0 ? good : bad, { engine: 'wasm', input: number })
    expect(outcome).toMatchObject(number % 2 === 0 ? { type: 'done', result: String(number) } : { code: 'ERR_SANDBOX_THREW' })
  }
}, 60_000)
