import { expect } from 'vitest'
import { createSeededRandom, randomInt } from '../../src/base/index.ts'
import { createTestMesh } from '../../src/testing/index.ts'

const nodes = 20
/** Between two clocks at most what statements allow (klp/v1 rule 5.4: 2 min), less what a message is under way. */
const skewMsMax = 55_000
const passing = /^(?:acknowledged|queued|ERR_(?:STOPPED|STORE_CLOSED|STORE_FAILED))$/

/** One line of messages: from one sender to one receiver, of one priority. */
interface Line {
  readonly name: string
  readonly to: number
  readonly given: string[]
  readonly promised: string[]
}

export interface Day {
  readonly hash: string
  readonly codes: readonly string[]
}

/**
 * Half a minute of twenty nodes: loss, late gossip, connections that break, two partitions, clocks apart that jump, and one node that loses its power.
 * Then the world heals, and what was promised is there once, in the order in which it was given.
 */
export async function longDay(seed: number): Promise<Day> {
  await using mesh = await createTestMesh({ nodes, seed, loss: 0.05, duplicate: 0.1, reorder: 0.3, reset: 0.01, latencyMs: [5, 120] })
  const random = createSeededRandom(seed)
  for (let index = 0; index < nodes; index++) mesh.skew(index, randomInt(random, 2 * skewMsMax) - skewMsMax)
  const codes: string[] = []
  const lines: Line[] = []
  const unlucky = 1 + randomInt(random, nodes - 1)
  const talk = Array.from({ length: nodes / 2 }, async (_, pair) => {
    const from = pair === 0 ? unlucky : randomInt(random, nodes)
    const to = pair === 1 && from !== unlucky ? unlucky : (from + 1 + randomInt(random, nodes - 1)) % nodes
    const priorities = [5, 5, 9].map((priority) => ({ priority, at: randomInt(random, 7_000) }))
    const line = (priority: number): Line => {
      const name = `${from} to ${to}, ${priority}`
      const known = lines.find((other) => other.name === name)
      if (known !== undefined) return known
      const made: Line = { name, to, given: [], promised: [] }
      lines.push(made)
      return made
    }
    await Promise.all(
      priorities.map(async ({ priority, at }) => {
        await mesh.clock.sleep(at)
        const { name, given, promised } = line(priority)
        const body = `${name}: ${given.length}`
        given.push(body)
        try {
          codes.push((await mesh.node(from).send(mesh.node(to).did, { body, priority }, { timeoutMs: 4_000 })).status)
          promised.push(body)
        } catch (error) {
          codes.push(String((error as { readonly code?: unknown }).code))
        }
      }),
    )
  })
  const misfortune = async (): Promise<void> => {
    await mesh.clock.sleep(1_000)
    mesh.partition([0, 1, 2, 3, 4], [5, 6, 7])
    mesh.skew(unlucky === 1 ? 2 : 1, skewMsMax)
    await mesh.clock.sleep(1_500)
    mesh.heal()
    mesh.crash(unlucky)
    await mesh.clock.sleep(1_500)
    mesh.partition([8, 9, 10, unlucky])
    await mesh.restart(unlucky)
    mesh.skew(unlucky, -skewMsMax)
    await mesh.clock.sleep(1_500)
    mesh.heal()
  }
  await mesh.run(Promise.all([...talk, misfortune()]))
  mesh.simulator.set({ loss: 0, reset: 0 })
  const where = `seed ${seed}`
  await mesh.until(() => mesh.nodes.every((node) => node.outbox().length === 0), 3_600_000)
  const receivers = new Set(lines.map(({ to }) => to))
  for (const to of receivers) {
    const kept = (await mesh.node(to).inbox.list({ limit: 1_000 })).map(({ body }) => body)
    expect(new Set(kept).size, where).toBe(kept.length)
    for (const { given, promised } of lines.filter((line) => line.to === to)) {
      expect(
        promised.filter((body) => !kept.includes(body)),
        where,
      ).toEqual([])
      // What came, came in the order it was given.
      expect(
        kept.filter((body) => given.includes(body)),
        where,
      ).toEqual(given.filter((body) => kept.includes(body)))
    }
  }
  expect(await mesh.node(unlucky).audit.verify(), where).toMatchObject({ ok: true })
  expect(
    codes.filter((code) => !passing.test(code)),
    where,
  ).toEqual([])
  return { hash: mesh.simulator.trace.hash, codes: codes.sort() }
}

/** Lives every `step`th day from `first`; gives how many messages were acknowledged at once and how many later. */
export async function liveDays(
  first: number,
  step: number,
  last: number,
): Promise<{ readonly acknowledged: number; readonly later: number; readonly days: number }> {
  let [acknowledged, later, days] = [0, 0, 0]
  for (let seed = first; seed <= last; seed += step) {
    const { codes } = await longDay(seed)
    acknowledged += codes.filter((code) => code === 'acknowledged').length
    later += codes.filter((code) => code === 'queued').length
    days++
  }
  return { acknowledged, later, days }
}
