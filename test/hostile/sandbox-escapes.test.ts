import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import type { IsolationBackend, RunControl } from '../../src/sandbox/index.ts'
import { type Ran, runTask } from '../helpers/sandbox.ts'
import { escapeCases, escapeInput } from '../helpers/sandbox-escapes.ts'
import { answeringHost } from '../helpers/sandbox-host.ts'
import { testLevels } from '../helpers/sandbox-levels.ts'

const testTimeoutMs = 120_000
/** Each case has an isolate of its own, wherever its guest has been before. */
const tasksPerGuest = 100

test(
  'there are enough cases, and on plain node:vm half of them get out',
  async () => {
    const control = fileURLToPath(new URL('../helpers/sandbox-control.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [control])
    expect(escapeCases.length).toBeGreaterThanOrEqual(180)
    expect((JSON.parse(stdout) as string[]).length).toBeGreaterThanOrEqual(90)
  },
  testTimeoutMs,
)

/** These must not even start; all others must really run. */
const refused = new Set(['import() in the body', 'direct eval of hidden names', 'unbalanced braces', 'HTML comment read two ways', 'open comment at the end'])

/** Runs a case with everything granted; an agent gets one message, and is stopped when it has answered. */
async function attempt(backend: IsolationBackend, code: string, wallMs: number): Promise<Ran> {
  const over = new AbortController()
  let control: RunControl | undefined
  return await runTask(backend, code, {
    input: JSON.parse(escapeInput),
    host: answeringHost(),
    limits: { wallMs, cpuMs: wallMs, hostCalls: 100_000 },
    signal: over.signal,
    onControl: (own) => (control = own),
    onEvent: ({ type }) => {
      if (type === 'receiving') void control?.deliver('{"from":"x","data":{"a":1}}', over.signal).finally(() => over.abort())
    },
  })
}

describe.each(testLevels.map((level) => [level.title, level] as const))('escapes, %s', (_title, { lacks, isSlow, start }) => {
  if (lacks !== undefined) return test.skipIf(true)('all held', () => undefined)
  const backend = start(2, tasksPerGuest)
  afterAll(() => backend.stop())

  test.concurrent.each(escapeCases.map(({ name, code }) => [name, code] as const))(
    '%s',
    async (name, code) => {
      const { outcome, printed } = await attempt(backend, code, isSlow ? 20_000 : 4_000)
      expect(printed.join()).not.toContain('ESCAPED')
      if (outcome.type === 'done') expect(outcome.result).not.toContain('ESCAPED')
      expect(outcome.type === 'failed' && outcome.code === 'ERR_SANDBOX_CODE').toBe(refused.has(name))
      expect(outcome).not.toMatchObject({ code: 'ERR_SANDBOX_CRASHED' })
      expect(outcome).not.toMatchObject({ code: 'ERR_SANDBOX_LIMIT' })
    },
    testTimeoutMs,
  )
})
