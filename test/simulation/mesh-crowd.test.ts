import { expect, test } from 'vitest'
import { liveDays, longDay } from '../helpers/mesh-days.ts'

const seeds = process.env['KINDMESH_TEST_LONG'] === undefined ? 100 : 1_000

test('twenty nodes through partitions, loss, a power cut and clocks apart: what was promised is there once and in order', async () => {
  const { acknowledged, later, days } = await liveDays(1, 1, seeds)
  expect(days).toBe(seeds)
  // The world was bad enough to matter, and not so bad that nothing went through.
  expect(acknowledged).toBeGreaterThan(seeds * 10)
  expect(later).toBeGreaterThan(seeds / 2)
}, 3_600_000)

test('a day of twenty replays from its seed', async () => {
  const [first, again] = [await longDay(3), await longDay(3)]
  expect(again).toEqual(first)
})
