import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { createSeededRandom, dayMs, type Did, randomInt } from '../../src/base/index.ts'
import { type Attestation, computeTrust, depthDefault, type StatementLevel } from '../../src/trust/index.ts'
import { did, says } from '../helpers/trust-graphs.ts'
import { referenceLevels } from '../helpers/trust-reference.ts'

const folder = resolve(import.meta.dirname, '../../../shared/data/trust')
const otcFile = resolve(folder, 'bitcoinotc/soc-sign-bitcoinotc.csv')
const advogatoFile = resolve(folder, 'advogato/out.advogato')
const isAbsent = !existsSync(otcFile) || !existsSync(advogatoFile)
if (isAbsent) console.info(`no real trust networks in ${folder}: the tests on them are skipped`)

const scope = '/task/run'

/** Ratings of traders of each other, -10 to 10, with their time. */
function bitcoinotc(): Attestation[] {
  return readFileSync(otcFile, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      const [issuer = '', subject = '', rating = '0', time = '0'] = line.split(',')
      const stars = Number(rating)
      const level: StatementLevel = stars <= -5 ? -1 : stars < 0 ? 0 : stars < 2 ? 1 : stars < 5 ? 2 : 3
      const at = Number(time) * 1000
      return says(issuer, subject, level, { issuedAt: at, firstSeenAt: at, expiresAt: at + 400 * dayMs, depth: 3 })
    })
}

/** Certificates of apprentice, journeyer and master. */
function advogato(): Attestation[] {
  const level = { '.6': 1, '.8': 2, '1': 3 } as const
  return readFileSync(advogatoFile, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [issuer = '', subject = '', weight = ''] = line.trim().split(/\s+/)
      return weight in level ? [says(issuer, subject, level[weight as keyof typeof level], { depth: Math.max(2, depthDefault(3)) })] : []
    })
}

/** The most active issuers, as people whose node this could be. */
function busiest(attestations: readonly Attestation[], count: number): Did[] {
  const counts = new Map<Did, number>()
  for (const { issuer } of attestations) counts.set(issuer, (counts.get(issuer) ?? 0) + 1)
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([issuer]) => issuer)
}

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
