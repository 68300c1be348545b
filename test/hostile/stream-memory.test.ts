import { expect, test } from 'vitest'
import { realClock } from '../../src/base/index.ts'
import type { HostStream } from '../../src/net/index.ts'
import { framed } from '../../src/protocols/channel.ts'
import { createStreamChannel } from '../../src/protocols/stream/channel.ts'
import { chunkBytes, encodeStreamEvent, streamFrameBytesMax, streamProtocol, type StreamEvent } from '../../src/protocols/stream/codec.ts'
import { chunksUnderWayMax } from '../../src/protocols/stream/client.ts'
import { pushStream } from '../../src/protocols/stream/index.ts'
import { readAheadBytesMax } from '../../src/net/libp2p-stream.ts'
import { streamWindowBytesMax } from '../../src/net/limits.ts'
import { createConnectedHosts } from '../helpers/net-hosts.ts'

const mebibyte = 1 << 20
const bodyBytes = (process.env['KINDMESH_TEST_LONG'] === undefined ? 256 : 1_024) * mebibyte
/** What a process may grow by while garbage of chunks waits to be collected, however long the body. */
const growthBytesMax = 160 * mebibyte
/** What may lie between a source and a reader that does not read: chunks handed over, two windows (a mux grants the next while it holds one), what the reader reads ahead, sockets. */
const underWayBytesMax = chunksUnderWayMax * chunkBytes + 2 * streamWindowBytesMax + readAheadBytesMax + 4 * mebibyte
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('a large body through a reader that first does not read and then reads slowly: what is under way is bounded all the time', async () => {
  await using world = await createConnectedHosts(2)
  const [sender, receiver] = world.hosts as readonly [(typeof world.hosts)[number], (typeof world.hosts)[number]]
  const secret = new Uint8Array(32).fill(1)
  const offerHash = new Uint8Array(32).fill(2)
  const arrived = Promise.withResolvers<HostStream>()
  const done = Promise.withResolvers<void>()
  receiver.handle(streamProtocol, { frameBytesMax: streamFrameBytesMax, inboundStreamsMax: 1 }, async (stream) => {
    arrived.resolve(stream)
    await done.promise
  })
  let produced = 0
  const chunk = new Uint8Array(chunkBytes).fill(5)
  const pushed = pushStream(sender, receiver.did, {
    sealed: Uint8Array.of(1),
    secret,
    offerHash,
    async *chunks() {
      for (; produced < bodyBytes; produced += chunkBytes) yield chunk
    },
    onKept: () => undefined,
    clock: realClock,
  })
  const stream = await arrived.promise
  const frames = stream.frames[Symbol.asyncIterator]()
  const channel = createStreamChannel(secret, 'to-sender', offerHash)
  const say = (event: StreamEvent): Promise<void> => stream.send(framed(1, channel.seal(encodeStreamEvent(event))))
  await frames.next()
  await say({ event: 'accepted', cursor: 0 })

  // It stalls until the source has stood still for a while.
  for (let before = -1; before !== produced;) {
    before = produced
    await turns(2_000)
  }
  expect(produced).toBeGreaterThan(0)
  expect(produced).toBeLessThanOrEqual(underWayBytesMax)

  const incoming = createStreamChannel(secret, 'to-receiver', offerHash)
  const restBefore = process.memoryUsage.rss()
  let [read, mostUnderWay, mostRss] = [0, 0, restBefore]
  while (read < bodyBytes) {
    const { value } = (await frames.next()) as { readonly value: Uint8Array }
    read += incoming.open(value).length
    mostUnderWay = Math.max(mostUnderWay, produced - read)
    // Now and then it does not read for a while.
    if (read % (16 * mebibyte) === 0) {
      mostRss = Math.max(mostRss, process.memoryUsage.rss())
      await turns(50)
    }
  }
  await say({ event: 'received', receipt: new Uint8Array(3) })
  expect(await pushed).toEqual(new Uint8Array(3))
  done.resolve()
  expect(mostUnderWay).toBeLessThanOrEqual(underWayBytesMax)
  expect(mostRss - restBefore).toBeLessThan(growthBytesMax)
}, 120_000)
