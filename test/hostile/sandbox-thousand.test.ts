import { expect, test } from 'vitest'
import type { IsolationBackend, SandboxLimits } from '../../src/sandbox/index.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'
import { escapeCases, escapeInput } from '../helpers/sandbox-escapes.ts'
import { answeringHost } from '../helpers/sandbox-host.ts'
import { testLevels } from '../helpers/sandbox-levels.ts'
import { Residue } from '../helpers/sandbox-residue.ts'

const testTimeoutMs = 300_000

/** Attacks that are over soon: every way to be killed, and to end without being. */
const attacks: readonly (readonly [code: string, limits: Partial<SandboxLimits>])[] = [
  ['for (;;);', { wallMs: 20 }],
  ['for (;;);', { cpuMs: 10 }],
  ['for (;;) console.log("x".repeat(1000))', { outputBytes: 2_000 }],
  ['for (;;) crypto.randomUUID()', { hostCalls: 20 }],
  ['const a = []; for (;;) a.push(new Array(1e4).fill(1.5))', { memoryMiB: 8 }],
  ['const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))', { memoryMiB: 8 }],
  ['await memory.get("never")', { wallMs: 20 }],
  ['return "x".repeat(1e8)', { outputBytes: 1_000 }],
  ['throw new Proxy({}, { has() { for (;;); } })', { wallMs: 20 }],
  ['const f = () => { Promise.resolve().then(f); Promise.resolve().then(f) }; f(); await new Promise(() => {})', { wallMs: 20 }],
]

/** Most of a thousand where a run costs least; some at every other level. */
const shares: Readonly<Record<string, number>> = { containerized: 60, virtualized: 10 }

async function attack(backend: IsolationBackend, index: number, slowWallMs: number): Promise<void> {
  // One in five is killed; the others end by themselves and leave their guest to the next.
  const found = index % 5 === 0 ? attacks[Math.floor(index / 5) % attacks.length] : undefined
  const [code, limits] = found ?? [escapeCases[index % escapeCases.length]?.code ?? '', { wallMs: slowWallMs }]
  const { outcome, printed } = await runTask(backend, code, { input: JSON.parse(escapeInput), host: answeringHost(), limits })
  expect(printed.join()).not.toContain('ESCAPED')
  if (found !== undefined) expect(outcome).toMatchObject({ type: 'failed' })
}

test.skipIf(process.platform !== 'linux')(
  'a thousand hostile runs in a row at all levels of one node (Linux): it lives, and nothing of them is left',
  async () => {
    const residue = new Residue()
    const levels = testLevels.filter(({ isFirst, lacks }) => isFirst && lacks === undefined)
    const others = levels.slice(1).map((level) => ({ level, runs: shares[level.title.split(':')[0] ?? ''] ?? 30 }))
    const first = levels.slice(0, 1).map((level) => ({ level, runs: 1_000 - others.reduce((sum, { runs }) => sum + runs, 0) }))
    let done = 0
    for (const { level, runs } of [...first, ...others]) {
      const backend = level.start(3)
      const lane = async (): Promise<void> => {
        for (let index = done++; index < limit; index = done++) {
          await attack(backend, index, level.isSlow ? 3_000 : 300)
          if (index % 10 === 0) residue.look()
        }
      }
      const limit = done + runs
      await Promise.all([lane(), lane(), lane()])
      done = limit
      expect(await resultOf(backend, 'return 6 * 7'), level.title).toBe(42)
      residue.look()
      expect(residue.left(), 'warm guests, to show that they would be found').not.toEqual([])
      await backend.stop()
    }
    expect(done).toBeGreaterThanOrEqual(1_000)
    expect(residue.seen.processes).toBeGreaterThan(100)
    // The kernel may still be burying the last of them.
    await expect.poll(() => residue.left(), { timeout: 10_000 }).toEqual([])
  },
  testTimeoutMs,
)
