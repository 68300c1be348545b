import { afterAll, describe, expect, test } from 'vitest'
import type { IsolationBackend } from '../../src/sandbox/index.ts'
import { resultOf, runTask } from '../helpers/sandbox.ts'
import { bombLimits, bombs } from '../helpers/sandbox-bombs.ts'
import { testLevels } from '../helpers/sandbox-levels.ts'

const testTimeoutMs = 120_000
const rounds = 4
const tasksPerRound = 60
/** Of a machine that does something else besides. */
const marginMs = 40

const honest = 'let n = 0; for (let i = 0; i < 3e5; i++) n += i % 7; return n'
const busy = 'const end = Date.now() + 250; let n = 0; while (Date.now() < end) n++; return n > 0'
const harmful = ['endless loop', 'heap by arrays', 'array buffers', 'microtasks that multiply', 'string that doubles', 'console flood'].map(
  (name) => bombs[name],
)

const percentile = (values: readonly number[], part: number): number => [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN

/** Times of honest tasks, one after the other, while `beside` runs again and again. */
async function timesBeside(backend: IsolationBackend, beside: (turn: number) => Promise<unknown>): Promise<readonly number[]> {
  let isOver = false
  const neighbour = (async () => {
    for (let turn = 0; !isOver; turn++) await beside(turn)
  })()
  const times: number[] = []
  for (let index = 0; index < tasksPerRound; index++) {
    const begin = performance.now()
    expect(await resultOf(backend, honest)).toBe(899_997)
    times.push(performance.now() - begin)
  }
  isOver = true
  await neighbour
  return times
}

const [level] = testLevels

describe.skipIf(level?.lacks !== undefined)('the tasks of others', () => {
  const backend = level?.start(3)
  afterAll(() => backend?.stop())

  test(
    'take at most twice as long beside bombs as beside a task that works, at the 99th of a hundred',
    async () => {
      if (backend === undefined) throw new Error('no level')
      const quiet: number[] = []
      const stormy: number[] = []
      await resultOf(backend, honest)
      for (let round = 0; round < rounds; round++) {
        quiet.push(...(await timesBeside(backend, () => resultOf(backend, busy))))
        stormy.push(
          ...(await timesBeside(backend, (turn) => runTask(backend, harmful[turn % harmful.length]?.code ?? '', { limits: { ...bombLimits, wallMs: 250 } }))),
        )
      }
      expect(percentile(stormy, 0.99), `quiet ${percentile(quiet, 0.99)} ms`).toBeLessThanOrEqual(2 * percentile(quiet, 0.99) + marginMs)
      expect(percentile(stormy, 0.5), `quiet ${percentile(quiet, 0.5)} ms`).toBeLessThanOrEqual(2 * percentile(quiet, 0.5) + marginMs)
    },
    testTimeoutMs,
  )
})
