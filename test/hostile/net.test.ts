import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, test } from 'vitest'
import { createVirtualClock, fromUtf8, type MeshError, realClock, utf8 } from '../../src/base/index.ts'
import { createLibp2pHost, type Host, type HostStream } from '../../src/net/index.ts'
import { createLibp2pStream } from '../../src/net/libp2p-stream.ts'
import { topicsPerPeerMax } from '../../src/net/libp2p-options.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { allFrames, createLibp2pWorld, libp2pOptions, testRecord } from '../helpers/net-hosts.ts'
import { createRawNode, join, portOf, rawGet, rawPut, type RawNode, silentSockets } from '../helpers/net-raw.ts'

const protocol = '/test/hostile/1.0.0'
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

async function withRaw(count: number, act: (...nodes: RawNode[]) => Promise<void>): Promise<void> {
  const nodes = await Promise.all(Array.from({ length: count }, () => createRawNode()))
  try {
    await act(...nodes)
  } finally {
    for (const node of nodes) await node.stop()
  }
}

/** A raw node's stream to a host, and the host's end of it. */
async function rawStream(raw: RawNode, host: Host, frameBytesMax = 1 << 20): Promise<{ readonly raw: Stream; readonly stream: HostStream }> {
  const taken = Promise.withResolvers<HostStream>()
  host.handle(protocol, { frameBytesMax, inboundStreamsMax: 8 }, (stream) => taken.resolve(stream))
  const stream = await raw.dialProtocol(multiaddr(host.addresses()[0] ?? ''), protocol)
  return { raw: stream, stream: await taken.promise }
}

describe('DHT records', () => {
  test('rollback: plain kad-dht takes a replayed older record, a host refuses it in its PUT handler', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await withRaw(2, async (attacker, plain) => {
      const { until } = world
      await join(attacker, plain, until)
      expect(await rawPut(attacker, 'k', testRecord(2, 'new'))).toBe(1)
      expect(await rawPut(attacker, 'k', testRecord(1, 'old'))).toBe(1)
      expect(await rawGet(attacker, 'k', plain.peerId.toString())).toEqual(testRecord(1, 'old'))

      await attacker.hangUp(plain.peerId)
      await plain.stop()
      await join(attacker, host, until)
      await until(() => host.peers().length === 1)
      await host.publish('test-rec', utf8('k2'), testRecord(2, 'new'))
      expect(await rawPut(attacker, 'k2', testRecord(1, 'old'))).toBe(0)
      expect(await rawPut(attacker, 'k2', testRecord(2, 'fork'))).toBe(0)
      expect(await rawGet(attacker, 'k2', host.peerId)).toEqual(testRecord(2, 'new'))
      expect(await rawPut(attacker, 'k2', testRecord(3, 'newer'))).toBe(1)
      expect(await host.lookup('test-rec', utf8('k2'))).toEqual(testRecord(3, 'newer'))
    })
  })

  test('rollback: a restarted host remembers what it has seen', async () => {
    const store = createMemoryStore()
    const first = await createLibp2pHost(libp2pOptions(0, { store }))
    await first.publish('test-rec', utf8('k'), testRecord(5))
    await first.stop()
    const again = await createLibp2pHost(libp2pOptions(0, { store }))
    try {
      await expect(again.publish('test-rec', utf8('k'), testRecord(4))).rejects.toEqual(code('ERR_RECORD_ROLLBACK'))
      expect(await again.lookup('test-rec', utf8('k'))).toEqual(testRecord(5))
    } finally {
      await again.stop()
    }
  })

  test('one malicious server that serves a forged and an old record does not stop a lookup', async () => {
    await using world = createLibp2pWorld()
    const [honest, reader] = [await world.host(0), await world.host(1)]
    await reader.dial({ addresses: honest.addresses() })
    await honest.publish('test-rec', utf8('k'), testRecord(7, 'true'))
    await withRaw(2, async (forger, replayer) => {
      for (const [bad, value] of [
        [forger, utf8('forged')],
        [replayer, testRecord(3, 'old')],
      ] as const) {
        await rawPut(bad, 'k', value)
        await join(bad, reader, world.until)
        await join(bad, honest, world.until)
      }
      await world.until(() => reader.peers().length === 3)
      expect(await reader.lookup('test-rec', utf8('k'))).toEqual(testRecord(7, 'true'))
      await reader.disconnect(honest.did)
      expect(await reader.lookup('test-rec', utf8('k'))).toEqual(testRecord(7, 'true'))
    })
  })
})

