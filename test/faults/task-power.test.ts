import { expect, test } from 'vitest'
import { createVirtualClock, hex } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { createExecutorStage, type Sent } from '../helpers/executor-stage.ts'
import { createFaultyDisk } from '../helpers/mesh-faults.ts'
import { wordSandboxes } from '../helpers/task-sandboxes.ts'

const hows = ['fail', 'fail-late', 'cut-before', 'cut-after'] as const
const receiptOf = ({ events }: Sent): string | undefined => {
  const result = events.find((event) => event.event === 'result')
  return result?.event === 'result' ? hex(sha256(result.receipt)) : undefined
}

test.each(hows)('the disk does %s at each write of a task: it runs once at most, and whoever was told of it gets one receipt and no other', async (how) => {
  let strikes = 0
  const outcomes = new Set<string>()
  for (let write = 1; write <= 7; write++) {
    const clock = createVirtualClock()
    const disk = createFaultyDisk()
    const sandboxes = wordSandboxes(() => clock)
    const first = await createExecutorStage({ store: disk.store, clock, sandboxes })
    const request = await first.request({ input: '42' })
    disk.arm(write, how)
    const sent = await first.send(request)
    if (disk.struck) strikes++
    disk.repair()
    await clock.advance(60_000)

    // A failing disk leaves the node running; after a cut it starts anew.
    const second = how.startsWith('fail') ? first : await createExecutorStage({ store: disk.store, clock, sandboxes })
    const again = await second.send(second.resume(request, 'attach'))
    expect(sandboxes.ran.length).toBeLessThanOrEqual(1)
    const wasTaken = sent.events.some(({ event }) => event === 'accepted')
    const [before, after] = [receiptOf(sent), receiptOf(again)]
    if (before !== undefined && after !== undefined) expect(after).toBe(before)
    if (before === undefined && wasTaken) expect(after).toBeDefined()
    if (again.refused !== undefined) expect(again.refused).toBe('ERR_TASK_LOST')
    if (after !== undefined) {
      const outcome = again.receipt?.outcome ?? ''
      outcomes.add(outcome)
      // What is said to have ended well did run, and what is said not to have run did not.
      if (outcome === 'ok') expect(sandboxes.ran).toHaveLength(1)
      if (outcome === 'ERR_TASK_NOT_RUN') expect(sandboxes.ran).toHaveLength(0)
    }
    expect(await second.entries('receipt_signed')).toBeLessThanOrEqual(1)
    // Another life changes nothing, and the same request is never taken again.
    const third = await createExecutorStage({ store: disk.store, clock, sandboxes })
    if (wasTaken) expect((await third.send(request)).refused).toBe('ERR_REPLAYED')
    expect(await third.entries('receipt_signed')).toBe(await second.entries('receipt_signed'))
    expect((await third.send(await third.request({ input: '43' }))).receipt).toMatchObject({ outcome: 'ok' })
  }
  expect(strikes).toBeGreaterThanOrEqual(5)
  expect(outcomes.size).toBeGreaterThanOrEqual(how === 'cut-after' ? 2 : 1)
})
