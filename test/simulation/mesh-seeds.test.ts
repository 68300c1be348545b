import { expect, test } from 'vitest'
import { createSeededRandom, randomInt } from '../../src/base/index.ts'
import { createTestMesh, type TestMesh } from '../../src/testing/index.ts'

const seeds = process.env['KINDMESH_TEST_LONG'] === undefined ? 20 : 1_000
const nodes = 8

interface Outcome {
  readonly hash: string
  /** On the sender's disk when it was told so. */
  readonly accepted: readonly string[]
  readonly codes: readonly string[]
  readonly kept: readonly string[]
}

const codeOf = (error: unknown): string => String((error as { readonly code?: unknown }).code)

async function keptBy(mesh: TestMesh): Promise<readonly string[]> {
  const bodies: string[] = []
  for (const node of mesh.nodes) bodies.push(...(await node.inbox.list({ limit: 1_000 })).map(({ body }) => body))
  return bodies
}

/** Twenty seconds in a bad world: loss, late gossip, connections that break, a partition, and a node that loses its power and comes back. */
async function badDay(seed: number): Promise<Outcome> {
  await using mesh = await createTestMesh({ nodes, seed, loss: 0.05, duplicate: 0.1, reorder: 0.3, reset: 0.01, latencyMs: [5, 120] })
  const random = createSeededRandom(seed)
  const accepted: string[] = []
  const codes: string[] = []
  const unlucky = 1 + randomInt(random, nodes - 1)
  const chatter = mesh.nodes.flatMap((_, from) =>
    Array.from({ length: 8 }, async (_message, index) => {
      const to = (from + 1 + randomInt(random, nodes - 1)) % nodes
      await mesh.clock.sleep(randomInt(random, 20_000))
      const body = `${from} to ${to}, ${index}`
      try {
        const { status } = await mesh.node(from).send(mesh.node(to).did, { body }, { timeoutMs: 8_000 })
        accepted.push(body)
        codes.push(status)
      } catch (error) {
        codes.push(codeOf(error))
      }
    }),
  )
  const misfortune = async (): Promise<void> => {
    await mesh.clock.sleep(3_000)
    mesh.partition([0, 1, 2], [3, 4])
    await mesh.clock.sleep(3_000)
    mesh.heal()
    await mesh.clock.sleep(2_000)
    mesh.crash(unlucky)
    await mesh.clock.sleep(3_000)
    await mesh.restart(unlucky)
  }
  await mesh.run(Promise.all([...chatter, misfortune()]))
  mesh.simulator.set({ loss: 0, reset: 0 })
  await mesh.clock.advance(120_000)
  // Whoever was taken away is back, and everybody answers everybody.
  for (const node of mesh.nodes) {
    await mesh.run(node.dial(mesh.node(node === mesh.node(0) ? 1 : 0).addresses()[0] ?? ''))
    if (!node.agents.list().includes('echo')) await node.agents.add('echo')
  }
  for (const [from, node] of mesh.nodes.entries()) {
    expect((await mesh.run(node.ask(mesh.node((from + 1) % nodes).did, from))).reply).toBe(from)
    expect(await node.audit.verify()).toMatchObject({ ok: true })
  }
  await mesh.until(() => mesh.nodes.every((node) => node.outbox().length === 0))
  return { hash: mesh.simulator.trace.hash, accepted: accepted.sort(), codes: codes.sort(), kept: await keptBy(mesh) }
}

test('through loss, partition and a power cut: every message a sender was promised arrives exactly once after healing, and all talk again', async () => {
  let acknowledged = 0
  let waited = 0
  for (let seed = 1; seed <= seeds; seed++) {
    const { accepted, codes, kept } = await badDay(seed)
    const where = `seed ${seed}`
    expect(new Set(kept).size, where).toBe(kept.length)
    expect(
      accepted.filter((body) => !kept.includes(body)),
      where,
    ).toEqual([])
    expect(
      codes.filter((code) => !/^(?:acknowledged|queued|ERR_(?:STOPPED|STORE_CLOSED))$/.test(code)),
      where,
    ).toEqual([])
    acknowledged += codes.filter((code) => code === 'acknowledged').length
    waited += codes.filter((code) => code === 'queued').length
  }
  // The world was bad enough to matter, and not so bad that nothing went through.
  expect(waited).toBeGreaterThan(seeds)
  expect(acknowledged).toBeGreaterThan(seeds * 20)
}, 600_000)

test('a bad day replays from its seed', async () => {
  const [first, again, other] = [await badDay(3), await badDay(3), await badDay(4)]
  expect(again).toEqual(first)
  expect(other.hash).not.toBe(first.hash)
})
