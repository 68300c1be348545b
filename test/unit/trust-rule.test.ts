import { describe, expect, test } from 'vitest'
import { dayMs, type Did, hourMs } from '../../src/base/index.ts'
import {
  type Attestation,
  computeTrust,
  depthDefault,
  levelName,
  parseLevel,
  quotaSubjectsMax,
  scopeCovers,
  scopeNamesAuthority,
  statementLevelName,
  type TrustQuestion,
  type TrustSnapshot,
} from '../../src/trust/index.ts'
import { did, now, root, says, scope } from '../helpers/trust-graphs.ts'

const trust = (attestations: readonly Attestation[], more: Partial<TrustQuestion> = {}): TrustSnapshot =>
  computeTrust({ root, scope, attestations, now, ...more })
const levelOf = (subject: string, attestations: readonly Attestation[], more: Partial<TrustQuestion> = {}): number =>
  trust(attestations, more).level(did(subject))
const circle = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3))

describe('votes', () => {
  test('the root itself is AUTHORITY, and whoever nobody speaks of is UNKNOWN', () => {
    expect(trust([]).level(root)).toBe(4)
    expect(levelOf('zoe', circle)).toBe(0)
  })
  test('the root gives any level by its own word', () => {
    for (const level of [1, 2, 3, 4] as const) expect(levelOf('zoe', [says('root', 'zoe', level)])).toBe(level)
  })
  test('BASIC takes one introducer, VERIFIED two, TRUSTED three', () => {
    const vouches = ['anna', 'ben', 'carl'].map((friend) => says(friend, 'zoe', 3))
    for (const count of [1, 2, 3]) expect(levelOf('zoe', [...circle, ...vouches.slice(0, count)])).toBe(count)
  })
  test('a vote counts for what it says and everything below', () => {
    expect(levelOf('zoe', [...circle, says('anna', 'zoe', 3), says('ben', 'zoe', 2), says('carl', 'zoe', 1)])).toBe(2)
  })
  test('introducers to BASIC and VERIFIED hold VERIFIED, those to TRUSTED hold TRUSTED', () => {
    const holding = (level: 1 | 2 | 3): Attestation[] => ['anna', 'ben', 'carl'].flatMap((friend) => [says('root', friend, level), says(friend, 'zoe', 3)])
    expect(levelOf('zoe', holding(1))).toBe(0)
    expect(levelOf('zoe', holding(2))).toBe(2)
    expect(levelOf('zoe', holding(3))).toBe(3)
  })
  test('one issuer has one vote, however many statements it makes', () => {
    const many = ['/', '/task', '/task/run'].map((place) => says('anna', 'zoe', 3, { scopes: [place] }))
    expect(levelOf('zoe', [...circle, ...many])).toBe(1)
  })
  test('an AUTHORITY makes VERIFIED alone, and TRUSTED only with a second party', () => {
    const authority = [says('root', 'ada', 4), says('ada', 'zoe', 4)]
    expect(levelOf('zoe', authority)).toBe(2)
    expect(levelOf('zoe', [...authority, ...circle, says('anna', 'zoe', 3)])).toBe(3)
  })
  test('an AUTHORITY outside the scope has no more say than anybody', () => {
    const elsewhere = [says('root', 'ada', 4, { scopes: ['/file'] }), says('root', 'ada', 2, { scopes: ['/task'] }), says('ada', 'zoe', 2)]
    expect(levelOf('zoe', elsewhere)).toBe(1)
  })
  test('nobody rates himself', () => {
    expect(levelOf('zoe', [says('zoe', 'zoe', 4)])).toBe(0)
    expect(levelOf('anna', [says('root', 'anna', 2), says('anna', 'anna', 4)])).toBe(2)
  })
})

