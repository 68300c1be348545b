import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExecutionResult } from '../../src/boxes/index.ts'
import { type Finished, kindmesh } from '../helpers/cli.ts'
import { alloc, assemble, echo, run } from '../helpers/wasm.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-sandbox-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs `sandbox …` without a node and without a profile. */
const sandbox = (...args: readonly string[]): Promise<Finished> => kindmesh(join(folder, 'none'), 'sandbox', ...args)
async function file(name: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), content)
  return join(folder, name)
}
const resultOf = (finished: Finished): ExecutionResult => finished.json() as unknown as ExecutionResult

describe('sandbox run answers with the result of the run and an exit code', () => {
  test('0 and all members of a result that went well', async () => {
    const ran = await sandbox('run', await file('double.js', 'console.log("working"); return { twice: input.n * 2 }'), '--input', '{"n":21}', '--json')
    expect(ran.code).toBe(0)
    const { executionTime, resourceUsage, backend, ...rest } = resultOf(ran)
    expect(rest).toEqual({ schema: 'kindmesh.sandbox-run/1', success: true, result: { twice: 42 }, securityEvents: [], level: 'sandboxed' })
    expect(backend).toMatch(/^isolated-vm\+/)
    expect(Object.keys(resourceUsage).sort()).toEqual(['cpuMs', 'fsOps', 'memoryBytes', 'netBytes', 'wallMs'])
    expect(executionTime).toBeGreaterThanOrEqual(resourceUsage.wallMs)
  })

  const failures: readonly (readonly [what: string, exit: number, code: string, text: string, args: readonly string[]])[] = [
    ['a limit', 18, 'ERR_SANDBOX_LIMIT', 'for (;;);', ['--limit', 'time=300,memory=64,cpu=50']],
    ['a capability that is missing', 14, 'ERR_SANDBOX_PERMISSION', 'return 1\nawait fetch("https://kindmesh.example/")', []],
    [
      'a domain that is not allowed',
      14,
      'ERR_POLICY_DENIED',
      'return await fetch("https://kindmesh.example/")',
      ['--cap', 'network:outbound', '--allow-domain', 'other.example'],
    ],
    ['an error of the code', 1, 'ERR_SANDBOX_THREW', 'throw new TypeError("no")', []],
    ['code that does not parse', 1, 'ERR_SANDBOX_CODE', 'return (', []],
    ['a result that is no data', 1, 'ERR_SANDBOX_RESULT', 'return () => 1', []],
    ['a back end that is not there', 19, 'ERR_SANDBOX_UNAVAILABLE', 'return 1', ['--backend', 'nowhere']],
    ['a program where there is no image', 19, 'ERR_SANDBOX_UNAVAILABLE', '', ['--engine', 'command']],
  ]
  test.each(failures)('of %s: %i', async (what, exit, code, text, args) => {
    const ran = await sandbox('run', await file(`${what.replaceAll(' ', '-')}.js`, text), ...args, '--json')
    expect(ran.code).toBe(exit)
    expect(resultOf(ran)).toMatchObject({ success: false, error: { code }, level: 'sandboxed' })
    expect(resultOf(ran)).not.toHaveProperty('result')
    expect(ran.problem().code).toBe(code)
    expect(resultOf(ran).securityEvents.length > 0).toBe(exit === 14 || exit === 18)
  })
  test('of a --timeout: 16, and the run is ended', async () => {
    const ran = await sandbox('run', await file('late.js', 'for (;;);'), '--limit', 'time=600000', '--timeout', '1s', '--json')
    expect(ran.code).toBe(16)
    expect(resultOf(ran)).toMatchObject({ success: false, error: { code: 'ERR_TASK_CANCELLED' } })
    expect(ran.problem().code).toBe('ERR_TIMEOUT')
  })
  test('of a level that does not exist: 2, and nothing runs', async () => {
    const ran = await sandbox('run', await file('one.js', 'return 1'), '--level', 'strongest', '--json')
    expect(ran).toMatchObject({ code: 2, stdout: '' })
    expect(ran.problem()).toMatchObject({ code: 'ERR_SANDBOX_CONFIG', message: expect.stringContaining('isolationLevel') as string })
  })
})

test('TypeScript loses its types and nothing else: places in messages are the author’s', async () => {
  const code =
    'interface Given { readonly n: number }\nconst given = input as Given\nif (given.n > 1) throw new Error(`too many`); return (given.n satisfies number) + 1'
  expect((await sandbox('run', await file('typed.ts', code), '--input', '{"n":1}')).stdout).toBe('2\n')
  const wrong = await sandbox('analyse', await file('wrong.ts', 'const a: number = 1\nconst b: = 2'), '--json')
  expect(wrong).toMatchObject({ code: 1 })
  expect(wrong.problem()).toMatchObject({ code: 'ERR_SANDBOX_CODE', message: expect.stringContaining('(line 2)') as string })
  const analysed = await sandbox('analyse', await file('names.ts', 'const key: string = "a"\nreturn await memory.get(key as string)'), '--json')
  expect(analysed.json()).toMatchObject({ permissions: ['memory:read'], uses: [{ name: 'memory.get', line: 2, column: 14 }] })
})

