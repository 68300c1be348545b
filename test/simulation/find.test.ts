import { expect, test } from 'vitest'
import { createTestMesh } from '../../src/testing/index.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { capabilityKey } from '../../src/node/capabilities.ts'

test('in a mesh of fifty the three that host an agent are found, by name and by capability, and nobody else', async () => {
  await using mesh = await createTestMesh({ nodes: 50, seed: 21, loss: 0.02 })
  const hosts = [7, 23, 41]
  for (const index of hosts) await mesh.node(index).agents.add('echo')
  const expected = hosts.map((index) => mesh.node(index).did).sort()
  await mesh.clock.advance(30_000)
  for (const name of ['agent:echo', 'echo']) {
    expect((await mesh.run(mesh.node(12).find(name))).map(({ did }) => did).sort()).toEqual(expected)
  }
  expect(await mesh.run(mesh.node(12).find('agent:librarian'))).toEqual([])
})

test('a limit is kept, and a node is not among what it finds', async () => {
  await using mesh = await createTestMesh({ nodes: 12, seed: 22 })
  expect(await mesh.run(mesh.node(3).find('message', { limit: 5 }))).toHaveLength(5)
  const all = await mesh.run(mesh.node(3).find('message'))
  expect(all.map(({ did }) => did)).not.toContain(mesh.node(3).did)
  expect(all).toHaveLength(11)
  expect(all[0]).toMatchObject({ presence: 'online', roles: ['peer'], route: 'direct', level: 0 })
})

test('a provider that is gone and one that only says so in the DHT are not found', async () => {
  await using mesh = await createTestMesh({ nodes: 6, seed: 23 })
  for (const index of [2, 3]) await mesh.node(index).agents.add('echo')
  // Speaks KLP and offers messages only, but provides the key of another capability.
  const liar = await createSimulatedPeer(mesh, 99)
  liar.plane()
  await mesh.run(liar.host.dial({ addresses: mesh.node(0).addresses() }))
  await mesh.run(liar.host.provide(capabilityKey('agent:echo')))
  await mesh.clock.advance(30_000)
  mesh.crash(3)
  const providers = await mesh.run(mesh.node(5).find('agent:echo'))
  expect(providers.map(({ did }) => did)).toEqual([mesh.node(2).did])
})

test('an agent that moves in is told to open links, and to the DHT soon after', async () => {
  await using mesh = await createTestMesh({ nodes: 4, seed: 24 })
  const [first, second] = [mesh.node(0), mesh.node(1)]
  const seen = (): readonly string[] => second.peers().find(({ did }) => did === first.did)?.capabilities ?? []
  await mesh.clock.advance(20_000)
  expect(seen()).not.toContain('agent:echo')
  await first.agents.add('echo')
  await mesh.until(() => seen().includes('agent:echo'), 11_000)
  first.capabilities.setPresence('busy')
  await mesh.until(() => second.peers().find(({ did }) => did === first.did)?.presence === 'busy', 11_000)
})

test('what was announced is found hours later, being announced again, and not when its node is gone that long', async () => {
  await using mesh = await createTestMesh({ nodes: 5, seed: 25 })
  await mesh.node(4).agents.add('echo')
  await mesh.clock.advance(9 * 3_600_000)
  expect((await mesh.run(mesh.node(2).find('agent:echo'))).map(({ did }) => did)).toEqual([mesh.node(4).did])
  mesh.crash(4)
  await mesh.clock.advance(5 * 3_600_000)
  expect(await mesh.run(mesh.node(2).find('agent:echo'))).toEqual([])
})
