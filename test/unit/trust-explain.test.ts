import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dayMs, type Did, hourMs } from '../../src/base/index.ts'
import { type Attestation, computeTrust, type Explanation, simulate, type TrustQuestion } from '../../src/trust/index.ts'
import { did, everybody, headAgeOf, now, root, says, scope, world } from '../helpers/trust-graphs.ts'

const name = (who: Did): string => who.slice('did:key:z6Mk'.length)
const why = (subject: string, attestations: readonly Attestation[], more: Partial<TrustQuestion> = {}): Explanation =>
  computeTrust({ root, scope, attestations, now, ...more }).explain(did(subject), { name })
const circle = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3))
const march = Date.UTC(2026, 2, 3)
const pathsOf = ({ because }: Explanation): string[][] => because.map(({ path }) => path.map(name))

test('the sentence names the level, the people, the end and what would raise it', () => {
  const given = [...circle, says('anna', 'zoe', 2, { expiresAt: march }), says('ben', 'zoe', 3)]
  expect(why('zoe', given).sentence).toBe(
    'VERIFIED in /task/run, because anna and ben, whom you know, both vouch; valid until 2026-03-03; two more TRUSTED introducers would raise it, such as anna or carl.',
  )
})

test('every kind of answer has its sentence', () => {
  const until = 'valid until 2026-06-29'
  expect(why('root', circle).sentence).toBe('AUTHORITY in /task/run, because this is you.')
  expect(why('zoe', []).sentence).toBe('UNKNOWN in /task/run, because nobody you know vouches for it; one VERIFIED introducer would raise it.')
  expect(why('anna', circle).sentence).toBe(`TRUSTED in /task/run, because you say so; ${until}; a statement of your own would raise it.`)
  expect(why('zoe', [...circle, says('anna', 'zoe', 1)]).sentence).toBe(
    `BASIC in /task/run, because anna, whom you know, vouches; ${until}; two more VERIFIED introducers would raise it, such as anna, ben or carl.`,
  )
  expect(why('zoe', [...circle, says('root', 'zoe', -1)]).sentence).toBe(
    'DISTRUST in /task/run, because you distrust it; valid until 2026-10-28; an end of the distrust or a statement of your own would raise it.',
  )
  expect(why('zoe', [...circle, says('carl', 'zoe', -1)]).sentence).toContain('because carl distrusts it')
  const far = [...circle, says('anna', 'mia', 2), says('ben', 'mia', 2), says('mia', 'zoe', 1)]
  expect(why('zoe', far).sentence).toContain('because mia (through anna) vouches')
})

test('without names, DIDs are shortened', () => {
  const did = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK' as Did
  const trust = computeTrust({
    root,
    scope,
    now,
    attestations: [
      { ...says('root', 'x', 3), subject: did },
      { ...says('x', 'zoe', 1), issuer: did },
    ],
  })
  expect(trust.explain(says('x', 'zoe', 1).subject).sentence).toContain('because z6Mk…ta2doK, whom you know, vouches')
})

test('one distrust that does not suffice is shown beside the introducers', () => {
  const given = [...circle, ...['zoe', 'una'].flatMap((one) => [says('anna', one, 2), says('ben', one, 2)]), says('una', 'zoe', -1)]
  const answer = why('zoe', given)
  expect(answer.vetoes).toEqual([{ issuer: did('una'), id: says('una', 'zoe', -1).id, level: -1, isDecisive: false }])
  expect(answer.counts).toEqual({ introducers: 2, distrust: 1, cautions: 0 })
  expect(answer.sentence).toContain('; una speaks against (+2 introducers, -1 distrust);')
})

test('your own word is no introduction', () => {
  expect(why('anna', circle).counts).toEqual({ introducers: 0, distrust: 0, cautions: 0 })
  expect(why('anna', [...circle, says('ben', 'anna', 1), says('root', 'anna', -1, { seq: 2 })]).counts).toEqual({ introducers: 1, distrust: 1, cautions: 0 })
})

