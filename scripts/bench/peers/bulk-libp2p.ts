/** libp2p with nothing on top: chunks of a file on one stream, as fast as it takes them; the reader counts. */
import { createReadStream } from 'node:fs'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { answerParent, createCpuMeter } from '../harness.ts'

const protocol = '/bench/bulk/1'
const chunkBytes = 64 * 1024

const libp2p = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 1 << 20 } })],
  connectionMonitor: { enabled: false },
})

/** Counts what comes and says so with one byte at the end. */
await libp2p.handle(protocol, (stream) => {
  let bytes = 0
  let due: number | undefined
  stream.addEventListener('message', ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) {
      let body = chunk
      if (due === undefined) {
        due = new DataView(chunk.buffer, chunk.byteOffset).getFloat64(0)
        body = chunk.subarray(8)
      }
      bytes += body.length
    }
    if (bytes === due) stream.send(Uint8Array.of(1))
  })
})

/** `onDrain` works once per stream. */
const drained = (stream: Stream): Promise<void> => new Promise((resolve) => stream.addEventListener('drain', () => resolve(), { once: true }))

const cpuUs = createCpuMeter()

answerParent({
  cpuUs,
  start: () => libp2p.getMultiaddrs().map(String)[0],
  /** Milliseconds until the other side has all bytes of the file. */
  async send({ address, path, size }: { readonly address: string; readonly path: string; readonly size: number }) {
    const stream = await libp2p.dialProtocol(multiaddr(address), protocol)
    const done = new Promise<void>((resolve) => stream.addEventListener('message', () => resolve(), { once: true }))
    const start = performance.now()
    const head = new Uint8Array(8)
    new DataView(head.buffer).setFloat64(0, size)
    stream.send(head)
    for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes }) as AsyncIterable<Uint8Array>) {
      stream.send(chunk)
      if (stream.writableNeedsDrain) await drained(stream)
    }
    await done
    const ms = performance.now() - start
    await stream.close()
    return ms
  },
})
