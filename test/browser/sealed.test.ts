import { afterAll, beforeAll, expect, test } from 'vitest'
import { enrol, openBrowser, type Tab, type TestBrowser } from '../helpers/browser.ts'
import { createPlayground, spawnUp, type UpNode } from '../helpers/cli.ts'
import { visit } from '../helpers/operator.ts'

let ground: Awaited<ReturnType<typeof createPlayground>>
let node: UpNode
let browser: TestBrowser
let tab: Tab

beforeAll(async () => {
  ground = await createPlayground()
  ;[node, browser] = await Promise.all([ground.up('anna'), openBrowser()])
  tab = await browser.open()
  await enrol(tab, node.console, 'anna')
})
afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await ground[Symbol.asyncDispose]()
})

test('a passkey that was made a key of the vault opens a node that starts sealed; a wrong passphrase is told by its code', async () => {
  const { page } = tab
  await visit(page, 'Vault')
  await page.getByLabel('Name').fill('key')
  await page.getByLabel('Value').fill('kept')
  await page.getByRole('button', { name: 'Keep the secret' }).click()
  await page.getByRole('button', { name: 'Show key' }).waitFor()
  await page.getByRole('button', { name: 'Open it with a passkey' }).click()
  await page.getByRole('region', { name: 'Ways to open the vault' }).getByRole('row').filter({ hasText: 'Passkey' }).waitFor()
  await page.getByRole('button', { name: 'Make a recovery code' }).click()
  expect(await page.getByLabel('Recovery code', { exact: true }).innerText()).toMatch(/^(?:[0-9A-Z]{4}-){8}[0-9A-Z]{4}$/)
  await page.getByRole('button', { name: 'I have written it down' }).click()
  await page.getByText('Save a backup').click()
  await page.getByLabel('Passphrase for the backup').fill('of the backup')
  await page.getByLabel('The same again').fill('of the backup')
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save the file' }).click()])
  await page.getByText('Take in a backup').click()
  await page.getByLabel('File', { exact: true }).setInputFiles(await download.path())
  await page.getByLabel('Passphrase of the file').fill('of the backup')
  await page.getByRole('button', { name: 'Take it in' }).click()
  await page.getByText('0 added, 0 replaced, 1 kept as they were').waitFor()
  expect(tab.faults).toEqual([])

  await node.end('SIGTERM')
  const up = spawnUp(node.home, '--sealed', '--no-upnp', '--api-port', new URL(node.api).port)
  try {
    expect(await up.next()).toMatchObject({ event: 'sealed', api: node.api })
    // The session of before is still in the tab: a node that knows nobody yet does not end it.
    await page.reload()
    await page.getByRole('heading', { name: 'This node is sealed', level: 1 }).waitFor()
    await page.getByRole('button', { name: 'Passphrase' }).click()
    await page.getByLabel('Passphrase').fill('not the one')
    await page.getByRole('button', { name: 'Open', exact: true }).click()
    expect(await page.getByRole('alert').innerText()).toContain('ERR_AUTH_FAILED')

    await page.getByRole('button', { name: 'Passkey' }).click()
    await page.getByRole('button', { name: 'Open with a passkey' }).click()
    expect(await up.next()).toMatchObject({ event: 'ready', did: node.did, api: node.api })
    await page.getByRole('heading', { name: 'Vault', level: 1 }).waitFor()
    await page.getByText('open', { exact: true }).waitFor()
    expect(await page.getByRole('dialog', { name: 'Log in again' }).count()).toBe(0)
    // While one server makes way for the other nobody answers.
    tab.forgive(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_NETWORK|ERR_SOCKET/)
    expect(tab.faults).toEqual([])
  } finally {
    await up.end('SIGTERM')
  }
})
