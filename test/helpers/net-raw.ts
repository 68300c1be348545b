import { connect, type Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import type { PrivateKey } from '@libp2p/interface'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { concat, utf8 } from '../../src/base/index.ts'
import type { Host } from '../../src/net/index.ts'

/** A libp2p node that keeps none of our rules: plain kad-dht under our protocol, every record valid. */
export async function createRawNode(privateKey?: PrivateKey) {
  return await createLibp2p({
    ...(privateKey === undefined ? {} : { privateKey }),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 1 << 20 } })],
    connectionManager: { inboundConnectionThreshold: 1_000 },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/kindmesh/kad/1.0.0',
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
        validators: { 'test-rec': () => Promise.resolve() },
        selectors: { 'test-rec': () => 0 },
      }),
    },
  })
}

export type RawNode = Awaited<ReturnType<typeof createRawNode>>

export const recordKey = (key: string): Uint8Array => concat(utf8('/test-rec/'), utf8(key))

/** Connects and waits until each DHT knows the other. */
export async function join(raw: RawNode, to: Host | RawNode, until: (check: () => boolean) => Promise<void>): Promise<void> {
  await raw.dial('did' in to ? to.addresses().map((address) => multiaddr(address)) : to.getMultiaddrs())
  const dht = raw.services.dht as unknown as { readonly routingTable: { readonly size: number } }
  await until(() => dht.routingTable.size > 0)
}

/** Puts a record as kad-dht does; how many peers took it. */
export async function rawPut(raw: RawNode, key: string, value: Uint8Array): Promise<number> {
  let taken = 0
  for await (const event of raw.services.dht.put(recordKey(key), value, { signal: AbortSignal.timeout(5_000) })) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') taken++
  }
  return taken
}

/** What one peer answers when asked for a record. */
export async function rawGet(raw: RawNode, key: string, from: string): Promise<Uint8Array | undefined> {
  let value: Uint8Array | undefined
  try {
    for await (const event of raw.services.dht.get(recordKey(key), { signal: AbortSignal.timeout(5_000) })) {
      if (event.name === 'PEER_RESPONSE' && event.from.toString() === from && event.record !== undefined) value ??= Uint8Array.from(event.record.value)
    }
  } catch {
    // kad-dht's get throws when a peer refuses its correction; the answer came before.
  }
  return value
}

/** TCP connections that say nothing. */
export async function silentSockets(count: number, port: number): Promise<{ readonly sockets: readonly Socket[] } & Disposable> {
  const sockets = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => resolve(socket))
          socket.on('error', reject)
        }),
    ),
  )
  return { sockets, [Symbol.dispose]: () => sockets.forEach((socket) => socket.destroy()) }
}

export const portOf = (host: Host): number => Number(/\/tcp\/(\d+)/.exec(host.addresses()[0] ?? '')?.[1])