test('ways are disjoint also where the first that comes to mind would block another', () => {
  // tim has mia and noa; mia leans on anna and ben, noa on ben and carl.
  const given = [
    ...circle,
    says('anna', 'mia', 2),
    says('ben', 'mia', 2),
    says('ben', 'noa', 2),
    says('carl', 'noa', 2),
    says('mia', 'tim', 2),
    says('noa', 'tim', 2),
  ]
  const inside = pathsOf(why('tim', given)).flatMap((path) => path.slice(1, -1))
  expect(inside).toHaveLength(4)
  expect(new Set(inside).size).toBe(4)
})

test('TRUSTED through layers has three disjoint ways', () => {
  const layer = (from: readonly string[], to: readonly string[]): Attestation[] => from.flatMap((one) => to.map((other) => says(one, other, 3)))
  const middle = ['mia', 'noa', 'ole']
  const answer = why('tim', [...circle, ...layer(['anna', 'ben', 'carl'], middle), ...layer(middle, ['tim'])])
  const inside = pathsOf(answer).flatMap((path) => path.slice(1, -1))
  expect(answer.level).toBe(3)
  expect(pathsOf(answer)).toHaveLength(3)
  expect(new Set(inside).size).toBe(6)
  expect(answer.sentence).toMatch(/because mia \(through \w+\), noa \(through \w+\) and ole \(through \w+\) all vouch/)
})

test('an AUTHORITY alone is one way, with its votes', () => {
  const answer = why('zoe', [says('root', 'ada', 4), says('ada', 'zoe', 2)])
  expect(answer.level).toBe(2)
  expect(pathsOf(answer)).toEqual([['root', 'ada', 'zoe']])
})

test('each statement that does not count says why', () => {
  const given = [
    ...circle,
    says('root', 'shy', 3, { depth: 0 }),
    says('root', 'bad', -1),
    says('anna', 'zoe', 2, { id: 'expired', expiresAt: now }),
    says('ben', 'zoe', 2, { id: 'scope', scopes: ['/file'] }),
    says('shy', 'zoe', 2, { id: 'depth' }),
    says('nobody', 'zoe', 2, { id: 'issuerLevel' }),
    says('stranger', 'zoe', -1, { id: 'issuerLevel-veto', scopes: ['/'] }),
    says('bad', 'zoe', 2, { id: 'banned' }),
    says('carl', 'zoe', 1, { id: 'superseded', seq: 1 }),
    says('carl', 'zoe', 2, { id: 'counts', seq: 2 }),
    says('zoe', 'zoe', 4, { id: 'alias' }),
    says('root', 'zoe', 3, { id: 'revoked' }),
    says('ulf', 'zoe', 2, { id: 'stale' }),
    says('root', 'ulf', 2),
  ]
  const answer = why('zoe', given, {
    revocations: [{ issuer: root, attestationId: 'revoked', kind: 'soft', at: now }],
    headAge: (issuer) => (issuer === did('ulf') ? 3 * 24 * hourMs : 0),
  })
  expect(answer.ignored.map(({ id, reason }) => [id, reason])).toEqual([
    ['alias', 'alias'],
    ['banned', 'banned'],
    ['depth', 'depth'],
    ['expired', 'expired'],
    ['issuerLevel', 'issuerLevel'],
    ['issuerLevel-veto', 'issuerLevel'],
    ['revoked', 'revoked'],
    ['scope', 'scope'],
    ['stale', 'stale'],
    ['superseded', 'superseded'],
  ])
  expect(answer.level).toBe(1)
})

test('an answer is valid until the first thing under it ends, also in the middle of a chain', () => {
  const given = (end: number): Attestation[] => [...circle, says('anna', 'mia', 2, { expiresAt: end }), says('ben', 'mia', 2), says('mia', 'zoe', 1)]
  expect(why('zoe', given(march)).validUntil).toBe(march)
  expect(why('zoe', given(now + 300 * dayMs)).validUntil).toBe(now - dayMs + 180 * dayMs)
  expect(why('zoe', given(march)).because[0]?.expires).toBe(march)
  expect(why('zoe', [...given(march), says('root', 'zoe', 1)]).validUntil).toBe(now - dayMs + 180 * dayMs)
})

