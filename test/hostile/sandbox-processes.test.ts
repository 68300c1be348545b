import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { bubblewrapLauncher } from '../../src/sandbox/launch.ts'
import { findProgram } from '../../src/sandbox/programs.ts'
import { createTestSandboxes, runTask } from '../helpers/sandbox.ts'
import { descendants, isRunning } from '../helpers/sandbox-processes.ts'

const helper = (name: string): string => fileURLToPath(new URL(`../helpers/${name}`, import.meta.url))
const testTimeoutMs = 30_000

describe('processes', () => {
  test(
    'after stop none is left',
    async () => {
      const before = new Set(descendants(process.pid))
      const sandboxes = await createTestSandboxes()
      const running = Promise.withResolvers<void>()
      const endless = runTask(sandboxes.get('sandboxed'), 'console.log("running"); for (;;);', { onEvent: () => running.resolve() })
      await running.promise
      const started = descendants(process.pid).filter((pid) => !before.has(pid))
      expect(started.length).toBeGreaterThanOrEqual(2)
      await sandboxes.stop()
      expect((await endless).outcome).toMatchObject({ type: 'failed', code: 'ERR_STOPPED' })
      // Their pipes are closed; the kernel may still be burying the last of them.
      await expect.poll(() => started.filter(isRunning), { timeout: 1_000 }).toEqual([])
    },
    testTimeoutMs,
  )

  test(
    'a node that is killed takes its workers along',
    async () => {
      const node = spawn(process.execPath, [helper('sandbox-busy-node.ts')], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(node.stdout, 'data')
      const workers = descendants(node.pid ?? 0)
      expect(workers.length).toBeGreaterThanOrEqual(2)
      node.kill('SIGKILL')
      await expect.poll(() => workers.filter(isRunning), { timeout: 5_000 }).toEqual([])
    },
    testTimeoutMs,
  )
})

describe.skipIf(findProgram('bwrap') === undefined)('bubblewrap around the worker', () => {
  test(
    'shows a guest that broke out no network, no file to write, no process to start, no host uid',
    async () => {
      const before = new Set(descendants(process.pid))
      const launched = await bubblewrapLauncher({ entry: helper('sandbox-walls.ts') }).start()
      try {
        const [line] = (await once(launched.output, 'data')) as [Uint8Array]
        expect(JSON.parse(Buffer.from(line).toString())).toEqual({
          root: expect.not.arrayContaining(['work', 'tmp', 'root', 'home', 'etc', 'proc', 'sys', 'usr/bin']) as string[],
          app: expect.arrayContaining(['isolated-vm.node', 'node', 'package.json', 'sandbox-walls.js']) as string[],
          writable: [],
          visible: [],
          networks: [],
          connect: 'ENOSYS',
          spawned: false,
          environment: [],
          files: [],
        })
        const guest = descendants(process.pid).find(
          (pid) => !before.has(pid) && /^Name:\s+(node|MainThread)$/m.test(readFileSync(`/proc/${pid}/status`, 'latin1')),
        )
        const status = readFileSync(`/proc/${guest}/status`, 'latin1')
        // Seen from outside, since the filter hides it inside: a network of its own with nothing but loopback.
        const network = readFileSync(`/proc/${guest}/net/dev`, 'latin1')
        expect(network.match(/^\s*[\w@.-]+(?=:)/gm)?.map((name) => name.trim())).toEqual(['lo'])
        expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).not.toBe('0')
        expect(status).toMatch(/^CapEff:\s+0+$/m)
        expect(status).toMatch(/^CapBnd:\s+0+$/m)
        expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
        expect(status).toMatch(/^Seccomp:\s+2$/m)
      } finally {
        launched.kill()
      }
    },
    testTimeoutMs,
  )
})
