import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const number = expect.any(Number) as number
const text = expect.stringMatching(/./) as string

// Figures of a quick run mean nothing: only that every row is measured, and against what, is looked at.
test('a run of the bench gives one JSON object whose every figure is set against another of the same run', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['scripts/bench/main.ts', 'skeleton', 'klp', '--quick', '--json'])
  const { schema, rows } = JSON.parse(stdout) as { readonly schema: string; readonly rows: readonly Record<string, unknown>[] }
  expect(schema).toBe('kindmesh.bench/1')
  expect(rows.length).toBeGreaterThan(25)
  for (const { goal, ok, ...row } of rows) {
    expect(row).toEqual({ id: text, what: text, value: number, unit: text, against: text, ratio: number })
    expect(typeof goal).toBe(ok === null ? 'object' : 'number')
  }
  expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
}, 300_000)

test('a suite nobody wrote is refused by name', async () => {
  await expect(promisify(execFile)(process.execPath, ['scripts/bench/main.ts', 'nothing'])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no suite nothing') as string,
  })
})
