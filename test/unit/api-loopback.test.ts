import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import fastify from 'fastify'
import { expect, test } from 'vitest'
import { listenOnLoopback } from '../../src/api/loopback.ts'

const headerBytesMax = 16_384
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1') === true)
const served = () => fastify({ forceCloseConnections: true }).get('/where', async () => ({ here: true }))
const codeOf = async (attempt: Promise<unknown>): Promise<unknown> => await attempt.catch((error: unknown) => (error as { readonly code?: unknown }).code)

test.runIf(hasIpv6)('both addresses of localhost are the one server (needs IPv6 on loopback), and nobody takes one of them beside it', async () => {
  const loopback = await listenOnLoopback(served(), { port: 0, headerBytesMax })
  const urls = ['127.0.0.1', '[::1]'].map((host) => `http://${host}:${loopback.port}/where`)
  for (const url of urls) expect(await (await fetch(url)).json()).toEqual({ here: true })
  for (const host of ['127.0.0.1', '::1']) {
    const other = createServer().listen({ host, port: loopback.port })
    const [error] = (await once(other, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('EADDRINUSE')
  }
  // Headers have the same limit on both.
  for (const url of urls) expect((await fetch(url, { headers: { 'x-long': 'x'.repeat(headerBytesMax) } })).status).toBe(431)
  await loopback.close()
  for (const url of urls) await expect(fetch(url)).rejects.toThrow('fetch failed')
})

test.runIf(hasIpv6)('a port of which somebody holds the other address is no port for the API (needs IPv6 on loopback)', async () => {
  const other = createServer().listen({ host: '::1', port: 0 })
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  expect(await codeOf(listenOnLoopback(served(), { port, headerBytesMax }))).toBe('ERR_NET_ADDRESS')
  await expect(fetch(`http://127.0.0.1:${port}/where`)).rejects.toThrow('fetch failed')
  other.close()
})
