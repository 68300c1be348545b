import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64, realClock, silentLogger } from '../../src/base/index.ts'
import { bubblewrapContainer } from '../../src/sandbox/containers/bubblewrap.ts'
import { containerLaunchers } from '../../src/sandbox/containers/launchers.ts'
import { ociContainer } from '../../src/sandbox/containers/oci.ts'
import type { IsolationBackend, Launcher, LevelReport, Sandboxes, SandboxLimits } from '../../src/sandbox/index.ts'
import { openSandboxes } from '../../src/sandbox/sandboxes.ts'
import { stripTypes } from '../../src/sandbox/strip-types.ts'
import { systemCallProgram } from '../helpers/system-call.ts'
import { findProgram } from '../../src/sandbox/programs.ts'
import { leftovers } from '../helpers/containers.ts'
import { type Ran, resultOf, runTask } from '../helpers/sandbox.ts'

const walls = stripTypes(readFileSync(new URL('../helpers/container-walls.ts', import.meta.url), 'utf8'))

/** Number and arguments, of x86-64. */
const systemCalls: Readonly<Record<string, readonly [number, ...number[]]>> = {
  getpid: [39],
  x32: [0x40000000 + 39],
  ptrace: [101, 0],
  mount: [165],
  keyctl: [250, 0, -3],
  unshare: [272, 0x10000000],
  perf_event_open: [298],
  open_by_handle_at: [304],
  setns: [308],
  process_vm_readv: [310, 1],
  bpf: [321],
  userfaultfd: [323],
  io_uring_setup: [425, 1],
  clone3: [435],
  'clone NEWUSER': [56, 0x10000000 + 17],
  'ioctl TIOCSTI': [16, 0, 0x5412, 0x400000],
  'ioctl TIOCLINUX': [16, 0, 0x541c, 0x400000],
  'socket netlink': [41, 16, 3, 0],
  'socket vsock': [41, 40, 1, 0],
}

/** A TCP port and an abstract socket that containers must not reach. */
async function startHost(): Promise<AsyncDisposable & { readonly port: number; readonly abstract: string }> {
  const abstract = `kindmesh-test-${process.pid}`
  const tcp = createServer().listen(0, '127.0.0.1')
  const servers = [tcp, createServer().listen(`\0${abstract}`)]
  await Promise.all(servers.map((server) => once(server, 'listening')))
  return {
    port: (tcp.address() as AddressInfo).port,
    abstract,
    async [Symbol.asyncDispose]() {
      for (const server of servers) server.close()
    },
  }
}

const open = (...launchers: readonly Launcher[]): Sandboxes => openSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1, launchers })
const level = async (sandboxes: Sandboxes): Promise<LevelReport | undefined> => {
  await using stack = new AsyncDisposableStack()
  stack.defer(() => sandboxes.stop())
  return (await sandboxes.probe(['containerized']))[0]
}

const { backends = [] } = (await level(open())) ?? {}

/** Set-up leaves podman out: half a minute for one more way of the same. */
const isInstalled = (name: string): boolean => name !== 'podman' || findProgram(name) !== undefined

test('this machine makes containers in every way that set-up installs', () => {
  const wanted = containerLaunchers().filter(({ name }) => isInstalled(name))
  expect(backends.filter(({ name }) => isInstalled(name))).toMatchObject(
    wanted.map(({ name }) => ({ name, ok: true, version: expect.stringMatching(/\d/) as string })),
  )
})

test.skipIf(!isInstalled('podman'))(`containerized by podman${isInstalled('podman') ? '' : ' (NOT RUN: it is not installed)'}`, () => {
  expect(backends.find(({ name }) => name === 'podman')).toMatchObject({ ok: true })
})

