import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSeededRandom, dayMs, randomInt } from '../../src/base/index.ts'
import { computeTrust, type TrustQuestion } from '../../src/trust/index.ts'
import { aliases, controllerOfIn, did, everybody, headAgeOf, now, positiveWorld, root, scope, statement, world, type World } from '../helpers/trust-graphs.ts'
import { referenceLevels } from '../helpers/trust-reference.ts'

const question = ({ attestations, revocations, headAges, experience, warrants, controllers }: World): TrustQuestion => ({
  experience,
  warrants,
  controllerOf: controllerOfIn(controllers),
  root,
  scope,
  attestations,
  revocations,
  now,
  headAge: headAgeOf(headAges),
})

function shuffled<T>(all: readonly T[], seed: number): T[] {
  const random = createSeededRandom(seed)
  const left = [...all]
  for (let at = left.length - 1; at > 0; at--) {
    const other = randomInt(random, at + 1)
    ;[left[at], left[other]] = [left[other] as T, left[at] as T]
  }
  return left
}

/** Each graph is asked from the first of them in three scopes, and from two others. */
const views = [{}, { scope: '/task' }, { scope: '/file' }, { root: did('a') }, { root: did('b') }]

test('the fast rule answers as the slow reference does, on 20,000 views of 4,000 random graphs', { timeout: 120_000 }, () => {
  const seen = new Map<number, number>()
  fc.assert(
    fc.property(world, (given) => {
      for (const view of views) {
        const asked = { ...question(given), ...view }
        const fast = computeTrust(asked)
        const slow = referenceLevels(asked)
        for (const subject of everybody) {
          const level = fast.level(subject)
          seen.set(level, (seen.get(level) ?? 0) + 1)
          if (level !== slow(subject)) expect({ view, subject, level }).toEqual({ view, subject, level: slow(subject) })
        }
      }
    }),
    { seed: 30, numRuns: 4_000 },
  )
  // The graphs reach every answer often enough to mean something.
  for (const level of [-1, 0, 1, 2, 3, 4]) expect(seen.get(level) ?? 0).toBeGreaterThan(300)
})

test(
  'the order in which statements arrive changes neither levels nor ranks over 10,000 shuffles, nor explanations over 2,000 of them',
  { timeout: 120_000 },
  () => {
    fc.assert(
      fc.property(world, fc.nat(), (given, seed) => {
        const one = computeTrust(question(given))
        const answers = everybody.map((subject) => one.level(subject))
        const ranks = JSON.stringify(one.rank(everybody))
        for (let round = 0; round < 5; round++) {
          const [attestations, revocations] = [shuffled(given.attestations, seed + round), shuffled(given.revocations, seed + round)]
          const other = computeTrust(question({ ...given, attestations, revocations }))
          expect(everybody.map((subject) => other.level(subject))).toEqual(answers)
          expect(JSON.stringify(other.rank(everybody))).toBe(ranks)
          if (round === 0) for (const subject of everybody) expect(JSON.stringify(other.explain(subject))).toBe(JSON.stringify(one.explain(subject)))
        }
      }),
      { seed: 31, numRuns: 2_000 },
    )
  },
)

test('one more positive statement never lowers anyone, aliases or not', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(positiveWorld, statement({ isSigned: false, kind: 'odd' }), aliases, (attestations, extra, controllers) => {
      const controllerOf = controllerOfIn(controllers)
      const more = { ...extra, seq: 9, firstSeenAt: now }
      fc.pre(!attestations.some((a) => a.issuer === more.issuer && a.subject === more.subject && a.scopes.some((s) => more.scopes.includes(s))))
      const before = computeTrust({ root, scope, attestations, now, controllerOf })
      const after = computeTrust({ root, scope, attestations: [...attestations, more], now, controllerOf })
      for (const subject of everybody) expect(after.level(subject)).toBeGreaterThanOrEqual(before.level(subject))
    }),
    { seed: 32, numRuns: 5_000 },
  )
})

test('every explanation is made of real statements, its ways share nobody but authorities, and carry the votes', { timeout: 120_000 }, () => {
  let ways = 0
  fc.assert(
    fc.property(world, (given) => {
      const trust = computeTrust(question(given))
      const controllerOf = controllerOfIn(given.controllers)
      // What was experienced changes answers, not votes.
      const said = computeTrust({ ...question(given), experience: [] })
      const byId = new Map(given.attestations.map((a) => [a.id, a]))
      for (const subject of everybody) {
        if (subject === root) continue
        const { level, because } = trust.explain(subject)
        const byExperience = level === 1 && given.experience.some((lived) => lived.subject === subject && lived.successes > 0) && because.length === 0
        expect(because.length > 0).toBe(level >= 1 && !byExperience)
        if (byExperience) continue
        const inside: string[] = []
        let votes = 0
        for (const { path, attestations, minLevel, expires } of because) {
          expect(path[0]).toBe(root)
          expect(path.at(-1)).toBe(subject)
          expect(new Set(path).size).toBe(path.length)
          expect(attestations.length).toBe(path.length - 1)
          expect(path.length).toBeLessThanOrEqual(5)
          attestations.forEach((id, step) => {
            const said = byId.get(id)
            expect(said?.issuer).toBe(path[step])
            expect(said?.subject).toBe(path[step + 1])
            expect(said?.depth).toBeGreaterThanOrEqual(attestations.length - 1 - step)
            expect(said?.level).toBeGreaterThanOrEqual(step === attestations.length - 1 ? level : Math.max(2, level))
            expect(said?.expiresAt).toBeGreaterThanOrEqual(expires)
            expect(said?.level).toBeGreaterThanOrEqual(minLevel)
          })
          expect(expires).toBeGreaterThan(now)
          inside.push(...path.slice(1, -1).filter((between) => said.level(between) < 4))
          const voucher = path.at(-2) ?? root
          votes += path.length === 2 ? 3 : said.level(voucher) === 4 ? 2 : 1
        }
        expect(new Set(inside).size).toBe(inside.length)
        const vouchers = because.map(({ path }) => controllerOf(path.at(-2) ?? root)).filter((voucher) => voucher !== controllerOf(root))
        if (because.every(({ path }) => said.level(path.at(-2) ?? root) < 4)) expect(new Set(vouchers).size).toBe(vouchers.length)
        if (level >= 1 && level <= 3) expect(votes).toBeGreaterThanOrEqual(level)
        if (because.length > 1) ways++
      }
    }),
    { seed: 33, numRuns: 2_000 },
  )
  expect(ways).toBeGreaterThan(250)
})

test('no answer changes before its validUntil, and none at all before the snapshot says so', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(world, fc.double({ min: 0, max: 0.999, noNaN: true }), (given, part) => {
      const trust = computeTrust(question(given))
      const later = (until: number | undefined): number => Math.floor(now + part * ((until ?? now + 500 * dayMs) - now))
      const at = (then: number): ReturnType<typeof computeTrust> => {
        const headAge = headAgeOf(given.headAges)
        return computeTrust({ ...question(given), now: then, headAge: headAge && ((issuer) => (headAge(issuer) ?? Infinity) + then - now) })
      }
      const soon = at(later(trust.validUntil))
      for (const subject of everybody) {
        expect(soon.level(subject)).toBe(trust.level(subject))
        expect(at(later(trust.explain(subject).validUntil)).level(subject)).toBe(trust.level(subject))
      }
    }),
    { seed: 34, numRuns: 2_000 },
  )
})