describe('naming an AUTHORITY', () => {
  const namer = says('root', 'ada', 4, { scopes: ['/task', '/authority/task'] })
  test('only an AUTHORITY whose scope names it can, and the one named is TRUSTED too', () => {
    expect(levelOf('zoe', [says('root', 'ada', 4, { scopes: ['/'] }), says('ada', 'zoe', 4)])).toBe(2)
    expect(levelOf('zoe', [namer, says('ada', 'zoe', 4)])).toBe(4)
    expect(levelOf('zoe', [says('root', 'ada', 4, { scopes: ['/task', '/authority/file'] }), says('ada', 'zoe', 4)])).toBe(2)
  })
  test('an AUTHORITY named by one other introduces to TRUSTED like any', () => {
    const given = [...circle, namer, says('ada', 'abe', 4), says('abe', 'zoe', 3), says('anna', 'zoe', 3)]
    expect(levelOf('zoe', given)).toBe(3)
    expect(
      trust(given)
        .explain(did('zoe'))
        .because.map(({ path }) => path),
    ).toEqual([
      [root, did('anna'), did('zoe')],
      [root, did('ada'), did('abe'), did('zoe')],
    ])
  })
  test('three TRUSTED cannot', () => {
    expect(levelOf('zoe', [...circle, ...['anna', 'ben', 'carl'].map((friend) => says(friend, 'zoe', 4))])).toBe(3)
  })
  test('the one named names others only if that was passed on', () => {
    const second = (scopes: string[]): number => levelOf('zoe', [namer, says('ada', 'bob', 4, { scopes }), says('bob', 'zoe', 4)])
    expect(second(['/task'])).toBe(2)
    expect(second(['/task', '/authority/task/run'])).toBe(4)
  })
})

describe('remaining depth', () => {
  test('a statement of depth 0 gives the level and no introductions', () => {
    const shy = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3, { depth: 0 }))
    const given = [...shy, ...['anna', 'ben', 'carl'].map((friend) => says(friend, 'zoe', 3))]
    expect(levelOf('anna', given)).toBe(3)
    expect(levelOf('zoe', given)).toBe(0)
  })
  test('a chain ends after four introductions', () => {
    const links = ['root', 'a1', 'a2', 'a3', 'a4', 'a5']
    const chain = links
      .slice(1)
      .flatMap((to, at) =>
        ['x', 'y'].flatMap((side) =>
          at === 0 ? [says('root', to + side, 2, { depth: 9 })] : ['x', 'y'].map((other) => says(`${links[at]}${other}`, to + side, 2, { depth: 9 })),
        ),
      )
    expect(['a1x', 'a2x', 'a3x', 'a4x', 'a5x'].map((end) => levelOf(end, chain))).toEqual([2, 2, 2, 2, 0])
  })
  test('the depth a voucher grants bounds what its protégé may pass on, even when others grant more', () => {
    const vouched = (depths: readonly number[]): number =>
      levelOf('zoe', [
        ...circle,
        ...['mia', 'noa'].flatMap((middle) => [
          ...['anna', 'ben', 'carl'].map((friend, at) => says(friend, middle, 2, { depth: depths[at] ?? 0 })),
          says(middle, 'zoe', 2),
        ]),
      ])
    expect(vouched([3, 3, 3])).toBe(2)
    expect(vouched([3, 1, 0])).toBe(2)
    expect(vouched([3, 0, 0])).toBe(0)
  })
})

