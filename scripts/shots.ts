/**
 * Pictures of every page of the console, as it looks with some life in the mesh: light and dark, wide and on a phone.
 * `npm run shots -- [--out <folder>] [--json] [--page <path>]`. Ends with an error when a page shows one or the browser complains.
 */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { enrol, openBrowser, type Tab } from '../test/helpers/browser.ts'
import { createPlayground } from '../test/helpers/cli.ts'
import { createLively } from '../test/helpers/lively.ts'

interface Shot {
  readonly file: string
  readonly page: string
  readonly scheme: 'light' | 'dark'
  readonly width: number
  readonly faults: readonly string[]
}

const widths = [1_280, 390] as const
/** Pictures are no higher than this. */
const heightMax = 3_000
const schemes = ['light', 'dark'] as const

const { values } = parseArgs({ options: { out: { type: 'string' }, json: { type: 'boolean', default: false }, page: { type: 'string', multiple: true } } })
const folder = values.out ?? mkdtempSync(join(tmpdir(), 'kindmesh-shots-'))
mkdirSync(folder, { recursive: true })

const shots: Shot[] = []
await using ground = await createPlayground()
await using browser = await openBrowser()
const [anna, ben] = await createLively(ground)
if (anna === undefined || ben === undefined) throw new Error('no nodes')

const tab = await browser.open()
if (values.page === undefined) {
  await shootAll(tab, 'login', async () => {
    await tab.page.goto(`${anna.node.api}/`)
    await tab.page.getByRole('heading', { name: 'Log in' }).waitFor()
  })
  await shootAll(tab, 'enrol', async () => {
    await tab.page.goto('about:blank')
    await tab.page.goto(anna.node.console)
    await tab.page.getByLabel('Your name').fill('anna')
  })
}
await enrol(tab, anna.node.console, 'anna')
for (const path of await pagePaths(tab)) {
  await shootAll(tab, path === '' ? 'overview' : path, async () => {
    await tab.page.goto(`${anna.node.api}/#/${path}`)
    await settle(tab)
  })
}
if (values.page === undefined) {
  for (const [name, keys] of [
    ['keys', '?'],
    ['go-to', 'Control+k'],
  ] as const) {
    await shootAll(tab, name, async () => {
      await tab.page.goto(`${anna.node.api}/#/`)
      await settle(tab)
      await tab.page.keyboard.press('Escape')
      await tab.page.keyboard.press(keys)
      await tab.page.getByRole('dialog').waitFor()
    })
  }
}

const failed = shots.filter(({ faults }) => faults.length > 0)
if (values.json) process.stdout.write(`${JSON.stringify({ schema: 'kindmesh.shots/1', folder, shots })}\n`)
else process.stdout.write(`${shots.length} pictures in ${folder}, ${failed.length} with faults\n`)
if (failed.length > 0) process.exitCode = 1

/** What the navigation leads to. */
async function pagePaths({ page }: Tab): Promise<readonly string[]> {
  const links = await page.locator('nav#pages a').evaluateAll((all) => all.map((link) => (link as unknown as { readonly hash: string }).hash))
  const paths = links.map((hash) => hash.replace(/^#\//, ''))
  return paths.filter((path) => values.page === undefined || values.page.includes(path === '' ? 'overview' : path))
}

async function shootAll({ page, ...rest }: Tab, name: string, go: () => Promise<void>): Promise<void> {
  for (const width of widths) {
    for (const scheme of schemes) {
      await page.setViewportSize({ width, height: width > 600 ? 800 : 844 })
      await page.emulateMedia({ colorScheme: scheme })
      await go()
      const file = join(folder, `${name}-${scheme}-${width}.png`)
      // The whole page as one high window: what sticks to its edges stays there.
      const height = (await page.evaluate('document.documentElement.scrollHeight')) as number
      await page.setViewportSize({ width, height: Math.min(Math.max(height, width > 600 ? 800 : 844), heightMax) })
      await page.screenshot({ path: file, animations: 'disabled' })
      const shown = await page.locator('.note.bad[role=alert]').allInnerTexts()
      const faults = [...rest.faults, ...shown.map((text) => `shown: ${text.replaceAll('\n', ' ')}`)]
      rest.forgive(/./s)
      shots.push({ file, page: name, scheme, width, faults })
      if (!values.json) process.stdout.write(`${file}${faults.map((fault) => `\n  ${fault}`).join('')}\n`)
    }
  }
}

/** Until what the page asked for is there: live events stay open, so the network never falls silent. */
async function settle({ page }: Tab): Promise<void> {
  await page.locator('main h1').first().waitFor()
  await page
    .locator('main progress')
    .first()
    .waitFor({ state: 'detached', timeout: 5_000 })
    .catch(() => undefined)
  await page.waitForTimeout(300)
}
