import { expect, test } from 'vitest'
import { createTestMesh } from '../../src/testing/index.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { codeOf, request, signMessage } from '../helpers/raw-peer.ts'

test('of a thousand sealed messages and questions that come again, over the same link, another, after a power cut and a clock set back, none is taken', async () => {
  await using mesh = await createTestMesh({ nodes: 1, seed: 1 })
  const asked: string[] = []
  const giveAgent = (): void => mesh.node(0).agents.register({ name: 'count', receive: async ({ body }) => asked.push(body) })
  giveAgent()
  const peer = await createSimulatedPeer(mesh, 41)
  let link = await mesh.run(peer.link(0))
  const frames = Array.from({ length: 250 }, (_, index) => {
    const fields = { to: mesh.node(0).did, body: `${index}`, issuedAt: mesh.clock.now(), lifetimeMs: 600_000 }
    const question = index % 2 === 0 ? {} : { agent: 'count', expectsReply: true }
    return peer.seal(signMessage(peer.keyring, { ...fields, ...question }), peer.bundleOf(link))
  })
  for (const frame of frames) expect(await mesh.run(codeOf(request(link, frame)))).toBe('ok')
  const again = async (): Promise<void> => {
    for (const frame of frames) expect(await mesh.run(codeOf(request(link, frame)))).toBe('ERR_REPLAYED')
  }
  await again()
  await link.close()
  link = await mesh.run(peer.link(0))
  await again()
  mesh.crash(0)
  await mesh.restart(0)
  giveAgent()
  link = await mesh.run(peer.link(0))
  await again()
  mesh.skew(0, -60_000)
  await again()
  expect(asked).toHaveLength(125)
  expect(await mesh.node(0).inbox.list({ limit: 1_000 })).toHaveLength(125)
})
