import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { createLibp2pHost } from '../../src/net/index.ts'
import { libp2pOptions } from '../helpers/net-hosts.ts'

/** Multicast needs an interface besides loopback. */
const hasNetwork = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ internal, family }) => !internal && family === 'IPv4'))

test.skipIf(!hasNetwork)('two hosts on one network find each other by mDNS, told nothing', async () => {
  const options = { mdns: true, listen: ['/ip4/0.0.0.0/tcp/0'] }
  const [anna, ben] = await Promise.all([createLibp2pHost(libp2pOptions(0, options)), createLibp2pHost(libp2pOptions(1, options))])
  try {
    const met = Promise.withResolvers<string>()
    ben.onPeer(({ peer }) => met.resolve(peer.did))
    const [known] = ben.peers()
    expect(known?.did ?? (await met.promise)).toBe(anna.did)
  } finally {
    await Promise.all([anna.stop(), ben.stop()])
  }
})
