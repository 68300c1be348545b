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
