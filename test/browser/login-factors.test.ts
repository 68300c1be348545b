import { Secret, TOTP } from 'otpauth'
import { expect, test } from 'vitest'
import { enrol, openBrowser } from '../helpers/browser.ts'
import { createPlayground } from '../helpers/cli.ts'

test('where the settings ask for a passkey and a code the login goes on from one to the other, and a code is good once', async () => {
  await using ground = await createPlayground()
  const [node, browser] = await Promise.all([ground.up('anna'), openBrowser()])
  await using _browser = browser
  const tab = await browser.open()
  const { page } = tab
  await enrol(tab, node.console, 'Ada')
  await page.getByRole('button', { name: 'Set up' }).click()
  const secret = (await page.getByRole('dialog').locator('code').innerText()).replaceAll(' ', '')
  const app = new TOTP({ secret: Secret.fromBase32(secret) })
  const start = Date.now()
  /** What the app shows so many steps after the start. */
  const codeAt = (steps: number): string => app.generate({ timestamp: start + steps * 30_000 })
  await page.getByLabel('Code it shows now').fill(codeAt(0))
  await page.getByRole('button', { name: 'Use this app' }).click()
  await page.getByText('in use').waitFor()
  const { codes } = (await node.run('user', 'recovery', 'Ada', '--json')).json() as { readonly codes: readonly string[] }
  for (const [key, types] of [
    ['auth.require.owner', '["webauthn","totp"]'],
    ['auth.step_up.owner', '["webauthn","recovery"]'],
  ] as const) {
    expect((await node.run('config', 'set', key, types, '--json')).code).toBe(0)
  }

  const device = (): Promise<unknown> => page.evaluate(`localStorage.getItem('kindmesh.device')`)
  async function passPasskey(): Promise<void> {
    await page.getByRole('button', { name: 'Log out' }).first().click()
    await page.getByRole('button', { name: 'Log in with a passkey' }).click()
    await page.getByText('Right so far. This also needs: a code of your app.').waitFor()
    // Nothing else is offered, and whose code it is is known.
    expect(await page.getByRole('group', { name: 'Other ways' }).getByRole('button').allInnerTexts()).toEqual(['Start again'])
    expect(await page.getByLabel('Name').count()).toBe(0)
    expect(await page.evaluate(`sessionStorage.getItem('kindmesh.session')`)).toBeNull()
  }
  async function give(code: string): Promise<void> {
    await page.getByLabel('Code of your app').fill(code)
    await page.getByRole('button', { name: 'Log in', exact: true }).click()
  }
  await passPasskey()
  expect(await device()).toBeNull()
  await give(codeAt(1))
  await page.getByRole('heading', { name: 'Account', level: 1 }).waitFor()
  const token = String(await device())
  expect(token).toMatch(/^[\w-]{43}$/)

  await page.getByRole('button', { name: 'Make new ones' }).click()
  const asked = page.getByRole('dialog', { name: 'Confirm that it is you' })
  await asked.getByRole('button', { name: 'Confirm with a passkey' }).click()
  await asked.getByLabel('Recovery code').fill(codes[0] ?? '')
  await asked.getByRole('button', { name: 'Confirm', exact: true }).click()
  const fresh = page.getByRole('dialog', { name: 'Your recovery codes' })
  await fresh.locator('li').nth(9).waitFor()
  await fresh.getByRole('button', { name: 'I have kept them' }).click()

  const sent = page.waitForRequest((request) => request.url().endsWith('/v1/auth/authenticate'))
  await passPasskey()
  expect((await sent).postDataJSON()).toMatchObject({ deviceToken: token })
  const alert = page.getByRole('alert')
  await give(codeAt(1))
  const used = await alert.innerText()
  const wrong =
    Array.from({ length: 10 }, (_, digit) => String(digit).repeat(6)).find((code) => ![-2, -1, 0, 1, 2, 3, 4, 5].some((steps) => codeAt(steps) === code)) ?? ''
  await page.getByRole('button', { name: 'Start again' }).click()
  await page.getByRole('button', { name: 'Log in with a passkey' }).click()
  await give(wrong)
  expect(await alert.innerText()).toBe(used)
  expect(used).toContain('ERR_LOGIN_REFUSED')
  expect(await page.evaluate(`sessionStorage.getItem('kindmesh.session')`)).toBeNull()

  const log = (await node.run('audit', 'tail', '--limit', '100', '--json')).stdout
  expect(log).toContain('user_factors_passed')
  for (const kept of [secret, token, codes[0] ?? '', codeAt(1)]) expect(log).not.toContain(kept)
  expect(tab.faults).toEqual([])
})
