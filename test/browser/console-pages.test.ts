import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Request } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shown } from '../../src/console/lib/shown.ts'
import { createClient } from '../../src/client/index.ts'
import { createAuthenticator } from '../helpers/authenticator.ts'
import { type ApiDouble, createApiDouble, type OpenApi } from '../helpers/api-double.ts'
import { openBrowser, type Tab, type TestBrowser } from '../helpers/browser.ts'
import { startUp, type UpNode } from '../helpers/cli.ts'
import { hostileNames } from '../helpers/hostile-names.ts'

/**
 * Every page of the console, in real Chromium, served by a real node under its own content policy. What the pages read comes from a double of the API
 * (test/helpers/api-double.ts): replies in the shapes that the node documents, with hostile text wherever a stranger could have written some.
 * A stranger could not get all of these past the node; the console is held to it all the same.
 */
let folder = ''
let node: UpNode
let token = ''
let openApi: OpenApi
let browser: TestBrowser
/** `#/<path>` of every page, and of the views inside them that have one of their own. */
let places: readonly string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-pages-'))
  node = await startUp(join(folder, 'a'))
  token = await sessionOf(node)
  openApi = (await (await fetch(`${node.api}/openapi.json`)).json()) as OpenApi
  const registry = await readFile(new URL('../../src/console/pages.ts', import.meta.url), 'utf8')
  const paths = [...registry.matchAll(/\bpath: '([^']*)'/g)].map(([, path]) => `#/${path ?? ''}`)
  const did = encodeURIComponent(node.did)
  places = [...paths, `#/mesh/${did}`, `#/trust/${did}`, ...['graph', 'what-if', 'attest'].map((view) => `#/trust?view=${view}`)]
  browser = await openBrowser()
})

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]()
  await node?.end('SIGTERM')
  await rm(folder, { recursive: true, force: true })
})

