import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { realClock, silentLogger } from '../../src/base/index.ts'
import { type IsolationLevel, openSandboxes, type Sandboxes } from '../../src/sandbox/index.ts'
import { bubblewrapContainer } from '../../src/sandbox/containers/bubblewrap.ts'
import { bubblewrapLauncher } from '../../src/sandbox/launch.ts'
import type { Launcher } from '../../src/sandbox/launched.ts'

const testTimeoutMs = 60_000

/** Programs in the place of bubblewrap, as scripts. */
const fakes: Readonly<Record<string, string>> = {
  'may not make user namespaces': 'echo "bwrap: No permissions to create new namespace" >&2; exit 1',
  'ends without a word': 'exit 0',
  'says it is ready and is not': String.raw`printf "\000\000\000\001\001"; exit 0`,
  'speaks something else': 'echo "Hello, I am a container and ready to run your code"; sleep 60',
  'never answers': 'exec sleep 60',
  'dies of a signal': 'kill -KILL $$',
}

let folder: string
const fakePath = (name: string): string => join(folder, name.replaceAll(' ', '-'))
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-fakes-'))
  await chmod(folder, 0o755)
  for (const [name, script] of Object.entries(fakes)) {
    await writeFile(fakePath(name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const open = (launchers: readonly Launcher[]): Sandboxes =>
  openSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1, launchers: launchers.map((launcher) => ({ ...launcher, readyTimeoutMs: 600 })) })

const refusal = {
  code: 'ERR_SANDBOX_UNAVAILABLE',
  hint: expect.stringMatching(/./) as string,
}

describe.skipIf(process.platform !== 'linux')('a bubblewrap that (Linux)', () => {
  test.concurrent.each(Object.keys(fakes))(
    '%s: its levels are refused with a next step, and no other stands in',
    async (name) => {
      const program = fakePath(name)
      const sandboxes = open([bubblewrapLauncher({ bwrap: program }), bubblewrapContainer({ program })])
      await using stack = new AsyncDisposableStack()
      stack.defer(() => sandboxes.stop())
      for (const level of ['sandboxed', 'containerized'] as const) {
        await expect(sandboxes.ready(level)).rejects.toMatchObject(refusal)
        expect(() => sandboxes.get(level)).toThrow(expect.objectContaining({ code: 'ERR_SANDBOX_UNAVAILABLE' }) as Error)
        const [report] = await sandboxes.probe([level])
        expect(report).toMatchObject({ level, available: false })
        expect(report?.backends[0]).toMatchObject({ ok: false, why: expect.stringMatching(/./) as string })
      }
      expect(sandboxes.available().filter(({ backend }) => backend !== undefined)).toMatchObject([{ level: 'native' }])
    },
    testTimeoutMs,
  )
})

test.each(['strongest', 'Sandboxed', 'sandboxed ', 'constructor', '__proto__', 'toString', '', 'native,sandboxed'])(
  'the level %j is refused: there is no such level',
  async (level) => {
    const sandboxes = open([])
    await using stack = new AsyncDisposableStack()
    stack.defer(() => sandboxes.stop())
    const unknown = expect.objectContaining({ code: 'ERR_SANDBOX_UNAVAILABLE' }) as Error
    expect(() => sandboxes.get(level as IsolationLevel)).toThrow(unknown)
    await expect(sandboxes.ready(level as IsolationLevel)).rejects.toEqual(unknown)
  },
)

test(
  'a back end that breaks after its probe ends its tasks with an error: they run nowhere else',
  async () => {
    const working = bubblewrapLauncher()
    const broken = bubblewrapLauncher({ bwrap: '/nowhere/bwrap' })
    let starts = 0
    const sandboxes = open([{ ...working, tasksPerGuest: 1, start: () => (++starts === 1 ? working : broken).start() }])
    await using stack = new AsyncDisposableStack()
    stack.defer(() => sandboxes.stop())
    const backend = await sandboxes.ready('sandboxed').catch((error: unknown) => error as Error)
    if (backend instanceof Error) return expect(backend).toMatchObject({ code: 'ERR_SANDBOX_UNAVAILABLE' })
    const outcomes: unknown[] = []
    const limits = { memoryMiB: 64, wallMs: 5_000, cpuMs: 5_000, outputBytes: 1_000, hostCalls: 10, cpuPercent: 100, netKiBps: 1, fsOps: 1, processes: 1 }
    for await (const event of backend.run({ code: 'return 1', input: 'null' }, { limits })) outcomes.push(event)
    expect(outcomes).toMatchObject([{ type: 'failed', code: expect.stringMatching(/^ERR_SANDBOX_(CRASHED|UNAVAILABLE)$/) as string }])
  },
  testTimeoutMs,
)
