import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { expect, test } from 'vitest'
import { createLibp2pHost } from '../../src/net/index.ts'
import { libp2pOptions } from '../helpers/net-hosts.ts'

/** A libp2p node as others build it: nothing of ours in it. */
const stranger = (options: Pick<Libp2pOptions, 'transports' | 'connectionEncrypters'>) =>
  createLibp2p({ ...options, streamMuxers: [yamux()], services: { identify: identify(), ping: ping() } })

test.each([
  ['TCP and Noise', { transports: [tcp()], connectionEncrypters: [noise()] }, '/tcp/0'],
  ['TCP and TLS', { transports: [tcp()], connectionEncrypters: [tls()] }, '/tcp/0'],
  ['WebSocket and Noise', { transports: [webSockets()], connectionEncrypters: [noise()] }, '/tcp/0/ws'],
])('a plain libp2p node speaks to ours over %s', async (_name, options, listen) => {
  const host = await createLibp2pHost(libp2pOptions(0, { listen: [`/ip4/127.0.0.1${listen}`] }))
  const other = await stranger(options)
  try {
    const address = multiaddr(host.addresses()[0] ?? '')
    const connection = await other.dial(address)
    expect(connection.remotePeer.toString()).toBe(host.peerId)
    expect(await other.services.ping.ping(address)).toBeGreaterThanOrEqual(0)
    expect(host.peers().map(({ peerId }) => peerId)).toEqual([other.peerId.toString()])
    const { protocols } = await other.peerStore.get(connection.remotePeer)
    expect(protocols).toEqual(expect.arrayContaining(['/ipfs/ping/1.0.0', '/ipfs/id/1.0.0', '/kindmesh/kad/1.0.0']))
  } finally {
    await other.stop()
    await host.stop()
  }
})