describe.each(
  containerLaunchers()
    .filter(({ name }) => backends.some((report) => report.ok && report.name === name))
    .map((launcher) => [launcher.name, launcher] as const),
)(
  'containerized by %s',
  (name, launcher) => {
    /** Puts a kernel of its own between the guest and ours. */
    const isGvisor = name === 'runsc'
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

    test('a program of the image runs with arguments and stdin; what it writes streams out and comes back', async () => {
      const code = JSON.stringify(['sh', '-c', 'cat; echo "$0 $HOME $(pwd)" >&2; node -p "1 + 1"; exit 3', 'argument'])
      const { outcome, events } = await runTask(backend, code, { engine: 'command', input: 'from stdin\n' })
      expect(outcome).toMatchObject({ type: 'done' })
      expect(outcome.type === 'done' && JSON.parse(outcome.result)).toEqual({
        exitCode: 3,
        signal: null,
        stdout: 'from stdin\n2\n',
        stderr: 'argument /work /work\n',
      })
      const printed = (level: string): string => events.flatMap((event) => (event.type === 'console' && event.level === level ? [event.text] : [])).join('|')
      expect([printed('log'), printed('error')]).toEqual(['from stdin|2', 'argument /work /work'])
    })

    test('walls as a program sees them', async () => {
      await using host = await startHost()
      const input = {
        ports: [host.port],
        abstract: host.abstract,
        calls: Object.entries(systemCalls).map(([call, words]) => [call, base64(systemCallProgram(...words))]),
      }
      const code = JSON.stringify(['node', '--input-type=module', '-e', walls])
      const { outcome } = await runTask(backend, code, { engine: 'command', input, limits: { wallMs: 30_000, cpuMs: 20_000 } })
      if (outcome.type !== 'done') throw new Error(`${outcome.code}: ${outcome.message}`)
      const { stdout, stderr } = JSON.parse(outcome.result) as { stdout: string; stderr: string }
      expect(stderr).toBe('')
      const { calls, seccomp, ...facts } = JSON.parse(stdout) as { calls: Readonly<Record<string, string | number>>; seccomp: string }
      expect(facts).toEqual({
        uid: 65_534,
        groups: [65_534],
        capabilities: [true, true, true, true],
        ...(isGvisor ? {} : { noNewPrivileges: '1' }),
        environment: ['HOME', 'LANG', 'PATH', 'TMPDIR'],
        writable: [],
        folders: ['/work/x', '/tmp/x'],
        // Of its own user, in its own container: the worker, which has the same list of calls.
        opens: isGvisor ? [] : ['/proc/1/mem'],
        networks: [],
        connected: [false, false],
        home: false,
        held: [],
        // Name spaces of a kernel that is nobody else's.
        unshared: isGvisor ? ['-U'] : [],
        mounted: false,
      })
      if (isGvisor) return
      expect(seccomp).toBe('2')
      expect(Object.entries(calls).filter(([, answer]) => answer === 0)).toEqual([['getpid', 0]])
      expect(calls).toMatchObject({ x32: 'SIGSYS', clone3: 38, io_uring_setup: 38 })
    })

    test('a fork bomb stays within its processes and ends with them', async () => {
      const { outcome, printed } = await runTask(backend, JSON.stringify(['sh', '-c', 'b() { b | b & }; b; sleep 60']), {
        engine: 'command',
        limits: { wallMs: 1_000 },
      })
      expect(outcome.usage.wallMs).toBeLessThan(1_500)
      // gVisor itself ends when it gets no more processes.
      if (isGvisor) expect(outcome).toMatchObject({ type: 'failed' })
      else expect(printed.join()).toContain("can't fork")
    })

    test('files fill what they are given and no more', async () => {
      const script = 'for folder in work tmp; do dd if=/dev/zero of=/$folder/fill bs=1M count=100 2>&1; wc -c </$folder/fill; done'
      const result = await resultOf(backend, JSON.stringify(['sh', '-c', script]), { engine: 'command', limits: { memoryMiB: 256 } })
      expect((result as { stdout: string }).stdout.match(/No space left|^67108864$/gm)).toEqual(['No space left', '67108864', 'No space left', '67108864'])
    })

    test('memory of a program counts, and reads as over its memory', async () => {
      const code = JSON.stringify(['node', '-e', 'const kept = []; for (;;) kept.push(Buffer.alloc(16 << 20, 1))'])
      expect((await runTask(backend, code, { engine: 'command', limits: { memoryMiB: 96 } })).outcome).toMatchObject({
        code: 'ERR_SANDBOX_LIMIT',
        limit: 'memoryMiB',
      })
    })

    test('of a node that is killed nothing is left: no process, group, mount or folder', async () => {
      const supervisor = spawn(process.execPath, [new URL('../helpers/container-supervisor.ts', import.meta.url).pathname, name], {
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      for await (const text of supervisor.stdout) if (String(text).includes('running')) break
      expect(leftovers(supervisor.pid)).not.toEqual([])
      supervisor.kill('SIGKILL')
      await expect.poll(() => leftovers(supervisor.pid), { timeout: 10_000 }).toEqual([])
    })

    test('cancelled while it runs it ends so', async () => {
      const cancel = new AbortController()
      const { outcome } = await runTask(backend, 'console.log("runs"); for (;;);', { signal: cancel.signal, onEvent: () => cancel.abort() })
      expect(outcome).toMatchObject({ code: 'ERR_TASK_CANCELLED' })
    })
  },
  60_000,
)

test('without control groups bubblewrap holds processes, memory and processor time all the same', async () => {
  const sandboxes = open(bubblewrapContainer({ place: undefined }))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => sandboxes.stop())
  const backend = await sandboxes.ready('containerized')
  const run = async (...command: readonly [code: readonly string[], limits: Partial<SandboxLimits>]): Promise<Ran> =>
    await runTask(backend, JSON.stringify(command[0]), { engine: 'command', limits: command[1] })
  expect((await run(['sh', '-c', 'b() { b | b & }; b; sleep 60'], { wallMs: 1_000 })).printed.join()).toContain("can't fork")
  const eater = 'const kept = []; for (;;) kept.push(Buffer.alloc(16 << 20, 1))'
  expect((await run(['node', '-e', eater], { memoryMiB: 96 })).outcome).toMatchObject({ limit: 'memoryMiB' })
  // Each of its programs is gone before anybody looks: their time counts with whoever waited for them.
  expect((await run(['sh', '-c', 'while :; do true | cat; done'], { cpuMs: 300 })).outcome).toMatchObject({ limit: 'cpuMs' })
}, 60_000)

test('a level without containers refuses commands', async () => {
  const sandboxes = openSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1 })
  await using stack = new AsyncDisposableStack()
  stack.defer(() => sandboxes.stop())
  for (const level of ['native', 'sandboxed'] as const) {
    expect((await runTask(await sandboxes.ready(level), '["true"]', { engine: 'command' })).outcome).toMatchObject({ code: 'ERR_SANDBOX_UNAVAILABLE' })
  }
})

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