describe('what is live', () => {
  const vouched = (said: Partial<Attestation>, more: Partial<TrustQuestion> = {}): number =>
    levelOf('zoe', [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2, said)], more)
  test('a scope covers itself and what lies below, on every edge', () => {
    expect(['/', '/task', '/task/run', '/taskx', '/task/run/deep', '/tas', ''].map((place) => scopeCovers(place, '/task/run'))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
      false,
    ])
    expect(['/', '/authority', '/authority/task', '/authority/taskx', '/task'].map((place) => scopeNamesAuthority(place, '/task/run'))).toEqual([
      false,
      true,
      true,
      false,
      false,
    ])
    expect(vouched({ scopes: ['/taskx'] })).toBe(1)
    expect(levelOf('zoe', [says('root', 'anna', 2, { scopes: ['/file'] }), says('anna', 'zoe', 2, { scopes: ['/'] })])).toBe(0)
  })
  test('a statement ends at the instant it names', () => {
    expect(vouched({ expiresAt: now + 1 })).toBe(2)
    expect(vouched({ expiresAt: now })).toBe(1)
  })
  test('an issuer lowers or withdraws with a higher seq, and an older statement never comes back', () => {
    const lowered = (said: Partial<Attestation>): number => levelOf('zoe', [says('root', 'zoe', 3, { seq: 1 }), says('root', 'zoe', 1, { seq: 2, ...said })])
    expect(lowered({})).toBe(1)
    expect(lowered({ expiresAt: now })).toBe(0)
    expect(lowered({ scopes: ['/file'] })).toBe(3)
  })
  test('a soft revocation ends one statement from its time on, and only by its issuer', () => {
    const statement = says('root', 'zoe', 2)
    const revoked = (at: number, issuer: Did = root): number =>
      levelOf('zoe', [statement], { revocations: [{ issuer, attestationId: statement.id, kind: 'soft', at }] })
    expect(revoked(now)).toBe(0)
    expect(revoked(now + 1)).toBe(2)
    expect(revoked(now, did('anna'))).toBe(2)
  })
  test('a hard revocation voids everything the stolen key signed or showed us after its time', () => {
    const before = says('anna', 'old', 2, { issuedAt: now - 20 * dayMs, firstSeenAt: now - 20 * dayMs })
    const dated = says('anna', 'new', 2, { issuedAt: now - 20 * dayMs, firstSeenAt: now - dayMs })
    const named = says('anna', 'named', 2, { issuedAt: now - 20 * dayMs, firstSeenAt: now - 20 * dayMs })
    const overtaken = says('anna', 'old', -1, { seq: 2 })
    const after = trust([...circle, before, dated, named, overtaken], {
      revocations: [{ issuer: did('anna'), attestationId: named.id, kind: 'hard', at: now - 10 * dayMs }],
    })
    expect(['old', 'new', 'named'].map((name) => after.level(did(name)))).toEqual([1, 0, 0])
  })
  test('a statement unrenewed for 180 days counts one level less, for 365 days two', () => {
    const aged = (days: number): number => levelOf('zoe', [says('root', 'zoe', 3, { issuedAt: now - days * dayMs })])
    expect([179, 180, 364, 365].map(aged)).toEqual([3, 2, 2, 1])
  })
  test('a head older than 7 d, 48 h, 24 h, 1 h does not carry BASIC, VERIFIED, TRUSTED, AUTHORITY', () => {
    const namer = says('root', 'ada', 4, { scopes: ['/', '/authority'] })
    const given = [namer, says('ada', 'zoe', 4), ...circle, ...['anna', 'ben', 'carl'].map((friend) => says(friend, 'zoe', 3))]
    const withAge = (age: number | undefined): number => levelOf('zoe', given, { headAge: () => age })
    expect([hourMs, hourMs + 1, 24 * hourMs, 24 * hourMs + 1, 48 * hourMs, 48 * hourMs + 1, 7 * dayMs, 7 * dayMs + 1].map(withAge)).toEqual([
      4, 3, 3, 2, 2, 1, 1, 0,
    ])
    expect(withAge(undefined)).toBe(0)
    expect(levelOf('anna', given, { headAge: () => undefined })).toBe(3)
  })
  test('an issuer with two statements in one place introduces nobody any more, but keeps its own level', () => {
    const twice = [says('anna', 'zoe', 2, { id: 'one' }), says('anna', 'zoe', 1, { id: 'two' }), says('anna', 'yan', 2)]
    expect(levelOf('zoe', [...circle, ...twice])).toBe(0)
    expect(levelOf('yan', [...circle, ...twice])).toBe(0)
    expect(levelOf('anna', [...circle, ...twice])).toBe(3)
    expect(levelOf('zoe', [says('root', 'zoe', 3, { id: 'one' }), says('root', 'zoe', 1, { id: 'two' })])).toBe(1)
  })
})

