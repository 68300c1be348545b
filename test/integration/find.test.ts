import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPlane } from '../../src/protocols/klp/index.ts'
import { realClock, silentLogger } from '../../src/base/index.ts'
import { capabilityKey } from '../../src/node/capabilities.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'
import { createRawPeer, type RawPeer } from '../helpers/raw-peer.ts'

type Found = readonly { readonly did: string; readonly capabilities: readonly string[]; readonly roles: readonly string[]; readonly route: string }[]

/** Anna meets everybody; the others know only her, so they find each other through the DHT alone. */
describe('find among real nodes', () => {
  let playground: Awaited<ReturnType<typeof createPlayground>>
  let [anna, ben, cleo, dora] = [] as unknown as readonly [UpNode, UpNode, UpNode, UpNode]
  let liar: RawPeer

  beforeAll(async () => {
    playground = await createPlayground()
    anna = await playground.up('anna')
    const meet = ['--bootstrap', anna.addresses[0] ?? '']
    ;[ben, cleo, dora] = await Promise.all([
      playground.up('ben', ...meet),
      playground.up('cleo', ...meet, '--role', 'archive', '--role', 'gateway'),
      playground.up('dora', ...meet, '--relay'),
    ])
    liar = await createRawPeer(70)
    // Answers KLP and offers messages only; what it tells the DHT is another matter.
    createPlane({
      host: liar.host,
      clock: realClock,
      logger: silentLogger,
      hello: liar.hello,
      judge: async (_peer, { wants }) => ({
        answers: wants.map(({ name }) => ({ name, answer: 'granted', reason: '', alternative: '', limits: [] })),
        validUntil: realClock.now() + 60_000,
      }),
      onRequest: () => Promise.reject(new Error('nobody asks here')),
      sealAnswers: () => Promise.reject(new Error('nobody is answered here')),
      onLink: () => undefined,
    })
    await liar.host.dial({ addresses: anna.addresses })
  })
  afterAll(async () => {
    await liar.host.stop()
    await playground[Symbol.asyncDispose]()
  })

  const find = async (node: UpNode, ...args: readonly string[]): Promise<Found> => {
    const answer = await node.run('find', '--json', ...args)
    expect(answer.code).toBe(0)
    expect(answer.json()['schema']).toBe('kindmesh.find/1')
    return answer.json()['peers'] as Found
  }
  const findUntil = async (node: UpNode, capability: string, holds: (found: Found) => boolean): Promise<Found> => {
    for (;;) {
      const found = await find(node, '--capability', capability)
      if (holds(found)) return found
    }
  }

  test('one that never met it finds the node where an agent lives, and not one that only says so or is dead', async () => {
    expect((await cleo.run('agent', 'add', 'echo', '--json')).code).toBe(0)
    await using dead = await createRawPeer(71)
    await dead.host.dial({ addresses: anna.addresses })
    expect((await dead.host.provide(capabilityKey('agent:echo'))).stored).toBeGreaterThan(0)
    await dead.host.stop()
    expect((await liar.host.provide(capabilityKey('agent:echo'))).stored).toBeGreaterThan(0)
    const found = await findUntil(ben, 'agent:echo', ({ length }) => length > 0)
    expect(found.map(({ did }) => did)).toEqual([cleo.did])
    expect(found[0]).toMatchObject({ peerId: cleo.peerId, route: 'direct', roles: ['archive', 'gateway'], presence: 'online', level: 0 })
    expect(found[0]?.capabilities).toContain('agent:echo')
    expect((await find(ben, '--capability', 'echo')).map(({ did }) => did)).toEqual([cleo.did])
  })

  test('everybody is found for what everybody offers, one for what one offers, nobody for the rest', async () => {
    const all = [anna, cleo, dora].map(({ did }) => did)
    await findUntil(ben, 'ask', (found) => all.every((did) => found.some((peer) => peer.did === did)))
    expect(await find(ben, '--capability', 'message', '--limit', '2')).toHaveLength(2)
    expect((await findUntil(ben, 'relay', ({ length }) => length > 0)).map(({ did }) => did)).toEqual([dora.did])
    expect(await find(ben, '--capability', 'teleport')).toEqual([])
    const peers = (await ben.run('peers', '--json')).json()['peers'] as (Found[number] & { readonly terms: readonly { readonly name: string }[] })[]
    const known = peers.find(({ did }) => did === cleo.did)
    expect(known).toMatchObject({ roles: ['archive', 'gateway'] })
    expect(known?.terms.find(({ name }) => name === 'message')).toMatchObject({ answer: 'granted' })
    // Nobody here trusts anybody to run tasks, and a machine without a sandbox offers none.
    const task = known?.capabilities.includes('task') === true ? { answer: 'partial', alternative: 'ask' } : { answer: 'denied' }
    expect(known?.terms.find(({ name }) => name === 'task')).toMatchObject(task)
    expect((await cleo.run('status', '--json')).json()).toMatchObject({ roles: ['archive', 'gateway'], presence: 'online' })
  })

  test('a node says how it is, and one that has left is listed as away', async () => {
    expect((await cleo.run('presence', 'busy', '--json')).json()).toMatchObject({ presence: 'busy' })
    expect((await cleo.run('presence', 'asleep', '--json')).problem()).toMatchObject({ code: 'ERR_USAGE' })
    await dora.end('SIGTERM')
    type Away = readonly { readonly did: string; readonly lastSeen: number }[]
    let away: Away = []
    while (away.length === 0) away = (await anna.run('peers', '--json')).json()['away'] as Away
    expect(away.find(({ did }) => did === dora.did)?.lastSeen).toBeGreaterThan(0)
  })

  test('a wrong name and a wrong role are refused with a next step', async () => {
    expect((await ben.run('find', '--json', '--capability', 'Not A Name')).problem()).toMatchObject({ code: 'ERR_USAGE' })
    expect((await ben.run('find', '--json')).code).toBe(2)
    await expect(playground.up('eve', '--role', 'king')).rejects.toThrow(/peer, gateway, archive, validator/)
  })
})
