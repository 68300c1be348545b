import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Api, startApi } from '../../src/api/index.ts'
import { realRandom } from '../../src/base/index.ts'
import { createNode } from '../../src/node/index.ts'
import { enrol, openBrowser, type Tab, type TestBrowser } from '../helpers/browser.ts'
import { type Target, vectors } from '../helpers/cross-site.ts'

const rebound = 'evil.test'
const undo = new AsyncDisposableStack()
let browser: TestBrowser
let api: Api
let token: string
let victim: Tab
let hostilePort: number
/** Every request that reached a handler of the node, and every one that the node answered, in whatever way. */
let served: string[] = []
let arrived: string[] = []

const note = (message: unknown): void => {
  const { request: got } = message as { readonly request: IncomingMessage }
  if (got.socket.localPort !== Number(new URL(api.url).port)) return
  arrived.push(`${got.method ?? ''} ${got.url ?? ''}`)
  onAnswered(got.url ?? '')
}
let onAnswered: (url: string) => void = () => undefined

beforeAll(async () => {
  const home = await mkdtemp(join(tmpdir(), 'kindmesh-cross-'))
  undo.defer(() => rm(home, { recursive: true, force: true }))
  const node = undo.use(await createNode({ dataDir: home, upnp: false }))
  const file = join(home, 'api.json')
  api = await startApi({ node, file, version: 'test', startedAt: 0, random: realRandom, onServed: (route) => served.push(route) })
  undo.defer(() => api.stop())
  subscribe('http.server.response.finish', note)
  undo.defer(() => void unsubscribe('http.server.response.finish', note))
  token = (JSON.parse(await readFile(file, 'utf8')) as { readonly token: string }).token
  const hostile = createServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><body>free stickers</body>'),
  )
  await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve))
  hostilePort = (hostile.address() as AddressInfo).port
  undo.defer(() => {
    hostile.closeAllConnections()
    hostile.close()
  })
  browser = undo.use(await openBrowser({ names: [rebound] }))
  victim = await browser.open()
  const link = await node.users.ownerLink()
  await enrol(victim, `${api.url}/#/enrol/${link?.token ?? ''}`, 'Anna')
})
afterAll(() => undo.disposeAsync())
beforeEach(() => {
  served = []
  arrived = []
})

const target = (): Target => ({ api: api.url, token })

/** Opens a page in the browser in which the user is logged in. */
async function hostilePage(url: string): Promise<Page> {
  const page = await victim.context.newPage()
  // What an attacker's server answered before its name was led to this machine.
  await page.route('**/attack', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><body>free stickers</body>' }))
  await page.goto(url)
  return page
}

/** Lets the page try a vector, and waits until the browser is done with it. */
async function attempt(page: Page, name: string, against: Target): Promise<void> {
  const mark = `mark=${Object.keys(vectors).indexOf(name)}.`
  let end: () => void = () => undefined
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const onEnd = (sent: { url(): string }): void => {
    if (sent.url().includes(mark)) end()
  }
  const context = page.context()
  context.on('requestfinished', onEnd).on('requestfailed', onEnd)
  onAnswered = (url) => onEnd({ url: () => url })
  const run = `Promise.resolve((${vectors[name] ?? ''})(${JSON.stringify(against)}, '${mark}'))`
  const how = await page.evaluate(`${run}.then(() => 'settled', () => 'refused')`)
  // A websocket, and what the browser refuses by itself, are no requests it tells of.
  if (name === 'WebSocket' || how === 'refused') end()
  await ended
  context.off('requestfinished', onEnd).off('requestfailed', onEnd)
}

/** Vectors whose request came as far as the node. */
const arrivals = (): number => new Set(arrived.map((line) => /mark=(\d+)/.exec(line)?.[1])).size

test('the console itself reaches the node: what is counted below is counted here', async () => {
  await victim.page.goto(`${api.url}/`)
  const status = await victim.page.evaluate(async (bearer) => (await fetch('/v1/status', { headers: { authorization: `Bearer ${bearer}` } })).status, token)
  expect(status).toBe(200)
  expect(served).toContain('GET /')
  expect(served).toContain('GET /v1/status')
})

test.each([
  ['another port of localhost', () => `http://localhost:${hostilePort}/`],
  ['the same port under a name that was led here', () => `http://${rebound}:${new URL(api.url).port}/attack`],
  ['a foreign name', () => `http://${rebound}:${hostilePort}/`],
])('of all that a page of %s tries, nothing reaches a handler', async (_where, url) => {
  const page = await hostilePage(url())
  for (const name of Object.keys(vectors)) await attempt(page, name, target())
  expect(served).toEqual([])
  expect(arrivals()).toBeGreaterThan(20)
  await page.close()
})

test('a name that was led here after the page was loaded asks its own origin, and reaches nothing', async () => {
  const { port } = new URL(api.url)
  const own = `http://${rebound}:${port}`
  const page = await hostilePage(`${own}/attack`)
  // No other origin for the browser: neither Origin nor Sec-Fetch-Site gives these away, Host alone does.
  for (const name of Object.keys(vectors)) await attempt(page, name, { api: own, token })
  expect(served).toEqual([])
  expect(arrivals()).toBeGreaterThan(20)
  expect(await page.evaluate(async () => (await fetch('/healthz')).status)).toBe(403)
  await page.close()
})

test('a page that opens the console gets no grip on it, and its service worker cannot be of the console', async () => {
  const page = await hostilePage(`http://localhost:${hostilePort}/`)
  const [opened] = await Promise.all([page.context().waitForEvent('page'), page.evaluate(`void (globalThis.grip = window.open('${api.url}/'))`)])
  await opened.waitForLoadState()
  expect(await page.evaluate('globalThis.grip?.closed ?? true')).toBe(true)
  const registered = await page.evaluate(`navigator.serviceWorker.register('${api.url}/assets/worker.js').then(() => 'registered', ({ name }) => name)`)
  expect(registered).toBe('SecurityError')
  expect(await page.evaluate(() => sessionStorage.length)).toBe(0)
  await opened.close()
  await page.close()
})

/** As no browser would send it by itself: extensions, and programs of other users of the machine. */
function raw(headers: Readonly<Record<string, string>>, method = 'GET', path = '/v1/status'): Promise<number> {
  const { port, host } = new URL(api.url)
  return new Promise((resolve, reject) => {
    request({ host: 'localhost', port, method, path, headers: { host, authorization: `Bearer ${token}`, ...headers } }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
      .on('error', reject)
      .end(method === 'POST' ? '{}' : '')
  })
}

test('extensions, sandboxed frames and files are foreign origins too, and so is each way to say where a fetch comes from', async () => {
  for (const origin of [
    'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
    'moz-extension://0-1',
    'null',
    'file://',
    `http://LOCALHOST:${new URL(api.url).port}`,
  ]) {
    expect([origin, await raw({ origin })]).toEqual([origin, 403])
  }
  for (const site of ['cross-site', 'same-site', 'anything']) expect([site, await raw({ 'sec-fetch-site': site })]).toEqual([site, 403])
  const framed = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }
  expect(await raw(framed, 'GET', '/')).toBe(403)
  expect(await raw({ 'content-type': 'text/plain' }, 'POST', '/v1/auth/login/begin')).toBe(415)
  expect(served).toEqual([])
  expect(await raw({ 'sec-fetch-site': 'none' })).toBe(200)
  expect(served).toEqual(['GET /v1/status'])
})
