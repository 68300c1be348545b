import { expect, test } from 'vitest'
import { createVirtualClock, silentLogger } from '../../src/base/index.ts'
import { createSimulator, type Host } from '../../src/net/index.ts'
import { createPlane, creditBytes, type Plane } from '../../src/protocols/klp/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createTestMesh } from '../../src/testing/index.ts'
import { answering } from '../helpers/answering.ts'
import { seedOf } from '../helpers/net-hosts.ts'
import { request } from '../helpers/raw-peer.ts'

test('nodes behind a relay are written to and asked by DID alone, both ways, and ping says how', async () => {
  await using mesh = await createTestMesh({ nodes: 5, seed: 31, hidden: [3, 4] })
  await mesh.clock.advance(20_000)
  for (const index of [3, 4]) await mesh.node(index).agents.add('echo')
  const [asker, hidden, other] = [mesh.node(1), mesh.node(3), mesh.node(4)]
  await mesh.run(asker.send(hidden.did, { body: 'in' }))
  await mesh.run(hidden.send(asker.did, { body: 'out' }))
  expect((await mesh.run(hidden.ask(other.did, 'from one NAT to another'))).reply).toBe('from one NAT to another')
  expect([await mesh.run(asker.ping(hidden.did)), await mesh.run(asker.ping(mesh.node(2).did))].map(({ route }) => route)).toEqual(['relayed', 'direct'])
  expect((await hidden.inbox.list({ limit: 9 })).map(({ body }) => body)).toEqual(['in'])
  expect((await asker.inbox.list({ limit: 9 })).map(({ body }) => body)).toEqual(['out'])
  const found = await mesh.run(asker.find('agent:echo'))
  expect(new Map(found.map(({ did, route }) => [did, route]))).toEqual(
    new Map([
      [hidden.did, 'relayed'],
      [other.did, 'relayed'],
    ]),
  )
})

test('what a relay carried comes again once the relay is back', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 32, hidden: [2] })
  await mesh.clock.advance(10_000)
  await mesh.node(2).agents.add('echo')
  expect((await mesh.run(mesh.node(1).ask(mesh.node(2).did, 1))).reply).toBe(1)
  mesh.crash(0)
  await mesh.clock.advance(5_000)
  expect(
    await mesh.run(
      mesh
        .node(1)
        .ask(mesh.node(2).did, 2, { timeoutMs: 5_000 })
        .catch(({ code }: { readonly code: string }) => code),
    ),
  ).not.toBe('ok')
  const address = (await mesh.restart(0)).addresses()[0] ?? ''
  await mesh.clock.advance(1_000)
  await mesh.run(mesh.node(1).dial(address))
  await mesh.clock.advance(600_000)
  expect((await mesh.run(mesh.node(1).ask(mesh.node(2).did, 3))).reply).toBe(3)
})

test('a link that a relay carries moves to the direct route; requests on the old one are answered, and the old one ends', async () => {
  const clock = createVirtualClock()
  const simulator = createSimulator({ seed: 33, clock })
  const options = { store: createMemoryStore(), rules: {} }
  const relay = await simulator.host(seedOf(0), { ...options, relayServer: true })
  const both = await simulator.host(seedOf(1), { ...options, store: createMemoryStore(), relays: relay.addresses() })
  const asker = await simulator.host(seedOf(2), { ...options, store: createMemoryStore() })
  const answer = Promise.withResolvers<void>()
  let opened = 0
  const answers = answering(async (sealed) => {
    await answer.promise
    return sealed
  })
  const planeOf = (host: Host): Plane =>
    createPlane({
      host,
      clock,
      logger: silentLogger,
      hello: async () => ({
        versions: [1],
        wants: [],
        manifest: { capabilities: [], roles: [], ttlMs: 0, presence: 'online' },
        credit: creditBytes,
        bundle: new Uint8Array(),
        evidence: [],
      }),
      judge: async () => ({ answers: [], validUntil: 1e15 }),
      onRequest: (_peer, sealed, signals) => answers.onRequest(sealed, signals),
      sealAnswers: (_peer, given) => answers.sealAnswers(given),
      onLink: () => opened++,
    })
  const [mine, theirs] = [planeOf(asker), planeOf(both)]
  await clock.advance(1_000)
  await clock.run(asker.dial({ addresses: both.addresses().filter((address) => address.includes('p2p-circuit')) }))
  const old = await clock.run(mine.link(both.did))
  expect(old.route).toBe('relayed')
  const asked = request(old, new Uint8Array([7]), { ttlMs: 300_000 })
  await clock.advance(2_000)
  expect([mine.find(both.did)?.route, theirs.find(asker.did)?.route]).toEqual(['direct', 'direct'])
  await clock.advance(100_000)
  answer.resolve()
  expect((await clock.run(asked)).sealed).toEqual(new Uint8Array([7]))
  await clock.advance(31_000)
  let isOver = false
  void old.closed.then(() => (isOver = true))
  await clock.advance(1_000)
  expect(isOver).toBe(true)
  expect(mine.find(both.did)?.route).toBe('direct')
  await clock.run(Promise.all([mine.stop(), theirs.stop()]))
  expect(opened).toBeGreaterThanOrEqual(4)
})
