import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { enrol, openBrowser, type Tab, type TestBrowser } from '../helpers/browser.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'
import { attest, runTask, visit } from '../helpers/operator.ts'

let ground: Awaited<ReturnType<typeof createPlayground>>
let browser: TestBrowser
let anna: { readonly node: UpNode; readonly tab: Tab }
let ben: { readonly node: UpNode; readonly tab: Tab }

async function operator(name: string): Promise<{ readonly node: UpNode; readonly tab: Tab }> {
  const [node, tab] = await Promise.all([ground.up(name), browser.open()])
  tab.page.setDefaultTimeout(20_000)
  await enrol(tab, node.console, name).catch(async (error: unknown) => {
    throw new Error(`${String(error)}\n${await tab.page.innerText('body')}\n${tab.faults.join('\n')}`)
  })
  return { node, tab }
}

beforeAll(async () => {
  ;[ground, browser] = await Promise.all([createPlayground(), openBrowser()])
  // One after the other: a browser asks for a passkey only in the tab that is in front.
  anna = await operator('anna')
  ben = await operator('ben')
})
afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await ground[Symbol.asyncDispose]()
})

describe('two operators, by their consoles alone', () => {
  test('invite, join, approve, attest, run, read the receipt, prove it, revoke, and are refused after', async () => {
    const [a, b] = [anna.tab.page, ben.tab.page]

    // Anna invites; Ben joins by the ticket: they may write to each other.
    await visit(a, 'Invites')
    await a.getByLabel('Scopes').fill('/message/send')
    await a.getByRole('button', { name: 'Make the ticket' }).click()
    const ticket = await a.locator('[data-ticket]').inputValue()
    await a.getByRole('button', { name: 'Done' }).click()
    await visit(b, 'Invites')
    await b.getByRole('textbox', { name: 'Ticket' }).fill(ticket)
    await b.getByRole('button', { name: 'Join', exact: true }).click()
    await b.getByText('both ways in /message/send').waitFor()

    // Ben wants a task run, and is not trusted for that: Anna sees him wait and approves.
    const refused = await runTask(b, anna.node.did, 'return 1')
    await refused.getByText('ERR_TRUST_LOW').waitFor()
    await visit(a, 'Pending')
    await a.getByRole('button', { name: 'Approve' }).click()
    await a.getByRole('dialog').getByRole('button', { name: 'Sign', exact: true }).click()
    await a.getByText('Approved: it may try again').waitFor()
    await visit(b, 'Overview')
    const allowed = await runTask(b, anna.node.did, 'return 2')
    await allowed.getByText('done', { exact: true }).waitFor()

    // Each attests the other; then Anna runs a task on Ben's node and watches.
    await attest(a, ben.node.did, 'trusted', '/message/send')
    await attest(b, anna.node.did, 'verified', '/task/run')
    const run = await runTask(a, ben.node.did, "console.log('line one'); console.log('line two'); return input.length")
    await run.getByText('line two').waitFor()
    await run.getByText('done', { exact: true }).waitFor()

    // The receipt, with both signatures checked by the browser.
    await run.getByRole('link', { name: 'Details and receipt' }).click()
    await a.getByText('both signatures good').waitFor()
    const receipt = a.getByRole('region', { name: 'Receipt' })
    expect(await receipt.getByRole('list', { name: 'What this browser checked' }).getByRole('listitem').count()).toBe(3)
    expect(await receipt.textContent()).toMatch(/Isolation really used\s*sandboxed in isolated-vm/)

    // Its entry in the log, proven in the browser.
    await visit(a, 'Audit log')
    await a.getByLabel('Event').fill('receipt_countersigned')
    await a
      .getByRole('link', { name: /^Check entry/ })
      .first()
      .click()
    await a.locator('[data-proof=good]').waitFor()
    expect(await a.getByRole('dialog').textContent()).toContain('Receipt countersigned')
    await a.getByRole('button', { name: 'Close' }).first().click()

    // Anna takes her word back; Ben is refused from then on.
    await visit(a, 'Trust')
    const said = a
      .getByRole('row')
      .filter({ hasText: '/task/run' })
      .filter({ has: a.getByRole('button', { name: 'Revoke' }) })
    await said.getByRole('button', { name: 'Revoke' }).click()
    await a.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
    await a.getByText('Revoked', { exact: true }).first().waitFor()
    await visit(b, 'Overview')
    const after = await runTask(b, anna.node.did, 'return 3')
    await after.getByText('ERR_TRUST_LOW').waitFor()

    expect([...anna.tab.faults, ...ben.tab.faults]).toEqual([])
    expect(browser.outside).toEqual([])
  })
})

