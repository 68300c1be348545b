import { type AddressInfo, createServer, type Server } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, test } from 'vitest'
import { capabilityKey } from '../../src/node/capabilities.ts'
import { keysPerProviderMax } from '../../src/net/provider-book.ts'
import { didOfPeerIdText } from '../../src/net/index.ts'
import { createLibp2pWorld } from '../helpers/net-hosts.ts'
import { createRawNode, join, type RawNode } from '../helpers/net-raw.ts'

interface RawEvent {
  readonly name: string
  readonly from: { toString(): string }
  readonly closer: readonly { readonly id: { toString(): string } }[]
  readonly providers: readonly { readonly id: { toString(): string } }[]
}
type RawDht = Record<'sendRequest' | 'sendMessage', (to: unknown, message: object, options: object) => AsyncIterable<RawEvent>>

const path = { index: -1, queued: 0, running: 0, total: 0 }
const multihash = (key: Uint8Array): Uint8Array => Uint8Array.from([0x12, 0x20, ...key])

/** Sends one message of the DHT to a peer by hand; what came back, if anything. */
async function say(raw: RawNode, to: unknown, message: object, how: keyof RawDht = 'sendRequest'): Promise<RawEvent | undefined> {
  const { network } = raw.services.dht as unknown as { readonly network: RawDht }
  let answer: RawEvent | undefined
  for await (const event of network[how](to, message, { signal: AbortSignal.timeout(5_000), path })) if (event.name === 'PEER_RESPONSE') answer = event
  return answer
}

async function rawNodes(count: number): Promise<{ readonly nodes: readonly RawNode[] } & AsyncDisposable> {
  const nodes = await Promise.all(Array.from({ length: count }, () => createRawNode()))
  return {
    nodes,
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await node.stop()
    },
  }
}

describe('provider records', () => {
  test('of one peer so many keys are kept, and none in the name of another', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await using raws = await rawNodes(2)
    const [spammer, asker] = raws.nodes as readonly [RawNode, RawNode]
    await join(spammer, host, world.until)
    await join(asker, host, world.until)
    const to = spammer.getPeers()[0]
    const keys = Array.from({ length: keysPerProviderMax + 40 }, (_, index) => multihash(capabilityKey(`c${index}`)))
    const entry = (of: RawNode, addresses = 1): object => ({
      id: of.peerId.toMultihash().bytes,
      multiaddrs: Array.from({ length: addresses }, (_, index) => multiaddr(`/ip4/127.0.0.1/tcp/${4_000 + index}`).bytes),
    })
    for (const key of keys) await say(spammer, to, { type: 'ADD_PROVIDER', key, providers: [entry(spammer, 40)] }, 'sendMessage')
    const foreign = multihash(capabilityKey('foreign'))
    await say(spammer, to, { type: 'ADD_PROVIDER', key: foreign, providers: [entry(asker)] }, 'sendMessage')
    const ask = async (key: Uint8Array): Promise<readonly string[]> =>
      ((await say(asker, asker.getPeers()[0], { type: 'GET_PROVIDERS', key }))?.providers ?? []).map(({ id }) => id.toString())
    await world.until(async () => (await ask(keys[keysPerProviderMax - 1] ?? foreign)).length > 0)
    let kept = 0
    for (const key of keys.slice(keysPerProviderMax - 5)) kept += (await ask(key)).length
    expect(kept).toBe(5)
    expect(await ask(foreign)).toEqual([])
    const [found] = await host.providers(capabilityKey('c0'))
    expect(found?.did).toBe(didOfPeerIdText(spammer.peerId.toString()))
    expect(found?.addresses.length).toBeLessThanOrEqual(16)
  })

  test('one holder that names twenty of its friends does not end a search: the others are asked too', async () => {
    await using world = createLibp2pWorld()
    const [seeker, provider] = [await world.host(0), await world.host(1)]
    await using raws = await rawNodes(1)
    const [liar] = raws.nodes as readonly [RawNode]
    await world.run(provider.dial({ addresses: seeker.addresses() }))
    const key = capabilityKey('task')
    const handlers = (liar.services.dht as unknown as { readonly rpc: { readonly handlers: Record<string, { handle(): Promise<object> }> } }).rpc.handlers
    const friends = Array.from({ length: 40 }, (_, index) => ({
      id: Uint8Array.from([0, 36, 8, 1, 18, 32, ...capabilityKey(`friend${index}`)]),
      multiaddrs: [multiaddr('/ip4/127.0.0.1/tcp/9').bytes],
    }))
    const handler = handlers['GET_PROVIDERS']
    if (handler === undefined) throw new RangeError('no handler')
    handler.handle = async () => ({ type: 'GET_PROVIDERS', key: multihash(key), closer: [], providers: friends })
    await join(liar, seeker, world.until)
    await world.until(async () => (await provider.provide(key)).stored > 0)
    await world.until(async () => (await seeker.providers(key)).some(({ did }) => did === provider.did))
  })
})