describe('streams', () => {
  test('a frame length of 2^32-1 is refused before allocation', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await withRaw(1, async (attacker) => {
      const { raw, stream } = await rawStream(attacker, host, 16 << 20)
      const before = process.memoryUsage().arrayBuffers
      raw.send(Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0x0f]))
      await expect(allFrames(stream.frames)).rejects.toEqual(code('ERR_WIRE_TOO_LARGE'))
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20)
      await world.until(() => raw.status !== 'open')
    })
  })

  test('slowloris: a frame that comes one byte at a time is cut at its deadline, an idle stream is not', async () => {
    const clock = createVirtualClock()
    await using world = createLibp2pWorld({ clock })
    const host = await world.host(0)
    await withRaw(1, async (attacker) => {
      const { raw, stream } = await rawStream(attacker, host)
      raw.send(Uint8Array.from([2, 1, 1]))
      const frames = stream.frames[Symbol.asyncIterator]()
      expect((await frames.next()).value).toEqual(Uint8Array.from([1, 1]))
      const next = frames.next().then(
        () => 'frame',
        (error: MeshError) => error.code,
      )
      await clock.advance(3_600_000)
      raw.send(Uint8Array.from([100]))
      let cut: string | undefined
      void next.then((result) => (cut = result))
      const start = clock.monotonic()
      await world.until(async () => {
        if (raw.status === 'open') raw.send(Uint8Array.from([1]))
        await clock.advance(1_000)
        return cut !== undefined
      })
      expect(cut).toBe('ERR_NET_CLOSED')
      expect(clock.monotonic() - start).toBeLessThanOrEqual(15_000)
    })
  })

  test('coalescing: a hundred frames queued in one microtask leave in one write', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await withRaw(1, async (peer) => {
      const { raw, stream: theirs } = await rawStream(peer, host)
      let writes = 0
      const send = raw.send.bind(raw)
      raw.send = (data) => {
        writes++
        return send(data)
      }
      const ours = createLibp2pStream({ stream: raw, peer: host.did, route: 'direct', frameBytesMax: 1 << 20, clock: realClock })
      const sending = Promise.all(Array.from({ length: 100 }, (_, index) => ours.send(utf8(String(index)))))
      void ours.close()
      expect((await allFrames(theirs.frames)).length).toBe(100)
      await sending
      expect(writes).toBe(1)
    })
  })

  test('coalescing: the answers to many frames of one chunk leave together', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await withRaw(1, async (peer) => {
      const { raw, stream: theirs } = await rawStream(peer, host)
      let writes = 0
      const send = raw.send.bind(raw)
      raw.send = (data) => {
        writes++
        return send(data)
      }
      const ours = createLibp2pStream({ stream: raw, peer: host.did, route: 'direct', frameBytesMax: 1 << 20, clock: realClock })
      const echoing = (async () => {
        for await (const frame of ours.frames) void ours.send(frame)
      })()
      for (let index = 0; index < 64; index++) void theirs.send(utf8(String(index)))
      let got = 0
      for await (const _frame of theirs.frames) if (++got === 64) break
      expect(writes).toBeLessThanOrEqual(2)
      await theirs.close()
      await echoing
    })
  })

  test('for await on a stream has no brake, ours has: a slow reader never holds more than a window and what it reads ahead', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await withRaw(1, async (peer) => {
      const taken = Promise.withResolvers<Stream>()
      await peer.handle('/test/slow/1.0.0', (stream) => taken.resolve(stream))
      await host.dial({ addresses: peer.getMultiaddrs().map(String) })
      const sender = await host.open(host.peers()[0]?.did ?? host.did, '/test/slow/1.0.0', { frameBytesMax: 1 << 16 })
      const raw = await taken.promise
      const slow = createLibp2pStream({ stream: raw, peer: host.did, route: 'direct', frameBytesMax: 1 << 16, clock: realClock })
      const count = 600
      let sent = 0
      const sending = (async () => {
        for (; sent < count; sent++) await sender.send(new Uint8Array(1 << 16))
        await sender.close()
      })()
      let [got, heldMax] = [0, 0]
      for await (const _frame of slow.frames) {
        got++
        heldMax = Math.max(heldMax, raw.readBufferLength)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await sending
      expect(got).toBe(count)
      expect(heldMax).toBeLessThanOrEqual(1 << 20)
    })
  })

  test('onDrain works once: a sender that is stopped many times never queues more than it may', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await withRaw(1, async (peer) => {
      const { raw, stream: theirs } = await rawStream(peer, host)
      const ours = createLibp2pStream({ stream: raw, peer: host.did, route: 'direct', frameBytesMax: 1 << 20, clock: realClock })
      let queuedMax = 0
      const sending = (async () => {
        for (let sent = 0; sent < 200; sent++) {
          await ours.send(new Uint8Array(200_000))
          queuedMax = Math.max(queuedMax, raw.writeBufferLength)
        }
        await ours.close()
      })()
      let got = 0
      for await (const _frame of theirs.frames) {
        got++
        if (got % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      await sending
      expect(got).toBe(200)
      expect(queuedMax).toBeLessThan(1 << 20)
    })
  })

  test('a caller that never awaits is refused at the cap of the queue', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    await withRaw(1, async (peer) => {
      const { raw } = await rawStream(peer, host)
      const ours = createLibp2pStream({ stream: raw, peer: host.did, route: 'direct', frameBytesMax: 1 << 20, clock: realClock })
      const results = await Promise.allSettled(Array.from({ length: 12 }, () => Promise.race([ours.send(new Uint8Array(1 << 20)), Promise.resolve()])))
      void results
      await expect(ours.send(new Uint8Array(1 << 20))).rejects.toEqual(code('ERR_OVERLOADED'))
    })
  })
})

