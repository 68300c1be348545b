import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNode, type MeshNode } from '../../src/index.ts'

const quick = { timeoutMs: 5_000 }

/** Anna is reached by nobody and Ben only through the relay: whatever passes between them, it carries. */
describe('through a relay', () => {
  let folder: string
  let [relay, anna, ben] = [] as unknown as [MeshNode, MeshNode, MeshNode]
  let address: string

  const startRelay = (listen: string): Promise<MeshNode> => createNode({ dataDir: join(folder, 'relay'), listen: [listen], relayServer: true })
  const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
    while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
  }
  const isReserved = (): boolean => ben.addresses().some((one) => one.includes('/p2p-circuit'))

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kindmesh-routes-'))
    relay = await startRelay('/ip4/127.0.0.1/tcp/0')
    address = relay.addresses()[0] ?? ''
    // Ben starts while the relay is away.
    await relay.stop()
    ben = await createNode({ dataDir: join(folder, 'ben'), listen: [`${address}/p2p-circuit`] })
    anna = await createNode({ dataDir: join(folder, 'anna'), listen: [], bootstrap: [address] })
    await ben.agents.add('echo')
    expect(ben.addresses()).toEqual([])
    relay = await startRelay(address.slice(0, address.indexOf('/p2p/')))
  })
  afterAll(async () => {
    await Promise.all([anna.stop(), ben.stop(), relay.stop()])
    await rm(folder, { recursive: true, force: true })
  })

  test('a node that started without its relay is written to, asked, pinged and found once it is there', async () => {
    await until(isReserved)
    // She knows the relay alone.
    await until(async () => (await anna.find('agent:echo')).some(({ did }) => did === ben.did))
    expect(await anna.dial(ben.ticket())).toMatchObject({ did: ben.did, route: 'relayed' })
    expect(await anna.send(ben.did, { body: 'hello' }, quick)).toMatchObject({ status: 'acknowledged' })
    expect((await anna.ask(ben.did, { a: 1 }, quick)).reply).toEqual({ a: 1 })
    const { route, rttMs } = await anna.ping(ben.did)
    expect(route).toBe('relayed')
    expect(rttMs).toBeGreaterThan(0)
    expect((await anna.ping(relay.did)).route).toBe('direct')
    expect(anna.peers().find(({ did }) => did === ben.did)).toMatchObject({ route: 'relayed' })
    expect((await anna.find('agent:echo')).map((peer) => [peer.did, peer.route])).toEqual([[ben.did, 'relayed']])
  })

  test('and again, by its DID alone, after the relay was away', async () => {
    await relay.stop()
    await until(() => !isReserved() && anna.peers().length === 0)
    relay = await startRelay(address.slice(0, address.indexOf('/p2p/')))
    await until(() => isReserved() && anna.peers().length > 0)
    await until(async () =>
      anna.send(ben.did, { body: 'again' }, quick).then(
        ({ status }) => status === 'acknowledged',
        () => false,
      ),
    )
    expect((await anna.ping(ben.did)).route).toBe('relayed')
    expect((await ben.inbox.list({ limit: 9 })).map(({ body }) => body)).toContain('again')
  })
})
