import { expect, test } from 'vitest'
import type { TopicMessage } from '../../src/agents/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'

/** What a node reads in a topic from now on, collected until `end`. */
async function reading(mesh: TestMesh, node: TestNode, topic: string): Promise<{ readonly got: TopicMessage[]; end(): Promise<void> }> {
  const got: TopicMessage[] = []
  const controller = new AbortController()
  const messages = await mesh.run(node.topics.subscribe(topic, { signal: controller.signal }))
  const collecting = (async () => {
    for await (const message of messages) got.push(message)
  })().catch(() => undefined)
  return {
    got,
    async end() {
      controller.abort()
      await mesh.run(collecting)
    },
  }
}

test('ten readers on a network that loses, repeats and reorders: each message at most once, nearly all arrive, the author reads his own', async () => {
  await using mesh = await createTestMesh({ nodes: 10, seed: 21, loss: 0.02, duplicate: 0.2, reorder: 0.2, latencyMs: [5, 80] })
  const readers = await Promise.all(mesh.nodes.map((node) => reading(mesh, node, 'news')))
  await mesh.run(Promise.all(mesh.nodes.flatMap((node, from) => [0, 1, 2, 3, 4].map((index) => node.topics.publish('news', { body: `${from} ${index}` })))))
  await mesh.clock.advance(20_000)
  let arrived = 0
  for (const { got } of readers) {
    expect(new Set(got.map(({ id }) => id)).size).toBe(got.length)
    arrived += got.length
  }
  expect(arrived).toBeGreaterThan(400)
  expect(arrived).toBeLessThanOrEqual(500)
  const own = readers[3]?.got.filter(({ from }) => from === mesh.node(3).did)
  expect(own?.map(({ body }) => body).toSorted()).toEqual(['3 0', '3 1', '3 2', '3 3', '3 4'])
})

test('a message for nobody says so; one that is waited for arrives when somebody comes', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 22 })
  expect(await mesh.run(mesh.node(0).topics.publish('empty', { body: 'x' }, { waitMs: 1_000 }))).toMatchObject({ neighbours: 0 })
  const publishing = mesh.node(0).topics.publish('late', { body: 'waited' }, { waitMs: 10_000 })
  await mesh.clock.advance(3_000)
  const late = await reading(mesh, mesh.node(1), 'late')
  expect((await mesh.run(publishing)).neighbours).toBe(1)
  await mesh.clock.advance(1_000)
  expect(late.got.map(({ body }) => body)).toEqual(['waited'])
})

test('who leaves reads no more, and may come back; a topic nobody reads is not held', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 23 })
  const first = await reading(mesh, mesh.node(1), 'news')
  const second = await reading(mesh, mesh.node(1), 'news')
  await mesh.run(mesh.node(0).topics.publish('news', { body: 'one' }))
  await mesh.clock.advance(1_000)
  await first.end()
  await mesh.run(mesh.node(0).topics.publish('news', { body: 'two' }))
  await mesh.clock.advance(1_000)
  expect([first.got.length, second.got.length]).toEqual([1, 2])
  await second.end()
  expect(mesh.node(1).topics.list()).toEqual([])
  expect(await mesh.run(mesh.node(0).topics.publish('news', { body: 'three' }, { waitMs: 0 }))).toMatchObject({ neighbours: 0 })
  const third = await reading(mesh, mesh.node(1), 'news')
  await mesh.run(mesh.node(0).topics.publish('news', { body: 'four' }))
  await mesh.clock.advance(1_000)
  expect(third.got.map(({ body }) => body)).toEqual(['four'])
})

test('readers and a publisher that are not connected find each other through the DHT', async () => {
  await using mesh = await createTestMesh({ nodes: 8, seed: 24 })
  expect(
    mesh
      .node(5)
      .peers()
      .map(({ did }) => did),
  ).toEqual([mesh.node(0).did])
  const reader = await reading(mesh, mesh.node(3), 'far')
  const second = await reading(mesh, mesh.node(6), 'far')
  await mesh.clock.advance(5_000)
  const { neighbours } = await mesh.run(mesh.node(5).topics.publish('far', { body: 'found' }))
  expect(neighbours).toBeGreaterThan(0)
  await mesh.clock.advance(2_000)
  expect([reader.got, second.got].map((got) => got.map(({ body }) => body))).toEqual([['found'], ['found']])
})
