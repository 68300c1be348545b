import { describe, expect, test } from 'vitest'
import { covers } from '../../src/console/lib/covers.ts'
import { sentText, whyWaiting } from '../../src/console/pages/messages/why.ts'
import { isProblem, orderOf, type TaskForm, limitFields, taskEngines, isolationLevels as offeredLevels } from '../../src/console/pages/tasks/order.ts'
import { noRun, outputLinesMax, type RunView, withLine } from '../../src/console/pages/tasks/output.ts'
import { usageRows } from '../../src/console/pages/tasks/usage.ts'
import { engines, isolationLevels, sandboxLimitsDefault } from '../../src/sandbox/index.ts'
import { taskBody } from '../../src/api/schemas.ts'

const form: TaskForm = { on: ' ben ', code: 'return 1', input: '[1]', engine: '', isolation: '', strict: false, limits: {}, capabilities: [] }

describe('the form of a task', () => {
  test('says nothing that the user did not say, and what it says the node takes', () => {
    expect(orderOf(form)).toEqual({ on: 'ben', code: 'return 1', input: [1] })
    const full = orderOf({
      ...form,
      input: '',
      engine: 'wasm',
      isolation: 'virtualized',
      strict: true,
      limits: { wallMs: ' 500 ' },
      capabilities: ['file:read'],
    })
    expect(full).toEqual({
      on: 'ben',
      code: 'return 1',
      input: null,
      engine: 'wasm',
      isolation: 'virtualized',
      strict: true,
      limits: { wallMs: 500 },
      capabilities: ['file:read'],
    })
    expect(taskBody.safeParse(full).success).toBe(true)
  })

  test.each([
    [{ on: ' ' }, 'on'],
    [{ code: '\n' }, 'code'],
    [{ input: '{' }, 'input'],
    [{ limits: { wallMs: '1.5' } }, 'limits'],
    [{ limits: { memoryMiB: '-1' } }, 'limits'],
    [{ limits: { cpuMs: 'much' } }, 'limits'],
  ] as const)('%j is told at the field', (wrong, field) => {
    const made = orderOf({ ...form, ...wrong })
    expect(isProblem(made) && made.field).toBe(field)
  })

  test('offers what there is: engines, levels and the usual limits', () => {
    expect(taskEngines).toEqual(engines)
    expect(offeredLevels).toEqual(isolationLevels)
    for (const { key, usual } of limitFields) expect(usual, key).toBe(sandboxLimitsDefault[key])
  })
})

describe('a run', () => {
  const said = (...lines: readonly Parameters<typeof withLine>[1][]): RunView => lines.reduce(withLine, noRun)

  test('shows where it runs, how it stands and what it printed', () => {
    const view = said(
      { type: 'asked', id: 'ab' },
      { type: 'accepted', isolation: 'sandboxed', backend: 'isolated-vm' },
      { type: 'running' },
      { type: 'console', level: 'log', text: 'one\ntwo' },
      { type: 'progress', fraction: 0.5, note: '' },
    )
    expect(view).toMatchObject({ id: 'ab', state: 'running', isolation: 'sandboxed', backend: 'isolated-vm', fraction: 0.5 })
    expect(view.lines.map(({ text }) => text)).toEqual(['accepted: level sandboxed in isolated-vm', 'one', 'two'])
  })

  test('keeps the last lines of a talkative program, and shows no control character of it', () => {
    const view = said({ type: 'console', level: 'error', text: `${'x\n'.repeat(outputLinesMax)}\u001B[31mred\u202E` })
    expect(view.lines).toHaveLength(outputLinesMax)
    expect(view.lines.at(-1)).toEqual({ kind: 'bad', text: '\uFFFD[31mred\uFFFD' })
  })
})

test('usage stands beside its limit in the same unit', () => {
  const rows = usageRows({ memoryBytes: 1_048_576, wallMs: 5 }, { memoryMiB: 128 })
  expect(rows).toEqual([
    { name: 'Time', unit: 'ms', used: 5, limit: undefined },
    { name: 'Memory', unit: 'bytes', used: 1_048_576, limit: 134_217_728 },
  ])
})

test('the outbox says why something waits', () => {
  expect(whyWaiting({ status: 'queued', tries: 0 })).toBe('Not tried yet')
  expect(whyWaiting({ status: 'queued', tries: 1, code: 'ERR_NET_UNREACHABLE' })).toBe('ERR_NET_UNREACHABLE after one try; tried again by itself')
  expect(whyWaiting({ status: 'refused', tries: 2, code: 'ERR_TRUST_LOW' })).toContain('ERR_TRUST_LOW')
  expect(sentText({ status: 'queued', route: null })).toContain('until it arrives')
})

test('a right covers what lies under it and nothing beside it', () => {
  expect(covers(['/'], '/api/vault/read')).toBe(true)
  expect(covers(['/api/task'], '/api/task/read')).toBe(true)
  expect(covers(['/api/task'], '/api/tasks')).toBe(false)
  expect(covers(['/api/task/read'], '/api/task')).toBe(false)
})
