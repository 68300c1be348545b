import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createVirtualClock, utf8 } from '../../src/base/index.ts'
import { createLibp2pHost, didOfPeerIdText, type Host, peerIdTextOfDid } from '../../src/net/index.ts'
import { allFrames, createConnectedHosts, libp2pOptions } from '../helpers/net-hosts.ts'
import { portOf } from '../helpers/net-raw.ts'

const protocol = '/test/integration/1.0.0'
const options = { frameBytesMax: 1 << 20, inboundStreamsMax: 16 }
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

const serveEcho = (host: Host): void =>
  host.handle(protocol, options, async (stream) => {
    for await (const frame of stream.frames) await stream.send(frame)
    await stream.close()
  })

async function echoed(from: Host, to: Host, frame: Uint8Array): Promise<{ readonly route: string; readonly bytes: number }> {
  const stream = await from.open(to.did, protocol, options)
  void stream.send(frame)
  for await (const back of stream.frames) {
    await stream.close()
    return { route: stream.route, bytes: back.length }
  }
  return { route: stream.route, bytes: -1 }
}

const until = async (check: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await check())) await new Promise((resolve) => setImmediate(resolve))
}

/** Moves a host's own clock until `check` holds; the sockets go their own pace. */
const turning = (clock: ReturnType<typeof createVirtualClock>, check: () => boolean | Promise<boolean>): Promise<void> =>
  until(async () => {
    await clock.advance(50)
    return await check()
  })

describe('staying connected', () => {
  test('starts while its bootstrap node is down and connects once it is up, again after it was away', async () => {
    const probe = await createLibp2pHost(libp2pOptions(0))
    const listen = [`/ip4/127.0.0.1/tcp/${portOf(probe)}`]
    const bootstrap = probe.addresses()
    await probe.stop()
    const clock = createVirtualClock()
    const host = await createLibp2pHost(libp2pOptions(1, { bootstrap, clock }))
    try {
      expect(host.peers()).toEqual([])
      for (let round = 0; round < 2; round++) {
        const node = await createLibp2pHost(libp2pOptions(0, { listen }))
        try {
          await turning(clock, () => host.peers().length === 1)
        } finally {
          await node.stop()
        }
        await until(() => host.peers().length === 0)
      }
    } finally {
      await host.stop()
    }
  })

  test('a host behind a relay that is down starts, reserves once it is up, is reached past 128 KiB, and again after the relay restarts', async () => {
    const probe = await createLibp2pHost(libp2pOptions(0))
    const listen = [`/ip4/127.0.0.1/tcp/${portOf(probe)}`]
    const [relayAddress = ''] = probe.addresses()
    await probe.stop()
    const clock = createVirtualClock()
    const hidden = await createLibp2pHost(libp2pOptions(1, { listen: [`${relayAddress}/p2p-circuit`], clock }))
    const asker = await createLibp2pHost(libp2pOptions(2, { listen: [] }))
    try {
      serveEcho(hidden)
      for (let round = 0; round < 2; round++) {
        const relay = await createLibp2pHost(libp2pOptions(0, { listen, relayServer: true }))
        try {
          await turning(clock, () => hidden.addresses().some((address) => address.includes('p2p-circuit')))
          expect(await asker.dial({ addresses: hidden.addresses() })).toMatchObject({ did: hidden.did, route: 'relayed' })
          expect(await echoed(asker, hidden, new Uint8Array(1 << 20))).toEqual({ route: 'relayed', bytes: 1 << 20 })
        } finally {
          await relay.stop()
        }
        await until(() => asker.peers().length === 0 && !hidden.addresses().some((address) => address.includes('p2p-circuit')))
      }
    } finally {
      await Promise.all([hidden.stop(), asker.stop()])
    }
  })
})

describe('one host', () => {
  test('speaks WebSocket, and knows itself by DID and peer ID', async () => {
    const [a, b] = await Promise.all([createLibp2pHost(libp2pOptions(0, { listen: ['/ip4/127.0.0.1/tcp/0/ws'] })), createLibp2pHost(libp2pOptions(1))])
    try {
      serveEcho(a)
      expect(a.addresses()[0]).toContain('/ws/p2p/')
      await b.dial({ addresses: a.addresses() })
      expect(await echoed(b, a, utf8('hello'))).toEqual({ route: 'direct', bytes: 5 })
      expect([peerIdTextOfDid(a.did), didOfPeerIdText(a.peerId)]).toEqual([a.peerId, a.did])
      expect(() => didOfPeerIdText('QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N')).toThrow(code('ERR_IDENTITY_INVALID'))
    } finally {
      await Promise.all([a.stop(), b.stop()])
    }
  })

  test('libp2p does not close the datastore: stop does, so the same folder opens again and its peers are known', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-net-'))
    const other = await createLibp2pHost(libp2pOptions(1))
    try {
      const first = await createLibp2pHost(libp2pOptions(0, { datastorePath: folder }))
      await first.dial({ addresses: other.addresses() })
      await first.stop()
      const again = await createLibp2pHost(libp2pOptions(0, { datastorePath: folder }))
      try {
        expect(await again.dial(other.did)).toMatchObject({ did: other.did })
      } finally {
        await again.stop()
      }
    } finally {
      await other.stop()
      await rm(folder, { recursive: true })
    }
  })

  test('an address that is taken is ERR_NET_ADDRESS, and nothing is left running', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-net-'))
    const other = await createLibp2pHost(libp2pOptions(1))
    try {
      const listen = [`/ip4/127.0.0.1/tcp/${portOf(other)}`]
      await expect(createLibp2pHost(libp2pOptions(0, { listen, datastorePath: folder }))).rejects.toEqual(code('ERR_NET_ADDRESS'))
      const again = await createLibp2pHost(libp2pOptions(0, { datastorePath: folder }))
      await again.stop()
    } finally {
      await other.stop()
      await rm(folder, { recursive: true })
    }
  })

  test('frames sent before the handler reads, and a close behind them, are there when it does', async () => {
    const [a, b] = await Promise.all([createLibp2pHost(libp2pOptions(0)), createLibp2pHost(libp2pOptions(1))])
    try {
      const go = Promise.withResolvers<void>()
      const got = Promise.withResolvers<number>()
      b.handle(protocol, options, async (stream) => {
        await go.promise
        got.resolve((await allFrames(stream.frames)).length)
      })
      await a.dial({ addresses: b.addresses() })
      const stream = await a.open(b.did, protocol, options)
      for (let index = 0; index < 10; index++) await stream.send(new Uint8Array(10_000))
      await stream.close()
      go.resolve()
      expect(await got.promise).toBe(10)
    } finally {
      await Promise.all([a.stop(), b.stop()])
    }
  })
})

describe('ten hosts', () => {
  test('gossip goes to all subscribers as soon as they are known, before a mesh has formed', async () => {
    await using mesh = await createConnectedHosts(10)
    const [first, ...others] = mesh.hosts
    if (first === undefined) throw new RangeError('no host')
    const heard = new Set<Host>()
    for (const host of others) {
      host.subscribe('news', () => {
        heard.add(host)
        return 'accept'
      })
    }
    await until(async () => (await first.gossip('news', utf8('hello'))).neighbours === others.length)
    await until(() => heard.size === others.length)
  })
})
