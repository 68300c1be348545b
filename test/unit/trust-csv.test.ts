import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MeshError } from '../../src/base/index.ts'
import { computeTrust, computeTrustFromCsv } from '../../src/trust/index.ts'
import { everybody, now, positiveWorld, root, scope } from '../helpers/trust-graphs.ts'

const header = 'iss,sub,level,depth,iat,exp,scope'
const ask = async (text: string | Uint8Array, more: { root?: string; scope?: string; now?: number } = {}) =>
  await computeTrustFromCsv([typeof text === 'string' ? Buffer.from(text) : text], { root: 'me', scope, now, ...more })
const lines = (...all: readonly string[]): string => [header, ...all].join('\n')
const levels = async (...all: readonly string[]) => (await ask(lines(...all))).levels
const seconds = now / 1_000
const dayS = 86_400

test('a CSV gives the same answers as the same statements in a node', async () => {
  await fc.assert(
    fc.asyncProperty(positiveWorld, async (attestations) => {
      const usable = attestations
        .filter(({ firstSeenAt, issuedAt }) => firstSeenAt <= now && issuedAt <= now)
        .map((said) => ({ ...said, firstSeenAt: said.issuedAt }))
      const text = lines(
        ...usable.map(({ issuer, subject, level, depth, issuedAt, expiresAt, scopes }) =>
          [issuer, subject, level, depth, issuedAt / 1_000, expiresAt / 1_000, scopes.join(' ')].join(','),
        ),
      )
      const [expected, { snapshot }] = [computeTrust({ root, scope, now, attestations: usable }), await ask(text, { root })]
      expect(everybody.map((who) => snapshot.level(who))).toEqual(everybody.map((who) => expected.level(who)))
    }),
    { numRuns: 50, seed: 5 },
  )
})

test('only ids above UNKNOWN or below it are listed, the root among them', async () => {
  expect(await levels('me,anna,3,,,,/task', 'anna,ben,2,,,,/task', 'stranger,zoe,4,,,,/task', 'me,bad,-1,,,,/', 'me,odd,0,,,,/')).toEqual({
    me: 4,
    anna: 3,
    ben: 1,
    bad: -1,
  })
  expect(await levels()).toEqual({ me: 4 })
})

test('an empty depth is the default of the level', async () => {
  // TRUSTED introduces unless its depth says otherwise, VERIFIED does not.
  expect(await levels('me,anna,3,,,,/', 'anna,zoe,1,,,,/')).toMatchObject({ zoe: 1 })
  expect(await levels('me,anna,3,0,,,/', 'anna,zoe,1,,,,/')).not.toHaveProperty('zoe')
  expect(await levels('me,anna,2,,,,/', 'anna,zoe,1,,,,/')).not.toHaveProperty('zoe')
  expect(await levels('me,anna,2,255,,,/', 'anna,zoe,1,,,,/')).toMatchObject({ zoe: 1 })
})

test('an empty iat has no age and an empty exp no end; the others age and end', async () => {
  const old = seconds - 200 * dayS
  expect(await levels('me,ever,3,,,,/', `me,aged,3,,${old},,/`, `me,over,3,,${old},${seconds},/`, `me,last,3,,,${seconds + 1},/`)).toEqual({
    me: 4,
    ever: 3,
    aged: 2,
    last: 3,
  })
  const { snapshot } = await ask(lines('me,ever,3,,,,/'))
  expect(snapshot.validUntil).toBeUndefined()
})

test('of several lines about one the latest counts, of the same time the last; a statement of later than now is none', async () => {
  expect(await levels(`me,anna,3,,${seconds - 9},,/`, `me,anna,1,,${seconds - 10},,/`)).toMatchObject({ anna: 3 })
  expect(await levels(`me,anna,3,,${seconds - 9}.25,,/`, `me,anna,1,,${seconds - 9}.5,,/`)).toMatchObject({ anna: 1 })
  expect(await levels(`me,anna,3,,${seconds - 9},,/`, 'me,anna,1,,,,/')).toMatchObject({ anna: 3 })
  expect(await levels('me,anna,3,,,,/', 'me,anna,1,,,,/')).toMatchObject({ anna: 1 })
  expect(await levels('me,anna,3,,,,/task/run', 'me,anna,1,,,,/task')).toMatchObject({ anna: 3 })
  const early = await ask(lines(`me,anna,1,,${seconds},,/`, `me,anna,-1,,${seconds + 1},,/`))
  expect(early).toMatchObject({ statements: 1, later: 1, levels: { anna: 1 } })
})

