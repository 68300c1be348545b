import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { enrol, login, openBrowser, type Tab, type TabOptions, type TestBrowser } from '../helpers/browser.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'

let ground: Awaited<ReturnType<typeof createPlayground>>
let node: UpNode
let browser: TestBrowser
/** The owner's, with a passkey; open through all tests. */
let owner: Tab
let others: Tab[] = []

beforeAll(async () => {
  ground = await createPlayground()
  ;[node, browser] = await Promise.all([ground.up('anna'), openBrowser()])
  owner = await browser.open()
  await enrol(owner, node.console, 'anna')
})
afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await ground[Symbol.asyncDispose]()
})
afterEach(async () => {
  const faults = [owner, ...others].flatMap((tab) => tab.faults)
  owner.forgive(/./s)
  await Promise.all(others.map((tab) => tab.close()))
  others = []
  expect(faults).toEqual([])
})

async function open(options?: TabOptions): Promise<Tab> {
  const tab = await browser.open(options)
  others.push(tab)
  return tab
}

let devices = 0

/** Another device of the owner, with the passkey brought there. Its counter goes on: one that stood still would be taken for a copy, and put out of use. */
async function secondDevice(options?: TabOptions): Promise<Tab> {
  const tab = await open(options)
  devices += 1
  for (const passkey of await owner.passkeys()) await tab.addPasskey({ ...passkey, signCount: passkey.signCount + 10 * devices })
  return tab
}

const heading = ({ page }: Tab, name: string) => page.getByRole('heading', { name, level: 1 })
const tokenOf = async ({ page }: Tab): Promise<string> => String(await page.evaluate(`sessionStorage.getItem('kindmesh.session')`))
const statusOf = async (token: string): Promise<number> => (await fetch(`${node.api}/v1/auth/me`, { headers: { authorization: `Bearer ${token}` } })).status

