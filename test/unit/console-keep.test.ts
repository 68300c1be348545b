import { describe, expect, test } from 'vitest'
import { caveatsOf, grantCommands } from '../../src/console/pages/grants/form.ts'
import { countsOver, refusedPeers, tallied } from '../../src/console/pages/security/counts.ts'
import { settingText, settingValue } from '../../src/console/pages/settings/value.ts'
import { tokenRights } from '../../src/console/pages/tokens/rights.ts'
import { grantBody } from '../../src/api/schemas.ts'
import { commands } from '../../src/policy/commands.ts'
import { apiRights } from '../../src/policy/api-rights.ts'

test('grants and tokens offer what there is', () => {
  expect(grantCommands.map(({ command }) => command).toSorted()).toEqual(commands.toSorted())
  for (const { right } of tokenRights) expect(Object.keys(apiRights), right).toContain(right)
})

test('bounds of a grant are what was typed, and the node takes them', () => {
  const none = { hosts: ' ', secrets: '', isolation: '', wallMs: '' }
  expect(caveatsOf(none)).toBeUndefined()
  const caveats = caveatsOf({ hosts: 'a.example, b.example', secrets: 'key', isolation: 'sandboxed', wallMs: '500' })
  expect(caveats).toEqual({ hosts: ['a.example', 'b.example'], secrets: ['key'], isolation: 'sandboxed', limits: { wallMs: 500 } })
  expect(grantBody.safeParse({ audience: 'ben', command: '/task/run', caveats }).success).toBe(true)
  expect(caveatsOf({ ...none, wallMs: 'long' })).toBeTypeOf('string')
})

describe('security', () => {
  test('counts what happened by span, the last span being now, and leaves out what is older or yet to come', () => {
    const { times, counts } = countsOver([{ time: 5_000 }, { time: 9_999 }, { time: 10_000 }, { time: 25_000 }, { time: -100_000 }], {
      now: 19_999,
      spanMs: 5_000,
      spans: 3,
    })
    expect(times).toEqual([5_000, 10_000, 15_000])
    expect(counts).toEqual([2, 1, 0])
  })

  test('names whom refusals were about, never this node itself', () => {
    const own = 'did:key:zOwn'
    const refused = (actor: string, subject: string | null) => ({ time: 1, event: 'peer_refused', actor, subject })
    const entries = [
      refused(own, 'did:key:zB'),
      refused('did:key:zB', own),
      refused(own, 'did:key:zC'),
      refused(own, null),
      { time: 1, event: 'user_login_failed', actor: own, subject: 'did:key:zD' },
    ]
    expect(refusedPeers(entries, own)).toEqual([
      { name: 'did:key:zB', count: 2 },
      { name: 'did:key:zC', count: 1 },
    ])
    expect(tallied([])).toEqual([])
  })
})

test.each([
  ['verified', 'verified'],
  ['5', 5],
  ['true', true],
  ['["a"]', ['a']],
  ['{"a":1}', { a: 1 }],
  ['', ''],
] as const)('a setting typed as %s', (text, value) => {
  expect(settingValue(text)).toEqual(value)
  expect(settingText(value)).toBe(text)
})