describe('validUntil where distrust is about', () => {
  const verified = (who: string, until?: number): Attestation[] => [says('anna', who, 2, until === undefined ? {} : { expiresAt: until }), says('ben', who, 2)]
  const vetoers = [...circle, ...verified('una'), ...verified('vic')]
  const vetoed = [says('una', 'zoe', -1), says('vic', 'zoe', -1)]
  /** The level before and from `march` on, and that the answer says so. */
  const turns = (subject: string, given: readonly Attestation[]): number[] => {
    expect(why(subject, given).validUntil).toBe(march)
    return [march - 1, march].map((then) => why(subject, given, { now: then }).level)
  }

  test('who is safe from a veto by a higher level is safe as long as that level lasts', () => {
    const zoe = [says('anna', 'zoe', 3, { issuedAt: march - 180 * dayMs }), says('ben', 'zoe', 3), says('carl', 'zoe', 3)]
    expect(turns('tim', [...vetoers, ...vetoed, ...zoe, says('zoe', 'tim', 1)])).toEqual([1, 0])
  })
  test("who is safe from a veto by the root's word is safe as long as that word lasts", () => {
    const given = [...circle, ...verified('zoe'), says('root', 'zoe', 2, { depth: 0, expiresAt: march }), says('carl', 'zoe', -1)]
    expect(turns('zoe', given)).toEqual([2, -1])
    expect(turns('tim', [...given, says('zoe', 'tim', 1)])).toEqual([1, 0])
  })
  test('a ban lasts as long as its vetoers hold their level', () => {
    expect(turns('zoe', [...circle, ...verified('una', march), ...verified('vic'), ...verified('zoe'), ...vetoed])).toEqual([-1, 2])
  })
  test('a ban by one direct contact lasts as long as the contact', () => {
    const contact = says('root', 'una', 2, { depth: 0, expiresAt: march })
    expect(turns('zoe', [...circle, ...verified('una'), contact, ...verified('zoe'), says('una', 'zoe', -1)])).toEqual([-1, 2])
  })
  test('a ban by somebody banned as well lasts as long as what that one stood on', () => {
    const given = [
      ...vetoers,
      ...verified('pia', march),
      ...verified('pat'),
      says('pia', 'pat', -1),
      says('una', 'pat', -1),
      says('pat', 'pia', -1),
      says('vic', 'pia', -1),
    ]
    expect(turns('pat', given)).toEqual([-1, 2])
  })
})

test('an AUTHORITY is shared by two ways where the votes need it', () => {
  const given = [says('root', 'ada', 4), ...['mia', 'noa'].flatMap((middle) => [says('ada', middle, 2), says(middle, 'zoe', 2)])]
  expect(pathsOf(why('zoe', given))).toEqual([
    ['root', 'ada', 'mia', 'zoe'],
    ['root', 'ada', 'noa', 'zoe'],
  ])
})

test('the explanation is plain data', () => {
  const answer = why('zoe', [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2)])
  expect(JSON.parse(JSON.stringify(answer))).toEqual(answer)
})

