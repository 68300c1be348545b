import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync, closeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MeshError, realClock, realRandom, silentLogger } from '../../src/base/index.ts'
import { encodeFrame, frameTypes } from '../../src/sandbox/frames.ts'
import { type IsolationBackend, type Sandboxes, sandboxLimitsDefault, sandboxLimitsMax } from '../../src/sandbox/index.ts'
import { cpioArchive } from '../../src/sandbox/machines/cpio.ts'
import { type MachineLauncher, machineLauncher } from '../../src/sandbox/machines/launcher.ts'
import { checkManifest } from '../../src/sandbox/machines/manifest.ts'
import { qemuMonitor } from '../../src/sandbox/machines/qemu.ts'
import { machineMemoryMiB, prepareTemplate, type Template } from '../../src/sandbox/machines/template.ts'
import { openSandboxes } from '../../src/sandbox/sandboxes.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'
import { startBackend } from '../helpers/sandbox-backends.ts'
import { descendants } from '../helpers/sandbox-processes.ts'

const clock = realClock
const isDebianRoot = process.getuid?.() === 0 && existsSync('/etc/debian_version') && process.arch === 'x64'

const tcg = qemuMonitor({ accelerator: 'tcg', clock })
const lacks = machineLauncher({ monitor: tcg, clock }).lacks()?.why
const open = (launchers: readonly MachineLauncher[]): Sandboxes => openSandboxes({ clock, logger: silentLogger, poolSize: 1, launchers })
const hostileEntry = new URL('../helpers/machine-hostile.ts', import.meta.url).pathname
const monitors = (): readonly number[] => descendants(process.pid).filter((pid) => commandOf(pid).startsWith('/usr/bin/qemu-system-x86_64'))

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

test.skipIf(!isDebianRoot)('the machine of the tests has what set-up installs (NOT RUN without root on Debian x64)', () => {
  expect(lacks).toBe(undefined)
})

