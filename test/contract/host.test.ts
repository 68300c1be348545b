import { describe, expect, test } from 'vitest'
import { fromUtf8, type Did, MeshError, utf8 } from '../../src/base/index.ts'
import { closestPerPlaceMax } from '../../src/net/closest.ts'
import type { Contradiction, Host, HostStream } from '../../src/net/index.ts'
import { allFrames, createLibp2pWorld, createSimulatedWorld, testRecord, type World } from '../helpers/net-hosts.ts'

const protocol = '/test/echo/1.0.0'
const options = { frameBytesMax: 1 << 20, inboundStreamsMax: 16 }
const worlds: readonly (readonly [name: string, create: (options?: { readonly countPlaces?: boolean }) => World])[] = [
  ['libp2p', ({ countPlaces = false } = {}) => createLibp2pWorld(countPlaces ? { limits: { routingPeersPerPlaceMax: 20 } } : {})],
  ['simulator', () => createSimulatedWorld()],
]

const code = (expected: string): unknown => expect.objectContaining({ code: expected })

const echo = async (stream: HostStream): Promise<void> => {
  for await (const frame of stream.frames) await stream.send(frame)
  await stream.close()
}

/** What comes back for one frame. */
async function echoed(stream: HostStream, text: string): Promise<string | undefined> {
  void stream.send(utf8(text))
  for await (const frame of stream.frames) return fromUtf8(frame)
  return undefined
}

async function pair(world: World): Promise<readonly [Host, Host]> {
  const [a, b] = [await world.host(0), await world.host(1)]
  await world.run(a.dial({ addresses: b.addresses() }))
  return [a, b]
}

/** Streams a host gets, as they come. */
function accept(host: Host, limits: { readonly frameBytesMax: number; readonly inboundStreamsMax: number } = options): () => Promise<HostStream> {
  const streams: HostStream[] = []
  const waiting: ((stream: HostStream) => void)[] = []
  host.handle(protocol, limits, (stream) => {
    const wake = waiting.shift()
    if (wake === undefined) streams.push(stream)
    else wake(stream)
  })
  return () =>
    new Promise((resolve) => {
      const stream = streams.shift()
      if (stream === undefined) waiting.push(resolve)
      else resolve(stream)
    })
}