test('the first owner comes in by the link that `up` prints, with a passkey, and the link leaves the address bar', async () => {
  expect(node.console).toMatch(/^http:\/\/localhost:\d+\/#\/enrol\/[\w-]{43}$/)
  expect(await owner.page.getByText('You are anna').innerText()).toContain('owner of this node')
  expect(owner.page.url()).not.toContain('enrol')
  expect(await owner.passkeys()).toMatchObject([{ rpId: 'localhost', isResidentCredential: true }])
})

test('a link that was used leads nowhere, and says how to get another', async () => {
  const tab = await open()
  await tab.page.goto(node.console)
  await heading(tab, 'This link does not lead anywhere').waitFor()
  expect(await tab.page.getByRole('alert').innerText()).toContain('ERR_LINK_SPENT')
  expect(await tab.passkeys()).toEqual([])
})

test('a passkey lets its owner in; without one the page says what else there is', async () => {
  const stranger = await open()
  await stranger.page.goto(`${node.api}/#/peers`)
  await stranger.page.getByRole('button', { name: 'Log in with a passkey' }).click()
  expect(await stranger.page.getByRole('alert').innerText()).toContain('no passkey was given')

  const tab = await secondDevice()
  await login(tab, node.api)
  expect(await statusOf(await tokenOf(tab))).toBe(200)
})

test('whoever is not verified by the device is not let in', async () => {
  const tab = await secondDevice()
  await tab.setVerified(false)
  await tab.page.goto(`${node.api}/`)
  await tab.page.getByRole('button', { name: 'Log in with a passkey' }).click()
  await tab.page.getByRole('alert').waitFor()
  expect(await tokenOf(tab)).toBe('null')
})

test('the keyboard alone logs in, goes from page to page, and opens and leaves dialogs', async () => {
  const tab = await secondDevice()
  const { keyboard } = tab.page
  await tab.page.goto(`${node.api}/`)
  await heading(tab, 'Log in').waitFor()
  await keyboard.press('Enter')
  await heading(tab, 'Overview').waitFor()

  await keyboard.press('g')
  await keyboard.press('m')
  await heading(tab, 'Mesh').waitFor()
  await keyboard.press('?')
  await tab.page.getByRole('dialog', { name: 'Keys' }).waitFor()
  // The keys of a dialog stay in it.
  for (let count = 0; count < 5; count += 1) await keyboard.press('Tab')
  expect(await tab.page.evaluate(`document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement)`)).toBe(true)
  await keyboard.press('Escape')
  expect(await tab.page.getByRole('dialog').count()).toBe(0)

  await keyboard.press('Control+k')
  await tab.page.getByRole('combobox', { name: 'Page' }).waitFor()
  await keyboard.type('peers')
  await keyboard.press('Enter')
  await heading(tab, 'Peers').waitFor()

  await tab.page.reload()
  await heading(tab, 'Peers').waitFor()
  await keyboard.press('Tab')
  expect(await tab.page.evaluate('document.activeElement.textContent')).toBe('Skip to the page')
  await keyboard.press('Enter')
  expect(await tab.page.evaluate('document.activeElement.id')).toBe('main')
})

test('logging out ends the session at the node and in the other tabs of the browser', async () => {
  const tab = await secondDevice()
  await login(tab, node.api)
  const token = await tokenOf(tab)
  const beside = await tab.context.newPage()
  // The new tab is handed the session by the first.
  await beside.goto(`${node.api}/#/peers`)
  await beside.getByRole('heading', { name: 'Peers', level: 1 }).waitFor()

  await tab.page.getByRole('button', { name: 'Log out' }).first().click()
  await heading(tab, 'Log in').waitFor()
  await beside.getByRole('heading', { name: 'Log in', level: 1 }).waitFor()
  expect(await statusOf(token)).toBe(401)
  expect(await tokenOf(tab)).toBe('null')
})

test('a session ended from another device is dead at once, and its page asks to log in again and stays', async () => {
  const tab = await secondDevice()
  await login(tab, node.api)
  const token = await tokenOf(tab)
  await tab.page.goto(`${node.api}/#/account`)
  await heading(tab, 'Account').waitFor()

  await owner.page.goto(`${node.api}/#/account`)
  await owner.page.reload()
  const mine = owner.page.locator('section', { has: owner.page.getByRole('heading', { name: 'Where you are logged in' }) })
  const ends = mine.getByRole('button', { name: 'End' })
  await ends.first().waitFor()
  for (let left = await ends.count(); left > 0; left -= 1) {
    await ends.first().click()
    await ends.nth(left - 1).waitFor({ state: 'detached' })
  }
  expect(await statusOf(token)).toBe(401)

  await tab.page.goto(`${node.api}/#/peers`)
  const dialog = tab.page.getByRole('dialog', { name: 'Log in again' })
  await dialog.waitFor()
  await dialog.getByRole('button', { name: 'Log in with a passkey' }).click()
  await dialog.waitFor({ state: 'detached' })
  await heading(tab, 'Peers').waitFor()
  await tab.page.getByRole('heading', { name: 'Nobody is connected' }).waitFor()
  expect(await statusOf(await tokenOf(tab))).toBe(200)
})

test('a recovery code lets its owner in once; what reaches far then asks for the passkey, and goes on by itself', async () => {
  await owner.page.goto(`${node.api}/#/account`)
  await owner.page.getByRole('button', { name: /^Make (?:codes|new ones)$/ }).click()
  const shown = owner.page.getByRole('dialog', { name: 'Your recovery codes' })
  await shown.locator('li').nth(9).waitFor()
  const codes = await shown.locator('li').allInnerTexts()
  expect(new Set(codes).size).toBe(10)
  await shown.getByRole('button', { name: 'I have kept them' }).click()

  const tab = await secondDevice()
  const enter = async (): Promise<void> => {
    await tab.page.goto(`${node.api}/`)
    await tab.page.getByRole('button', { name: 'Recovery code' }).click()
    await tab.page.getByLabel('Name').fill('anna')
    await tab.page.getByLabel('Recovery code').fill(codes[0] ?? '')
    await tab.page.getByRole('button', { name: 'Log in', exact: true }).click()
  }
  await enter()
  await heading(tab, 'Overview').waitFor()
  const before = await tokenOf(tab)

  await tab.page.goto(`${node.api}/#/account`)
  await tab.page.getByRole('button', { name: 'Make new ones' }).click()
  const asked = tab.page.getByRole('dialog', { name: 'Confirm that it is you' })
  await asked.getByRole('button', { name: 'Cancel' }).click()
  await tab.page.getByText('ERR_STEP_UP').waitFor()
  await tab.page.getByRole('button', { name: 'Make new ones' }).click()
  await asked.getByRole('button', { name: 'Confirm with a passkey' }).click()
  const fresh = tab.page.getByRole('dialog', { name: 'Your recovery codes' })
  await fresh.locator('li').nth(9).waitFor()
  await fresh.getByRole('button', { name: 'I have kept them' }).click()
  // The session goes on under another token; the one before is dead.
  expect(await tokenOf(tab)).not.toBe(before)
  expect(await statusOf(before)).toBe(401)

  await tab.page.getByRole('button', { name: 'Log out' }).first().click()
  await enter()
  expect(await tab.page.getByRole('alert').innerText()).toContain('ERR_LOGIN_REFUSED')
})

test('nothing but this node was asked for anything', () => {
  expect(owner.requests.length).toBeGreaterThan(5)
  expect(owner.requests.filter((url) => !url.startsWith(`${node.api}/`) && !/^(?:data|blob):/.test(url))).toEqual([])
  expect(browser.outside).toEqual([])
})

test('every page fits a screen of 360 pixels', async () => {
  const tab = await secondDevice({ width: 360, height: 740 })
  await login(tab, node.api)
  await tab.page.getByRole('button', { name: 'More' }).click()
  const links = await tab.page.locator('nav#pages a').evaluateAll((all) => all.map((link) => (link as unknown as { readonly hash: string }).hash))
  expect(links.length).toBeGreaterThan(5)
  for (const hash of links) {
    await tab.page.goto(`${node.api}/${hash}`)
    await tab.page.locator('main h1').first().waitFor()
    await tab.page.locator('main progress').first().waitFor({ state: 'detached' })
    expect(await tab.page.evaluate('document.documentElement.scrollWidth'), hash).toBeLessThanOrEqual(360)
  }
})