/** The session of the owner, enrolled with a passkey made here: no tab needs an authenticator then. */
async function sessionOf({ api, console: link }: UpNode): Promise<string> {
  const anyone = createClient({ url: api, token: 'none' })
  const { flow, options } = await anyone.beginRegistration({ token: link.split('/').at(-1) ?? '', name: 'Anna' })
  const { session } = await anyone.finishRegistration({ flow, response: createAuthenticator({ origin: api }).create(options as never) })
  return session?.token ?? ''
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

/** A tab whose calls are answered by `answer`; the calls about the session itself go to the node. */
async function openAnswered(answer: (method: string, path: string) => Answer | undefined, options: { readonly width: number }): Promise<Tab> {
  const tab = await browser.open({ ...options, height: 780, hasAuthenticator: false })
  await tab.page.route(`${node.api}/v1/**`, async (route) => {
    const { pathname } = new URL(route.request().url())
    const given = pathname.startsWith('/v1/auth/') ? undefined : answer(route.request().method(), pathname)
    if (given === undefined) return await route.continue()
    return await route.fulfill({ status: given.status, contentType: 'application/json', body: `${JSON.stringify(given.body)}\n` })
  })
  const waiting = new Set<Request>()
  open.set(tab, waiting)
  tab.page.on('request', (request) => void (request.url().endsWith('/v1/events') || waiting.add(request)))
  for (const end of ['requestfinished', 'requestfailed'] as const) tab.page.on(end as 'requestfinished', (request) => void waiting.delete(request))
  await tab.page.addInitScript(
    "addEventListener('securitypolicyviolation', (event) => { (window.__violations ??= []).push(event.violatedDirective + ' ' + event.blockedURI) })",
  )
  // As the console keeps its session.
  await tab.page.addInitScript(`if (location.protocol === 'http:') sessionStorage.setItem('kindmesh.session', ${JSON.stringify(token)})`)
  await tab.page.goto(`${node.api}/`)
  await tab.page.getByRole('heading', { level: 1 }).waitFor()
  return tab
}

/** Requests of a page that have no answer yet, but for the stream of events, which has no end. */
const open = new WeakMap<Tab, Set<Request>>()

/** Goes to a page and waits until it has what it asked for and has drawn it. */
async function visit(tab: Tab, place: string): Promise<void> {
  // What the page before still waited for is nobody's any more.
  open.get(tab)?.clear()
  await tab.page.evaluate(`location.hash = ${JSON.stringify(place)}`)
  const waiting = open.get(tab)
  for (let calm = 0, turns = 0; calm < 3; calm = waiting?.size === 0 ? calm + 1 : 0) {
    if (++turns > turnsMax) throw new Error(`${place} still waits for ${[...(waiting ?? [])].map((request) => request.url()).join(', ')}`)
    await drawn(tab)
  }
}

/** Pairs of frames within which a page has what it asked for. */
const turnsMax = 600

/** Two frames from now, and after whatever fades or moves has come to rest. */
const drawn = ({ page }: Tab): Promise<unknown> =>
  page.evaluate(`new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    .then(() => Promise.allSettled(document.getAnimations().filter(({ effect, playState }) => playState === 'running' && effect.getComputedTiming().iterations !== Infinity).map(({ finished }) => finished)))
    .then(() => undefined)`)

interface Look {
  readonly text: string
  readonly unseen: readonly string[]
  readonly armed: readonly string[]
  readonly pwned: unknown
  readonly violations: readonly string[]
  readonly wide: readonly string[]
  readonly tall: readonly string[]
  readonly dids: readonly string[]
}

/** What a page holds that it must not: run in the page, so handed over as text. */
const look = `(() => {
  const root = document.querySelector('#app')
  const elements = [...root.querySelectorAll('*')]
  const texts = []
  for (const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT); walker.nextNode(); ) texts.push(walker.currentNode.data)
  const unseen = /[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff]|\\p{M}{6}/u
  return {
    text: texts.join('\\n'),
    unseen: texts.filter((text) => unseen.test(text)).map((text) => text.slice(0, 60)),
    armed: elements.filter((element) => /^(script|iframe|object|embed|base|meta|link|style|img|marquee|template|math|video)$/i.test(element.tagName)
      || [...element.attributes].some(({ name, value }) => /^on/i.test(name) || /^(href|src|xlink:href|action|formaction|data|srcdoc)$/i.test(name) && /^\\s*(javascript|data|vbscript)\\s*:/i.test(value))).map((element) => element.outerHTML.slice(0, 120)),
    pwned: window.__pwned,
    violations: window.__violations ?? [],
    wide: document.scrollingElement.scrollWidth <= innerWidth ? [] : elements.filter((element) => element.getBoundingClientRect().right > innerWidth).map((element) => element.outerHTML.slice(0, 160)),
    tall: [...root.querySelectorAll('tbody tr')].filter((row) => row.offsetHeight > 600).map((row) => row.textContent.slice(0, 60)),
    dids: [...root.querySelectorAll('code[title]')].map((code) => code.title + ' ' + code.textContent),
  }
})()`

const lookAt = async ({ page }: Tab): Promise<Look> => (await page.evaluate(look)) as Look

/** What is wrong with a page that shows hostile text. */
function wrongIn(found: Look, { faults }: Tab): readonly string[] {
  return [
    ...(found.pwned === undefined ? [] : [`payload ${JSON.stringify(found.pwned)} ran`]),
    ...found.violations.map((text) => `content policy: ${text}`),
    ...found.armed.map((text) => `element that could run something: ${text}`),
    ...found.unseen.map((text) => `text that steers or hides: ${JSON.stringify(text)}`),
    ...found.wide.map((text) => `wider than the screen: ${text}`),
    ...found.tall.map((text) => `a row over 600 px high: ${text}`),
    ...faults.map((text) => `fault: ${text}`),
  ]
}

describe('two hundred hostile texts from strangers', () => {
  test('are two hundred', () => {
    expect(new Set(hostileNames).size).toBe(200)
  })

  test('run nothing, hide nothing and move nothing on any page, and are there as text', async () => {
    const double = createApiDouble({ openApi, texts: hostileNames, items: 12, now: Date.now() })
    const tab = await openAnswered((method, path) => bodyOf(double, method, path), { width: 360 })
    const dialogs: string[] = []
    tab.page.on('dialog', (dialog) => {
      dialogs.push(dialog.message())
      void dialog.dismiss()
    })
    const wrong: Record<string, readonly string[]> = {}
    let text = ''
    for (const place of places) {
      await visit(tab, place)
      const found = await lookAt(tab)
      text += found.text
      const misread = found.dids.filter((one) => !isShortened(one))
      const all = [...wrongIn(found, tab), ...misread.map((one) => `an identity that reads as another: ${one}`)]
      if (all.length > 0) wrong[place] = all.slice(0, 5)
      tab.forgive(/./)
    }
    expect(wrong).toStrictEqual({})
    expect(dialogs).toStrictEqual([])
    expect(double.served.size).toBe(200)
    // Most stand on some page whole, the others cut short.
    expect(hostileNames.filter((name) => text.includes(shown(name, 64))).length).toBeGreaterThan(150)
    await tab.close()
  })

  test('do no harm as messages and hints of errors either, and every page says what failed', async () => {
    let at = 0
    const failed = (): Answer => ({ status: 403, body: { code: 'ERR_REFUSED', message: hostileNames[at++ % 200], hint: hostileNames[at++ % 200] } })
    const tab = await openAnswered((_, path) => (path === '/v1/events' ? undefined : failed()), { width: 360 })
    const wrong: Record<string, readonly string[]> = {}
    let alerts = 0
    for (const place of places) {
      await visit(tab, place)
      const all = wrongIn(await lookAt(tab), tab)
      if (all.length > 0) wrong[place] = all.slice(0, 5)
      tab.forgive(/./)
      alerts += await tab.page.getByRole('alert').count()
    }
    expect(wrong).toStrictEqual({})
    expect(alerts).toBeGreaterThanOrEqual(6)
    await tab.close()
  })
})

function bodyOf(double: ApiDouble, method: string, path: string): Answer | undefined {
  if (path === '/v1/events') return undefined
  const body = double.reply(method, path)
  return body === undefined ? undefined : { status: 200, body }
}

/** `<whole> <as shown>`: what is shown begins and ends as the whole does, and leaves out the middle only. */
function isShortened(line: string): boolean {
  const [whole = '', seen = ''] = line.split(' ')
  if (!whole.startsWith('did:key:') && !whole.startsWith('12D3')) return true
  const [head = '', tail = ''] = seen.split('…')
  const isHead = [whole, whole.slice('did:key:'.length)].some((from) => from.startsWith(head))
  return whole === seen || (isHead && whole.endsWith(tail) && head.length >= 4 && tail.length >= 6)
}

interface Violation {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly html: string; readonly any: readonly { readonly message: string }[] }[]
}