describe('connections', () => {
  test('silent sockets do not block honest dials; with libp2p`s default of ten pending they do', async () => {
    await using world = createLibp2pWorld()
    const [host, honest] = [await world.host(0), await world.host(1)]
    using _silent = await silentSockets(60, portOf(host))
    expect(await honest.dial({ addresses: host.addresses() })).toMatchObject({ did: host.did })

    await using small = createLibp2pWorld({ limits: { pendingConnectionsMax: 10 } })
    const blocked = await small.host(2)
    using _more = await silentSockets(12, portOf(blocked))
    await expect(honest.dial({ addresses: blocked.addresses() })).rejects.toEqual(code('ERR_NET_UNREACHABLE'))
  })

  test('connections over the cap of one address are refused, and a freed place is given again', async () => {
    await using world = createLibp2pWorld({ limits: { connectionsPerAddressMax: 3 } })
    const [host, honest] = [await world.host(0), await world.host(1)]
    {
      using _silent = await silentSockets(3, portOf(host))
      await expect(honest.dial({ addresses: host.addresses() })).rejects.toEqual(code('ERR_NET_UNREACHABLE'))
    }
    await world.until(async () => (await honest.dial({ addresses: host.addresses() }).catch(() => undefined)) !== undefined)
  })

  test('a peer whose ID is not an Ed25519 key is refused, both ways', async () => {
    await using world = createLibp2pWorld()
    const host = await world.host(0)
    const stranger = await createRawNode(await generateKeyPair('secp256k1'))
    try {
      await expect(host.dial({ addresses: stranger.getMultiaddrs().map(String) })).rejects.toEqual(code('ERR_NET_LIMIT'))
      const connection = await stranger.dial(multiaddr(host.addresses()[0] ?? '')).catch(() => undefined)
      await world.until(() => connection === undefined || connection.status !== 'open')
      expect(host.peers()).toEqual([])
    } finally {
      await stranger.stop()
    }
  })
})

describe('gossip', () => {
  const channel = (n: number): string => `/kindmesh/topic/1/${n.toString(16).padStart(64, '0')}`

  test('subscriptions of a peer are kept for topics that may exist, so many a peer, also those that came before ours', async () => {
    await using crowd = createLibp2pWorld()
    await using guarded = createLibp2pWorld({ mayExist: (topic) => /^\/kindmesh\/topic\/1\/[0-9a-f]{64}$/.test(topic) })
    const [stranger, host] = [await crowd.host(0), await guarded.host(1)]
    await stranger.dial({ addresses: host.addresses() })
    stranger.subscribe('/other/1', () => 'accept')
    for (let n = 0; n < 2 * topicsPerPeerMax; n++) stranger.subscribe(channel(n), () => 'accept')
    const reached = async (topic: string): Promise<boolean> => (await host.gossip(topic, utf8(topic))).neighbours > 0
    await crowd.until(() => reached(channel(0)))
    await crowd.until(() => reached(channel(topicsPerPeerMax - 1)))
    let known = 0
    for (let n = 0; n < 2 * topicsPerPeerMax; n++) if (await reached(channel(n))) known++
    expect(known).toBe(topicsPerPeerMax)
    expect(await reached('/other/1')).toBe(false)
    // Subscribed after the stranger: it is a neighbour all the same.
    const got: string[] = []
    host.subscribe(channel(1), ({ data }) => {
      got.push(fromUtf8(data))
      return 'accept'
    })
    await crowd.until(async () => (await stranger.gossip(channel(1), utf8('late'))).neighbours > 0)
    await crowd.until(() => got.includes('late'))
  })
})
