import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { demoMesh } from '../mesh-demo.ts'
import { type Bench, type Row, row } from '../harness.ts'

const consoleFolder = fileURLToPath(new URL('../../../dist/console', import.meta.url))
const nodes = 500
/** What the mission asks of the map. */
const framesWanted = 30
const types: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }

/** Frames a second of the mesh map with 500 nodes and 1,500 statements, drawn in Chromium without a graphics card. Needs a built console. */
export async function* consoleMap(bench: Bench): AsyncGenerator<Row> {
  const server = await serve(demoMesh(nodes))
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-dev-shm-usage'],
  })
  const url = `http://localhost:${(server.address() as AddressInfo).port}`
  const ms = bench.loadMs * 6
  const figures: Record<'layout' | 'pan' | 'still', number[]> = { layout: [], pan: [], still: [] }
  try {
    for (let round = 0; round < bench.rounds(3); round++) {
      const page = await openMap(browser, url)
      figures.layout.push(await drawsPerSecond(page, ms))
      figures.pan.push(await drawsPerSecond(page, ms, () => drag(page, ms)))
      figures.still.push(await framesPerSecond(page, ms))
      await page.context().close()
    }
  } finally {
    await browser.close()
    server.closeAllConnections()
    server.close()
  }
  const wanted = { unit: 'frames/s', against: 'frames wanted', others: [framesWanted], goal: 1 }
  yield row({
    ...wanted,
    id: 'console-map-layout',
    what: `mesh map of ${nodes} nodes while the layout runs`,
    figures: figures.layout,
    others: figures.layout.map(() => framesWanted),
  })
  yield row({
    ...wanted,
    id: 'console-map-pan',
    what: `mesh map of ${nodes} nodes while it is dragged about`,
    figures: figures.pan,
    others: figures.pan.map(() => framesWanted),
  })
  yield row({
    ...wanted,
    id: 'console-map-still',
    what: 'frames of the same page when nothing moves, which is the most there could be',
    figures: figures.still,
    others: figures.still.map(() => framesWanted),
  })
}

async function openMap(browser: Browser, url: string): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1_280, height: 800 } })).newPage()
  // The map clears its canvas once a frame: each is counted.
  await page.addInitScript(`window.__draws = 0
    const { clearRect } = CanvasRenderingContext2D.prototype
    CanvasRenderingContext2D.prototype.clearRect = function (...given) { window.__draws++; return clearRect.apply(this, given) }`)
  await page.addInitScript("if (location.protocol === 'http:') sessionStorage.setItem('kindmesh.session', 'bench')")
  await page.goto(`${url}/#/mesh`)
  await page.locator('canvas').waitFor()
  await page.waitForFunction('window.__draws > 0')
  return page
}

const drawsOf = async (page: Page): Promise<readonly [draws: number, at: number]> => await page.evaluate('[window.__draws, performance.now()]')

async function drawsPerSecond(page: Page, ms: number, meanwhile: () => Promise<void> = () => page.waitForTimeout(ms)): Promise<number> {
  const [before, from] = await drawsOf(page)
  await meanwhile()
  const [after, to] = await drawsOf(page)
  return ((after - before) * 1_000) / (to - from)
}

async function drag(page: Page, ms: number): Promise<void> {
  const box = await page.locator('canvas').boundingBox()
  if (box === null) throw new Error('there is no map')
  // From a corner, where nobody is.
  await page.mouse.move(box.x + 6, box.y + 6)
  await page.mouse.down()
  const end = performance.now() + ms
  for (let step = 0; performance.now() < end; step++) await page.mouse.move(box.x + 60 + 50 * Math.sin(step / 9), box.y + 60 + 50 * Math.cos(step / 7))
  await page.mouse.up()
}

const framesPerSecond = (page: Page, ms: number): Promise<number> =>
  page.evaluate(`new Promise((resolve) => {
    const from = performance.now()
    let frames = 0
    const frame = (now) => (frames++, now - from < ${ms} ? requestAnimationFrame(frame) : resolve(frames * 1000 / (performance.now() - from)))
    requestAnimationFrame(frame)
  })`)

/** The built console, and the demo as its API. */
async function serve(replies: Readonly<Record<string, unknown>>): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (Object.hasOwn(replies, pathname)) return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(replies[pathname]))
    if (pathname === '/v1/events') return void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n')
    const file = pathname === '/' ? 'index.html' : pathname.slice(1)
    readFile(join(consoleFolder, file)).then(
      (bytes) => response.writeHead(200, { 'content-type': types[file.split('.').at(-1) ?? ''] ?? 'application/octet-stream' }).end(bytes),
      () => response.writeHead(404, { 'content-type': 'application/json' }).end('{"code":"ERR_NOT_FOUND","message":"","hint":""}'),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return server
}