describe.skipIf(lacks !== undefined)(`machines${lacks === undefined ? '' : ` (NOT RUN: ${lacks})`}`, () => {
  const launcher = machineLauncher({ monitor: tcg, clock })
  let template: Template
  beforeAll(async () => {
    template = await prepareTemplate({ monitor: tcg, clock, random: realRandom, timeoutMs: 180_000 })
  }, 150_000)

  const copies = 5
  const draw = 'return [Math.random(), Math.random(), crypto.randomUUID(), crypto.randomUUID(), [...crypto.randomBytes(16)].join()]'

  test(`${copies} copies of one saved machine never draw the same, and the clock is right in each`, async () => {
    const backend = await startBackend(launcher, 2)
    await using stack = new AsyncDisposableStack()
    stack.defer(() => backend.stop())
    const drawn = await Promise.all(Array.from({ length: copies }, () => resultOf(backend, draw)))
    const values = (drawn as unknown[][]).flat()
    expect(new Set(values).size).toBe(5 * copies)
    const now = await resultOf(backend, 'return Date.now()')
    expect(Math.abs(clock.now() - (now as number))).toBeLessThan(5_000)
  }, 120_000)

  test('without being woken copies do draw the same: what the test above would see', async () => {
    const drawn: unknown[] = []
    for (let copy = 0; copy < 2; copy++) {
      const machine = await tcg.restore(template.parts, template.stateFile)
      const answer = Promise.withResolvers<string>()
      let text = ''
      machine.frames.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        const result = /\[\d\.[^\]]*\]/.exec(text)
        if (result !== null) answer.resolve(result[0])
      })
      const task = { engine: 'javascript', code: draw, input: 'null', memoryMiB: 64, outputBytes: 1_000, hostCalls: 10, processes: 1 }
      machine.frames.write(encodeFrame(frameTypes.task, Buffer.from(JSON.stringify(task))))
      drawn.push((JSON.parse(await answer.promise) as unknown[]).slice(0, 4))
      machine.kill()
      await machine.closed
    }
    expect(drawn[0]).toEqual(drawn[1])
  }, 60_000)

  test('a program of the image runs in a machine: arguments, stdin, streams, exit code; and it draws chance of its own', async () => {
    const backend = await startBackend(launcher, 2)
    await using stack = new AsyncDisposableStack()
    stack.defer(() => backend.stop())
    const program = ['sh', '-c', 'cat; echo to-stderr >&2; head -c 16 /dev/urandom | od -An -tx1; exit 3']
    const options = { limits: { ...sandboxLimitsDefault, wallMs: 60_000, cpuMs: 60_000 } }
    const outcomes = await Promise.all(
      [1, 2].map(async () => {
        for await (const event of backend.run({ engine: 'command', code: JSON.stringify(program), input: '"given "' }, options)) {
          if (event.type === 'done') return JSON.parse(event.result) as { readonly exitCode: number; readonly stdout: string; readonly stderr: string }
        }
        throw new Error('no result')
      }),
    )
    expect(outcomes).toMatchObject([
      { exitCode: 3, stdout: expect.stringMatching(/^given (?: [0-9a-f]{2}){16}\n$/) as string, stderr: 'to-stderr\n' },
      { exitCode: 3 },
    ])
    expect(outcomes[0]?.stdout).not.toBe(outcomes[1]?.stdout)
  }, 60_000)

  test('the monitor is nobody, without capabilities, network and anything writable, and may start no program', async () => {
    const machine = await launcher.start()
    await using stack = new AsyncDisposableStack()
    stack.defer(async () => {
      machine.kill()
      await machine.closed
    })
    await once(machine.output, 'data')
    const pid = monitors().at(-1) ?? 0
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    if (process.getuid?.() === 0) expect(status).toMatch(/^Uid:\s+65534\s+65534\s+65534\s+65534$/m)
    expect(status).toMatch(/^CapEff:\s+0+$/m)
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
    expect(status).toMatch(/^Seccomp:\s+2$/m)
    const device = readFileSync(`/proc/${pid}/net/dev`, 'latin1')
    expect(
      device
        .split('\n')
        .slice(2)
        .filter(Boolean)
        .map((line) => line.trim().split(':')[0]),
    ).toEqual(['lo'])
    const writable = readFileSync(`/proc/${pid}/mountinfo`, 'latin1')
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' '))
      .filter((words) => (words[5] ?? '').split(',').includes('rw'))
      .map((words) => words[4])
    // Terminals and shared memory of its own; RLIMIT_FSIZE is 0 on top.
    expect(writable.filter((path) => !/^\/dev\/(pts|shm|null|zero|full|random|urandom|tty|console)$/.test(path ?? ''))).toEqual([])
    expect(readFileSync(`/proc/${pid}/limits`, 'latin1')).toMatch(/^Max file size\s+0\s+0/m)
  }, 60_000)

  test('after the pool has stopped no process and no folder is left', async () => {
    const folders = (): readonly string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('kindmesh-machine-'))
    const backend = await startBackend(launcher, 2)
    const hanging = runTask(backend, 'for (;;);', { limits: { wallMs: 60_000, cpuMs: 60_000 } })
    expect(await resultOf(backend, 'return 1')).toBe(1)
    expect(monitors().length).toBeGreaterThan(0)
    await backend.stop()
    expect((await hanging).outcome).toMatchObject({ type: 'failed', code: 'ERR_STOPPED' })
    expect(monitors()).toEqual([])
    expect(folders()).toEqual([])
  }, 60_000)

  test('the largest task fits into a machine', () => {
    expect(machineMemoryMiB).toBeGreaterThanOrEqual(sandboxLimitsMax.memoryMiB + 256)
  })

  describe('a guest that is hostile throughout', () => {
    const hostile = machineLauncher({ monitor: tcg, clock, entry: hostileEntry })
    let backend: IsolationBackend
    let made: Template
    beforeAll(async () => {
      made = await prepareTemplate({ monitor: tcg, clock, random: realRandom, timeoutMs: 180_000, entry: hostileEntry })
      backend = await startBackend(hostile, 1)
    }, 200_000)
    afterAll(async () => {
      await backend.stop()
      rmSync(made.folder, { recursive: true, force: true })
    })

    test.each([
      ['flood', { code: 'ERR_SANDBOX_LIMIT', limit: 'outputBytes' }],
      ['noise', { code: 'ERR_SANDBOX_CRASHED' }],
      ['huge', { code: 'ERR_SANDBOX_CRASHED' }],
      ['empty', { code: 'ERR_SANDBOX_CRASHED' }],
      ['unknown', { code: 'ERR_SANDBOX_CRASHED' }],
      ['notJson', { code: 'ERR_SANDBOX_CRASHED' }],
      ['usageTwice', { code: 'ERR_SANDBOX_CRASHED' }],
      ['exit', { code: 'ERR_SANDBOX_CRASHED' }],
    ])('%s on the channel ends its own run', async (deed, outcome) => {
      expect((await runTask(backend, deed)).outcome).toMatchObject({ type: 'failed', ...outcome })
    })

    test('half a frame and silence is over its wall clock, killed within half a second, and the next is well', async () => {
      const { outcome } = await runTask(backend, 'half', { limits: { wallMs: 600 } })
      expect(outcome).toMatchObject({ code: 'ERR_SANDBOX_LIMIT', limit: 'wallMs' })
      expect(outcome.usage.wallMs).toBeLessThan(1_100)
      expect(await resultOf(backend, 'return input + 1', { input: 1 })).toBe(2)
    })

    test('what it writes, wherever it can, is gone in the next run, and the saved machine is as it was', async () => {
      const before = statSync(made.stateFile).mtimeMs
      expect(await resultOf(backend, 'marks')).toEqual({ left: ['/work/mark', '/tmp/mark'], devices: [] })
      expect(await resultOf(backend, 'found')).toEqual([])
      await checkManifest(made.folder)
      expect(statSync(made.stateFile).mtimeMs).toBe(before)
    })

    test('it is nobody in its own machine too, with no network device and one disk', async () => {
      expect(await resultOf(backend, 'who')).toEqual({ uid: 65_534, net: ['lo'], disks: ['vda'] })
    })

    test('a saved machine that was changed is refused, with the folder to remove', async () => {
      await backend.stop()
      const changed = machineLauncher({ monitor: tcg, clock, entry: hostileEntry })
      chmodSync(made.stateFile, 0o644)
      const file = openSync(made.stateFile, 'r+')
      writeSync(file, Buffer.from([1]), 0, 1, 1_000_000)
      closeSync(file)
      const refusal: unknown = await Promise.resolve(changed.start()).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'ERR_SANDBOX_UNAVAILABLE', hint: expect.stringContaining(made.folder) as string })
      expect(monitors()).toEqual([])
    })
  }, 60_000)

  test('a monitor that hangs is given up after its deadline, leaves nothing, and the next kind is taken', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kindmesh-test-'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rmSync(folder, { recursive: true, force: true }))
    chmodSync(folder, 0o755)
    const hanging = join(folder, 'bwrap')
    writeFileSync(hanging, '#!/bin/sh\nexec /bin/sleep 600\n', { mode: 0o755 })
    // As if KVM were there and hung: tried at each start of the system, and by booting.
    const monitor = { ...qemuMonitor({ accelerator: 'tcg', clock, bwrap: hanging }), name: `qemu-hang-${process.pid}`, accelerator: 'kvm' as const }
    const hung = machineLauncher({ monitor, clock, deadlines: { makeMs: 1_000, readyMs: 1_000 } })
    stack.defer(() => rmSync(join(template.folder, '..', `failed-${monitor.name}.json`), { force: true }))
    const sandboxes = open([hung, launcher])
    stack.defer(() => sandboxes.stop())
    expect((await sandboxes.ready('virtualized')).name).toBe('qemu-tcg')
    const [report] = (await sandboxes.probe(['virtualized']))[0]?.backends ?? []
    expect(report).toMatchObject({ name: monitor.name, ok: false, why: expect.stringContaining('longer than 1000 ms') as string })
    expect(descendants(process.pid).filter((pid) => commandOf(pid).includes('sleep'))).toEqual([])
    // Another node is told at once, for as long as the system runs.
    const again = machineLauncher({ monitor: { ...monitor, boot: () => expect.unreachable(), restore: () => expect.unreachable() }, clock })
    await expect(Promise.resolve(again.start())).rejects.toMatchObject({
      code: 'ERR_SANDBOX_UNAVAILABLE',
      message: expect.stringContaining('not tried again') as string,
    })
  }, 60_000)
})

