import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSeededRandom, dayMs, randomInt } from '../../src/base/index.ts'
import { computeTrust, type TrustQuestion } from '../../src/trust/index.ts'
import { everybody, headAgeOf, now, positiveWorld, root, scope, statement, world, type World } from '../helpers/trust-graphs.ts'
import { referenceLevels } from '../helpers/trust-reference.ts'

const question = ({ attestations, revocations, headAges }: World): TrustQuestion => ({
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

test('the fast rule answers as the slow reference does, on 20,000 random graphs', { timeout: 120_000 }, () => {
  const seen = new Map<number, number>()
  fc.assert(
    fc.property(world, (given) => {
      const fast = computeTrust(question(given))
      const slow = referenceLevels(question(given))
      for (const subject of everybody) {
        const level = fast.level(subject)
        seen.set(level, (seen.get(level) ?? 0) + 1)
        if (level !== slow(subject)) expect({ subject, level }).toEqual({ subject, level: slow(subject) })
      }
    }),
    { seed: 30, numRuns: 20_000 },
  )
  // The graphs reach every answer often enough to mean something.
  for (const level of [-1, 0, 1, 2, 3, 4]) expect(seen.get(level) ?? 0).toBeGreaterThan(300)
})

test('the order in which statements arrive changes neither levels nor explanations, over 10,000 shuffles', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(world, fc.nat(), (given, seed) => {
      const one = computeTrust(question(given))
      const other = computeTrust(question({ ...given, attestations: shuffled(given.attestations, seed), revocations: shuffled(given.revocations, seed) }))
      for (const subject of everybody) expect(other.explain(subject)).toEqual(one.explain(subject))
    }),
    { seed: 31, numRuns: 10_000 },
  )
})

test('one more positive statement never lowers anyone', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(positiveWorld, statement({ isSigned: false, kind: 'odd' }), (attestations, extra) => {
      const more = { ...extra, seq: 9, firstSeenAt: now }
      fc.pre(!attestations.some((a) => a.issuer === more.issuer && a.subject === more.subject && a.scopes.some((s) => more.scopes.includes(s))))
      const before = computeTrust({ root, scope, attestations, now })
      const after = computeTrust({ root, scope, attestations: [...attestations, more], now })
      for (const subject of everybody) expect(after.level(subject)).toBeGreaterThanOrEqual(before.level(subject))
    }),
    { seed: 32, numRuns: 10_000 },
  )
})

test('every explanation is made of real statements, its ways share nobody but authorities, and carry the votes', { timeout: 120_000 }, () => {
  let ways = 0
  fc.assert(
    fc.property(world, (given) => {
      const trust = computeTrust(question(given))
      const byId = new Map(given.attestations.map((a) => [a.id, a]))
      for (const subject of everybody) {
        if (subject === root) continue
        const { level, because } = trust.explain(subject)
        expect(because.length > 0).toBe(level >= 1)
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
          inside.push(...path.slice(1, -1).filter((between) => trust.level(between) < 4))
          const voucher = path.at(-2) ?? root
          votes += path.length === 2 ? 3 : trust.level(voucher) === 4 ? 2 : 1
        }
        expect(new Set(inside).size).toBe(inside.length)
        if (level >= 1 && level <= 3) expect(votes).toBeGreaterThanOrEqual(level)
        if (because.length > 1) ways++
      }
    }),
    { seed: 33, numRuns: 8_000 },
  )
  expect(ways).toBeGreaterThan(500)
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
    { seed: 34, numRuns: 6_000 },
  )
})
