import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Did } from '../../src/base/index.ts'
import { createDomainSources, didDocumentBytesMax, domainDocumentOf, type DomainSources } from '../../src/node/domain-proof.ts'
import { testCertificate } from '../helpers/bridge-tls.ts'
import { startNameServer, type Zone } from '../helpers/dns-server.ts'

const anna = 'did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH' as Did
const ben = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK' as Did

let zone: Zone
let page: (request: IncomingMessage, response: ServerResponse) => void
let domain: string
let sources: DomainSources
const stack = new AsyncDisposableStack()

beforeAll(async () => {
  const web = createServer({ key: testCertificate.key, cert: testCertificate.cert }, (request, response) => page(request, response)).listen(0, '127.0.0.1')
  await once(web, 'listening')
  stack.defer(() => {
    web.closeAllConnections()
    web.close()
  })
  domain = `allowed.test:${(web.address() as AddressInfo).port}`
  const names = stack.use(await startNameServer(() => zone))
  sources = createDomainSources({ nameServers: [names.address], ca: testCertificate.cert })
})
afterAll(() => stack.disposeAsync())
beforeEach(() => {
  zone = { 'A allowed.test': ['127.0.0.1'] }
  page = (_request, response) => response.writeHead(404).end()
})

const says = (body: unknown): void => {
  page = (_request, response) => response.end(JSON.stringify(body))
}
const byWeb = () => sources['did.json'](domain, {})

test('join/v1 11.1: what a node prints for its domain is what others read there, by HTTPS and by DNS', async () => {
  const { document, dnsName, dnsText, path } = domainDocumentOf(domain, anna)
  page = (request, response) => (request.url === path ? response.end(JSON.stringify(document)) : response.writeHead(404).end())
  zone = { ...zone, [`TXT ${dnsName}`]: ['v=spf1 -all', dnsText] }
  expect(await byWeb()).toEqual({ dids: [anna] })
  expect(await sources.dns(domain, {})).toEqual({ dids: [anna] })
})

test('join/v1 11.2: keys of other kinds and records of others are passed over; a JSON Web Key counts as its did:key does', async () => {
  const id = `did:web:${domain.replace(':', '%3A')}`
  const x = Buffer.from('8cn_JQfgBNYq6BLX6Kh_DQwFPj4ZBLRvDMOB6Sdnrtk', 'base64url').toString('base64url')
  says({
    id,
    verificationMethod: [
      { publicKeyJwk: { kty: 'EC', crv: 'P-256', x } },
      { publicKeyMultibase: 'zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme' },
      { publicKeyMultibase: ben.slice(8) },
    ],
  })
  expect(await byWeb()).toEqual({ dids: [ben] })
  zone = { ...zone, 'TXT _kindmesh.allowed.test': ['did=did:key:nonsense', 'hello'] }
  expect(await sources.dns(domain, {})).toEqual({ absent: true })
})

test.each<readonly [string, () => void]>([
  ['the document of another domain', () => says(domainDocumentOf('other.test', anna).document)],
  ['no JSON', () => (page = (_request, response) => response.end('<html>'))],
  ['a redirect', () => (page = (_request, response) => response.writeHead(302, { location: `https://${domain}/elsewhere` }).end())],
  ['a fault of the server', () => (page = (_request, response) => response.writeHead(500).end())],
  ['a length over the limit', () => (page = (_request, response) => response.writeHead(200, { 'content-length': didDocumentBytesMax + 1 }).end())],
  [
    'more than the limit without a length',
    () => (page = (_request, response) => response.end(`${JSON.stringify(domainDocumentOf(domain, anna).document)}${' '.repeat(didDocumentBytesMax)}`)),
  ],
  ['a thousand keys', () => says({ id: `did:web:${domain.replace(':', '%3A')}`, alsoKnownAs: Array(1_000).fill(anna) })],
  ['nobody at that address', () => (zone = { 'A allowed.test': 'refuse' })],
])('join/v1 11.3: %s names nobody and says why', async (_what, arrange) => {
  arrange()
  expect(await byWeb()).toEqual({ failed: expect.any(String) })
})

test('join/v1 11.3: a certificate of somebody unknown names nobody', async () => {
  says(domainDocumentOf(domain, anna).document)
  const names = stack.use(await startNameServer(() => zone))
  const strict = createDomainSources({ nameServers: [names.address] })
  expect(await strict['did.json'](domain, {})).toEqual({ failed: expect.stringMatching(/self.signed|certificate/i) })
})

test('a server that never answers is left when the caller goes', async () => {
  page = () => undefined
  const leaving = new AbortController()
  const asked = sources['did.json'](domain, { signal: leaving.signal })
  leaving.abort()
  expect(await asked).toEqual({ failed: expect.stringContaining('abort') })
})

test('a name server that refuses is a failure, one that knows of no such name is not', async () => {
  zone = { 'TXT _kindmesh.allowed.test': 'refuse' }
  expect(await sources.dns(domain, {})).toEqual({ failed: expect.stringContaining('REFUSED') })
  zone = {}
  expect(await sources.dns(domain, {})).toEqual({ absent: true })
})

test('on this machine itself no certificate is asked for', async () => {
  const web = createHttpServer((request, response) => page(request, response)).listen(0, '127.0.0.1')
  await once(web, 'listening')
  stack.defer(() => void web.close())
  const local = `localhost:${(web.address() as AddressInfo).port}`
  says(domainDocumentOf(local, anna).document)
  zone = { 'A localhost': ['127.0.0.1'] }
  expect(await sources['did.json'](local, {})).toEqual({ dids: [anna] })
})