describe('what is missing for the next level', () => {
  const missing = (subject: string, given: readonly Attestation[], more: Partial<TrustQuestion> = {}) => {
    const { missingForNext } = why(subject, given, more)
    return { ...missingForNext, near: missingForNext?.near.map(({ did: who, by }) => `${name(who)} ${by}`) }
  }

  test('names who could help and how: say more, be heard of again, hold more, or speak at all', () => {
    const given = [
      ...circle,
      says('root', 'una', 1),
      says('anna', 'zoe', 1),
      says('una', 'zoe', 2, { id: 'una' }),
      says('ulf', 'zoe', 2),
      says('root', 'ulf', 3),
      says('stranger', 'zoe', 1),
    ]
    const headAge = (issuer: Did): number => (issuer === did('ulf') ? 3 * 24 * hourMs : 0)
    expect(missing('zoe', given, { headAge })).toEqual({
      level: 2,
      need: 'two more VERIFIED introducers',
      votes: 2,
      introducerLevel: 2,
      near: ['anna raise', 'ulf refresh', 'una rise', 'ben vouch', 'carl vouch'],
    })
  })

  test('of those who have said nothing three are named, whom you know yourself before others', () => {
    const others = ['abe', 'amy'].flatMap((one) => [says('anna', one, 3), says('ben', one, 3), says('carl', one, 3)])
    expect(missing('zoe', [...circle, ...others]).near).toEqual(['anna vouch', 'ben vouch', 'carl vouch'])
    expect(missing('zoe', [says('root', 'zed', 3, { depth: 1 }), ...others, ...circle.slice(1)]).near).toEqual(['ben vouch', 'carl vouch', 'zed vouch'])
    expect(missing('zoe', [])).toMatchObject({ votes: 1, introducerLevel: 2, near: [] })
  })

  test('whose help it says is enough, gives the level: one more word of each of them raises the subject', () => {
    const given = [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 1)]
    const { votes, near } = why('zoe', given).missingForNext ?? { votes: 0, near: [] }
    const words = near.slice(0, votes).map(({ did: who }) => says(name(who), 'zoe', 2, { seq: 2 }))
    expect([votes, words.length]).toEqual([1, 1])
    expect(why('zoe', [...given, ...words]).level).toBe(2)
  })

  test('in every network: so many words as are missing, by those near who can speak, give the level', () => {
    let raised = 0
    fc.assert(
      fc.property(world, ({ attestations, revocations, headAges }) => {
        for (const subject of everybody) {
          const question = { root, scope, attestations, revocations, now, headAge: headAgeOf(headAges) }
          const { missingForNext } = computeTrust(question).explain(subject)
          const helpers = missingForNext?.near.filter(({ by }) => by === 'vouch' || by === 'raise') ?? []
          if (missingForNext === undefined || missingForNext.votes === 0 || helpers.length < missingForNext.votes) continue
          const add = helpers.slice(0, missingForNext.votes).map((helper) => ({ issuer: helper.did, subject, level: missingForNext.level, depth: 0 }))
          const after = simulate(question, { add }).find((change) => change.subject === subject)?.after
          expect(after).toBeGreaterThanOrEqual(missingForNext.level)
          raised++
        }
      }),
      { numRuns: 150, seed: 3 },
    )
    expect(raised).toBeGreaterThan(150)
  })

  test('votes do not end distrust or caution; AUTHORITY is not voted', () => {
    expect(missing('zoe', [...circle, says('carl', 'zoe', -1)])).toMatchObject({
      need: 'an end of the distrust or a statement of your own',
      votes: 0,
      near: [],
    })
    expect(missing('zoe', [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2), says('carl', 'zoe', 0)])).toMatchObject({
      level: 2,
      need: 'an end of the caution or a statement of your own',
    })
    expect(missing('anna', circle)).toMatchObject({ level: 4, need: 'a statement of your own', near: [] })
    const namer = says('root', 'ada', 4, { scopes: ['/task', '/authority'] })
    expect(missing('anna', [...circle, namer])).toMatchObject({ need: 'a statement of your own or of somebody who may name an AUTHORITY', near: ['ada vouch'] })
  })
})

test('issuers with one controller: the second word about somebody is an alias', () => {
  const controllerOf = (who: Did): Did => (who === did('ben') ? did('anna') : who)
  const answer = why('zoe', [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2)], { controllerOf })
  expect(answer.level).toBe(1)
  expect(answer.counts.introducers).toBe(1)
  expect(answer.ignored.map(({ reason }) => reason)).toEqual(['alias'])
  expect(answer.missingForNext).toMatchObject({ votes: 1 })
})

test('what happened in tasks is told apart from what others say', () => {
  const zoe = [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2)]
  const bad = why('zoe', zoe, { experience: [{ subject: did('zoe'), successes: 0, failures: 50 }] })
  expect(bad).toMatchObject({ level: 0, saidLevel: 2, missingForNext: { need: 'tasks that end well' } })
  expect(bad.sentence).toContain('because its tasks for you ended badly, where words alone would make it VERIFIED')
  const good = why('tim', circle, { experience: [{ subject: did('tim'), successes: 50, failures: 0 }] })
  expect(good).toMatchObject({ level: 1, saidLevel: 0, because: [] })
  expect(good.sentence).toContain('BASIC in /task/run, because its tasks for you ended well')
})
