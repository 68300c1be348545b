import { describe, expect, test } from 'vitest'
import { calledIn, shortDid, shown, shownCharsMax } from '../../src/console/lib/shown.ts'
import { agoText, dayOf, minuteOf, spans } from '../../src/console/lib/time.ts'
import { changesOf, changeText, supposedRevocation, supposedWord } from '../../src/console/pages/trust/changes.ts'
import { scopesIn, usualScopes } from '../../src/console/pages/trust/scopes.ts'
import { type Explanation, toldOf } from '../../src/console/pages/trust/told.ts'
import { drawWays } from '../../src/console/pages/trust/ways.ts'

describe('text of somebody else', () => {
  test('stands on one line without what cannot be seen', () => {
    expect(shown('a\u202eb\u200bc\nd\u0000e\u{e0041}f')).toBe('a\u{fffd}b\u{fffd}c d\u{fffd}e\u{fffd}f')
    expect(shown('\ud800x\ufeff')).toBe('\u{fffd}x\u{fffd}')
    expect(shown('\u3164\u2800')).toBe('\u{fffd}\u{fffd}')
    expect(shown(' one \t\r\n two ')).toBe('one two')
  })

  test('keeps letters of every script, and no more than two marks on one', () => {
    for (const name of ['Zoë', 'Михаил', '日本語', 'अनिता', 'ต้น', 'Ahmed أحمد', '<b>&amp;"']) expect(shown(name)).toBe(name.normalize('NFC'))
    expect(shown(`z${'\u0310'.repeat(500)}algo`)).toBe('z\u0310\u0310algo')
  })

  test('is cut, however huge', () => {
    expect(shown('x'.repeat(1_000_000))).toHaveLength(shownCharsMax + 1)
    expect(shown('😀'.repeat(10), 3)).toBe('😀😀😀…')
    expect(shown(`${'\u0310'.repeat(5_000)}a`, 10)).toBe('…')
  })

  test('of a name no one gave is a short DID', () => {
    const called = calledIn({ 'did:key:z6Mkabc': 'Anna' })
    expect(called('did:key:z6Mkabc')).toBe('Anna')
    expect(called('constructor')).toBe('constructor')
    expect(shortDid('did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK')).toBe('z6Mk…ta2doK')
  })
})

test('times are said in UTC and relative to now', () => {
  expect(dayOf(Date.UTC(2026, 0, 31))).toBe('2026-01-31')
  expect(dayOf(Number.MAX_SAFE_INTEGER)).toBe('for ever')
  expect(minuteOf(Date.UTC(2026, 0, 31, 12, 5))).toBe('2026-01-31 12:05 UTC')
  expect([agoText(0, 10_000), agoText(0, 3_600_000 * 5), agoText(90_000_000, 0)]).toStrictEqual(['just now', '5 h ago', 'in 1 day'])
})

