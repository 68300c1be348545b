import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { realClock, silentLogger } from '../../src/base/index.ts'
import { createSandboxes, type HostBridge, type SandboxLimits, type SandboxOutcome } from '../../src/sandbox/index.ts'
import { createBackend } from '../../src/sandbox/backend.ts'
import { encodeFrame, frameTypes, numbered } from '../../src/sandbox/frames.ts'
import { bubblewrapLauncher } from '../../src/sandbox/launch.ts'
import { WorkerPool } from '../../src/sandbox/pool.ts'
import { findProgram } from '../../src/sandbox/programs.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'

const testTimeoutMs = 60_000
const launcher = bubblewrapLauncher({ entry: fileURLToPath(new URL('../helpers/sandbox-taken-worker.ts', import.meta.url)) })
const pool = WorkerPool.lazy({ launcher, clock: realClock, logger: silentLogger, size: 3 })
const backend = createBackend({ launcher, clock: realClock, pool })
afterAll(() => backend.stop())

const hex = (...frames: readonly Uint8Array[]): string => Buffer.concat(frames).toString('hex')
const text = (type: number, payload: string): Uint8Array => encodeFrame(type as typeof frameTypes.done, Buffer.from(payload))
const usage = text(frameTypes.usage, '{"cpuMs":1,"memoryBytes":1,"hostCalls":0}')
const call = (id: number, name: string, args: string, nameLength = name.length): Uint8Array =>
  encodeFrame(frameTypes.call, numbered(id, Uint8Array.of(nameLength), Buffer.from(name), Buffer.from(args)))
const header = (length: number, type: number): Uint8Array => {
  const bytes = new Uint8Array(5)
  new DataView(bytes.buffer).setUint32(0, length)
  bytes[4] = type
  return bytes
}

interface Said {
  readonly say: string
  readonly times?: number
  readonly pauseMs?: number
  readonly after?: 'sleep' | 'exit' | 'next'
  readonly ends: readonly string[]
}

const broke = ['ERR_SANDBOX_CRASHED']
const limit = (name: keyof SandboxLimits): readonly string[] => [`ERR_SANDBOX_LIMIT/${name}`]

