import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dayMs, type Did } from '../../src/base/index.ts'
import { type Attestation, computeTrust, createLedger, type Experience, type Revocation } from '../../src/trust/index.ts'
import { aliases, controllerOfIn, did, everybody, headAgeOf, now, root, says, scope, statement, world } from '../helpers/trust-graphs.ts'

const circle = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3))
const nodesIn = (names: readonly string[]): Did[] => names.map(did)

type Step =
  | { readonly act: 'add'; readonly attestation: Attestation }
  | { readonly act: 'remove'; readonly attestation: Attestation }
  | { readonly act: 'revoke'; readonly revocation: Revocation }
  | { readonly act: 'warrant'; readonly issuer: Did }
  | { readonly act: 'experience'; readonly experience: readonly Experience[] }
  | { readonly act: 'wait'; readonly ms: number }

/** Random things that happen to the statements of a random graph, in a random order. */
const stories = fc
  .record({ given: world, more: fc.array(statement({ isSigned: true, kind: 'lively' }), { maxLength: 12 }), controllers: aliases })
  .chain((all) => {
    const { given, more } = all
    const adds = [...given.attestations, ...more].map((attestation): Step => ({ act: 'add', attestation }))
    const others: Step[] = [
      ...given.attestations.slice(0, 6).map((attestation): Step => ({ act: 'remove', attestation })),
      ...given.revocations.map((revocation): Step => ({ act: 'revoke', revocation })),
      ...given.warrants.map((issuer): Step => ({ act: 'warrant', issuer })),
      { act: 'experience', experience: given.experience },
      { act: 'experience', experience: [] },
      ...[0.5, 30, 100].map((days): Step => ({ act: 'wait', ms: days * dayMs })),
    ]
    return fc.record({
      headAges: fc.constant(given.headAges),
      controllers: fc.constant(all.controllers),
      steps: fc.shuffledSubarray([...adds, ...others], { minLength: Math.min(20, adds.length) }),
    })
  })

test('a ledger that lived through any story answers as one that is told its end, and what it calls without effect has none', { timeout: 60_000 }, () => {
  let without = 0
  fc.assert(
    fc.property(stories, ({ steps, controllers, headAges }) => {
      const controllerOf = controllerOfIn(controllers)
      const ledger = createLedger({ root, controllerOf })
      const held = new Map<string, Attestation>()
      const revocations: Revocation[] = []
      const warrants: Did[] = []
      let experience: readonly Experience[] = []
      let then = now
      const headAge = headAgeOf(headAges)
      const levels = (): readonly number[] => {
        const snapshot = ledger.snapshot({ scope, now: then, headAge })
        return everybody.map((one) => snapshot.level(one))
      }
      levels()
      for (const step of steps) {
        if (step.act === 'add') {
          const { attestation } = step
          const before = ledger.matters(attestation) ? undefined : levels()
          ledger.add(attestation)
          if (!held.has(attestation.id)) held.set(attestation.id, attestation)
          if (before !== undefined) {
            without++
            expect(levels()).toEqual(before)
          }
        } else if (step.act === 'remove') {
          ledger.remove([step.attestation.id])
          held.delete(step.attestation.id)
        } else if (step.act === 'revoke') {
          ledger.revoke(step.revocation)
          revocations.push(step.revocation)
        } else if (step.act === 'warrant') {
          ledger.warrant(step.issuer)
          warrants.push(step.issuer)
        } else if (step.act === 'experience') {
          ledger.experience(step.experience)
          ;({ experience } = step)
        } else then += step.ms
        const fresh = computeTrust({ root, scope, attestations: held.values(), revocations, warrants, experience, controllerOf, now: then, headAge })
        expect(levels()).toEqual(everybody.map((one) => fresh.level(one)))
      }
      const fresh = computeTrust({ root, scope, attestations: held.values(), revocations, warrants, experience, controllerOf, now: then, headAge })
      const lived = ledger.snapshot({ scope, now: then, headAge })
      expect(ledger.size).toBe(held.size)
      expect(lived.subjects()).toEqual(fresh.subjects())
      expect(JSON.stringify(everybody.map((one) => lived.explain(one)))).toBe(JSON.stringify(everybody.map((one) => fresh.explain(one))))
    }),
    { seed: 40, numRuns: 250 },
  )
  expect(without).toBeGreaterThan(1_000)
})

test('a clock set back revives nothing, and a statement said twice is held once', () => {
  const ledger = createLedger({ root })
  const levelAt = (then: number): number => ledger.snapshot({ scope, now: then }).level(did('zoe'))
  expect(levelAt(now)).toBe(0)
  ledger.add(says('root', 'zoe', 3, { expiresAt: now + dayMs }))
  ledger.add(says('root', 'zoe', 3, { expiresAt: now + dayMs }))
  expect(ledger.size).toBe(1)
  expect(levelAt(now)).toBe(3)
  expect(levelAt(now + dayMs)).toBe(0)
  expect(levelAt(now)).toBe(0)
  expect(ledger.snapshot({ scope, now }).at).toBe(now + dayMs)
})

