import { expect, test } from 'vitest'
import { messageExamples } from '../../scripts/vectors/message-types.ts'
import { realRandom, utf8 } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import { createTestMesh } from '../../src/testing/index.ts'
import { encode } from '../../src/wire/index.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { codeOf } from '../helpers/raw-peer.ts'

test('a node sends only bodies that fit their type, and each arrives as it was written', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 5 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  await mesh.clock.advance(5_000)
  const good = Object.entries(messageExamples).map(([type, { body }]) => ({ type, encoding: 'json', body: JSON.stringify(body) }) as const)
  const own = [
    { type: 'shop/order_placed', encoding: 'json', body: '{"a":1,"a":2}' },
    { type: 'greeting', encoding: 'text', body: 'hello' },
  ] as const
  for (const message of [...good, ...own]) expect(await mesh.run(anna.send(ben.did, message))).toMatchObject({ status: 'acknowledged' })
  const bad = [
    ...Object.entries(messageExamples).map(([type, { wrong }]) => [{ type, encoding: 'json', body: JSON.stringify(wrong) }, 'ERR_JSON_INVALID'] as const),
    [{ type: 'heartbeat', encoding: 'text', body: '{"seq":0,"uptimeMs":1}' }, 'ERR_MESSAGE_TYPE'] as const,
    [{ type: 'task_pause', encoding: 'json', body: '{}' }, 'ERR_MESSAGE_TYPE'] as const,
    [{ type: 'klp/route', encoding: 'text', body: '' }, 'ERR_MESSAGE_TYPE'] as const,
  ]
  for (const [message, code] of bad) expect(await mesh.run(codeOf(anna.send(ben.did, message))), message.type).toBe(code)
  const arrived = await ben.inbox.list({ limit: 100 })
  expect(arrived.map(({ type, encoding, body }) => ({ type, encoding, body }))).toEqual([...good, ...own])
})

test('a peer that keeps to no rule gets a code for a body that does not fit, and nothing of it is kept; its good ones are', async () => {
  await using mesh = await createTestMesh({ nodes: 1, seed: 6 })
  const node = mesh.node(0)
  const peer = await createSimulatedPeer(mesh, 41)
  const link = await mesh.run(peer.link(0))
  await mesh.clock.advance(5_000)
  async function post(type: string, encoding: string, body: string): Promise<string> {
    const issuedAt = mesh.clock.now()
    const payload = encode([1, '', false, 5, null, null, null, [], null, encoding, utf8(body)])
    const signed = signStatement(
      'message',
      { to: node.did, type, payload, issuedAt, expiresAt: issuedAt + 60_000 },
      { keyring: peer.keyring, random: realRandom },
    )
    const [answer] = link.post(peer.seal(signed, peer.bundleOf(link)), [{}])
    return await mesh.run(codeOf(answer ?? Promise.resolve()))
  }
  for (const [type, { wrong }] of Object.entries(messageExamples)) expect(await post(type, 'json', JSON.stringify(wrong)), type).toBe('ERR_JSON_INVALID')
  expect(await post('task_progress', 'json', '{"taskId":"t","fraction":0,"fraction":1}')).toBe('ERR_JSON_INVALID')
  expect(await post('task_progress', 'json', `{"taskId":"t","fraction":0,"note":${'['.repeat(10_000)}`)).toBe('ERR_JSON_INVALID')
  expect(await post('task_progress', 'text', '{"taskId":"t","fraction":0}')).toBe('ERR_MESSAGE_TYPE')
  for (const type of ['', 'klp/route', 'kindmesh/vault', 'task_requset']) expect(await post(type, 'text', 'x'), type).toBe('ERR_MESSAGE_TYPE')
  expect(await node.inbox.list({ limit: 10 })).toEqual([])
  // Refused before anything is written: the node goes on, and takes what fits.
  expect(await post('task_progress', 'json', '{"taskId":"t","fraction":0}')).toBe('ok')
  expect(await post('unheard.of', 'text', 'x')).toBe('ok')
  expect((await node.inbox.list({ limit: 10 })).map(({ type }) => type)).toEqual(['task_progress', 'unheard.of'])
})