test('files, memory and secrets are reached by their options alone', async () => {
  await mkdir(join(folder, 'notes'))
  await file('notes/today.md', 'milk')
  await file('key', 'hunter2\n')
  const code =
    'await memory.set("n", ((await memory.get("n")) ?? 0) + 1); return [await readFile("notes/today.md"), await vault.get("token"), await memory.get("n")]'
  const given = ['--cap', 'file:read,vault:access', '--cap', 'memory:read', '--cap', 'memory:write', '--file-root', `notes=${join(folder, 'notes')}`]
  const args = [...given, '--secret-file', `token=${join(folder, 'key')}`, '--memory-dir', join(folder, 'memory'), '--json']
  const path = await file('reach.js', code)
  expect(resultOf(await sandbox('run', path, ...args)).result).toEqual(['milk', 'hunter2', 1])
  expect(resultOf(await sandbox('run', path, ...args)).result).toEqual(['milk', 'hunter2', 2])
})

test('a batch runs every file of a folder in one process, a line each, whatever each does', async () => {
  await mkdir(join(folder, 'batch'))
  const endings: Readonly<Record<string, readonly [code: string | Uint8Array, exitCode: number]>> = {
    'a.js': ['return input.n', 0],
    'b.js': ['throw new Error("no")', 1],
    'c.js': ['for (;;);', 18],
    'd.ts': ['return (input.n as number) + 1', 0],
    'e.js': ['return await vault.get("x")', 14],
    'f.wasm': [Buffer.from(assemble({ functions: [alloc, run(echo)] }), 'base64'), 0],
    'g.ts': ['enum A { b }', 1],
    'h.js': ['return (', 1],
  }
  for (const [name, [code]] of Object.entries(endings)) await file(join('batch', name), code)
  const ran = await sandbox('run', '--batch', join(folder, 'batch'), '--jsonl', '--input', '{"n":1}', '--limit', 'time=500')
  expect(ran.code).toBe(0)
  const lines = ran.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ExecutionResult & { readonly file: string; readonly exitCode: number })
  expect(Object.fromEntries(lines.map(({ file: name, exitCode }) => [name, exitCode]))).toEqual(
    Object.fromEntries(Object.entries(endings).map(([name, [, exitCode]]) => [name, exitCode])),
  )
  expect(lines.find(({ file: name }) => name === 'f.wasm')).toMatchObject({ success: true, result: { n: 1 } })
})

test('a signed bundle runs where its publisher is pinned, and is good for its own code alone', async () => {
  const home = join(folder, 'publisher')
  const at = (...args: readonly string[]) => kindmesh(home, ...args, '--json')
  await at('init')
  const path = await file('signed.ts', 'const key: string = input\nreturn (await memory.get(key)) ?? "none"')
  const bundle = join(folder, 'bundle.json')
  const signed = await at('bundle', 'sign', path, '--name', 'reader', '--release', '1.0.0', '--out', bundle)
  expect(signed.json()).toMatchObject({ name: 'reader', engine: 'javascript', permissions: ['memory:read'] })
  const { codeHash, document } = signed.json() as { codeHash: string; document: { message: { publisher: string } } }

  const runIt = (...more: readonly string[]) => at('sandbox', 'run', path, '--bundle', bundle, '--input', '"k"', '--cap', 'memory:read', ...more)
  expect(await runIt()).toMatchObject({ code: 14 })
  for (const pin of [codeHash, document.message.publisher]) {
    await at('bundle', 'pin', pin)
    expect((await at('bundle', 'pins')).json()).toMatchObject({ pins: [{}] })
    expect(resultOf(await runIt())).toMatchObject({ success: true, result: 'none' })
    await at('bundle', 'unpin', pin)
  }
  await at('bundle', 'pin', codeHash)
  expect((await at('bundle', 'verify', bundle, '--code', path)).json()).toMatchObject({ valid: true, pinned: true })
  expect((await runIt('--cap', 'memory:write')).problem().code).toBe('ERR_SANDBOX_PERMISSION')
  await writeFile(path, 'return await memory.get("other")')
  expect((await runIt()).problem().code).toBe('ERR_BUNDLE_INVALID')
  await writeFile(bundle, JSON.stringify({ ...document, message: { ...document.message, version: '1.0.1' } }))
  expect(await at('bundle', 'verify', bundle)).toMatchObject({ code: 14, stdout: '' })
}, 60_000)

test('probe tells of every level whether a task ran in it, by which back ends, and what mends the others', async () => {
  const ran = await sandbox('probe', '--level', 'native', '--json')
  expect(ran.json()).toMatchObject({ levels: { native: { available: true, backends: [{ name: 'process', ok: true, version: process.versions.node }] } } })
  const all = await sandbox('probe', '--json')
  const { levels } = all.json() as { levels: Record<string, { available: boolean; backends: { name: string; ok: boolean; version: string; why?: string }[] }> }
  expect(Object.keys(levels)).toEqual(['native', 'sandboxed', 'containerized', 'virtualized'])
  for (const { available, backends } of Object.values(levels)) {
    expect(available).toBe(backends.some(({ ok }) => ok))
    for (const { ok, why } of backends) expect(ok || (why ?? '') !== '').toBe(true)
  }
}, 120_000)