describe('quota', () => {
  const crowd = Array.from({ length: quotaSubjectsMax + 6 }, (_, at) =>
    says('anna', `s${String(at).padStart(3, '0')}`, 1, { firstSeenAt: now - dayMs + at, scopes: [at % 2 === 0 ? '/' : '/task'] }),
  )
  const counted = (given: readonly Attestation[], more: Partial<TrustQuestion> = {}): number =>
    crowd.filter(({ subject }) => trust(given, more).level(subject) >= 1).length
  test('of one issuer 64 new subjects count in 30 days, the first seen first', () => {
    expect(counted([...circle, ...crowd])).toBe(64)
    expect(levelOf('s063', [...circle, ...crowd])).toBe(1)
    expect(levelOf('s064', [...circle, ...crowd])).toBe(0)
    expect(
      trust([...circle, ...crowd])
        .explain(did('s064'))
        .ignored.map(({ reason }) => reason),
    ).toEqual(['quota'])
  })
  test('whoever is over the quota counts when the window has room, and validUntil says when', () => {
    const turn = now - dayMs + 30 * dayMs
    expect(trust([...circle, ...crowd]).explain(did('s064')).validUntil).toBe(turn)
    expect(levelOf('s064', [...circle, ...crowd], { now: turn })).toBe(1)
    expect(levelOf('s065', [...circle, ...crowd], { now: turn })).toBe(0)
  })
  test('a renewed statement is about no new subject', () => {
    const renewed = says('anna', 's000', 1, { seq: 2, scopes: ['/'], firstSeenAt: now })
    expect(levelOf('s000', [...circle, ...crowd, renewed])).toBe(1)
  })
  test('the root and an AUTHORITY have no quota', () => {
    expect(counted([says('root', 'anna', 4), ...crowd])).toBe(70)
    expect(counted(crowd.map((statement) => ({ ...statement, issuer: root })))).toBe(70)
  })
})

