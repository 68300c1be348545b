import fc from 'fast-check'
import { expect, test } from 'vitest'
import { computeTrust, simulate, type TrustQuestion } from '../../src/trust/index.ts'
import { did, everybody, headAgeOf, now, root, says, scope, world } from '../helpers/trust-graphs.ts'

const circle = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3))
const ask = (attestations: TrustQuestion['attestations'], more: Partial<TrustQuestion> = {}): TrustQuestion => ({ root, scope, attestations, now, ...more })
const changes = (...given: Parameters<typeof simulate>) =>
  simulate(...given).map(({ subject, before, after }) => `${subject.slice('did:key:z6Mk'.length)} ${before} -> ${after}`)

test('taking one word back shows everybody who falls with it, the deepest fall first', () => {
  const given = [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2), says('anna', 'mia', 1), says('zoe', 'tim', 1)]
  const anna = given[0]?.id ?? ''
  expect(changes(ask(given), { revoke: [anna] })).toEqual(['anna 3 -> 0', 'mia 1 -> 0', 'tim 1 -> 0', 'zoe 2 -> 1'])
})

test('a word taken back does not bring an older one back; a hard revocation does', () => {
  const given = [says('root', 'anna', 3, { seq: 1, id: 'old' }), says('root', 'anna', 2, { seq: 2, id: 'new', issuedAt: now, firstSeenAt: now })]
  expect(changes(ask(given), { revoke: ['new'] })).toEqual(['anna 2 -> 0'])
  expect(changes(ask(given), { revoke: ['new'], isHard: true })).toEqual(['anna 2 -> 3'])
})

test('a word that nobody has signed takes the place of an older one, also of an issuer whose head is old', () => {
  const given = [...circle, says('anna', 'zoe', 1), says('ben', 'zoe', 2)]
  expect(changes(ask(given), { add: [{ issuer: did('anna'), subject: did('zoe'), level: 2 }] })).toEqual(['zoe 1 -> 2'])
  expect(changes(ask(given), { add: [{ issuer: root, subject: did('zoe'), level: -1 }] })).toEqual(['zoe 1 -> -1'])
  const headAge = (): number | undefined => undefined
  expect(changes(ask(circle, { headAge }), { add: [{ issuer: did('anna'), subject: did('zoe'), level: 1 }] })).toEqual(['zoe 0 -> 1'])
  expect(changes(ask(given), { add: [{ issuer: root, subject: did('zoe'), level: 3, scopes: ['/file'] }] })).toEqual([])
})

test('what is simulated is what happens when it is done, and the question stays as it was', () => {
  fc.assert(
    fc.property(world, fc.nat(), ({ attestations, revocations, headAges }, which) => {
      const question = ask(attestations, { revocations, headAge: headAgeOf(headAges) })
      const revoked = attestations[which % attestations.length]
      if (revoked === undefined) return
      const done = computeTrust({ ...question, revocations: [...revocations, { issuer: revoked.issuer, attestationId: revoked.id, kind: 'soft', at: now }] })
      const before = computeTrust(question)
      const expected = everybody.filter((who) => before.level(who) !== done.level(who)).sort()
      expect(
        simulate(question, { revoke: [revoked.id] })
          .map(({ subject }) => subject)
          .sort(),
      ).toEqual(expected)
    }),
    { numRuns: 200, seed: 11 },
  )
})

test('what was revoked, proven or experienced before stays so', () => {
  const given = [...circle, says('anna', 'zoe', 1), says('ben', 'tim', 1), says('carl', 'mia', 1)]
  const question = ask(given.values(), {
    revocations: new Set([{ issuer: root, attestationId: given[0]?.id ?? '', kind: 'soft', at: now } as const]).values(),
    warrants: new Set([did('ben')]).values(),
    experience: new Set([{ subject: did('mia'), successes: 0, failures: 50 }]).values(),
  })
  expect(changes(question, { add: [{ issuer: root, subject: did('una'), level: 1 }] })).toEqual(['una 0 -> 1'])
})

test('under policy flow it is the narrowed level that changes', () => {
  const add = [{ issuer: did('ada'), subject: did('zoe'), level: 2 as const }]
  const question = ask([says('root', 'ada', 4)])
  expect(changes(question, { add })).toEqual(['zoe 0 -> 2'])
  expect(changes(question, { add }, { policy: 'flow' })).toEqual(['zoe 0 -> 1'])
  expect(changes(question, { add }, { policy: 'flow', reliance: new Map([[did('ada'), 20]]) })).toEqual([])
})

test('what cannot be is refused', () => {
  expect(() => simulate(ask(circle), { revoke: ['none'] })).toThrow(expect.objectContaining({ code: 'ERR_NOT_FOUND' }))
  expect(() => simulate(ask(circle), { add: [{ issuer: root, subject: root, level: 3 }] })).toThrow(expect.objectContaining({ code: 'ERR_TRUST_INVALID' }))
  expect(() => simulate(ask(circle), { add: [{ issuer: root, subject: did('x'), level: 3, scopes: ['x'] }] })).toThrow(
    expect.objectContaining({ code: 'ERR_TRUST_INVALID' }),
  )
})
