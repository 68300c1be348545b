import { expect, test } from 'vitest'
import { createSeededRandom, hourMs, minuteMs, randomInt } from '../../src/base/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'

const seeds = process.env['KINDMESH_TEST_LONG'] === undefined ? 10 : 500
const nothing = (): void => undefined
const bodies = async (node: TestNode): Promise<readonly string[]> => (await node.inbox.list({ limit: 1_000 })).map(({ body }) => body)

/** Node 0 meets everybody; 1 and 2 hold mail; 3 sends to 4. */
async function createOffice(seed: number): Promise<TestMesh> {
  const mesh = await createTestMesh({ nodes: 5, seed, holders: [1, 2] })
  for (const index of [1, 2]) await mesh.run(mesh.node(4).mailboxes.add(mesh.node(index).did))
  await mesh.clock.advance(5_000)
  return mesh
}

test('messages to a node that is off wait with its holders, and reach it once and in order though the sender is gone and a holder died', async () => {
  for (const seed of [1, 2, 3]) {
    await using mesh = await createOffice(seed)
    const [sender, { did }] = [mesh.node(3), mesh.node(4)]
    await mesh.run(sender.send(did, { body: 'while you were there' }))
    mesh.crash(4)
    const texts = Array.from({ length: 5 }, (_, index) => `letter ${index}`)
    const statuses = []
    for (const body of texts) statuses.push((await mesh.run(sender.send(did, { body }))).status)
    expect(statuses).toEqual(texts.map(() => 'deposited'))
    expect([1, 2].map((index) => mesh.node(index).mailboxes.status()?.items)).toEqual([5, 5])
    mesh.crash(3)
    mesh.crash(1)
    const back = await mesh.restart(4)
    await mesh.run(back.dial(mesh.node(0).addresses()[0] ?? ''))
    await mesh.until(async () => (await bodies(back)).length === 6, 30 * minuteMs)
    expect(await bodies(back)).toEqual(['while you were there', ...texts])
    // Both copies are acknowledged in the end, and nothing comes twice.
    const holder = await mesh.restart(1)
    await mesh.run(holder.dial(mesh.node(0).addresses()[0] ?? ''))
    await mesh.clock.advance(15 * minuteMs)
    expect([1, 2].map((index) => mesh.node(index).mailboxes.status()?.items)).toEqual([0, 0])
    expect(await bodies(back)).toHaveLength(6)
  }
})

test('through random power cuts of receiver and holders, every message the sender was told about arrives exactly once', async () => {
  let deposited = 0
  for (let seed = 1; seed <= seeds; seed++) {
    const random = createSeededRandom(seed)
    await using mesh = await createOffice(100 + seed)
    const { did } = mesh.node(4)
    const down = new Set<number>()
    const told: string[] = []
    const bring = async (index: number): Promise<void> => {
      const node = await mesh.restart(index)
      down.delete(index)
      await mesh.run(node.dial(mesh.node(0).addresses()[0] ?? '').then(nothing, nothing))
    }
    for (let act = 0; act < 12; act++) {
      const index = [1, 2, 4, 4][randomInt(random, 4)] ?? 4
      if (random.fraction() < 0.5) {
        const body = `${seed}.${act}`
        const { status } = await mesh.run(mesh.node(3).send(did, { body }))
        told.push(body)
        if (status === 'deposited') deposited++
      } else if (down.has(index)) await bring(index)
      else if (down.size < 2) {
        mesh.crash(index)
        down.add(index)
      }
      await mesh.clock.advance(randomInt(random, 20_000))
    }
    for (const index of [...down]) await bring(index)
    const arrived = async (): Promise<readonly string[]> => (await bodies(mesh.node(4))).toSorted()
    await mesh.until(async () => (await arrived()).length >= told.length, 12 * hourMs)
    await mesh.clock.advance(15 * minuteMs)
    expect(await arrived()).toEqual(told.toSorted())
  }
  expect(deposited).toBeGreaterThan(seeds)
})
