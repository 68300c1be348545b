import type { Locator, Page } from 'playwright-core'

/** Opens a page of the console by its link in the navigation. */
export async function visit(page: Page, title: string): Promise<void> {
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: title, exact: true }).click()
  await page.getByRole('heading', { level: 1 }).first().waitFor()
}

/** Writes an order at the page of tasks and sets it going; the section in which it is seen. */
export async function runTask(page: Page, on: string, code: string, input = '[1, 2, 3]', limits: Readonly<Record<string, string>> = {}): Promise<Locator> {
  await visit(page, 'Tasks')
  await page.getByRole('button', { name: 'Run a task' }).click()
  await page.getByLabel('Run by').fill(on)
  await page.getByLabel('Code', { exact: true }).fill(code)
  await page.getByLabel('Input, JSON').fill(input)
  if (Object.keys(limits).length > 0) await page.getByText('Limits, isolation and capabilities').click()
  for (const [label, value] of Object.entries(limits)) await page.getByLabel(label, { exact: true }).fill(value)
  await page.getByRole('button', { name: 'Run and watch' }).click()
  return page.getByRole('region', { name: 'Run', exact: true })
}

/** Signs at the page of trust how far somebody is trusted. */
export async function attest(page: Page, whom: string, level: string, scope: string): Promise<void> {
  await visit(page, 'Trust')
  await page.getByRole('link', { name: 'Attest somebody' }).click()
  await page.getByLabel('Whom').fill(whom)
  await page.getByLabel('Level').selectOption(level)
  await page.getByLabel('Scopes').fill(scope)
  await page.getByRole('button', { name: 'Sign', exact: true }).click()
  await page.getByText('Signed', { exact: true }).first().waitFor()
}
