import { expect, test } from 'vitest'
import { dayMs, hourMs, minuteMs } from '../../src/base/index.ts'
import { policyDefault } from '../../src/node/policy-default.ts'
import { createTestMesh } from '../../src/testing/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'

const scopes = ['/task/run']
const invite = { level: 2, scopes, openMs: dayMs } as const

test('a ticket made before its node took its next key lets in after it, and what is held is the identity', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 21 })
  const { ticket } = await mesh.run(mesh.node(1).invites.create(invite))
  const { did, peerId } = mesh.node(1)
  await mesh.run(mesh.rotate(1))
  await mesh.clock.advance(minuteMs)
  const [anna, ben] = [mesh.node(1), mesh.node(2)]
  expect(anna.peerId).not.toBe(peerId)
  expect(await mesh.run(ben.invites.join(ticket))).toMatchObject({ did, level: 2 })
  // And the joiner's next key changes nothing of what is held.
  await mesh.run(mesh.rotate(2))
  expect([anna.trust.snapshot('/task/run').level(ben.did), mesh.node(2).trust.snapshot('/task/run').level(did)]).toEqual([2, 2])
})

test('what both signed is shown to others: a third node that holds the inviter as AUTHORITY knows the joiner', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 22 })
  const [anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2)]
  const { ticket } = await mesh.run(anna.invites.create(invite))
  await mesh.run(ben.invites.join(ticket))
  await mesh.run(cleo.trust.attest({ subject: anna.did, level: 4, scopes, lifetimeMs: dayMs }))
  await mesh.run(cleo.names.set('Anna', anna.did))
  await mesh.until(async () => (await mesh.run(cleo.trust.explain(ben.did))).level === 2, hourMs)
  expect((await mesh.run(cleo.trust.explain(ben.did))).sentence).toContain('Anna')
  expect(cleo.resolve('anna')).toBe(anna.did)
  expect(cleo.peers().find(({ did }) => did === anna.did)?.name).toBe('Anna')
})

test('a message refused for want of trust puts its sender on the list; approved, the next one comes; rejected, it stays away', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 23, policy: { ...policyDefault, messageLevelMin: 1 } })
  const [anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2)]
  const told: unknown[] = []
  anna.onEvent((event) => event.event === 'pending' && told.push(event))
  for (const node of [ben, cleo, ben]) expect(await mesh.run(codeOf(node.send(anna.did, { body: 'hi' })))).toBe('ERR_POLICY_DENIED')
  expect(told).toEqual([ben, cleo].map(({ did }) => ({ event: 'pending', did, scope: '/message/send' })))
  expect(anna.pending.list().map(({ did, times }) => [did, times])).toEqual([
    [ben.did, 2],
    [cleo.did, 1],
  ])
  expect(await mesh.run(codeOf(anna.pending.approve(ben.did, { level: 4 })))).toBe('ERR_POLICY_DENIED')
  expect(await mesh.run(anna.pending.approve(ben.did, { level: 1 }))).toMatchObject({ did: ben.did, level: 1, scopes: ['/message/send'] })
  await mesh.run(anna.pending.reject(cleo.did))
  expect(await mesh.run(codeOf(ben.send(anna.did, { body: 'hi' })))).toBe('ok')
  expect(await mesh.run(codeOf(cleo.send(anna.did, { body: 'hi' })))).toBe('ERR_POLICY_DENIED')
  expect(anna.pending.list()).toEqual([])
})

test('whom one vouches for by another door waits no longer', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 24, policy: { ...policyDefault, messageLevelMin: 1 } })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  await mesh.run(codeOf(ben.send(anna.did, { body: 'hi' })))
  expect(anna.pending.list()).toHaveLength(1)
  await mesh.run(anna.trust.attest({ subject: ben.did, level: 1, scopes: ['/'], lifetimeMs: dayMs }))
  await mesh.until(() => anna.pending.list().length === 0)
})

test('without any trust nodes dial, send, ask and answer', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 25 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  await mesh.run(anna.agents.add('echo'))
  expect((await mesh.run(ben.send(anna.did, { body: 'hi' }))).status).toBe('acknowledged')
  expect((await mesh.run(ben.ask(anna.did, { q: 1 }, { agent: 'echo' }))).reply).toEqual({ q: 1 })
  expect([anna.trust.show(), ben.trust.show(), anna.pending.list()]).toEqual([[], [], []])
})
