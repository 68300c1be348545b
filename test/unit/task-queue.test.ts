import { describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, type Did, MeshError, randomInt } from '../../src/base/index.ts'
import { createFairQueue, type FairQueue, type Place } from '../../src/tasks/executor-queue.ts'
import { createOwner } from '../helpers/audit.ts'
import { codeOf } from '../helpers/raw-peer.ts'

const askers = Array.from({ length: 16 }, (_, index) => createOwner(index + 1).did)
const [anna, ben, cleo] = askers as [Did, Did, Did]
const never = new AbortController().signal
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Bench {
  readonly queue: FairQueue
  readonly clock: ReturnType<typeof createVirtualClock>
  /** Names of tasks in the order in which they began. */
  readonly began: string[]
  /** Time used per asker. */
  readonly used: Map<Did, number>
  submit(asker: Did, name: string, ms: number, priority?: number): Place
}

function createBench(slots: number): Bench {
  const clock = createVirtualClock()
  const queue = createFairQueue({ slots, clock })
  const began: string[] = []
  const used = new Map<Did, number>()
  return {
    queue,
    clock,
    began,
    used,
    submit(asker, name, ms, priority = 5) {
      const place = queue.enter(asker, priority, () => undefined)
      void (async () => {
        await place.turn(never)
        began.push(name)
        await clock.sleep(ms)
        used.set(asker, (used.get(asker) ?? 0) + ms)
        place.leave()
      })()
      return place
    },
  }
}

describe('tasks that wait', () => {
  test('of one asker run by priority, those of one priority in order', async () => {
    const bench = createBench(1)
    for (const [name, priority] of [
      ['first', 5],
      ['low', 1],
      ['one', 5],
      ['urgent', 9],
      ['two', 5],
    ] as const) {
      bench.submit(anna, name, 100, priority)
    }
    await bench.clock.advance(10_000)
    expect(bench.began).toEqual(['first', 'urgent', 'one', 'two', 'low'])
  })

  test('of two askers take turns, however many one of them has', async () => {
    const bench = createBench(1)
    for (let index = 0; index < 10; index++) bench.submit(anna, `anna ${index}`, 100)
    bench.submit(ben, 'ben 0', 100)
    bench.submit(ben, 'ben 1', 100)
    await bench.clock.advance(10_000)
    expect(bench.began.indexOf('ben 0')).toBeLessThanOrEqual(2)
    expect(bench.began.indexOf('ben 1')).toBeLessThanOrEqual(4)
  })

  test('are brought forward against others by two runs of their asker at most, and no share grows by it', async () => {
    const bench = createBench(1)
    // Each costs what it is believed to.
    for (let index = 0; index < 40; index++) {
      bench.submit(anna, `anna ${index}`, 1_000, 9)
      bench.submit(ben, `ben ${index}`, 1_000)
    }
    await bench.clock.advance(40 * 1_000 + 1)
    const first = bench.began.slice(0, 8).filter((name) => name.startsWith('anna'))
    expect(first.length).toBeLessThanOrEqual(6)
    const share = bench.began.slice(0, 40).filter((name) => name.startsWith('anna')).length
    expect(share).toBeGreaterThanOrEqual(20)
    expect(share).toBeLessThanOrEqual(22)
  })

  test('of who comes anew do not wait for a share that others had before, and of who was away none was saved up', async () => {
    const bench = createBench(1)
    for (let index = 0; index < 20; index++) bench.submit(anna, `anna ${index}`, 1_000)
    await bench.clock.advance(10_500)
    const at = bench.began.length
    for (let index = 0; index < 20; index++) bench.submit(ben, `ben ${index}`, 1_000)
    await bench.clock.advance(8_000)
    const since = bench.began.slice(at)
    const bens = since.filter((name) => name.startsWith('ben')).length
    expect(Math.abs(2 * bens - since.length)).toBeLessThanOrEqual(2)
  })

  test('are weighed by the time runs took, not by what they were believed to take', async () => {
    const bench = createBench(1)
    bench.submit(anna, 'long', 10_000)
    bench.submit(anna, 'next', 1_000)
    for (let index = 0; index < 12; index++) bench.submit(ben, `ben ${index}`, 1_000)
    await bench.clock.advance(60_000)
    expect(bench.began.indexOf('next')).toBeGreaterThanOrEqual(9)
    expect(bench.began.indexOf('next')).toBeLessThanOrEqual(12)
  })

  test('that are called off leave no hole: the next moves up and is told so', async () => {
    const { queue, clock } = createBench(1)
    const moves: string[] = []
    const running = queue.enter(anna, 5, () => undefined)
    await running.turn(never)
    const stop = new AbortController()
    const gone = queue.enter(ben, 5, (position) => moves.push(`ben ${position}`))
    const waiting = queue.enter(cleo, 5, (position) => moves.push(`cleo ${position}`))
    const refused = codeOf(gone.turn(stop.signal))
    stop.abort(new MeshError('ERR_TASK_CANCELLED', 'never mind'))
    expect(await refused).toBe('ERR_TASK_CANCELLED')
    gone.leave()
    gone.leave()
    expect(moves).toEqual(['ben 0', 'cleo 1', 'cleo 0'])
    await clock.advance(100)
    running.leave()
    await waiting.turn(never)
  })
})

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'seed %i: askers who always have something waiting get equal time within two runs, whoever floods, calls all urgent, or comes and goes',
  async (seed) => {
    const random = createSeededRandom(seed)
    const slots = 1 + randomInt(random, 4)
    const bench = createBench(slots)
    const longest = 2_000
    const steady = askers.slice(0, 8)
    // Each of the steady has its own habits: how long its tasks are, how many wait, how urgent it says they are.
    const habits = new Map(
      steady.map((asker) => [asker, { ms: 100 + randomInt(random, longest - 100), depth: 1 + slots + randomInt(random, 12), priority: randomInt(random, 10) }]),
    )
    const waiting = new Map<Did, number>()
    const endMs = 400_000
    const feed = (asker: Did): void => {
      const { ms, depth, priority } = habits.get(asker) ?? { ms: 0, depth: 0, priority: 5 }
      while ((waiting.get(asker) ?? 0) < depth) {
        waiting.set(asker, (waiting.get(asker) ?? 0) + 1)
        const place = bench.queue.enter(asker, priority, () => undefined)
        void (async () => {
          await place.turn(never)
          await bench.clock.sleep(Math.max(10, ms - 50 + randomInt(random, 100)))
          const took = ms
          bench.used.set(asker, (bench.used.get(asker) ?? 0) + took)
          waiting.set(asker, (waiting.get(asker) ?? 1) - 1)
          if (bench.clock.monotonic() < endMs) feed(asker)
          place.leave()
        })()
      }
    }
    for (const asker of steady) feed(asker)
    // Others come with a burst now and then.
    for (let at = 10_000; at < endMs; at += 20_000) {
      await bench.clock.advance(at - bench.clock.monotonic())
      const guest = askers[8 + randomInt(random, 8)] ?? anna
      for (let index = 0; index < 5; index++) bench.submit(guest, 'guest', 50 + randomInt(random, 500), randomInt(random, 10))
    }
    await bench.clock.advance(endMs - bench.clock.monotonic())
    const shares = steady.map((asker) => bench.used.get(asker) ?? 0)
    const mean = shares.reduce((sum, ms) => sum + ms, 0) / shares.length
    for (const ms of shares) {
      expect(ms).toBeGreaterThan(0.88 * mean - 2 * longest)
      expect(ms).toBeLessThan(1.12 * mean + 2 * longest)
    }
    await nextTurn()
  },
)
