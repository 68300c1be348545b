/** libp2p with nothing on top: TCP, Noise, Yamux, and length-prefixed frames on one open stream, those of one microtask in one write. */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { FrameCutter, headerLength, joinFrames } from '../../../src/net/frames.ts'
import { answerParent, createCpuMeter, load, type LoadOptions } from '../harness.ts'
import { settledRssBytes } from '../rss.ts'

const protocol = '/bench/echo/1'
const frameBytesMax = 4_096
const text = new Uint8Array(1_024).fill(120)

const libp2p = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionManager: { inboundConnectionThreshold: 1_000 },
  connectionMonitor: { enabled: false },
})

/** Hands over each frame that comes; the function it gives queues a frame to send. */
function framed(stream: Stream, onFrame: (frame: Uint8Array) => void): (frame: Uint8Array) => void {
  const cutter = new FrameCutter(frameBytesMax)
  let queue: Uint8Array[] = []
  const flush = (): void => {
    stream.send(
      joinFrames(
        queue,
        queue.reduce((sum, { length }) => sum + headerLength(length) + length, 0),
      ),
    )
    queue = []
  }
  stream.addEventListener('message', ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) cutter.push(chunk)
    for (let frame = cutter.next(); frame !== undefined; frame = cutter.next()) onFrame(frame)
  })
  return (frame) => {
    if (queue.push(frame) === 1) queueMicrotask(flush)
  }
}

await libp2p.handle(protocol, (stream) => {
  const send = framed(stream, (frame) => send(frame))
})

const waiting = new Map<number, () => void>()
let send: ((frame: Uint8Array) => void) | undefined
let lastId = 0

function ask(): Promise<void> {
  const id = ++lastId
  const frame = new Uint8Array(4 + text.length)
  new DataView(frame.buffer).setUint32(0, id)
  frame.set(text, 4)
  return new Promise((resolve) => {
    waiting.set(id, resolve)
    send?.(frame)
  })
}

answerParent({
  start: () => libp2p.getMultiaddrs().map(String)[0],
  async connectMs(address: string) {
    const start = performance.now()
    const connection = await libp2p.dial(multiaddr(address))
    const ms = performance.now() - start
    await libp2p.hangUp(connection.remotePeer)
    return ms
  },
  async connect(address: string) {
    send = framed(await libp2p.dialProtocol(multiaddr(address), protocol), (frame) => {
      const id = new DataView(frame.buffer, frame.byteOffset).getUint32(0)
      waiting.get(id)?.()
      waiting.delete(id)
    })
  },
  load: (options: LoadOptions) => load(ask, options),
  cpuUs: createCpuMeter(),
  rssBytes: settledRssBytes,
})
