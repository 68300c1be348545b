import { describe, expect, test } from 'vitest'
import { createSeededRandom, dayMs, type Did, type Random, randomInt } from '../../src/base/index.ts'
import { type Attestation, computeTrust, type StatementLevel, type TrustSnapshot } from '../../src/trust/index.ts'
import { did, now, root, says, scope } from '../helpers/trust-graphs.ts'
import { referenceLevels } from '../helpers/trust-reference.ts'

const trust = (attestations: readonly Attestation[]): TrustSnapshot => computeTrust({ root, scope, attestations, now })
const circle = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3))
const pick = <T>(random: Random, all: readonly T[]): T => all[randomInt(random, all.length)] as T
const sybils = Array.from({ length: 2_000 }, (_, at) => `sybil${at}`)

/** Thirty honest people, the root's friends and their friends. */
function honest(random: Random): Attestation[] {
  const people = Array.from({ length: 30 }, (_, at) => `h${at}`)
  const known = people.slice(0, 6).map((friend) => says('root', friend, 3))
  const vouched = people.slice(6).flatMap((newcomer) => people.filter(() => random.fraction() < 0.25).map((friend) => says(friend, newcomer, 3)))
  return [...known, ...vouched.filter(({ issuer, subject }) => issuer !== subject)]
}

/** All that the attacker's people could say, mostly about sybils. */
function attack(random: Random, owned: readonly string[]): Attestation[] {
  const all = [...owned, ...sybils]
  const ownedSay = owned.flatMap((one) => sybils.slice(0, 60).map((sybil) => says(one, sybil, 4, { depth: 4, scopes: ['/', '/authority'] })))
  const rest = Array.from({ length: 10_000 }, (_, at) => ({
    ...says(pick(random, all), pick(random, all), pick<StatementLevel>(random, [1, 2, 3, 4, 4]), { depth: 4, scopes: ['/', '/authority'] }),
    id: `attack${at}`,
    seq: at + 2,
  }))
  const flattery = owned
    .flatMap((one) => Array.from({ length: 30 }, (_, at) => says(one, `h${at}`, 4, { depth: 4, seq: 20_000 })))
    .filter(({ issuer, subject }) => issuer !== subject)
  return [...ownedSay, ...flattery, ...rest]
}

describe('2,000 sybils', () => {
  for (const level of [1, 2, 3] as const) {
    test(`whoever owns ${level - 1} certified introducers gets no fresh identity to level ${level}`, () => {
      let reached = 0
      for (let seed = 1; seed <= 12; seed++) {
        const random = createSeededRandom(seed)
        const base = honest(random)
        const before = trust(base)
        const certified = before.subjects().filter((who) => who !== root && before.level(who) === 3)
        const owned = Array.from({ length: level - 1 }, (_, at) => (certified[(seed * 7 + at) % certified.length] as string).slice(did('').length))
        const after = trust([...base, ...attack(random, owned)])
        for (const sybil of sybils) expect(after.level(did(sybil))).toBeLessThan(level)
        expect(Math.max(...sybils.map((sybil) => after.level(did(sybil))))).toBeLessThan(level)
        if (sybils.some((sybil) => after.level(did(sybil)) === level - 1)) reached++
        expect(certified.every((who) => after.level(who) >= 3)).toBe(true)
      }
      // The attack is a real one: with what he owns he gets as far as the rule lets him.
      expect(reached).toBe(12)
    })
  }

  test('with one introducer more the attack succeeds, so the bound is exact', () => {
    const owned = ['anna', 'ben']
    expect(trust([...circle, ...attack(createSeededRandom(1), owned)]).level(did('sybil0'))).toBe(2)
  })
})

test('an attacker who owns introducers of VERIFIED only makes nobody TRUSTED, however many', () => {
  const owned = Array.from({ length: 20 }, (_, at) => `own${at}`)
  const after = trust([...owned.map((one) => says('root', one, 2)), ...attack(createSeededRandom(5), owned)])
  expect(Math.max(...sybils.map((sybil) => after.level(did(sybil))))).toBe(2)
})

test('self-promotion: what one says of oneself, directly or by one sybil, changes nothing', () => {
  const zoe = [
    says('anna', 'zoe', 3),
    says('zoe', 'zoe', 4, { scopes: ['/', '/authority'] }),
    says('zoe', 'doll', 4, { depth: 4 }),
    says('doll', 'zoe', 4, { depth: 4 }),
  ]
  expect(trust([...circle, ...zoe]).level(did('zoe'))).toBe(1)
})

test('whitewashing: a distrusted identity starts again from nothing, and the old one does not lift the new', () => {
  const given = [...circle, says('root', 'old', 3), says('old', 'new', 3), says('new', 'old', 3)]
  expect(trust(given).level(did('new'))).toBe(1)
  const caught = trust([...given, says('root', 'old', -1, { seq: 2, scopes: ['/task'] })])
  expect(['old', 'new'].map((name) => caught.level(did(name)))).toEqual([-1, 0])
})

test('slander: 2,000 strangers, or one VERIFIED outside the circle, lower nobody', () => {
  const given = [...circle, ...['zoe', 'una'].flatMap((one) => [says('anna', one, 2), says('ben', one, 2)])]
  const strangers = sybils.map((sybil) => says(sybil, 'zoe', -1))
  expect(trust([...given, ...strangers, says('una', 'zoe', -1)]).level(did('zoe'))).toBe(2)
  expect(trust([...given, ...strangers, says('una', 'anna', -1)]).level(did('anna'))).toBe(3)
})

test('cycles: a ring of mutual praise without a way from the root is worth nothing', () => {
  const ring = Array.from({ length: 9 }, (_, at) => `r${at}`)
  const praise = ring.flatMap((one) => ring.filter((other) => other !== one).map((other) => says(one, other, 4, { depth: 4, scopes: ['/', '/authority'] })))
  const after = trust([...circle, ...praise, says('anna', 'r0', 3)])
  expect(ring.map((one) => after.level(did(one)))).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0])
})

test('a big random world with overdrawn quotas is answered as by the reference', { timeout: 60_000 }, () => {
  const random = createSeededRandom(9)
  for (let round = 0; round < 3; round++) {
    const names = Array.from({ length: 74 }, (_, at) => `n${at}`)
    const given = [...circle, says('root', 'ada', 4)]
    for (const issuer of ['anna', 'ben', 'ada', 'n1']) {
      for (const name of names) {
        const speaks = random.fraction() < 0.9 && name !== issuer
        if (speaks) {
          given.push(says(issuer, name, pick<StatementLevel>(random, [-1, 2, 3, 3, 3, 3, 3, 3]), { firstSeenAt: now - randomInt(random, 40) * dayMs }))
        }
      }
    }
    const fast = trust(given)
    const slow = referenceLevels({ root, scope, attestations: given, now })
    const level = (who: Did): number => fast.level(who)
    expect(names.map(did).map(level)).toEqual(names.map(did).map(slow))
  }
})
