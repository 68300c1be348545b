import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IsolationBackend, Sandboxes, SandboxLimits } from '../../src/sandbox/index.ts'
import { createTestSandboxes, resultOf, runTask } from '../helpers/sandbox.ts'
import { escapeCases, escapeInput } from '../helpers/sandbox-escapes.ts'

const helper = (name: string): string => fileURLToPath(new URL(`../helpers/${name}`, import.meta.url))
const testTimeoutMs = 30_000

let sandboxes: Sandboxes
let backend: IsolationBackend
beforeAll(async () => {
  sandboxes = await createTestSandboxes()
  backend = sandboxes.get('sandboxed')
}, testTimeoutMs)
afterAll(() => sandboxes.stop())

describe('escapes', () => {
  test(
    'there are enough cases, and on plain node:vm many of them get out',
    async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [helper('sandbox-control.ts')])
      expect(escapeCases.length).toBeGreaterThanOrEqual(60)
      expect((JSON.parse(stdout) as string[]).length).toBeGreaterThanOrEqual(10)
    },
    testTimeoutMs,
  )

  /** These must not even start; all others must really run. */
  const refused = new Set(['import() in the body', 'direct eval of hidden names', 'unbalanced braces', 'HTML comment read two ways', 'open comment at the end'])

  test.each(escapeCases.map(({ name, code }) => [name, code] as const))(
    '%s',
    async (name, code) => {
      const { outcome, printed } = await runTask(backend, code, { input: JSON.parse(escapeInput), limits: { wallMs: 2_000 } })
      expect(printed.join()).not.toContain('ESCAPED')
      if (outcome.type === 'done') expect(outcome.result).not.toContain('ESCAPED')
      expect(outcome.type === 'failed' && outcome.code === 'ERR_SANDBOX_CODE').toBe(refused.has(name))
      expect(outcome).not.toMatchObject({ code: 'ERR_SANDBOX_CRASHED' })
    },
    testTimeoutMs,
  )
})

const wallMs = 600
const memory = ['ERR_SANDBOX_LIMIT/memoryMiB', 'ERR_SANDBOX_LIMIT/wallMs', 'ERR_SANDBOX_THREW', 'done']
const wall = ['ERR_SANDBOX_LIMIT/wallMs']

interface Bomb {
  readonly code: string
  /** How it may end: the code, with the limit if one was hit. */
  readonly ends: readonly string[]
  readonly limits?: Partial<SandboxLimits>
}

