import { expect, test } from 'vitest'
import { callsPerPeerMax } from '../../src/agents/calls.ts'
import { createTestMesh } from '../../src/testing/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'

test('an agent that hangs holds a number of calls and no more, refuses the rest, and harms no other peer', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 1 })
  let called = 0
  mesh.node(0).agents.register({
    name: 'mute',
    receive: () => {
      called++
      return new Promise(() => undefined)
    },
  })
  await mesh.node(0).agents.add('echo')
  const ask = (from: number, agent: string): Promise<string> => codeOf(mesh.node(from).ask(mesh.node(0).did, 1, { agent, timeoutMs: 60_000 }))
  const seen = new Set<string>()
  for (let round = 0; round < 8; round++) {
    const codes = await mesh.run(Promise.all(Array.from({ length: 128 }, () => ask(1, 'mute'))))
    if (round === 0) expect(new Set(codes)).toEqual(new Set(['ERR_TIMEOUT']))
    for (const code of codes) seen.add(code)
    await mesh.clock.advance(5_000)
  }
  expect(seen).toEqual(new Set(['ERR_TIMEOUT', 'ERR_OVERLOADED']))
  expect(called).toBe(callsPerPeerMax)
  // The same peer with another agent, another peer with any.
  expect(await mesh.run(ask(1, 'echo'))).toBe('ok')
  expect(await mesh.run(ask(2, 'echo'))).toBe('ok')
  expect(await mesh.run(ask(2, 'mute'))).toBe('ERR_TIMEOUT')
  expect(called).toBe(callsPerPeerMax + 1)
})
