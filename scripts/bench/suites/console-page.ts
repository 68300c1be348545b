import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openBrowser } from '../../../test/helpers/browser.ts'
import { createPlayground } from '../../../test/helpers/cli.ts'
import { consoleFolder } from '../../console-stamp.mjs'
import { alternate, type Bench, row, type Row } from '../harness.ts'

/** What the console weighs, and how soon its first page can be used, against the node's shortest answer in the same browser. */
export async function* consolePage(bench: Bench): AsyncIterable<Row> {
  const files = readdirSync(consoleFolder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.br'))
  yield row({
    id: 'console-bundle',
    what: 'everything of the console, as browsers get it (brotli)',
    unit: 'kB',
    figures: [files.reduce((sum, file) => sum + statSync(join(consoleFolder, file)).size, 0) / 1_000],
    against: 'what it may weigh',
    others: [120],
    goal: 1,
  })

  await using ground = await createPlayground()
  await using browser = await openBrowser()
  const node = await ground.up('anna')
  const tab = await browser.open()
  const shown = async (path: string, selector: string): Promise<number> => {
    await tab.page.goto('about:blank')
    const from = performance.now()
    await tab.page.goto(node.api + path, { waitUntil: 'commit' })
    await tab.page.locator(selector).first().waitFor()
    return performance.now() - from
  }
  const { login, empty } = await alternate(bench.rounds(9), { login: () => shown('/', 'h1'), empty: () => shown('/healthz', 'body') })
  yield row({
    id: 'console-paint',
    what: 'from the address to the login page with its heading, files in the cache of the browser',
    unit: 'ms',
    figures: login,
    against: 'to the answer of /healthz',
    others: empty,
  })
}