test('a head that grew old under a clock set back stays old', () => {
  const ledger = createLedger({ root })
  for (const said of [...circle, says('anna', 'zoe', 1)]) ledger.add(said)
  const signedAt = now
  const levelAt = (then: number): number => ledger.snapshot({ scope, now: then, headAge: () => then - signedAt }).level(did('zoe'))
  expect(levelAt(now)).toBe(1)
  expect(levelAt(now + 8 * dayMs)).toBe(0)
  expect(levelAt(now + dayMs)).toBe(0)
})

test('a newer head counts at once, also where nothing else changed', () => {
  const ledger = createLedger({ root })
  for (const said of [...circle, says('anna', 'zoe', 1)]) ledger.add(said)
  const withAge = (age: number | undefined): number => ledger.snapshot({ scope, now, headAge: () => age }).level(did('zoe'))
  expect([withAge(undefined), withAge(dayMs), withAge(8 * dayMs), withAge(0)]).toEqual([0, 1, 0, 1])
})

test('the levels of a snapshot stay what they were when the ledger changes', () => {
  const ledger = createLedger({ root })
  ledger.add(says('root', 'zoe', 2))
  const before = ledger.snapshot({ scope, now })
  ledger.add(says('root', 'zoe', -1, { seq: 2 }))
  expect(before.level(did('zoe'))).toBe(2)
  expect(ledger.snapshot({ scope, now }).level(did('zoe'))).toBe(-1)
})

test('what thousands of strangers say matters to nothing, what an introducer says does', () => {
  const ledger = createLedger({ root })
  for (const said of circle) ledger.add(said)
  ledger.snapshot({ scope, now })
  for (let at = 0; at < 3_000; at++) {
    const flood = says(`s${at}`, at % 2 === 0 ? 'anna' : `s${at + 1}`, at % 3 === 0 ? -1 : 3)
    expect(ledger.matters(flood)).toBe(false)
    ledger.add(flood)
  }
  expect(ledger.matters(says('anna', 'zoe', 1))).toBe(true)
  expect(ledger.matters(says('anna', 'zoe', -1))).toBe(true)
  expect(ledger.matters(says('anna', 'zoe', 1, { scopes: ['/file'] }))).toBe(false)
  expect(ledger.matters(says('root', 's1', 1))).toBe(true)
  expect(ledger.snapshot({ scope, now }).level(did('anna'))).toBe(3)
})

test('thousands of statements forgotten leave no trace', () => {
  const ledger = createLedger({ root })
  for (const said of circle) ledger.add(said)
  const flood = Array.from({ length: 4_000 }, (_, at) => says('anna', `s${at}`, 1, { firstSeenAt: now - dayMs + at }))
  for (const said of flood) ledger.add(said)
  ledger.warrant(did('carl'))
  ledger.remove(flood.map(({ id }) => id))
  ledger.add(says('anna', 'zoe', 1))
  ledger.add(says('carl', 'yan', 1))
  expect(ledger.size).toBe(5)
  const answer = ledger.snapshot({ scope, now })
  expect(answer.subjects()).toEqual([root, ...nodesIn(['anna', 'ben', 'carl', 'yan', 'zoe'])])
  expect([answer.level(did('zoe')), answer.level(did('yan'))]).toEqual([1, 0])
})

describe('aliases', () => {
  const agents: Readonly<Record<string, string>> = { anna2: 'anna', anna3: 'anna' }
  const controllerOf = (one: Did): Did => did(agents[one.slice(did('').length)] ?? one.slice(did('').length))
  const levelOf = (subject: string, attestations: readonly Attestation[]): number =>
    computeTrust({ root, scope, attestations, now, controllerOf }).level(did(subject))
  const known = [...circle, says('root', 'anna2', 3), says('root', 'anna3', 3)]
  test('issuers of one controller have one vote, and one veto', () => {
    const three = ['anna', 'anna2', 'anna3'].map((one) => says(one, 'zoe', 3))
    expect(levelOf('zoe', [...known, ...three])).toBe(1)
    expect(levelOf('zoe', [...known, ...three, says('ben', 'zoe', 3)])).toBe(2)
    const far = [...circle, ...['una', 'vic', 'anna2', 'anna3'].flatMap((one) => [says('carl', one, 2), says('ben', one, 2)])]
    const verified = [says('ben', 'zoe', 2), says('carl', 'zoe', 2)]
    expect(levelOf('zoe', [...far, ...verified, says('anna2', 'zoe', -1), says('anna3', 'zoe', -1)])).toBe(2)
    expect(levelOf('zoe', [...far, ...verified, says('una', 'zoe', -1), says('anna3', 'zoe', -1)])).toBe(-1)
  })
  test('the controller of a subject does not vouch for it, nor its other agents; the root does for its own', () => {
    expect(levelOf('anna2', [...circle, says('anna', 'anna2', 3)])).toBe(0)
    expect(levelOf('anna2', [...circle, says('anna', 'anna2', 3), says('ben', 'anna2', 3)])).toBe(1)
    const mine = computeTrust({ root, scope, attestations: [says('root', 'robot', 2)], now, controllerOf: (one) => (one === did('robot') ? root : one) })
    expect(mine.level(did('robot'))).toBe(2)
  })
  test('the explanation names an ignored alias', () => {
    const why = computeTrust({ root, scope, attestations: [...circle, says('anna', 'anna2', 3)], now, controllerOf }).explain(did('anna2'))
    expect(why.ignored.map(({ reason }) => reason)).toEqual(['alias'])
  })
})