describe('levels are honest', () => {
  test.each([
    [
      'qemu removed',
      machineLauncher({ monitor: qemuMonitor({ accelerator: 'tcg', clock, qemu: '/nowhere/qemu' }), clock }),
      /qemu is missing/,
      /apt-get install/,
    ],
    [
      'bubblewrap removed',
      machineLauncher({ monitor: qemuMonitor({ accelerator: 'tcg', clock, bwrap: '/nowhere/bwrap' }), clock }),
      /missing/,
      /apt-get install/,
    ],
    [
      'the image removed',
      machineLauncher({
        monitor: { ...tcg, lacks: () => undefined },
        clock,
        image: () => {
          throw new MeshError('ERR_SANDBOX_UNAVAILABLE', 'the guest image is missing', { hint: 'run `kindmesh sandbox setup`' })
        },
      }),
      /guest image is missing/,
      /sandbox setup/,
    ],
  ] as const)('%s: refused, with the reason and the command that adds it', async (_, launcher, why, fix) => {
    const sandboxes = open([launcher])
    await using stack = new AsyncDisposableStack()
    stack.defer(() => sandboxes.stop())
    const refusal = expect.objectContaining({
      code: 'ERR_SANDBOX_UNAVAILABLE',
      message: expect.stringMatching(why) as string,
      hint: expect.stringMatching(fix) as string,
    }) as Error
    await expect(sandboxes.ready('virtualized')).rejects.toEqual(refusal)
    expect(() => sandboxes.get('virtualized')).toThrow(refusal)
    const [level] = await sandboxes.probe(['virtualized'])
    expect(level).toMatchObject({
      available: false,
      backends: [{ ok: false, why: expect.stringMatching(why) as string, fix: expect.stringMatching(fix) as string }],
    })
  })
})

test('an initial file system reads as Linux reads it: magic, names, modes, four-byte steps, the end', () => {
  const archive = Buffer.from(
    cpioArchive([
      { path: 'a', permissions: 0o755 },
      { path: 'a/b', content: Buffer.from('abcde'), permissions: 0o444 },
    ]),
  ).toString('latin1')
  const header = (mode: string, size: string, name: string): RegExp => new RegExp(`070701.{8}0000${mode}.{24}.{8}0000000${size}.{32}0000000${name}0{8}`)
  expect(archive).toMatch(header('41ED', '0', '2'))
  expect(archive).toMatch(header('8124', '5', '4'))
  expect(archive).toContain('a/b\0')
  expect(archive.indexOf('abcde') % 4).toBe(0)
  expect(archive.endsWith('TRAILER!!!\0\0\0\0')).toBe(true)
})