describe('axe-core', () => {
  test('finds nothing serious on any page, full or empty, light or dark', async () => {
    const double = createApiDouble({ openApi, texts: ['some text'], items: 2, now: Date.now() })
    const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
    const found: string[] = []
    for (const isFull of [true, false]) {
      const tab = await openAnswered((method, path) => (isFull ? bodyOf(double, method, path) : undefined), { width: 1_280 })
      await tab.page.evaluate(axeSource)
      for (const place of places) {
        await visit(tab, place)
        for (const scheme of isFull ? (['light', 'dark'] as const) : (['light'] as const)) {
          await tab.page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
          await drawn(tab)
          // Colours are all that differs between the schemes, and an empty page has those of a full one.
          const rules = scheme === 'dark' ? { runOnly: ['color-contrast'] } : isFull ? {} : { rules: { 'color-contrast': { enabled: false } } }
          const options = { resultTypes: ['violations'], ...rules }
          const { violations } = (await tab.page.evaluate(`axe.run(document, ${JSON.stringify(options)})`)) as { readonly violations: readonly Violation[] }
          const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
          found.push(
            ...grave.map(
              ({ id, nodes }) =>
                `${isFull ? 'full' : 'empty'} ${place} ${scheme}: ${id} ${nodes[0]?.html.slice(0, 160) ?? ''} ${nodes[0]?.any[0]?.message ?? ''}`,
            ),
          )
        }
      }
      await tab.close()
    }
    expect(found).toStrictEqual([])
    expect(browser.outside).toStrictEqual([])
  })
})
