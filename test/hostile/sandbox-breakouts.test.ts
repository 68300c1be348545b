import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { containerLaunchers } from '../../src/sandbox/containers/launchers.ts'
import { findRootfs } from '../../src/sandbox/containers/rootfs.ts'
import { realClock } from '../../src/base/index.ts'
import { machineLaunchers } from '../../src/sandbox/machines/launchers.ts'
import type { IsolationBackend } from '../../src/sandbox/index.ts'
import type { Launcher } from '../../src/sandbox/launched.ts'
import { findProgram } from '../../src/sandbox/programs.ts'
import { type Canaries, layCanaries } from '../helpers/breakouts/canaries.ts'
import { runTask } from '../helpers/sandbox.ts'
import { startBackend } from '../helpers/sandbox-backends.ts'
import { buildProbe, type BuiltProbe, judge, probeLacks } from '../helpers/breakouts/probe.ts'

const testTimeoutMs = 120_000

/** Every way to run programs, what it lacks here, and whether its kernel is this machine's: what gives way in a kernel of the guest's own reaches nothing yet. */
interface Place {
  readonly name: string
  readonly lacks: string | undefined
  readonly sharesKernel: boolean
  readonly launcher: Launcher
}

const machine = machineLaunchers(realClock).find(({ name }) => name === 'qemu-tcg')
const places: readonly Place[] = [
  ...containerLaunchers().map((launcher) => {
    const isMissing = findProgram(launcher.name === 'bubblewrap' ? 'bwrap' : launcher.name) === undefined
    const lacks = findRootfs() === undefined ? 'no root file system' : isMissing ? `${launcher.name} is not installed` : undefined
    return { name: `container by ${launcher.name}`, lacks, sharesKernel: launcher.name !== 'runsc', launcher }
  }),
  ...(machine === undefined ? [] : [{ name: 'machine by qemu-tcg', lacks: machine.lacks()?.why, sharesKernel: false, launcher: machine }]),
]
const limits = { wallMs: 60_000, cpuMs: 60_000, outputBytes: 16 << 20, hostCalls: 100_000, memoryMiB: 256 }
/** Brings the probe in by stdin: nothing of the host is there to be started. */
const bringIn = 'base64 -d > /tmp/probe && chmod +x /tmp/probe && exec /tmp/probe "$@"'

describe.skipIf(probeLacks !== undefined)(`programs that try to break out (${probeLacks ?? 'as root, with gcc'})`, () => {
  let probe: BuiltProbe
  let canaries: Canaries
  beforeAll(async () => {
    probe = await buildProbe()
    canaries = await layCanaries(probe.path)
  }, testTimeoutMs)
  afterAll(async () => {
    await canaries.remove()
    await probe.remove()
  })

  test(
    'unconfined, most of them reach this machine',
    async () => {
      const { stdout } = await promisify(execFile)(probe.path, ['apart', `work=${join(canaries.dir, 'work')}`, ...canaries.args], {
        env: { CANARY: canaries.token },
        maxBuffer: 64 << 20,
      })
      const attempts = await judge(stdout, canaries)
      expect(attempts.length).toBeGreaterThanOrEqual(160)
      expect(attempts.filter(({ passed, reachedHost }) => passed || reachedHost).length).toBeGreaterThanOrEqual(110)
      expect(attempts.filter(({ reachedHost }) => reachedHost).length).toBeGreaterThanOrEqual(20)
      expect(await canaries.reached()).toContain('the victim was signalled')
    },
    testTimeoutMs,
  )

  describe.each(places.map((place) => [place.lacks === undefined ? place.name : `${place.name} (NOT RUN: ${place.lacks})`, place] as const))(
    'in a %s',
    (_title, { lacks, sharesKernel, launcher }) => {
      if (lacks !== undefined) return test.skipIf(true)('cannot be tried', () => undefined)
      let backend: IsolationBackend
      let own: Canaries
      beforeAll(async () => {
        own = await layCanaries(probe.path)
        // Seen by whoever can read the environment of the node.
        process.env['KINDMESH_CANARY'] = own.token
        backend = await startBackend(launcher, 1)
      }, testTimeoutMs)
      afterAll(async () => {
        delete process.env['KINDMESH_CANARY']
        await backend.stop()
        await own.remove()
      })

      test(
        'none reaches this machine',
        async () => {
          const binary = (await readFile(probe.path)).toString('base64')
          const command = JSON.stringify(['sh', '-c', bringIn, 'sh', ...own.args])
          const { outcome, printed } = await runTask(backend, command, { engine: 'command', input: binary, limits })
          expect(outcome).toMatchObject({ type: 'done' })
          const attempts = await judge(printed.join('\n'), own)
          expect(attempts.length).toBeGreaterThanOrEqual(160)
          expect(attempts.filter(({ reachedHost }) => reachedHost)).toEqual([])
          if (sharesKernel) expect(attempts.filter(({ passed }) => passed)).toEqual([])
          expect(await own.reached()).toEqual([])
        },
        testTimeoutMs,
      )

      test.skipIf(!sharesKernel)(
        'nothing in it has a user of this machine but nobody, a capability, or a way to more',
        async () => {
          const inside: string[] = []
          const marker = `kindmesh-look-${process.pid}`
          const { outcome } = await runTask(backend, JSON.stringify(['sh', '-c', 'echo here; sleep 1; true', marker]), {
            engine: 'command',
            onEvent: () => look(marker, inside),
          })
          expect(outcome).toMatchObject({ type: 'done' })
          expect(inside.length).toBeGreaterThan(0)
          expect([...new Set(inside)]).toEqual([expect.stringMatching(/^uid [1-9]\d* CapEff 0 CapBnd 0 NoNewPrivs 1 Seccomp 2$/)])
        },
        testTimeoutMs,
      )
    },
  )
})

/** Adds what the kernel says of every process of this machine whose command line has the marker, and whose process namespace is not this one. */
function look(marker: string, seen: string[]): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(marker)) continue
      if (readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync('/proc/self/ns/pid')) continue
      const status = readFileSync(`/proc/${pid}/status`, 'latin1')
      const field = (name: string): string => new RegExp(`^${name}:\\s+(\\w+)`, 'm').exec(status)?.[1] ?? '?'
      const capabilities = (name: string): string => BigInt(`0x${field(name)}`).toString(16)
      seen.push(
        `uid ${field('Uid')} CapEff ${capabilities('CapEff')} CapBnd ${capabilities('CapBnd')} NoNewPrivs ${field('NoNewPrivs')} Seccomp ${field('Seccomp')}`,
      )
    } catch {
      // It has ended.
    }
  }
}
