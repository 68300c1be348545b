import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MeshError, realClock, silentLogger } from '../../src/base/index.ts'
import { createSandboxes, type IsolationBackend, type IsolationLevel, sandboxLimitsDefault } from '../../src/sandbox/index.ts'
import { bubblewrapLauncher, permissionLauncher } from '../../src/sandbox/launch.ts'
import type { HostAnswer, RunControl } from '../../src/sandbox/types.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'
import { startBackend, testBackends } from '../helpers/sandbox-backends.ts'

describe.each(testBackends)(
  '$title',
  ({ lacks, launcher: launcherOf }) => {
    if (lacks !== undefined) return test.skipIf(true)('the contract', () => undefined)
    const launcher = launcherOf()
    const isNative = launcher.level === 'native'
    let backend: IsolationBackend
    beforeAll(async () => {
      backend = await startBackend(launcher)
    }, 60_000)
    afterAll(() => backend.stop())

    test('tells its level and what really isolates', () => {
      expect(backend).toMatchObject({ level: launcher.level, name: launcher.name })
    })

    test('names of the author’s own hide those that are lent, and the body has no arguments', async () => {
      expect(
        await resultOf(
          backend,
          'const list = [1]; let memory = 2; var fetch; function input() {} return [list, memory, fetch, typeof input, arguments.length, this]',
        ),
      ).toEqual([[1], 2, null, 'function', 0, null])
    })

    test('code that names a call it was not granted is refused before it runs, with line and column', async () => {
      const code = 'console.log("running")\nif (input) await memory.set("a", 1)'
      const refused = await runTask(backend, code, { capabilities: ['memory:read'] })
      expect(refused.outcome).toMatchObject({
        code: 'ERR_SANDBOX_PERMISSION',
        message: 'memory.set needs memory:write (line 2, column 18)',
        security: [{ kind: 'denied' }],
      })
      expect(refused.printed).toEqual([])
      expect((await runTask(backend, code, { capabilities: ['memory:write'] })).printed).toEqual(['running'])
    })

    test('a text that is slow to parse is stopped like a task that is slow', async () => {
      // Names declared one beside the other cost a parser the square of their number.
      let slow = 'let a'
      for (let index = 0; slow.length < 250_000; index++) slow += `,$${index.toString(36)}`
      const { outcome } = await runTask(backend, slow, { limits: { wallMs: 300 } })
      expect(outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT', limit: 'wallMs' })
    })

    test('gives the result of the body, which may await and sees its input', async () => {
      expect(await resultOf(backend, 'const more = await Promise.resolve(1); return { sum: input.a + more }', { input: { a: 41 } })).toEqual({ sum: 42 })
    })

    test('undefined becomes null', async () => {
      expect(await resultOf(backend, '')).toBe(null)
    })

    test('console lines and progress arrive in order, before the outcome', async () => {
      const { events } = await runTask(backend, 'console.log("a", 1, { b: [2] }); progress(0.5, "half"); console.error(new TypeError("c")); return 0')
      expect(events.slice(0, -1)).toEqual([
        { type: 'console', level: 'log', text: 'a 1 {"b":[2]}' },
        { type: 'progress', fraction: 0.5, note: 'half' },
        { type: 'console', level: 'error', text: 'TypeError: c' },
      ])
      expect(events.at(-1)).toMatchObject({ type: 'done', result: '0' })
    })

    test('console lines arrive while the task runs', async () => {
      const cancel = new AbortController()
      const { printed, outcome } = await runTask(backend, 'console.log("first"); for (;;);', { signal: cancel.signal, onEvent: () => cancel.abort() })
      expect(printed).toEqual(['first'])
      expect(outcome).toMatchObject({ type: 'failed', code: 'ERR_TASK_CANCELLED' })
    })

    test('a thrown error is told with its name and message, capped', async () => {
      expect((await runTask(backend, 'throw new RangeError("too far")')).outcome).toMatchObject({ code: 'ERR_SANDBOX_THREW', message: 'RangeError: too far' })
      expect((await runTask(backend, 'throw "x".repeat(1e6)')).outcome).toMatchObject({ code: 'ERR_SANDBOX_THREW', message: 'x'.repeat(2_000) })
    })

    test.each([
      ['return 1 +', 1, 11],
      ['let a = 1\n  }); steal(); (() => {', 2, 3],
      ['\n\nreturn eval("1")', 3, 8],
      ['await import("node:fs")', 1, 7],
      ['import fs from "node:fs"', 1, 1],
      ['return 1 /* open', 1, 10],
      ['with (input) {}', 1, 1],
    ])('code that is not allowed is refused with line and column: %j', async (code, line, column) => {
      const { outcome } = await runTask(backend, code)
      expect(outcome).toMatchObject({
        type: 'failed',
        code: 'ERR_SANDBOX_CODE',
        message: expect.stringContaining(`(line ${line}, column ${column})`) as string,
      })
    })

    test.each(['return () => 1', 'return [Symbol()]', 'return 1n', 'const a = {}; a.a = a; return a', 'return { toJSON() { throw 1 } }'])(
      'a result that is not plain data is refused: %s',
      async (code) => {
        expect((await runTask(backend, code)).outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_RESULT' })
      },
    )

    test.skipIf(isNative)('a promise nothing can settle ends at once (native: Node has timers that may settle it)', async () => {
      expect((await runTask(backend, 'await new Promise(() => {})')).outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_THREW' })
    })

    test('crypto: random bytes, uuid and SHA-256', async () => {
      const result = await resultOf(
        backend,
        'const b = crypto.getRandomValues(new Uint32Array(4)); return [crypto.randomUUID(), crypto.randomUUID(), crypto.randomBytes(5).length, b.some((n) => n > 0), crypto.digest("sha-256", "abc"), crypto.digest("sha-256", new Uint8Array([97, 98, 99]))]',
      )
      const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
      expect(result).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), expect.not.stringMatching((result as string[])[0] ?? ''), 5, true, sha256, sha256])
    })

    test.skipIf(isNative)('nothing of the host is within reach by name (native promises nothing)', async () => {
      const names = [
        'process',
        'require',
        'module',
        'fetch',
        'setTimeout',
        'setInterval',
        'queueMicrotask',
        'Buffer',
        'WebAssembly',
        'SharedArrayBuffer',
        'Atomics',
        'WeakRef',
        'FinalizationRegistry',
      ]
      expect(await resultOf(backend, 'return input.filter((name) => typeof globalThis[name] !== "undefined")', { input: names })).toEqual([])
    })

    test('globals and prototypes do not pass from one task to the next', async () => {
      for (let round = 0; round < 4; round++) {
        const code =
          'const before = [typeof left, {}.left, [].map.left]; globalThis.left = Object.prototype.left = Array.prototype.map.left = 1; return before.map(String)'
        expect(await resultOf(backend, code)).toEqual(['undefined', 'undefined', 'undefined'])
      }
    })

    test('more tasks than workers all get their own result', async () => {
      const inputs = Array.from({ length: 12 }, (_, index) => index)
      expect(await Promise.all(inputs.map((input) => resultOf(backend, 'return input * input', { input })))).toEqual(inputs.map((input) => input * input))
    })

    test('cancelling before, while waiting and while running ends in ERR_TASK_CANCELLED', async () => {
      expect((await runTask(backend, 'return 1', { signal: AbortSignal.abort() })).outcome).toMatchObject({ code: 'ERR_TASK_CANCELLED' })
      const cancel = new AbortController()
      // Two run and two wait when the first line arrives.
      const runs = [1, 2, 3, 4].map(() => runTask(backend, 'console.log("running"); for (;;);', { signal: cancel.signal, onEvent: () => cancel.abort() }))
      for (const { outcome } of await Promise.all(runs)) expect(outcome).toMatchObject({ code: 'ERR_TASK_CANCELLED' })
      expect(await resultOf(backend, 'return 1')).toBe(1)
    })

    test('leaving the iteration early kills the task', async () => {
      for await (const event of backend.run(
        { code: 'console.log("x"); for (;;);', input: 'null' },
        { limits: { ...sandboxLimitsDefault, memoryMiB: 64, wallMs: 60_000, cpuMs: 60_000, outputBytes: 100, hostCalls: 9 } },
      )) {
        expect(event.type).toBe('console')
        break
      }
      expect(await resultOf(backend, 'return 1')).toBe(1)
    })

    test('usage counts what was used', async () => {
      const { outcome } = await runTask(
        backend,
        'console.log("four"); progress(1); globalThis.held = new Uint8Array(2e7).fill(1); let n = 0; for (let i = 0; i < 1e7; i++) n += i; return "ok"',
      )
      expect(outcome).toMatchObject({ type: 'done', usage: { hostCalls: 2, outputBytes: 4 + '1 '.length + 4 } })
      expect(outcome.usage.memoryBytes).toBeGreaterThan(2e7)
      expect(outcome.usage.cpuMs).toBeGreaterThan(5)
      expect(outcome.usage.wallMs).toBeGreaterThan(5)
    })

    test('the memory granted can be used, on the heap and off it', async () => {
      const heap = 'const a = []; for (let i = 0; i < 300; i++) a.push(new Array(2 ** 17).fill(i)); return a.length'
      const buffers = 'const a = []; for (let i = 0; i < 300; i++) a.push(new Uint8Array(2 ** 20).fill(i)); return a.length'
      for (const code of [heap, buffers]) expect(await resultOf(backend, code, { limits: { memoryMiB: 512, wallMs: 60_000, cpuMs: 60_000 } })).toBe(300)
    })

    test.each([{ memoryMiB: 0 }, { wallMs: 1e9 }, { cpuMs: 1.5 }, { outputBytes: -1 }, { hostCalls: Number.NaN }])(
      'limits that cannot be enforced are refused: %o',
      async (limits) => {
        expect((await runTask(backend, 'return 1', { limits })).outcome).toMatchObject({ type: 'failed', code: 'ERR_USAGE' })
      },
    )

    test('a host call is answered by the bridge of its run; what it refuses is an error with a code, and a security event', async () => {
      const calls: string[] = []
      const host = {
        async call(name: string, args: string): Promise<HostAnswer> {
          calls.push(name + args)
          if (name === 'memory.get') return { ok: true, value: '{"found":[1,"é"]}' }
          return { ok: false, code: 'ERR_POLICY_DENIED', message: 'not granted', denied: `capability network:outbound: ${name}` }
        },
        usage: () => ({ netBytes: 7, fsOps: 3 }),
      }
      const code =
        'const [a, b] = await Promise.all([memory.get("k"), fetch("https://x.example/", { method: "POST" }).catch(({ name, message, code }) => ({ name, message, code }))]); return { a, b }'
      const { outcome } = await runTask(backend, code, { host })
      expect(calls.toSorted()).toEqual(['fetch["https://x.example/",{"method":"POST"}]', 'memory.get["k"]'])
      expect(outcome).toMatchObject({
        type: 'done',
        security: [{ kind: 'denied', detail: 'capability network:outbound: fetch' }],
        usage: { netBytes: 7, fsOps: 3 },
      })
      expect(outcome.type === 'done' && JSON.parse(outcome.result)).toEqual({
        a: { found: [1, 'é'] },
        b: { name: 'Error', message: 'not granted', code: 'ERR_POLICY_DENIED' },
      })
    })

    test('without a bridge every host call is refused', async () => {
      const { outcome } = await runTask(backend, 'return await vault.get("key").catch((error) => error.code)')
      expect(outcome).toMatchObject({ type: 'done', result: '"ERR_POLICY_DENIED"', security: [{ kind: 'denied' }] })
    })

    test('an answer that comes after the task has ended reaches nobody', async () => {
      const late = Promise.withResolvers<HostAnswer>()
      const host = { call: () => late.promise, usage: () => ({ netBytes: 0, fsOps: 0 }) }
      expect(await resultOf(backend, 'memory.get("a"); return 1', { host })).toBe(1)
      late.resolve({ ok: true, value: '"late"' })
      expect(await resultOf(backend, 'return 2')).toBe(2)
    })

    test('an agent answers messages, and a handler that throws is told as such', async () => {
      const cancel = new AbortController()
      let control: RunControl | undefined
      const answers: HostAnswer[] = []
      const code =
        'let n = 0; agent.receive(async (message) => { if (message === "bad") throw new Error("no"); return [++n, message, await memory.get("k").catch(() => "refused")] })'
      const { outcome } = await runTask(backend, code, {
        signal: cancel.signal,
        onControl: (given) => (control = given),
        onEvent: ({ type }) => {
          if (type !== 'receiving' || control === undefined) return
          const { deliver } = control
          void Promise.all(['"a"', '"bad"', '"b"'].map((message) => deliver(message, cancel.signal))).then((all) => {
            answers.push(...all)
            cancel.abort()
          })
        },
      })
      expect(outcome).toMatchObject({ code: 'ERR_TASK_CANCELLED' })
      expect(answers).toEqual([
        { ok: true, value: '[1,"a","refused"]' },
        { ok: false, code: 'ERR_AGENT_FAILED', message: 'Error: no' },
        { ok: true, value: '[2,"b","refused"]' },
      ])
    })

    test('a suspended task does nothing, and the time does not count', async () => {
      let control: RunControl | undefined
      let lines = 0
      let linesHeld = -1
      const wallMs = 1_500
      const code =
        'let last = 0; const end = Date.now() + 600; let n = 0; while (Date.now() < end && n < 30) { if (Date.now() - last >= 20) { last = Date.now(); console.log(++n) } } return n'
      const { outcome } = await runTask(backend, code, {
        limits: { wallMs },
        onControl: (given) => (control = given),
        onEvent: ({ type }) => {
          if (type !== 'console' || ++lines !== 3 || control === undefined) return
          const { suspend, resume } = control
          void suspend().then(() => {
            realClock.after(200, () => {
              // What was on its way when it was stopped has arrived.
              const before = lines
              realClock.after(wallMs, () => {
                linesHeld = lines - before
                void resume()
              })
            })
          })
        },
      })
      expect(linesHeld).toBe(0)
      expect(outcome).toMatchObject({ type: 'done' })
      expect(outcome.usage.wallMs).toBeLessThan(wallMs)
    })

    test('a task gets the share of the processor it was given', async () => {
      const { outcome } = await runTask(backend, 'for (;;);', { limits: { cpuPercent: 25, wallMs: 1_500, cpuMs: 60_000 } })
      expect(outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT', limit: 'wallMs' })
      const { cpuMs, wallMs } = outcome.usage
      expect(cpuMs / wallMs).toBeLessThan(0.35)
    })
  },
  60_000,
)

test.each(['containerized', 'virtualized', 'strongest', 'constructor', ''])('level %j is refused, not replaced', async (level) => {
  await using stack = new AsyncDisposableStack()
  const sandboxes = await createSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1 })
  stack.defer(() => sandboxes.stop())
  expect(() => sandboxes.get(level as IsolationLevel)).toThrow(expect.objectContaining({ code: 'ERR_SANDBOX_UNAVAILABLE' }) as MeshError)
})

