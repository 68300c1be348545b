import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { realClock, silentLogger } from '../../src/base/index.ts'
import { bubblewrapContainer } from '../../src/sandbox/containers/bubblewrap.ts'
import { containerLaunchers } from '../../src/sandbox/containers/launchers.ts'
import { ociContainer } from '../../src/sandbox/containers/oci.ts'
import type { IsolationBackend, Launcher, LevelReport, Sandboxes } from '../../src/sandbox/index.ts'
import { openSandboxes } from '../../src/sandbox/sandboxes.ts'
import { leftovers } from '../helpers/containers.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'

const open = (...launchers: readonly Launcher[]): Sandboxes => openSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1, launchers })
const level = async (sandboxes: Sandboxes): Promise<LevelReport | undefined> => {
  await using stack = new AsyncDisposableStack()
  stack.defer(() => sandboxes.stop())
  return (await sandboxes.probe(['containerized']))[0]
}

const { backends = [] } = (await level(open())) ?? {}

test('this machine makes containers in every way that set-up installs', () => {
  expect(backends).toMatchObject(containerLaunchers().map(({ name }) => ({ name, ok: true, version: expect.stringMatching(/\d/) as string })))
})

describe.each(
  containerLaunchers()
    .filter(({ name }) => backends.some((report) => report.ok && report.name === name))
    .map((launcher) => [launcher.name, launcher] as const),
)(
  'containerized by %s',
  (name, launcher) => {
    let sandboxes: Sandboxes
    let backend: IsolationBackend
    beforeAll(async () => {
      sandboxes = open(launcher)
      backend = await sandboxes.ready('containerized')
    })
    afterAll(async () => {
      await sandboxes.stop()
      expect(leftovers()).toEqual([])
    })

    test('tells its level and name, and runs a task', async () => {
      expect(backend).toMatchObject({ level: 'containerized', name })
      expect(await resultOf(backend, 'return input.a + 1', { input: { a: 41 } })).toBe(42)
    })

    test('console lines and progress arrive in order, before the outcome', async () => {
      const { events } = await runTask(backend, 'console.log("a", 1); progress(0.5, "half"); return 0')
      expect(events).toMatchObject([
        { type: 'console', level: 'log', text: 'a 1' },
        { type: 'progress', fraction: 0.5, note: 'half' },
        { type: 'done', result: '0', usage: { hostCalls: 2 } },
      ])
    })

    test('no task sees what the one before left', async () => {
      for (let round = 0; round < 2; round++) {
        expect(await resultOf(backend, 'const before = typeof left; globalThis.left = 1; return before')).toBe('undefined')
      }
    })

    test('a task that never ends is killed within its wall clock and half a second', async () => {
      const { outcome } = await runTask(backend, 'for (;;);', { limits: { wallMs: 500 } })
      expect(outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_LIMIT', limit: 'wallMs' })
      expect(outcome.usage.wallMs).toBeLessThan(1_000)
    })

    test('one that takes too much memory reads as over its memory', async () => {
      const code = 'const kept = []; for (;;) kept.push(new Array(2 ** 17).fill(kept.length))'
      expect((await runTask(backend, code, { limits: { memoryMiB: 64 } })).outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT', limit: 'memoryMiB' })
    })

    test('one that burns its processor time is stopped', async () => {
      expect((await runTask(backend, 'for (;;);', { limits: { cpuMs: 300 } })).outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT', limit: 'cpuMs' })
    })

    test('cancelled while it runs it ends so', async () => {
      const cancel = new AbortController()
      const { outcome } = await runTask(backend, 'console.log("runs"); for (;;);', { signal: cancel.signal, onEvent: () => cancel.abort() })
      expect(outcome).toMatchObject({ code: 'ERR_TASK_CANCELLED' })
    })
  },
  60_000,
)

describe('levels are honest', () => {
  test.each([
    ['bubblewrap removed', bubblewrapContainer({ program: '/nowhere/bwrap' }), /nowhere/],
    ['a bubblewrap that may not make name spaces', bubblewrapContainer({ program: '/bin/false' }), /ended before it was ready/],
    ['a runtime removed', ociContainer('crun', { program: '/nowhere/crun' }), /nowhere/],
  ] as const)('%s: refused, with the reason and a next step', async (_, launcher, why) => {
    const sandboxes = open(launcher)
    await using stack = new AsyncDisposableStack()
    stack.defer(() => sandboxes.stop())
    await expect(sandboxes.ready('containerized')).rejects.toMatchObject({
      code: 'ERR_SANDBOX_UNAVAILABLE',
      message: expect.stringMatching(why) as string,
      hint: expect.stringMatching(/./) as string,
    })
    expect(() => sandboxes.get('containerized')).toThrow(expect.objectContaining({ code: 'ERR_SANDBOX_UNAVAILABLE' }) as Error)
  })

  test('one that never answers is given up and leaves nothing', async () => {
    const entry = new URL('../helpers/container-mute.ts', import.meta.url).pathname
    expect(await level(open({ ...bubblewrapContainer({ entry }), readyTimeoutMs: 1_000 }))).toMatchObject({
      available: false,
      backends: [{ ok: false, why: expect.stringContaining('1000 ms') as string }],
    })
    await expect.poll(() => leftovers(), { timeout: 5_000 }).toEqual([])
  })
})