describe('pages of work and safekeeping', () => {
  test('a task that is cancelled stops on the other node, long before its limit', async () => {
    const run = await runTask(anna.tab.page, ben.node.did, 'for (;;);', 'null', { 'Time, ms': '240000', 'Processor time, ms': '240000' })
    await run.getByText('running', { exact: true }).waitFor()
    await run.getByRole('button', { name: 'Cancel' }).click()
    await run.getByText('cancelled', { exact: true }).waitFor()
    await visit(ben.tab.page, 'Tasks')
    const served = ben.tab.page.getByRole('region', { name: 'Tasks run here for others' })
    await served.getByRole('row').filter({ hasText: 'ERR_TASK_CANCELLED' }).waitFor()
  })

  test('a proof with one byte changed on its way is shown as bad', async () => {
    const { page } = anna.tab
    await page.route('**/v1/audit/*/proof', async (route) => {
      const proof = (await (await route.fetch()).json()) as { readonly entry: string }
      const entry = Buffer.from(proof.entry, 'base64')
      entry.writeUInt8(entry.readUInt8(12) ^ 1, 12)
      await route.fulfill({ json: { ...proof, entry: entry.toString('base64') } })
    })
    await visit(page, 'Audit log')
    await page
      .getByRole('link', { name: /^Check entry/ })
      .first()
      .click()
    await page.locator('[data-proof=bad]').waitFor()
    expect(await page.getByRole('dialog').getByRole('listitem').last().textContent()).toContain('path does not hold')
    expect(await page.locator('[data-proof=good]').count()).toBe(0)
    await page.unroute('**/v1/audit/*/proof')
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
  })

  test('the value of a secret is nowhere on the page but while it is shown', async () => {
    const { page } = anna.tab
    const value = 'canary-4f1c-of-the-console'
    await visit(page, 'Vault')
    await page.getByLabel('Name').fill('openai-key')
    await page.getByLabel('Value').fill(value)
    await page.getByRole('button', { name: 'Keep the secret' }).click()
    await page.getByRole('button', { name: 'Show openai-key' }).waitFor()
    const isOnPage = async (): Promise<boolean> =>
      await page.evaluate(
        `document.documentElement.outerHTML.includes('${value}') || [...document.querySelectorAll('input')].some((input) => input.value === '${value}')`,
      )
    expect(await isOnPage()).toBe(false)
    await page.getByRole('button', { name: 'Show openai-key' }).click()
    await page.getByText(value).waitFor()
    await page.getByRole('button', { name: 'Hide' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(await isOnPage()).toBe(false)
  })

  test('a right to secrets is given by a passkey only, and the doctor says what is well', async () => {
    const { page } = anna.tab
    await visit(page, 'Grants')
    await page.getByLabel('To whom').fill(ben.node.did)
    await page.getByLabel('What it may do').fill('/vault/access')
    await page.getByText('Only within these bounds').click()
    await page.getByLabel('Secrets of the vault').fill('openai-key')
    const before = (await anna.tab.passkeys())[0]?.signCount ?? 0
    await page.getByRole('button', { name: 'Sign the token' }).click()
    await page.getByRole('region', { name: 'Capability tokens' }).getByRole('row').filter({ hasText: '/vault/access' }).filter({ hasText: 'valid' }).waitFor()
    expect((await anna.tab.passkeys())[0]?.signCount).toBeGreaterThan(before)
    await visit(page, 'Doctor')
    await page.getByRole('region', { name: 'identity' }).getByText('well', { exact: true }).waitFor()
  })

  test('a viewer is offered nothing that changes the node, and is refused it all the same', async () => {
    const { page } = anna.tab
    await visit(page, 'Users')
    await page.getByLabel('Role', { exact: true }).selectOption('viewer')
    await page.getByRole('button', { name: 'Make a one-time link' }).click()
    const link = await page.getByLabel('The link').innerText()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    const tab = await browser.open()
    await enrol(tab, link, 'vera')
    for (const [title, button] of [
      ['Tasks', 'Run a task'],
      ['Audit log', 'Verify the whole log'],
      ['Vault', 'Seal it now'],
      ['Settings', 'Read the files anew'],
      ['Grants', 'Sign the token'],
      ['Messages', 'Send'],
    ] as const) {
      await visit(tab.page, title)
      await tab.page.locator('.card').first().waitFor()
      expect(await tab.page.getByRole('button', { name: button, exact: true }).count(), title).toBe(0)
    }
    const refused = await tab.page
      .evaluate(`Promise.all(['/v1/tasks/start', '/v1/vault/seal', '/v1/user-invites', '/v1/config/reload', '/v1/audit/verify'].map(async (path) => {
      const response = await fetch(path, { method: 'POST', headers: { authorization: 'Bearer ' + sessionStorage.getItem('kindmesh.session'), 'content-type': 'application/json' }, body: JSON.stringify({ role: 'owner', on: 'any', code: 'return 1', input: null }) })
      return response.status + ' ' + (await response.json()).code
    }))`)
    expect(refused).toEqual(Array(5).fill('403 ERR_POLICY_DENIED'))
    await tab.close()
  })
})