test('one field holds several scopes; every scope on the way must cover', async () => {
  expect(await levels('me,anna,3,,,,/file /task', 'anna,zoe,1,,,,/task/run', 'anna,una,1,,,,/file')).toEqual({ me: 4, anna: 3, zoe: 1 })
})

test('of an issuer of thousands 64 count in 30 days, by iat', async () => {
  const many = Array.from({ length: 200 }, (_, at) => `anna,s${at},1,,${seconds - 200 + at},,/`)
  const { levels: known } = await ask(lines('me,anna,3,,,,/', ...many))
  expect(Object.keys(known)).toHaveLength(2 + 64)
  expect(known).toMatchObject({ s0: 1, s63: 1 })
})

test('ids are any strings, also names of properties, quotes, commas and line ends', async () => {
  const text = `\u{feff}${header}\r\nme,__proto__,2,,,,/\r\nme,"a ""b"", c\nd",2,,,,/\r\n\r\nme,"constructor",2,,,,/\r\nme,日本,1,,,,/`
  const { levels: known, snapshot } = await ask(text)
  expect(Object.keys(known).sort()).toEqual(['__proto__', 'a "b", c\nd', 'constructor', 'me', '日本'])
  // The line is the one in the file, also behind a field of two lines.
  expect(snapshot.explain('日本' as never).because[0]?.attestations).toEqual(['line 7'])
})

test('columns are found by their names, others are passed over', async () => {
  const { levels: known } = await ask('Note, Scope ,sub,iss,level\nx,/task,anna,me,2\n')
  expect(known).toEqual({ me: 4, anna: 2 })
})

test('the pieces of a file may end anywhere', async () => {
  const bytes = Buffer.from(`${lines('me,"anna ""日本""",3,,,,/task', '"anna ""日本""","b\nc",1,,,,/task')}\r\n`)
  const whole = (await ask(bytes)).levels
  expect(Object.keys(whole)).toHaveLength(3)
  for (const size of [1, 2, 3, 7]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size))
    expect((await computeTrustFromCsv(pieces, { root: 'me', scope, now })).levels).toEqual(whole)
  }
})

test.each([
  ['no header', '', 1],
  ['a column missing', 'iss,sub,level\n', 1],
  ['a column twice', `${header},iss\n`, 1],
  ['too few fields', lines('me,anna,2,,,,/', 'me,anna,2'), 3],
  ['an unknown level', lines('me,anna,5,,,,/'), 2],
  ['a level in words', lines('me,anna,high,,,,/'), 2],
  ['a depth that is none', lines('me,anna,2,-1,,,/'), 2],
  ['a date for seconds', lines('me,anna,2,,2026-01-01,,/'), 2],
  ['a time out of range', lines('me,anna,2,,,1e20,/'), 2],
  ['no scope', lines('me,anna,2,,,,'), 2],
  ['a scope that is no path', lines('me,anna,2,,,,task'), 2],
  ['an empty id', lines('me,,2,,,,/'), 2],
  ['an id without end', lines(`me,${'a'.repeat(300)},2,,,,/`), 2],
  ['a quote inside a field', lines('me,an"na",2,,,,/'), 2],
  ['text behind a quote', lines('me,"anna"x,2,,,,/'), 2],
  ['a quote never closed', lines('me,anna,2,,,,/', 'me,"anna,2,,,,/', 'me,ben,2,,,,/'), 3],
  ['a line without end', lines('me,anna,2,,,,/', 'a'.repeat(9_000)), 3],
  ['bytes that are no UTF-8', Buffer.concat([Buffer.from(lines('me,anna,2,,,,/', 'me,')), Uint8Array.of(0xff), Buffer.from(',2,,,,/')]), 1],
])('%s is refused with the number of the line and a next step', async (_, text, line) => {
  const error = await ask(text).then(
    () => undefined,
    (reason: unknown) => reason as MeshError,
  )
  expect(error).toMatchObject({ code: 'ERR_TRUST_CSV', message: expect.stringMatching(new RegExp(`^line ${line}: `)) })
  expect(error?.hint).not.toBe('')
})

test('the scope asked about is a command path', async () => {
  await expect(ask(lines(), { scope: 'task' })).rejects.toMatchObject({ code: 'ERR_TRUST_INVALID' })
})
