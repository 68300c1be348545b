import { expect, test } from 'vitest'
import { createPlayground } from '../helpers/cli.ts'

test('an agent is asked by its own DID, wherever it lives; through rotations of its key and of its node’s; and no more once it is gone', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  const cleo = await ground.up('cleo', '--bootstrap', anna.addresses[0] ?? '')
  const added = (await ben.run('agent', 'add', 'echo', '--json')).json()
  expect(added).toMatchObject({ schema: 'kindmesh.agent-add/1', name: 'echo', did: expect.stringMatching(/^did:key:/) as string })
  const did = String(added['did'])
  expect(did).not.toBe(ben.did)
  expect((await ben.run('agent', 'list', '--json')).json()).toMatchObject({ agents: ['echo'], keys: [{ name: 'echo', did, seq: 0 }] })

  const ask = async (question: string) => await cleo.run('ask', did, question, '--timeout', '20s', '--json')
  expect((await ask('{"hello":1}')).json()).toMatchObject({ reply: { hello: 1 } })
  expect((await ben.run('agent', 'rotate', 'echo', '--json')).json()).toMatchObject({ schema: 'kindmesh.agent-rotate/1', did, seq: 1 })
  expect((await ask('{"hello":2}')).json()).toMatchObject({ reply: { hello: 2 } })
  expect((await ben.run('id', 'rotate', '--json')).json()).toMatchObject({ did: ben.did })
  expect((await ask('{"hello":3}')).json()).toMatchObject({ reply: { hello: 3 } })
  expect((await cleo.run('send', did, 'for the agent', '--json')).json()).toMatchObject({ status: 'acknowledged' })

  expect((await ben.run('agent', 'remove', 'echo', '--json')).code).toBe(0)
  expect((await ask('{"hello":4}')).problem().code).toBe('ERR_AGENT_UNKNOWN')
  expect((await ben.run('agent', 'rotate', 'echo', '--json')).problem().code).toBe('ERR_AGENT_UNKNOWN')
  expect((await ben.run('agent', 'list', '--json')).json()).toMatchObject({ agents: [], keys: [] })
}, 400_000)
