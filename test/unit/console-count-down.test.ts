import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { countDown, shownSeconds } from '../../src/console/pages/vault/count-down.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('a secret that is shown is hidden by itself, once, and not at all when it was hidden before', () => {
  const ticks: number[] = []
  const end = vi.fn()
  countDown(shownSeconds, (left) => ticks.push(left), end)
  vi.advanceTimersByTime((shownSeconds - 1) * 1_000)
  expect(end).not.toHaveBeenCalled()
  vi.advanceTimersByTime(60_000)
  expect(end).toHaveBeenCalledTimes(1)
  expect(ticks).toEqual(Array.from({ length: shownSeconds }, (_, index) => shownSeconds - index))

  const stop = countDown(2, () => undefined, end)
  stop()
  vi.advanceTimersByTime(60_000)
  expect(end).toHaveBeenCalledTimes(1)
})