describe('distrust and caution', () => {
  const verified = [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2)]
  const others = ['una', 'vic'].flatMap((other) => [says('anna', other, 2), says('ben', other, 2)])
  test('two VERIFIED suffice against a VERIFIED, one does not', () => {
    expect(levelOf('zoe', [...verified, ...others, says('una', 'zoe', -1)])).toBe(2)
    expect(levelOf('zoe', [...verified, ...others, says('una', 'zoe', -1), says('vic', 'zoe', -1)])).toBe(-1)
  })
  test('a direct contact or an AUTHORITY suffices alone', () => {
    expect(levelOf('zoe', [...verified, says('carl', 'zoe', -1)])).toBe(-1)
    expect(levelOf('zoe', [...verified, says('root', 'ada', 4, { scopes: ['/', '/authority'] }), says('ada', 'abe', 4), says('abe', 'zoe', -1)])).toBe(-1)
  })
  test('a direct contact of BASIC is no direct contact here', () => {
    expect(levelOf('zoe', [...verified, ...others, says('root', 'una', 1), says('una', 'zoe', -1)])).toBe(2)
  })
  test('whoever holds less than the subject is not heard', () => {
    const trusted = [...verified, says('anna', 'zoe', 3, { seq: 2 }), says('ben', 'zoe', 3, { seq: 2 }), says('carl', 'zoe', 3)]
    expect(levelOf('zoe', [...trusted, ...others, says('una', 'zoe', -1), says('vic', 'zoe', -1)])).toBe(3)
    expect(levelOf('zoe', [...circle, says('anna', 'zoe', 1), says('bad', 'zoe', -1), says('mad', 'zoe', -1)])).toBe(1)
  })
  test('a veto too low for the subject does not touch what it introduces at lower levels either', () => {
    const shallow = ['anna', 'ben', 'carl'].map((friend) => says(friend, 'zoe', 3, { depth: 0 }))
    const deep = ['dora', 'emil'].flatMap((friend) => [says('root', friend, 2), says(friend, 'zoe', 2)])
    const given = [...circle, ...shallow, ...deep, ...others, says('zoe', 'tim', 1)]
    expect(levelOf('tim', given)).toBe(1)
    expect(levelOf('tim', [...given, says('una', 'zoe', -1), says('vic', 'zoe', -1)])).toBe(1)
  })
  test('distrust is one step: it never reaches whom its subject distrusts or vouches for by another way', () => {
    const given = [...verified, says('carl', 'zoe', -1), says('zoe', 'yan', -1), says('anna', 'yan', 1)]
    expect(levelOf('yan', given)).toBe(1)
  })
  test('who is banned introduces nobody', () => {
    const given = [...verified, says('root', 'yan', 2), says('zoe', 'tim', 1)]
    expect(levelOf('tim', given)).toBe(1)
    expect(levelOf('tim', [...given, says('carl', 'zoe', -1)])).toBe(0)
  })
  test('two who distrust each other both fall', () => {
    const pair = ['pia', 'pat'].flatMap((one) => ['anna', 'ben'].map((friend) => says(friend, one, 2)))
    const given = [...circle, ...pair, ...others, says('pia', 'pat', -1), says('pat', 'pia', -1), says('una', 'pat', -1), says('vic', 'pia', -1)]
    expect([levelOf('pia', given), levelOf('pat', given)]).toEqual([-1, -1])
  })
  test("the root's own word wins both ways", () => {
    expect(levelOf('zoe', [...verified, says('root', 'zoe', -1)])).toBe(-1)
    expect(levelOf('zoe', [...verified, says('root', 'zoe', 2), says('carl', 'zoe', -1)])).toBe(2)
    expect(levelOf('zoe', [...verified, says('root', 'zoe', 1), says('carl', 'zoe', -1)])).toBe(1)
  })
  test('a newer word of trust by the same issuer ends its distrust', () => {
    expect(levelOf('zoe', [...verified, says('carl', 'zoe', -1, { seq: 1 }), says('carl', 'zoe', 1, { seq: 2 })])).toBe(2)
  })
  test('an issuer that distrusts in one scope and vouches in another that also covers is heard as distrusting', () => {
    expect(levelOf('zoe', [says('root', 'zoe', 3, { scopes: ['/'] }), says('root', 'zoe', -1, { scopes: ['/task'] })])).toBe(-1)
  })
  test('distrust does not decay', () => {
    expect(levelOf('zoe', [...verified, says('carl', 'zoe', -1, { issuedAt: now - 390 * dayMs })])).toBe(-1)
  })
  test('caution caps at BASIC', () => {
    expect(levelOf('zoe', [...verified, says('carl', 'zoe', 0)])).toBe(1)
    expect(levelOf('zoe', [...verified, says('root', 'zoe', 0)])).toBe(1)
    expect(levelOf('zoe', [...verified, ...others, says('una', 'zoe', 0), says('vic', 'zoe', -1)])).toBe(1)
  })
})

test('levels are read and printed by name', () => {
  expect(['distrust', 'caution', 'basic', 'Verified', 'trusted', 'authority'].map(parseLevel)).toEqual([-1, 0, 1, 2, 3, 4])
  expect(() => parseLevel('unknown')).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  expect(() => parseLevel('toString')).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  expect(([-1, 0, 1, 2, 3, 4] as const).map(levelName)).toEqual(['distrust', 'unknown', 'basic', 'verified', 'trusted', 'authority'])
  expect(statementLevelName(0)).toBe('caution')
  expect(([-1, 0, 1, 2, 3, 4] as const).map(depthDefault)).toEqual([0, 0, 0, 0, 1, 2])
})