test('after stop every run ends in ERR_STOPPED', async () => {
  const sandboxes = await createSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1 })
  const backend = sandboxes.get('sandboxed')
  await sandboxes.stop()
  await sandboxes.stop()
  expect((await runTask(backend, 'return 1')).outcome).toMatchObject({ code: 'ERR_STOPPED' })
}, 20_000)

test('without bubblewrap the weaker back end is named, warned about, and says what to install', async () => {
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (message: string, facts?: object) => void warnings.push(message + JSON.stringify(facts)) }
  await using stack = new AsyncDisposableStack()
  const sandboxes = await createSandboxes({
    clock: realClock,
    logger,
    poolSize: 1,
    launchers: [bubblewrapLauncher({ bwrap: '/nowhere/bwrap' }), permissionLauncher()],
  })
  stack.defer(() => sandboxes.stop())
  expect(sandboxes.get('sandboxed').name).toBe('isolated-vm+permission')
  expect(sandboxes.available()[1]?.lacks).toMatch(/lower assurance.*install bubblewrap/)
  expect(warnings.join()).toContain('lower assurance')
}, 20_000)

test('with no back end at all the level is refused and says why', async () => {
  const sandboxes = await createSandboxes({ clock: realClock, logger: silentLogger, launchers: [bubblewrapLauncher({ bwrap: '/nowhere/bwrap' })] })
  expect(sandboxes.available()[1]).toMatchObject({ backend: undefined, lacks: expect.stringContaining('/nowhere/bwrap') as string })
  expect(() => sandboxes.get('sandboxed')).toThrow(/nowhere/)
  await expect(sandboxes.ready('sandboxed')).rejects.toMatchObject({
    code: 'ERR_SANDBOX_UNAVAILABLE',
    message: expect.stringContaining('/nowhere/bwrap') as string,
  })
}, 20_000)