describe('routing table', () => {
  const closerSeen = async (limits: object, count: number): Promise<number> => {
    await using world = createLibp2pWorld({ limits })
    const host = await world.host(0)
    await using raws = await rawNodes(count)
    for (const raw of raws.nodes) await join(raw, host, world.until)
    const [first] = raws.nodes as readonly [RawNode]
    const key = multihash(capabilityKey('anything'))
    let most = 0
    for (let round = 0; round < 3; round++) most = Math.max(most, (await say(first, first.getPeers()[0], { type: 'FIND_NODE', key }))?.closer.length ?? 0)
    return most
  }

  test('of a crowd in one place only so many get in', async () => {
    expect(await closerSeen({ routingPeersPerPlaceMax: 2 }, 6)).toBeLessThanOrEqual(2)
    expect(await closerSeen({}, 6)).toBeGreaterThan(2)
  })
})

test('a crowd that one peer tells of gets in no better than one that comes itself', async () => {
  await using world = createLibp2pWorld({ limits: { routingPeersPerPlaceMax: 2 } })
  const host = await world.host(0)
  await using raws = await rawNodes(6)
  const [friend, ...crowd] = raws.nodes as readonly [RawNode, ...RawNode[]]
  for (const raw of crowd) await join(raw, friend, world.until)
  await join(friend, host, world.until)
  // The host looks around by itself, and meets them all.
  await world.until(() => host.peers().length === 6)
  const key = multihash(capabilityKey('anything'))
  for (let round = 0; round < 20; round++) {
    expect(
      (
        await say(
          friend,
          friend.getPeers().find((peer) => peer.toString() === host.peerId),
          { type: 'FIND_NODE', key },
        )
      )?.closer.length ?? 0,
    ).toBeLessThanOrEqual(2)
  }
})

describe('dialling', () => {
  test('a peer whose known addresses swallow everything is reached where the DHT says it is', async () => {
    await using world = createLibp2pWorld()
    const [seeker, middle, target] = [await world.host(0), await world.host(1), await world.host(2)]
    const mute = await Promise.all(Array.from({ length: 4 }, muteServer))
    try {
      // Until the one in the middle knows where the target listens.
      const probe = await world.host(3, { hidden: true })
      await target.dial({ addresses: middle.addresses() })
      await probe.dial({ addresses: middle.addresses() })
      await world.until(async () => (await probe.dial(target.did).catch(() => undefined)) !== undefined)
      await seeker.dial({ addresses: middle.addresses() })
      await seeker.learn(
        target.did,
        mute.map((server) => `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/p2p/${target.peerId}`),
      )
      expect(await seeker.dial(target.did)).toMatchObject({ did: target.did, route: 'direct' })
    } finally {
      for (const server of mute) server.close()
    }
  })
})

describe('what a stranger may ask of our address', () => {
  const spoken = async (listen: readonly string[]): Promise<readonly string[]> => {
    await using world = createLibp2pWorld({ listen })
    const host = await world.host(0)
    await using raws = await rawNodes(1)
    const [raw] = raws.nodes as readonly [RawNode]
    await join(raw, host, world.until)
    return (await raw.peerStore.all()).flatMap(({ protocols }) => protocols)
  }

  test('DCUtR everywhere; AutoNAT only on a host that listens beyond loopback', async () => {
    const [inner, outer] = [await spoken(['/ip4/127.0.0.1/tcp/0']), await spoken(['/ip4/0.0.0.0/tcp/0'])]
    const autonat = '/libp2p/autonat/2/dial-request'
    expect([inner, outer].map((protocols) => [protocols.includes('/libp2p/dcutr'), protocols.includes(autonat)])).toEqual([
      [true, false],
      [true, true],
    ])
  })
})

/** Takes connections and says nothing. */
async function muteServer(): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined).unref())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server.unref()
}