describe.each(worlds)('host contract: %s', (_name, create) => {
  test('frames come back in order and whole, from nothing to the largest', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    b.handle(protocol, options, echo)
    const stream = await world.run(a.open(b.did, protocol, options))
    expect(stream).toMatchObject({ peer: b.did, protocol, route: 'direct' })
    const sent = [
      new Uint8Array(0),
      utf8('x'),
      new Uint8Array(127).fill(1),
      new Uint8Array(128).fill(2),
      new Uint8Array(70_000).fill(3),
      new Uint8Array(options.frameBytesMax).fill(4),
    ]
    const got: Uint8Array[] = []
    const reading = (async () => {
      for await (const frame of stream.frames) if (got.push(frame) === sent.length) break
    })()
    await world.run(Promise.all(sent.map((frame) => stream.send(frame))))
    await world.run(reading)
    expect(got.map((frame) => [frame.length, frame[0]])).toEqual(sent.map((frame) => [frame.length, frame[0]]))
  })

  test('both ends know who the other is', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    const next = accept(b)
    await world.run(a.open(b.did, protocol, options))
    const stream = await world.run(next())
    expect(stream.peer).toBe(a.did)
    expect(a.peers().map(({ did, direction }) => [did, direction])).toEqual([[b.did, 'outbound']])
    expect(b.peers().map(({ did, direction }) => [did, direction])).toEqual([[a.did, 'inbound']])
  })

  test('close delivers what is queued, then ends the other side', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    const next = accept(b)
    const stream = await world.run(a.open(b.did, protocol, options))
    for (const text of ['one', 'two', 'three']) void stream.send(utf8(text))
    const closing = stream.close()
    const other = await world.run(next())
    expect((await world.run(allFrames(other.frames))).map(fromUtf8)).toEqual(['one', 'two', 'three'])
    await world.run(closing)
    await expect(world.run(other.send(utf8('late')))).rejects.toEqual(code('ERR_NET_CLOSED'))
    await expect(world.run(stream.send(utf8('late')))).rejects.toEqual(code('ERR_NET_CLOSED'))
  })

  test('abort is seen by the reader of the other side as ERR_NET_CLOSED', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    const next = accept(b)
    const stream = await world.run(a.open(b.did, protocol, options))
    const other = await world.run(next())
    const reading = allFrames(other.frames)
    stream.abort(new Error('enough'))
    await expect(world.run(reading)).rejects.toEqual(code('ERR_NET_CLOSED'))
  })

  test('a handler that throws resets its stream', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    b.handle(protocol, options, () => Promise.reject(new Error('fault')))
    const stream = await world.run(a.open(b.did, protocol, options))
    await expect(world.run(allFrames(stream.frames))).rejects.toEqual(code('ERR_NET_CLOSED'))
  })

  test('a frame over the limit is refused where it is sent', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    b.handle(protocol, options, echo)
    const stream = await world.run(a.open(b.did, protocol, { frameBytesMax: 10 }))
    await expect(world.run(stream.send(new Uint8Array(11)))).rejects.toEqual(code('ERR_WIRE_TOO_LARGE'))
  })

  test('a frame over the limit of the reader ends the stream on both sides', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    const next = accept(b, { frameBytesMax: 10, inboundStreamsMax: 4 })
    const stream = await world.run(a.open(b.did, protocol, { frameBytesMax: 100 }))
    void stream.send(new Uint8Array(11))
    const other = await world.run(next())
    await expect(world.run(allFrames(other.frames))).rejects.toEqual(code('ERR_WIRE_TOO_LARGE'))
    await expect(world.run(allFrames(stream.frames))).rejects.toEqual(code('ERR_NET_CLOSED'))
  })

  test('a reader that does not pull stops the sender, and pulling lets it go on', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    const next = accept(b)
    const stream = await world.run(a.open(b.did, protocol, options))
    const other = await world.run(next())
    const frame = new Uint8Array(64 << 10)
    const count = 400
    let sent = 0
    const sending = (async () => {
      for (; sent < count; sent++) await stream.send(frame)
      await stream.close()
    })()
    sending.catch(() => undefined)
    let before = -1
    let still = 0
    await world.until(() => {
      still = sent === before ? still + 1 : 0
      before = sent
      return still > 30
    })
    expect(sent).toBeGreaterThan(0)
    expect(sent * frame.length).toBeLessThan(8 << 20)
    const got = await world.run(allFrames(other.frames))
    await world.run(sending)
    expect(got.length).toBe(count)
    expect(got.every(({ length }) => length === frame.length)).toBe(true)
  })

  test('more streams of one peer than allowed are reset, and a closed one makes room', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    const next = accept(b, { frameBytesMax: 100, inboundStreamsMax: 2 })
    const first = await world.run(a.open(b.did, protocol, options))
    const second = await world.run(next())
    await world.run(a.open(b.did, protocol, options))
    await world.run(next())
    const third = await world.run(a.open(b.did, protocol, options))
    await expect(world.run(allFrames(third.frames))).rejects.toEqual(code('ERR_NET_CLOSED'))
    await world.run(first.close())
    await world.run(allFrames(second.frames))
    await world.until(async () => {
      const again = await world.run(a.open(b.did, protocol, options))
      const reset = allFrames(again.frames).then(
        () => false,
        () => false,
      )
      return await world.run(Promise.race([next().then(() => true), reset]))
    })
  })

  test('a protocol the peer does not speak is ERR_PROTOCOL; registering twice throws', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    await expect(world.run(a.open(b.did, '/test/none/1.0.0', options))).rejects.toEqual(code('ERR_PROTOCOL'))
    b.handle(protocol, options, echo)
    expect(() => b.handle(protocol, options, echo)).toThrow(MeshError)
  })

  test('dialling tells an unreachable peer, a bad address and a wrong identity apart', async () => {
    await using world = create()
    const [a, b, c] = [await world.host(0), await world.host(1), await world.host(2)]
    await expect(world.run(a.dial(b.did))).rejects.toEqual(code('ERR_NET_UNREACHABLE'))
    await expect(world.run(a.dial({ addresses: ['nonsense'] }))).rejects.toEqual(code('ERR_NET_ADDRESS'))
    const swapped = b.addresses().map((address) => address.replace(b.peerId, c.peerId))
    await expect(world.run(a.dial({ addresses: swapped }))).rejects.toEqual(code('ERR_NET_IDENTITY'))
    const signal = AbortSignal.abort(new MeshError('ERR_ABORTED', 'no more'))
    await expect(world.run(a.dial({ addresses: b.addresses() }, { signal }))).rejects.toEqual(code('ERR_ABORTED'))
  })

  test('a learned address is dialled later; a peer of a peer is found through the DHT', async () => {
    await using world = create()
    const [a, b, c] = [await world.host(0), await world.host(1), await world.host(2)]
    await world.run(a.learn(b.did, b.addresses()))
    expect(await world.run(a.dial(b.did))).toMatchObject({ did: b.did, peerId: b.peerId, direction: 'outbound' })
    await world.run(c.dial({ addresses: b.addresses() }))
    await world.until(async () => {
      const found = await world.run(a.dial(c.did).catch(() => undefined))
      return found?.did === c.did
    })
    expect(await world.run(a.ping(c.did))).toBeGreaterThanOrEqual(0)
  })

  test('connecting and losing a peer is told once each', async () => {
    await using world = create()
    const [a, b] = [await world.host(0), await world.host(1)]
    const seen: (readonly [string, Did])[] = []
    const remove = b.onPeer(({ event, peer }) => seen.push([event, peer.did]))
    await world.run(a.dial({ addresses: b.addresses() }))
    await world.until(() => seen.length === 1)
    await world.run(a.disconnect(b.did))
    await world.until(() => seen.length === 2)
    expect(seen).toEqual([
      ['connected', a.did],
      ['disconnected', a.did],
    ])
    remove()
    expect(a.peers()).toEqual([])
  })

  test('a host that only its relay reaches is reached through it, and both ends say so; without the relay it is gone', async () => {
    await using world = create()
    const relay = await world.host(0, { relayServer: true })
    const hidden = await world.host(1, { relays: relay.addresses(), hidden: true })
    const asker = await world.host(2, { hidden: true })
    hidden.handle(protocol, options, echo)
    await world.until(() => hidden.addresses().length > 0)
    expect(hidden.addresses().every((address) => address.includes('/p2p-circuit'))).toBe(true)
    expect(await world.run(asker.dial({ addresses: hidden.addresses() }))).toMatchObject({ did: hidden.did, route: 'relayed' })
    expect([asker.routeTo(hidden.did), asker.routeTo(relay.did), asker.routeTo(asker.did)]).toEqual(['relayed', 'direct', undefined])
    await world.until(() => hidden.routeTo(asker.did) !== undefined)
    expect(hidden.peers().find(({ did }) => did === asker.did)).toMatchObject({ route: 'relayed', direction: 'inbound' })
    const stream = await world.run(asker.open(hidden.did, protocol, options))
    expect(stream.route).toBe('relayed')
    expect(await world.run(echoed(stream, 'through'))).toBe('through')
    expect(await world.run(asker.ping(hidden.did))).toBeGreaterThanOrEqual(0)
    await world.run(relay.stop())
    await world.until(() => asker.routeTo(hidden.did) === undefined)
    await expect(world.run(asker.dial(hidden.did))).rejects.toEqual(code('ERR_NET_UNREACHABLE'))
  })

  test('of a hidden host only the DID is known, and a relay both are at: that is enough', async () => {
    await using world = create()
    const relay = await world.host(0, { relayServer: true })
    const hidden = await world.host(1, { relays: relay.addresses(), hidden: true })
    const asker = await world.host(2)
    await world.run(asker.dial({ addresses: relay.addresses() }))
    await world.until(() => hidden.addresses().length > 0)
    await world.until(async () => (await world.run(asker.dial(hidden.did).catch(() => undefined)))?.route === 'relayed')
  })

  test('a host dialled through its relay that can be reached directly soon is, which is told once; the relayed stream goes on', async () => {
    await using world = create()
    const relay = await world.host(0, { relayServer: true })
    const both = await world.host(1, { relays: relay.addresses() })
    const asker = await world.host(2)
    both.handle(protocol, options, echo)
    const circuits = (): readonly string[] => both.addresses().filter((address) => address.includes('/p2p-circuit'))
    await world.until(() => circuits().length > 0)
    const upgraded: (readonly [Did, string])[] = []
    asker.onUpgrade((peer) => upgraded.push([peer.did, peer.route]))
    expect(await world.run(asker.dial({ addresses: circuits() }))).toMatchObject({ route: 'relayed' })
    const old = await world.run(asker.open(both.did, protocol, options))
    await world.until(() => asker.routeTo(both.did) === 'direct')
    await world.until(() => upgraded.length > 0)
    expect(upgraded).toEqual([[both.did, 'direct']])
    const fresh = await world.run(asker.open(both.did, protocol, options))
    expect([old.route, fresh.route]).toEqual(['relayed', 'direct'])
    for (const stream of [old, fresh]) expect(await world.run(echoed(stream, stream.route))).toBe(stream.route)
  })

  test('a record published to the middle one is found by a third', async () => {
    await using world = create()
    const [a, b, c] = [await world.host(0), await world.host(1), await world.host(2)]
    await world.run(a.dial({ addresses: b.addresses() }))
    await world.run(c.dial({ addresses: b.addresses() }))
    const key = utf8('k')
    expect((await world.run(a.publish('test-rec', key, testRecord(3, 'three')))).stored).toBeGreaterThan(0)
    expect(await world.run(c.lookup('test-rec', key))).toEqual(testRecord(3, 'three'))
    expect(await world.run(b.lookup('test-rec', utf8('other')))).toBeUndefined()
  })

  test('who provides a key is found by a third over the middle one; a host does not find itself', async () => {
    await using world = create()
    const [a, b, c] = [await world.host(0), await world.host(1), await world.host(2)]
    await world.run(a.dial({ addresses: b.addresses() }))
    await world.run(c.dial({ addresses: b.addresses() }))
    const [key, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    expect((await world.run(a.provide(key))).stored).toBeGreaterThan(0)
    await world.run(b.provide(key))
    await world.until(async () => (await world.run(c.providers(key))).length === 2)
    const found = await world.run(c.providers(key))
    expect(found.map(({ did }) => did).sort()).toEqual([a.did, b.did].sort())
    const ofA = found.find(({ did }) => did === a.did)
    expect(await world.run(c.dial({ addresses: ofA?.addresses ?? [] }))).toMatchObject({ did: a.did })
    expect((await world.run(a.providers(key))).map(({ did }) => did)).toEqual([b.did])
    expect(await world.run(c.providers(other))).toEqual([])
  })

  test('the closest to a key are those that are there, the nearest first, whoever asks', async () => {
    await using world = create()
    const hosts = await Promise.all([0, 1, 2, 3].map((index) => world.host(index)))
    const [a, b, c] = hosts as [Host, Host, Host]
    for (const host of hosts.slice(1)) await world.run(host.dial({ addresses: a.addresses() }))
    const key = utf8('somebody')
    const of = async (host: Host): Promise<readonly Did[]> => (await world.run(host.closest(key))).map(({ did }) => did)
    await world.until(async () => (await of(b)).length === 3 && (await of(c)).length === 3)
    const [fromB, fromC] = [await of(b), await of(c)]
    expect(fromB).not.toContain(b.did)
    const both = (list: readonly Did[]): readonly Did[] => list.filter((did) => did !== b.did && did !== c.did)
    expect(both(fromB)).toEqual(both(fromC))
    expect(both(fromB)).toHaveLength(2)
    const [nearest] = await world.run(b.closest(key))
    expect(await world.run(b.dial({ addresses: nearest?.addresses ?? [] }))).toMatchObject({ did: nearest?.did })
    expect(b.placeOf(a.did)).toBeUndefined()
  })

  test('a crowd in one place is not most of those closest to any key, and holds no more than its share of a record', async () => {
    await using world = create({ countPlaces: true })
    const a = await world.host(0, { place: '127.0.0' })
    const crowd = await Promise.all(Array.from({ length: 7 }, (_, index) => world.host(index + 1, { place: '127.0.0' })))
    for (const host of crowd) await world.run(host.dial({ addresses: a.addresses() }))
    await world.until(async () => (await world.run(a.closest(utf8('k')))).length === closestPerPlaceMax)
    for (const key of ['k', 'l', 'm']) expect((await world.run(a.closest(utf8(key)))).length).toBeLessThanOrEqual(closestPerPlaceMax)
    expect(a.placeOf((crowd[0] as Host).did)).toBe('127.0.0')
  })

  test('two records by which a signer contradicts himself are shown to whoever listens, and the second is refused', async () => {
    await using world = create()
    const [a] = await pair(world)
    const seen: Contradiction[] = []
    const stop = a.onContradiction((found) => seen.push(found))
    const key = utf8('k')
    await world.run(a.publish('test-rec', key, testRecord(2, 'said one')))
    await expect(world.run(a.publish('test-rec', key, testRecord(3, 'said two')))).rejects.toEqual(code('ERR_RECORD_ROLLBACK'))
    expect(seen).toEqual([{ namespace: 'test-rec', key, held: testRecord(2, 'said one'), offered: testRecord(3, 'said two') }])
    stop()
    await expect(world.run(a.publish('test-rec', key, testRecord(5, 'said three')))).rejects.toEqual(code('ERR_RECORD_ROLLBACK'))
    expect(seen).toHaveLength(1)
  })

  test('a host alone provides to nobody and finds nobody, and a key has 32 bytes', async () => {
    await using world = create()
    const a = await world.host(0)
    expect(await world.run(a.provide(new Uint8Array(32)))).toEqual({ stored: 0 })
    expect(await world.run(a.providers(new Uint8Array(32)))).toEqual([])
    await expect(world.run(a.provide(new Uint8Array(31)))).rejects.toEqual(code('ERR_USAGE'))
    await expect(world.run(a.providers(new Uint8Array(33)))).rejects.toEqual(code('ERR_USAGE'))
  })

  test('a host alone publishes to nobody, finds its own record and does not hang', async () => {
    await using world = create()
    const a = await world.host(0)
    expect(await world.run(a.publish('test-rec', utf8('k'), testRecord(1)))).toEqual({ stored: 0 })
    expect(await world.run(a.lookup('test-rec', utf8('k')))).toEqual(testRecord(1))
    expect(await world.run(a.lookup('test-rec', utf8('none')))).toBeUndefined()
  })

  test('a lower sequence number, and another record with the same one, are refused; a higher one wins', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    const key = utf8('k')
    await world.run(a.publish('test-rec', key, testRecord(2, 'two')))
    await expect(world.run(a.publish('test-rec', key, testRecord(1, 'one')))).rejects.toEqual(code('ERR_RECORD_ROLLBACK'))
    await expect(world.run(a.publish('test-rec', key, testRecord(2, 'fork')))).rejects.toEqual(code('ERR_RECORD_ROLLBACK'))
    expect((await world.run(a.publish('test-rec', key, testRecord(2, 'two')))).stored).toBe(1)
    await world.run(b.publish('test-rec', key, testRecord(5, 'five')))
    expect(await world.run(a.lookup('test-rec', key))).toEqual(testRecord(5, 'five'))
  })

  test('forged and expired records and unknown namespaces are ERR_RECORD_INVALID', async () => {
    await using world = create()
    const a = await world.host(0)
    await expect(world.run(a.publish('test-rec', utf8('k'), utf8('forged')))).rejects.toEqual(code('ERR_RECORD_INVALID'))
    await expect(world.run(a.publish('test-rec', utf8('k'), testRecord(1, '', 1)))).rejects.toEqual(code('ERR_RECORD_INVALID'))
    await expect(world.run(a.publish('none', utf8('k'), testRecord(1)))).rejects.toEqual(code('ERR_RECORD_INVALID'))
    await expect(world.run(a.publish('test-rec', utf8('k'), testRecord(1, 'x'.repeat(8_192))))).rejects.toEqual(code('ERR_RECORD_INVALID'))
  })

  test('gossip reaches a subscriber over a neighbour; what a judge rejects goes no further', async () => {
    await using world = create()
    const [a, b, c] = [await world.host(0), await world.host(1), await world.host(2)]
    await world.run(a.dial({ addresses: b.addresses() }))
    await world.run(c.dial({ addresses: b.addresses() }))
    const got: string[] = []
    a.subscribe('news', () => 'accept')
    b.subscribe('news', ({ data }) => (fromUtf8(data).startsWith('bad') ? 'ignore' : 'accept'))
    c.subscribe('news', ({ data, from }) => {
      expect(from).toBe(a.did)
      got.push(fromUtf8(data))
      return 'accept'
    })
    let n = 0
    await world.until(async () => {
      await world.run(a.gossip('news', utf8(`bad ${n}`)))
      const { neighbours } = await world.run(a.gossip('news', utf8(`good ${n++}`)))
      return neighbours > 0 && got.length > 0
    })
    expect(got.every((text) => text.startsWith('good'))).toBe(true)
    await expect(world.run(a.gossip('news', new Uint8Array((64 << 10) + 1)))).rejects.toEqual(code('ERR_WIRE_TOO_LARGE'))
  })

  test('stop ends streams of others and refuses what comes after, twice without harm', async () => {
    await using world = create()
    const [a, b] = await pair(world)
    b.handle(protocol, options, echo)
    const stream = await world.run(a.open(b.did, protocol, options))
    const reading = allFrames(stream.frames).then(
      () => 'end',
      (error: MeshError) => error.code,
    )
    await world.run(b.stop())
    await world.run(b.stop())
    expect(['end', 'ERR_NET_CLOSED']).toContain(await world.run(reading))
    await expect(world.run(b.open(a.did, protocol, options))).rejects.toEqual(code('ERR_STOPPED'))
  })
})