describe('warrants', () => {
  const given = [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2), says('carl', 'bad', -1), says('anna', 'bad', 1)]
  test('a convicted issuer introduces nobody and is not heard against anybody at once, and keeps its own level', () => {
    const convicted = computeTrust({ root, scope, attestations: given, now, warrants: [did('anna'), did('carl')] })
    expect(['zoe', 'anna', 'carl', 'bad'].map((one) => convicted.level(did(one)))).toEqual([1, 3, 3, 0])
    expect(convicted.explain(did('zoe')).ignored.map(({ reason }) => reason)).toEqual(['banned'])
  })
  test('nobody convicts the root', () => {
    expect(computeTrust({ root, scope, attestations: given, now, warrants: [root] }).level(did('anna'))).toBe(3)
  })
})

describe('experience', () => {
  const given = [...circle, ...['anna', 'ben', 'carl'].map((friend) => says(friend, 'zoe', 3)), says('zoe', 'tim', 1)]
  const after = (successes: number, failures: number, subject = 'zoe', attestations = given): number =>
    computeTrust({ root, scope, attestations, now, experience: [{ subject: did(subject), successes, failures }] }).level(did(subject))
  test('three failures and more lower by their share, fewer say too little', () => {
    expect([after(0, 2), after(3, 3), after(2, 3), after(0, 3), after(100, 3)]).toEqual([3, 3, 1, 0, 3])
  })
  test('the word of the root is lowered to BASIC and no further', () => {
    expect([after(0, 30, 'anna'), after(2, 3, 'anna'), after(0, 2, 'anna')]).toEqual([1, 1, 3])
  })
  test('eight successes without a failure give BASIC and nothing gives more', () => {
    expect([after(7, 0, 'new'), after(8, 0, 'new'), after(1e9, 0, 'new')]).toEqual([0, 1, 1])
    expect(after(1e9, 0, 'new', [...given, says('root', 'new', -1)])).toBe(-1)
  })
  test('it changes nobody else', () => {
    const answer = computeTrust({ root, scope, attestations: given, now, experience: [{ subject: did('zoe'), successes: 0, failures: 9 }] })
    expect([answer.level(did('zoe')), answer.level(did('tim'))]).toEqual([0, 1])
  })
})

describe('rank', () => {
  const rank = (attestations: readonly Attestation[], subjects?: readonly string[]): string[] =>
    computeTrust({ root, scope, attestations, now })
      .rank(subjects?.map(did))
      .map(({ subject }) => subject.slice(did('').length))
  test('goes down level by level, inside a level from the best known down', () => {
    const given = [...circle, says('anna', 'zoe', 1), says('ben', 'yan', 1), says('carl', 'yan', 1), says('root', 'old', 1)]
    expect(rank(given, ['nobody', 'zoe', 'yan', 'anna'])).toEqual(['anna', 'yan', 'zoe', 'nobody'])
    expect(rank(given)[0]).toBe('root')
  })
  test('distrust that bans nobody costs places inside the level, and no level', () => {
    const given = [...circle, ...['una', 'yan', 'zoe'].flatMap((one) => [says('anna', one, 2), says('ben', one, 2)]), says('carl', 'tim', 1)]
    expect(rank(given, ['yan', 'zoe', 'tim'])).toEqual(['yan', 'zoe', 'tim'])
    expect(rank([...given, says('una', 'yan', -1)], ['yan', 'zoe', 'tim'])).toEqual(['zoe', 'yan', 'tim'])
  })
  test('no number of sybils lifts their friend', () => {
    const given = [...circle, says('anna', 'zoe', 1), says('anna', 'bad', 1)]
    const sybils = Array.from({ length: 200 }, (_, at) => says(`s${at}`, 'zoe', 3))
    expect(rank([...given, ...sybils], ['zoe', 'bad'])).toEqual(rank(given, ['zoe', 'bad']))
  })
})

test('authority/* names AUTHORITY wherever its statement covers', () => {
  const named = (scopes: readonly string[]): number =>
    computeTrust({ root, scope, attestations: [says('root', 'ada', 4, { scopes }), says('ada', 'zoe', 4)], now }).level(did('zoe'))
  expect([named(['/task', 'authority/*']), named(['/', 'authority/*']), named(['/file', 'authority/*']), named(['authority/*']), named(['/task'])]).toEqual([
    4, 4, 0, 0, 2,
  ])
})