describe('an explanation in the words of a person', () => {
  const why: Explanation = {
    ...{ subject: 'did:key:zoe', scope: '/task/run', level: 1, levelName: 'basic', saidLevel: 2, validUntil: Date.UTC(2026, 5, 1) },
    because: [{ path: ['did:key:me', 'did:key:anna', 'did:key:zoe'], attestations: ['a1', 'a2'], minLevel: 2, expires: Date.UTC(2026, 6, 1) }],
    counts: { introducers: 1, distrust: 1, cautions: 0 },
    vetoes: [{ issuer: 'did:key:ben', id: 'b1', level: -1, isDecisive: false }],
    ignored: [{ id: 'c1', issuer: 'did:key:carl', reason: 'issuerLevel' }],
    missingForNext: { level: 2, need: '1 more introducer', votes: 1, introducerLevel: 2, near: [{ did: 'did:key:dora', by: 'vouch' }] },
    sentence: 'BASIC in /task/run, because its tasks for you ended badly.',
    names: { 'did:key:me': 'you', 'did:key:anna': 'Anna', 'did:key:zoe': 'Zoe' },
  }

  test('names who stands behind it, who speaks against, who is not heard and why, and what is missing', () => {
    expect(toldOf(why)).toStrictEqual({
      ...{ sentence: why.sentence, levelName: 'basic', experience: 'Words alone would make it verified; its tasks for you ended badly.' },
      ways: [{ people: ['you', 'Anna', 'Zoe'], text: 'verified or more on every step, until 2026-07-01' }],
      against: [{ id: 'b1', text: 'ben says distrust, which is not enough alone' }],
      ignored: [{ id: 'c1', text: 'carl is trusted too little to be heard' }],
      next: { need: 'verified: 1 more introducer', near: ['dora could vouch for it'] },
      until: 'until 2026-06-01',
    })
  })

  test('says nothing of a next level when there is none', () => {
    expect(toldOf({ ...why, missingForNext: null, validUntil: null, level: 2 })).toMatchObject({
      next: undefined,
      experience: undefined,
      until: 'as long as nobody says anything new',
    })
  })

  test('draws disjoint ways side by side and whoever they share once', () => {
    const { points, steps, height } = drawWays([
      ['me', 'anna', 'zoe'],
      ['me', 'ben', 'auth', 'zoe'],
      ['me', 'carl', 'auth', 'zoe'],
    ])
    expect(points.map(({ did, kind }) => [did, kind])).toStrictEqual([
      ['me', 'root'],
      ['zoe', 'subject'],
      ['anna', 'between'],
      ['ben', 'between'],
      ['auth', 'between'],
      ['carl', 'between'],
    ])
    expect(steps.map(({ way, from, to }) => `${way} ${from.did} ${to.did}`)).toStrictEqual([
      '0 me anna',
      '0 anna zoe',
      '1 me ben',
      '1 ben auth',
      '1 auth zoe',
      '2 me carl',
      '2 carl auth',
      '2 auth zoe',
    ])
    expect(points.every(({ y }) => y > 0 && y < height)).toBe(true)
    expect(drawWays([])).toMatchObject({ points: [], steps: [] })
  })
})

test('a simulation says who would fall and who would rise, the furthest first', () => {
  const told = changesOf({
    ...{ scope: '/task/run', revoked: ['a'], names: { b: 'Ben' } },
    changes: [
      { subject: 'a', before: 2, after: 1 },
      { subject: 'b', before: 3, after: -1 },
      { subject: 'c', before: 0, after: 2 },
    ],
  })
  expect(told.headline).toBe('In /task/run 2 peers would fall and 1 peer would rise.')
  expect(told.fallen.map(changeText)).toStrictEqual(['Ben: trusted → distrust', 'a: verified → basic'])
  expect(told.risen.map(changeText)).toStrictEqual(['c: unknown → verified'])
  expect(changesOf({ scope: '/', revoked: [], names: {}, changes: [] }).headline).toBe('Nobody’s level in / would change.')
})

test('scopes in a field are taken apart, and refused as a whole when one is none', () => {
  expect(scopesIn(' /task/run, /message  /task/run')).toStrictEqual(['/task/run', '/message'])
  expect(scopesIn('/ authority/*')).toStrictEqual(['/', 'authority/*'])
  for (const bad of ['', 'task', '/Task', '/task//run', `/${'a'.repeat(70)}`, '/a /b /c /d /e /f /g /h /i']) expect(scopesIn(bad)).toBeUndefined()
})

test('what a form offers is what the node takes', () => {
  expect(scopesIn(usualScopes.join(' '))).toStrictEqual(usualScopes)
  expect(spans.every(({ ms }, at) => ms > (spans[at - 1]?.ms ?? 0) && ms <= 400 * 86_400_000)).toBe(true)
})

test('what is about to be signed or taken back is asked about first', () => {
  expect(supposedWord('/task/run', { subject: 'anna', level: 'trusted', scopes: ['/task'], depth: 1 })).toStrictEqual({
    scope: '/task/run',
    add: [{ subject: 'anna', level: 'trusted', scopes: ['/task'], depth: 1 }],
  })
  expect(supposedRevocation('/', ['a'], 'hard')).toStrictEqual({ scope: '/', revoke: ['a'], kind: 'hard' })
})
