import { expect, test } from 'vitest'
import { createSeededRandom, randomInt } from '../../src/base/index.ts'
import { createTestMesh, type TestMesh } from '../../src/testing/index.ts'

const faults = { loss: 0.05, duplicate: 0.05, reorder: 0.2, latencyMs: [5, 80] } as const

/** Everybody writes to somebody, all at once; gives what arrived where, and the trace of the network. */
async function chatter(seed: number): Promise<{ readonly hash: string; readonly sent: readonly string[]; readonly arrived: readonly string[] }> {
  await using mesh = await createTestMesh({ nodes: 20, seed, ...faults })
  const random = createSeededRandom(seed)
  const sent: string[] = []
  await mesh.run(
    Promise.all(
      mesh.nodes.flatMap((node, from) =>
        Array.from({ length: 5 }, async (_, index) => {
          const to = (from + 1 + randomInt(random, mesh.nodes.length - 1)) % mesh.nodes.length
          await mesh.clock.sleep(randomInt(random, 3_000))
          const body = `${from} to ${to}, ${index}`
          await node.send(mesh.node(to).did, { body })
          sent.push(body)
        }),
      ),
    ),
  )
  const arrived: string[] = []
  for (const node of mesh.nodes) arrived.push(...(await node.inbox.list({ limit: 1_000 })).map(({ body }) => body))
  return { hash: mesh.simulator.trace.hash, sent: sent.sort(), arrived: arrived.sort() }
}

test('twenty nodes with loss and reordering: every message is delivered once', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { sent, arrived } = await chatter(seed)
    expect(sent).toHaveLength(100)
    expect(arrived).toEqual(sent)
  }
})

test('a run replays from its seed, and another seed gives another run', async () => {
  const [first, again, other] = [await chatter(1), await chatter(1), await chatter(2)]
  expect(again).toEqual(first)
  expect(other.hash).not.toBe(first.hash)
})

async function asksAround(mesh: TestMesh): Promise<readonly string[]> {
  const outcomes = await mesh.run(
    Promise.allSettled(
      mesh.nodes.flatMap((node, from) => mesh.nodes.filter((_, to) => to !== from).map((other) => node.ask(other.did, from, { timeoutMs: 20_000 }))),
    ),
  )
  return outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'ok' : (outcome.reason as { readonly code: string }).code))
}

test('a partition cuts both sides off and healing brings everybody back', async () => {
  await using mesh = await createTestMesh({ nodes: 6, seed: 3 })
  for (const node of mesh.nodes) await node.agents.add('echo')
  expect(new Set(await asksAround(mesh))).toEqual(new Set(['ok']))
  const dids = mesh.nodes.map(({ did }) => did)
  mesh.simulator.partition([dids.slice(0, 3), dids.slice(3)])
  const split = await asksAround(mesh)
  expect(split.filter((outcome) => outcome === 'ok')).toHaveLength(12)
  expect(new Set(split)).not.toContain('ERR_INTERNAL')
  mesh.simulator.heal()
  // Time for everybody to come back to the first.
  await mesh.clock.advance(120_000)
  expect(new Set(await asksAround(mesh))).toEqual(new Set(['ok']))
})

test('prekeys and heads are in the DHT where strangers find them', async () => {
  await using mesh = await createTestMesh({ nodes: 8, seed: 4 })
  await mesh.run(mesh.node(3).trust.attest({ subject: mesh.node(5).did, level: 2, scopes: ['/task/run'], lifetimeMs: 86_400_000 }))
  await mesh.clock.advance(20_000)
  // Node 7 reaches node 3 by the DHT alone: it was told no address.
  await mesh.run(mesh.node(7).send(mesh.node(3).did, { body: 'found you' }))
  expect((await mesh.node(3).inbox.list({ limit: 1 })).map(({ body }) => body)).toEqual(['found you'])
  await mesh.run(mesh.node(7).trust.attest({ subject: mesh.node(3).did, level: 4, scopes: ['/task/run'], lifetimeMs: 86_400_000 }))
  expect((await mesh.run(mesh.node(7).trust.explain(mesh.node(5).did))).level).toBe(2)
})

test('a receiver that loses power keeps what it acknowledged and takes none of it twice', async () => {
  for (let seed = 10; seed < 20; seed++) {
    await using mesh = await createTestMesh({ nodes: 2, seed })
    const acknowledged: string[] = []
    const sending = Array.from({ length: 30 }, async (_, index) => {
      await mesh.clock.sleep(index * 7)
      const { status } = await mesh.node(1).send(mesh.node(0).did, { body: String(index) }, { timeoutMs: 5_000 })
      if (status === 'acknowledged') acknowledged.push(String(index))
    })
    const settled = Promise.all(sending)
    await mesh.clock.advance(60 + seed * 5)
    mesh.crash(0)
    await mesh.run(settled)
    const restarted = await mesh.restart(0)
    const kept = (await restarted.inbox.list({ limit: 100 })).map(({ body }) => body)
    expect(acknowledged.filter((body) => !kept.includes(body))).toEqual([])
    expect(new Set(kept).size).toBe(kept.length)
    expect(await restarted.audit.verify()).toMatchObject({ ok: true })
    await mesh.run(mesh.node(1).dial(restarted.addresses()[0] ?? ''))
    await mesh.run(mesh.node(1).send(restarted.did, { body: 'again' }))
    // What was not acknowledged before comes now, in its order, and nothing twice.
    await mesh.until(() => mesh.node(1).outbox().length === 0)
    const all = (await restarted.inbox.list({ limit: 100 })).map(({ body }) => body)
    expect(all).toEqual([...Array.from({ length: 30 }, (_, index) => String(index)), 'again'])
  }
})
