import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { enrol, openBrowser, type Tab, type TestBrowser } from '../helpers/browser.ts'
import { startUp, type UpNode } from '../helpers/cli.ts'

/** Two real nodes; the console of the first, in real Chromium. */
let folder = ''
let anna: UpNode
let ben: UpNode
let browser: TestBrowser
let tab: Tab

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-mesh-'))
  ;[anna, ben, browser] = await Promise.all([startUp(join(folder, 'a')), startUp(join(folder, 'b')), openBrowser()])
  tab = await browser.open()
  await enrol(tab, anna.console, 'Anna')
})

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]()
  await anna?.end('SIGTERM')
  await ben?.end('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

const goTo = (place: string): Promise<unknown> => tab.page.evaluate(`location.hash = ${JSON.stringify(place)}`)

test('a mesh of one teaches the next step; an invite made on the page is a QR code and a ticket that a second node joins by', async () => {
  const { page } = tab
  await goTo('#/mesh')
  await page.getByText('Nobody else is here yet').waitFor()
  expect(await page.getByText('kindmesh dial <address, DID or ticket>').count()).toBe(1)
  await goTo('#/invites')
  await page.getByRole('button', { name: 'Make the ticket' }).click()
  await page.getByRole('img', { name: /QR code of the ticket/ }).waitFor()
  const ticket = await page.getByRole('dialog').getByRole('textbox', { name: 'Ticket' }).inputValue()
  await page.getByRole('button', { name: 'Done' }).click()
  await goTo('#/mesh')
  expect((await ben.run('join', ticket, '--json')).json()).toMatchObject({ did: anna.did, levelName: 'verified' })
})

test('who joins appears on the map by itself, is chosen by keys, named, and asked why it is trusted', async () => {
  const { page } = tab
  const map = page.getByRole('application', { name: 'Map of the mesh: 2 nodes, 1 connected' })
  await map.waitFor()
  await page.getByRole('row', { name: /verified.*connected, direct/ }).waitFor()
  await map.focus()
  await page.keyboard.press('ArrowRight')
  await page.getByRole('heading', { name: 'you', level: 2 }).waitFor()
  // The other one lies in one of four directions.
  const details = page.locator('section', { has: page.getByRole('button', { name: 'Ping' }) })
  for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowUp', 'ArrowDown']) {
    if ((await details.count()) === 0) await page.keyboard.press(key)
  }
  await details.getByText(ben.did).waitFor()
  await details.getByText(/^VERIFIED in \/task\/run, because you say so/).waitFor()
  await page.keyboard.press('Enter')
  expect(await page.evaluate('document.activeElement.tagName')).toBe('H2')
  await details.getByRole('button', { name: 'Ping' }).click()
  await details.getByText(/It answered in [\d.]+ ms, direct/).waitFor()
  await details.getByLabel('Your name for it').fill('Ben')
  await details.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('row', { name: /Ben.*verified/ }).waitFor()
  expect((await anna.run('name', 'list', '--json')).json()).toMatchObject({ names: [{ name: 'Ben', did: ben.did }] })
})

test('before a statement is taken back the page says who would fall, and nothing is signed by looking', async () => {
  const { page } = tab
  await goTo('#/trust')
  await page.getByRole('button', { name: 'Revoke' }).click()
  const dialog = page.getByRole('dialog', { name: 'Take back verified about Ben?' })
  await dialog.getByText('In /task/run 1 peer would fall and 0 peers would rise.').waitFor()
  await dialog.getByRole('button', { name: 'Keep it' }).click()
  expect((await anna.run('trust', 'roots', '--json')).json()).toMatchObject({ roots: [{ subject: ben.did, level: 2 }] })
  await page.getByRole('button', { name: 'Revoke' }).click()
  await dialog.getByText('would fall').first().waitFor()
  await dialog.getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('Revoked', { exact: true }).waitFor()
  expect((await anna.run('trust', 'roots', '--json')).json()).toMatchObject({ roots: [] })
})

test('who goes is away on the map by itself', async () => {
  const { page } = tab
  await goTo('#/mesh')
  await page.getByRole('row', { name: /Ben.*connected, direct/ }).waitFor()
  await ben.end('SIGTERM')
  await page.getByRole('row', { name: /Ben.*away/ }).waitFor()
  expect(tab.faults).toStrictEqual([])
  expect(browser.outside).toStrictEqual([])
})
