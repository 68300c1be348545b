import { afterAll, describe, expect, test } from 'vitest'
import type { IsolationBackend, SandboxOutcome } from '../../src/sandbox/index.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'
import { type Bomb, bombLimits, bombs, wall } from '../helpers/sandbox-bombs.ts'
import { programBombs } from '../helpers/sandbox-bombs-programs.ts'
import { answeringHost } from '../helpers/sandbox-host.ts'
import { testLevels } from '../helpers/sandbox-levels.ts'

const testTimeoutMs = 120_000
/** From a limit to the outcome that tells of it. Source: sandbox/v1 section 1.3. */
const killedWithinMs = 500

const endOf = (outcome: SandboxOutcome): string => (outcome.type === 'done' ? 'done' : outcome.code + (outcome.limit === undefined ? '' : `/${outcome.limit}`))

async function explode(backend: IsolationBackend, isSlow: boolean, hasNeighbour: boolean, { engine, code, ends, limits }: Bomb): Promise<void> {
  const bounds = { ...bombLimits, ...limits }
  const neighbour = hasNeighbour ? resultOf(backend, 'let n = 0; for (let i = 0; i < 1e5; i++) n += i; return n') : 4_999_950_000
  const { outcome } = await runTask(backend, code, { limits: bounds, host: answeringHost(), ...(engine === undefined ? {} : { engine }) })
  expect(await neighbour).toBe(4_999_950_000)
  expect(isSlow ? [...ends, ...wall] : ends).toContain(endOf(outcome))
  expect(outcome.usage.wallMs).toBeLessThanOrEqual(bounds.wallMs + killedWithinMs)
  expect(outcome.usage.memoryBytes).toBeLessThan(3 * bounds.memoryMiB * 2 ** 20)
  expect(outcome.usage.outputBytes).toBeLessThan(2 << 20)
}

const all = Object.entries(bombs)
/** Three in five where another level has run them all: the same worker holds them there. */
const some = process.env['KINDMESH_TEST_LONG'] === '1' ? all : all.filter((_, index) => index % 5 < 3)
test('there are enough bombs', () => {
  expect(all.length).toBeGreaterThanOrEqual(120)
  expect(some.length).toBeGreaterThanOrEqual(70)
})

/** Strict is `sandboxed` again, with slower guests. */
const few = some === all ? all : all.filter((_, index) => index % 3 === 0)

const preferred = testLevels.filter(({ isFirst }) => isFirst)

describe.each(preferred.map((level, index) => [level.title, level, index === 0 ? all : level.title.includes('strict') ? few : some] as const))(
  'resource bombs, %s',
  (_title, { lacks, isSlow, hasPrograms, hasOwnKernel, start }, cases) => {
    if (lacks !== undefined) return test.skipIf(true)('each ends within its limits', () => undefined)
    const backend = start(3)
    afterAll(() => backend.stop())

    const isWhole = !hasOwnKernel || some === all
    const programs = hasPrograms
      ? Object.entries(programBombs)
          .filter((_, index) => isWhole || index % 3 === 0)
          .map(([name, bomb]) => [`program: ${name}`, bomb] as const)
      : []
    // A machine a task makes neighbours dear: one bomb in eight has one there.
    test.concurrent.each([...cases, ...programs].map(([name, bomb], index) => [name, bomb, !hasOwnKernel || index % 8 === 0] as const))(
      '%s',
      async (_name, bomb, hasNeighbour) => explode(backend, isSlow, hasNeighbour, bomb),
      testTimeoutMs,
    )

    test('and the next task finds nothing of them', async () => {
      expect(await resultOf(backend, 'return [typeof n, 6 * 7]')).toEqual(['undefined', 42])
    })
  },
)