const said: Readonly<Record<string, Said>> = {
  nothing: { say: '', ends: limit('wallMs') },
  'nothing, and ends': { say: '', after: 'exit', ends: broke },
  'a length of four gigabytes': { say: hex(header(2 ** 32 - 1, frameTypes.done)), ends: broke },
  'a length of zero': { say: hex(Uint8Array.of(0, 0, 0, 0)), ends: broke },
  'half a frame': { say: hex(header(100, frameTypes.done)), ends: limit('wallMs') },
  'half a header, and ends': { say: '0000', after: 'exit', ends: broke },
  'a result over the output limit': { say: hex(text(frameTypes.done, `"${'x'.repeat(70_000)}"`)), ends: limit('outputBytes') },
  'a result that is no JSON': { say: hex(usage, text(frameTypes.done, '{"a":')), ends: broke },
  'a result of nothing': { say: hex(usage, text(frameTypes.done, '')), ends: broke },
  'a result that is no UTF-8': { say: hex(usage, encodeFrame(frameTypes.done, Uint8Array.of(0x22, 0xff, 0xc0))), ends: broke },
  'a type nobody knows': { say: hex(text(99, '')), ends: broke },
  'the type of the node': { say: hex(text(frameTypes.task, '{}')), ends: broke },
  'ready again': { say: hex(text(frameTypes.ready, '')), ends: broke },
  'usage twice': { say: hex(usage, usage), ends: broke },
  'usage that is no JSON': { say: hex(text(frameTypes.usage, 'x')), ends: broke },
  'usage of a megabyte': { say: hex(text(frameTypes.usage, `{"cpuMs":1,"x":"${'x'.repeat(70_000)}"}`)), ends: broke },
  'usage below nothing': {
    say: hex(text(frameTypes.usage, '{"cpuMs":-5,"memoryBytes":-1e9,"hostCalls":-3}'), text(frameTypes.done, '1')),
    after: 'next',
    ends: ['done'],
  },
  'usage beyond all bounds': {
    say: hex(text(frameTypes.usage, '{"cpuMs":9007199254740991,"memoryBytes":1,"hostCalls":1}'), text(frameTypes.done, '1')),
    ends: limit('cpuMs'),
  },
  'a failure nobody knows': { say: hex(text(frameTypes.failed, '{"reason":"constructor","text":"x"}')), ends: broke },
  'a failure of the prototype': { say: hex(text(frameTypes.failed, '{"reason":"__proto__","text":"x"}')), ends: broke },
  'a failure without a text': { say: hex(text(frameTypes.failed, '{"reason":"threw"}')), ends: broke },
  'a console level nobody knows': { say: hex(encodeFrame(frameTypes.console, Uint8Array.of(200, 65))), ends: broke },
  'a console line of nothing at all': { say: hex(text(frameTypes.console, '')), ends: broke },
  'progress beyond the end': { say: hex(text(frameTypes.progress, '7 x')), ends: broke },
  'progress without a number': { say: hex(text(frameTypes.progress, 'x')), ends: broke },
  'console lines without end': { say: hex(encodeFrame(frameTypes.console, Buffer.from('\0x'))), times: 1e6, ends: limit('hostCalls') },
  'receiving without end': { say: hex(text(frameTypes.receiving, '')), times: 1e6, ends: limit('hostCalls') },
  'replies to nothing, without end': {
    say: hex(encodeFrame(frameTypes.reply, numbered(7, Uint8Array.of(1), Buffer.from('1')))),
    times: 20_000,
    ends: [...limit('wallMs'), ...broke],
  },
  'a reply of two bytes': { say: hex(encodeFrame(frameTypes.reply, Uint8Array.of(1, 2))), ends: broke },
  'a call of two bytes': { say: hex(encodeFrame(frameTypes.call, Uint8Array.of(1, 2))), ends: broke },
  'a call whose name is longer than the frame': { say: hex(call(1, 'fetch', '[]', 200)), ends: broke },
  'a call without a name': { say: hex(call(1, '', '[]')), ends: broke },
  'calls of names of the prototype': {
    say: hex(...['constructor', '__proto__', 'toString', 'hasOwnProperty'].map((name) => call(1, name, '[]'))),
    ends: limit('wallMs'),
  },
  'one number for many calls': { say: hex(...Array.from({ length: 15 }, () => call(7, 'memory.get', '["x"]'))), ends: [...limit('wallMs'), ...broke] },
  'calls without end, answers unread': { say: hex(call(1, 'memory.get', '["x"]')), times: 1e5, ends: [...broke, ...limit('hostCalls')] },
  'calls a few at a time, answers unread': { say: hex(call(1, 'memory.get', '["x"]'), call(2, 'memory.get', '["x"]')), times: 1e5, pauseMs: 1, ends: broke },
  'two results': { say: hex(usage, text(frameTypes.done, '1'), text(frameTypes.done, '2')), after: 'next', ends: ['done'] },
}

const endOf = (outcome: SandboxOutcome): string => (outcome.type === 'done' ? 'done' : outcome.code + (outcome.limit === undefined ? '' : `/${outcome.limit}`))

/** Answers every call at once, with as much as an answer may hold. */
const generous: HostBridge = {
  call: async () => ({ ok: true, value: `"${'x'.repeat(1 << 20)}"` }),
  usage: () => ({ netBytes: 0, fsOps: 0 }),
}

describe.skipIf(findProgram('bwrap') === undefined)('a worker that its guest has taken over (needs bubblewrap) says', () => {
  test.concurrent.each(Object.entries(said))(
    '%s',
    async (_name, { say, times = 1, pauseMs = 0, after = 'sleep', ends }) => {
      const limits = { wallMs: 400, cpuMs: 300, outputBytes: 65_536, hostCalls: 2_000 }
      const { outcome } = await runTask(backend, JSON.stringify({ say, times, pauseMs, after }), { limits, host: generous })
      expect(ends).toContain(endOf(outcome))
      expect(outcome.usage.wallMs).toBeLessThanOrEqual(900)
      expect(outcome.usage.cpuMs).toBeGreaterThanOrEqual(0)
    },
    testTimeoutMs,
  )

  test(
    'a result before it has the task: that is nobody’s result',
    async () => {
      // The second result is said while the worker rests; whoever comes next must not get it.
      await runTask(
        backend,
        JSON.stringify({ say: hex(usage, text(frameTypes.done, '"first"'), usage, text(frameTypes.done, '"planted"')), times: 1, pauseMs: 0, after: 'next' }),
      )
      const { outcome } = await runTask(backend, JSON.stringify({ say: hex(usage, text(frameTypes.done, '"own"')), times: 1, pauseMs: 0, after: 'next' }))
      expect(outcome).toMatchObject({ type: 'done', result: '"own"' })
    },
    testTimeoutMs,
  )

  test('and the node runs on', async () => {
    const sandboxes = await createSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1 })
    expect(await resultOf(sandboxes.get('sandboxed'), 'return 1')).toBe(1)
    await sandboxes.stop()
  })
})
