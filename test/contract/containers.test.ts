import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { realClock, silentLogger } from '../../src/base/index.ts'
import { bubblewrapContainer } from '../../src/sandbox/containers/bubblewrap.ts'
import { containerLaunchers } from '../../src/sandbox/containers/launchers.ts'
import { ociContainer } from '../../src/sandbox/containers/oci.ts'
import { createSandboxes, type IsolationBackend, type Launcher, type Sandboxes } from '../../src/sandbox/index.ts'
import { probeLauncher } from '../../src/sandbox/probe.ts'
import { leftovers } from '../helpers/containers.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'

const reports = await Promise.all(containerLaunchers().map(async (launcher) => ({ launcher, report: await probeLauncher(launcher, realClock) })))
const create = (containers: readonly Launcher[]): Promise<Sandboxes> =>
  createSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1, launchers: [], containers })

test('the machine of the tests makes containers in every way set-up installs', () => {
  expect(reports.filter(({ report }) => !report.ok).map(({ report }) => `${report.name}: ${report.why}`)).toEqual([])
  expect(reports.map(({ report }) => report.name).slice(0, 1)).toEqual(['bubblewrap'])
})

describe.each(reports.filter(({ report }) => report.ok).map(({ launcher }) => [launcher.name, launcher] as const))(
  'containerized by %s',
  (name, launcher) => {
    let sandboxes: Sandboxes
    let backend: IsolationBackend
    beforeAll(async () => {
      sandboxes = await create([launcher])
      backend = sandboxes.get('containerized')
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
    ['bubblewrap removed', bubblewrapContainer({ program: '/nowhere/bwrap' }), /bwrap/, /./],
    ['a bubblewrap that may not make name spaces', bubblewrapContainer({ program: '/bin/false' }), /ended before it was ready/, /./],
    ['a runtime removed', ociContainer('crun', { program: '/nowhere/crun' }), /./, /./],
  ] as const)('%s: refused, with the reason and a next step', async (_, launcher, why, fix) => {
    const sandboxes = await create([launcher])
    await using stack = new AsyncDisposableStack()
    stack.defer(() => sandboxes.stop())
    expect(sandboxes.available().find(({ level }) => level === 'containerized')).toMatchObject({
      backend: undefined,
      lacks: expect.stringMatching(why) as string,
    })
    expect(() => sandboxes.get('containerized')).toThrow(
      expect.objectContaining({ code: 'ERR_SANDBOX_UNAVAILABLE', hint: expect.stringMatching(fix) as string }) as Error,
    )
  })

  test('with no back end at all there is no container, and native is not given in its place', async () => {
    const sandboxes = await create([])
    expect(() => sandboxes.get('containerized')).toThrow(expect.objectContaining({ code: 'ERR_SANDBOX_UNAVAILABLE' }) as Error)
    await sandboxes.stop()
  })

  test('one that does not answer is given up after its deadline and leaves nothing', async () => {
    const launcher = { ...bubblewrapContainer({ entry: new URL('../helpers/container-mute.ts', import.meta.url).pathname }), probeDeadlineMs: 1_500 }
    expect(await probeLauncher(launcher, realClock)).toMatchObject({ ok: false, why: expect.stringContaining('1500 ms') as string })
    expect(leftovers()).toEqual([])
  })
})

test('reports name every way, its version, and what is missing', async () => {
  const sandboxes = await create([ociContainer('runc', { program: '/nowhere/runc' }), ...containerLaunchers().slice(0, 1)])
  await using stack = new AsyncDisposableStack()
  stack.defer(() => sandboxes.stop())
  const level = (await sandboxes.probe()).find((report) => report.level === 'containerized')
  expect(level).toMatchObject({
    available: true,
    backends: [
      { name: 'runc', ok: false },
      { name: 'bubblewrap', ok: true, version: expect.stringContaining('bubblewrap') as string },
    ],
  })
}, 60_000)