const bombs: Readonly<Record<string, Bomb>> = {
  'endless loop': { code: 'for (;;);', ends: wall },
  'endless loop under a CPU limit': { code: 'for (;;);', limits: { cpuMs: 200, wallMs: 20_000 }, ends: ['ERR_SANDBOX_LIMIT/cpuMs'] },
  'loop in try and finally': { code: 'for (;;) try { throw 1 } catch { continue } finally { continue }', ends: wall },
  'endless microtasks': { code: 'for (;;) await null', ends: wall },
  'microtasks that multiply': {
    code: 'const f = () => { Promise.resolve().then(f); Promise.resolve().then(f) }; f(); await new Promise(() => {})',
    ends: [...wall, ...memory],
  },
  'deep recursion': { code: 'const f = () => f() + 1; return f()', ends: ['ERR_SANDBOX_THREW'] },
  'recursion in finally': { code: 'const f = () => { try { f() } finally { f() } }; f()', ends: [...wall, 'ERR_SANDBOX_THREW'] },
  'deeply nested code': { code: '('.repeat(100_000), ends: ['ERR_SANDBOX_CODE'] },
  'deeply nested arrays as code': { code: `return ${'['.repeat(50_000)}${']'.repeat(50_000)}`, ends: ['ERR_SANDBOX_CODE', 'ERR_SANDBOX_RESULT'] },
  'code over its limit': { code: `return 1 //${'x'.repeat(300_000)}`, ends: ['ERR_SANDBOX_CODE'] },
  'heap by arrays': { code: 'const a = []; for (;;) a.push(new Array(1000).fill(1))', ends: ['ERR_SANDBOX_LIMIT/memoryMiB'], limits: { wallMs: 10_000 } },
  'heap by objects': { code: 'const a = {}; for (let i = 0; ; i++) a["k" + i] = { i }', ends: ['ERR_SANDBOX_LIMIT/memoryMiB'], limits: { wallMs: 10_000 } },
  'heap by strings': {
    code: 'const a = []; for (let i = 0; ; i++) a.push(("x".repeat(1e6) + i).split("").join("y"))',
    ends: ['ERR_SANDBOX_LIMIT/memoryMiB'],
    limits: { wallMs: 10_000 },
  },
  'one huge array': { code: 'return new Array(2 ** 28).fill(1.5).length', ends: memory },
  'array buffers': { code: 'const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))', ends: memory },
  'array buffers, errors swallowed': { code: 'const a = []; for (;;) try { a.push(new Uint8Array(1e6).fill(1)) } catch {}', ends: memory },
  'resizable buffers': {
    code: 'const a = []; for (;;) { const b = new ArrayBuffer(0, { maxByteLength: 1e8 }); b.resize(1e8); new Uint8Array(b).fill(1); a.push(b) }',
    ends: memory,
  },
  'typed array sort and copies': { code: 'const a = []; for (;;) a.push(new Float64Array(1e6).fill(2).slice().toSorted())', ends: memory },
  'huge result': { code: 'return "x".repeat(5e8)', ends: ['ERR_SANDBOX_LIMIT/outputBytes', ...memory] },
  'result just over the limit': { code: 'return "x".repeat(1000)', limits: { outputBytes: 1_001 }, ends: ['ERR_SANDBOX_LIMIT/outputBytes'] },
  'result of many elements': { code: 'return new Array(3e6).fill({ a: 1 })', ends: ['ERR_SANDBOX_LIMIT/outputBytes', ...memory], limits: { wallMs: 5_000 } },
  'console flood': { code: 'for (;;) console.log("x".repeat(1000))', ends: ['ERR_SANDBOX_LIMIT/outputBytes'], limits: { wallMs: 10_000 } },
  'console flood of nothing': { code: 'for (;;) console.log()', limits: { hostCalls: 500, wallMs: 10_000 }, ends: ['ERR_SANDBOX_LIMIT/hostCalls'] },
  'one huge console line': { code: 'console.log("x".repeat(4e8))', ends: ['ERR_SANDBOX_LIMIT/outputBytes', ...memory] },
  'progress flood': {
    code: 'for (let i = 0; ; i++) progress(i / 1e9, "x".repeat(1e5))',
    ends: ['ERR_SANDBOX_LIMIT/outputBytes', 'ERR_SANDBOX_LIMIT/hostCalls'],
    limits: { wallMs: 10_000 },
  },
  'crypto flood': { code: 'for (;;) crypto.randomBytes(65536)', limits: { hostCalls: 50, wallMs: 10_000 }, ends: ['ERR_SANDBOX_LIMIT/hostCalls'] },
  'digest of a huge text': { code: 'return crypto.digest("sha-256", "x".repeat(5e8))', ends: ['ERR_SANDBOX_THREW'] },
  'message getter that loops': { code: 'throw { get message() { for (;;); } }', ends: wall },
  'name that throws again': { code: 'throw { message: "x", get name() { throw { get message() { throw 1 } } } }', ends: ['ERR_SANDBOX_THREW'] },
  'thrown Proxy that loops': { code: 'throw new Proxy({}, { has() { for (;;); } })', ends: wall },
  'toJSON that loops': { code: 'return { toJSON() { for (;;); } }', ends: wall },
  'Proxy with endless keys': { code: 'return new Proxy({}, { ownKeys() { return Array.from({ length: 1e8 }, (_, i) => "k" + i) } })', ends: memory },
  'toString that loops in console': { code: 'console.log(Object.assign(() => 0, { toString() { for (;;); } }))', ends: wall },
  'indexOf over 2**53-1': { code: 'return [].indexOf.call({ length: 2 ** 53 - 1 }, 1)', ends: wall },
  'Array.from of a huge length': { code: 'return Array.from({ length: 1e9 }).length', ends: memory },
  'join of a sparse array': { code: 'return new Array(2 ** 32 - 1).join("xxxxxxxx").length', ends: [...memory, ...wall] },
  'regular expression that backtracks': { code: 'return /^(a+)+$/.test("a".repeat(40) + "b")', ends: ['done', ...wall] },
  'regular expression with a back reference that backtracks': { code: 'return /^(a+)+\\1$/.test("a".repeat(60) + "b")', ends: wall },
  'huge number arithmetic': { code: 'let n = 3n; for (;;) n *= n', ends: ['ERR_SANDBOX_THREW', ...memory] },
  'promise that never settles': { code: 'await new Promise(() => {})', ends: ['ERR_SANDBOX_THREW'] },
  'Date loop': { code: 'for (const end = Date.now() + 1e9; Date.now() < end; );', ends: wall },
  'source that grows': { code: 'let s = "1"; for (;;) { s += "+1".repeat(1e5); (0, eval)(s) }', ends: [...wall, ...memory] },
}

describe('resource bombs', () => {
  test.each(Object.entries(bombs))(
    '%s',
    async (_name, { code, ends, limits }) => {
      const bounds = { memoryMiB: 64, wallMs, cpuMs: 60_000, ...limits }
      const neighbour = resultOf(backend, 'let n = 0; for (let i = 0; i < 1e6; i++) n += i; return n')
      const { outcome } = await runTask(backend, code, { limits: bounds })
      expect(await neighbour).toBe(499_999_500_000)
      expect(ends).toContain(outcome.type === 'done' ? 'done' : outcome.code + (outcome.limit === undefined ? '' : `/${outcome.limit}`))
      expect(outcome.usage.wallMs).toBeLessThanOrEqual(bounds.wallMs + 500)
      expect(outcome.usage.memoryBytes).toBeLessThan(3 * bounds.memoryMiB * 2 ** 20)
      expect(outcome.usage.outputBytes).toBeLessThan(2 << 20)
      expect(await resultOf(backend, 'return [typeof n, 6 * 7]')).toEqual(['undefined', 42])
    },
    testTimeoutMs,
  )
})
