import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createSeededRandom, type Did, randomInt } from '../../src/base/index.ts'
import { computeTrust } from '../../src/trust/index.ts'
import { did } from '../helpers/trust-graphs.ts'
import { referenceLevels } from '../helpers/trust-reference.ts'
import { advogato, bitcoinotc, busiest, trustData } from '../helpers/trust-sets.ts'

const isAbsent = !existsSync(trustData)
if (isAbsent) console.info(`no real trust networks in ${trustData}: the tests on them are skipped`)

const scope = '/task/run'

function census(levels: Iterable<number>): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const level of levels) counts[level] = (counts[level] ?? 0) + 1
  return counts
}

const worlds = [
  { name: 'bitcoinotc', read: bitcoinotc, now: Date.UTC(2013, 2, 1) },
  { name: 'advogato', read: advogato, now: Date.UTC(2026, 0, 1) },
]

for (const { name, read, now } of worlds) {
  test.skipIf(isAbsent)(`${name}: order does not matter, more trust lowers nobody, every level is explained`, { timeout: 120_000 }, () => {
    // What is not said yet cannot have been seen.
    const attestations = read().filter(({ issuedAt }) => issuedAt <= now)
    const random = createSeededRandom(1)
    for (const root of busiest(attestations, 3)) {
      const trust = computeTrust({ root, scope, attestations, now })
      const people = trust.subjects()
      const levels = people.map((who) => trust.level(who))
      const counts = census(levels)
      console.info(`${name}, seen from ${root.slice(-5)}: ${attestations.length} statements, ${people.length} people, by level ${JSON.stringify(counts)}`)
      expect(counts[2] ?? 0).toBeGreaterThan(10)

      const backwards = computeTrust({ root, scope, attestations: attestations.toReversed(), now })
      expect(people.map((who) => backwards.level(who))).toEqual(levels)

      const positive = attestations.filter(({ level }) => level > 0)
      const [kept, late] = [positive.filter((_, at) => at % 10 !== 0), positive.filter((_, at) => at % 10 === 0)]
      const fewer = computeTrust({ root, scope, attestations: kept, now })
      const more = computeTrust({ root, scope, attestations: [...kept, ...late.map((statement) => ({ ...statement, firstSeenAt: now }))], now })
      expect(people.filter((who) => more.level(who) < fewer.level(who))).toEqual([])
      expect(people.some((who) => more.level(who) > fewer.level(who))).toBe(true)

      for (let sample = 0; sample < 200; sample++) {
        const who = people[randomInt(random, people.length)] as Did
        const why = trust.explain(who)
        const inside = why.because.flatMap(({ path }) => path.slice(1, -1)).filter((between) => trust.level(between) < 4)
        expect(new Set(inside).size).toBe(inside.length)
        expect(why.because.length > 0 || who === root).toBe(why.level >= 1)
      }
    }
  })

  test.skipIf(isAbsent)(`${name}: everybody is answered as by the reference`, { timeout: 120_000 }, () => {
    const attestations = read().filter(({ issuedAt }) => issuedAt <= now)
    const [root = did('1')] = busiest(attestations, 1)
    const fast = computeTrust({ root, scope, attestations, now })
    const slow = referenceLevels({ root, scope, attestations, now })
    expect(fast.subjects().filter((who) => fast.level(who) !== slow(who))).toEqual([])
  })

  test.skipIf(isAbsent)(`${name}: samples are answered as by the reference`, { timeout: 120_000 }, () => {
    const attestations = read().filter(({ issuedAt }) => issuedAt <= now)
    const [root = did('1')] = busiest(attestations, 1)
    const random = createSeededRandom(2)
    const friends = attestations.filter(({ issuer }) => issuer === root).map(({ subject }) => subject)
    for (let sample = 0; sample < 4; sample++) {
      const some = new Set<Did>([root, ...Array.from({ length: 45 }, () => friends[randomInt(random, friends.length)] as Did)])
      const among = attestations.filter(({ issuer, subject }) => some.has(issuer) && some.has(subject) && (issuer !== root || random.fraction() < 0.3))
      const fast = computeTrust({ root, scope, attestations: among, now })
      const slow = referenceLevels({ root, scope, attestations: among, now })
      for (const who of some) expect(fast.level(who)).toBe(slow(who))
    }
  })
}
