import { existsSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dayMs, type Did } from '../../src/base/index.ts'
import {
  type Attestation,
  authenticate,
  computeTrust,
  computeTrustFromCsv,
  firstSteps,
  type FlowPolicyOptions,
  type FlowSnapshot,
  follow,
  incoming,
  narrowByFlow,
  type TrustPolicy,
  type TrustQuestion,
} from '../../src/trust/index.ts'
import { did, everybody, headAgeOf, now, root, says, scope, world } from '../helpers/trust-graphs.ts'
import { authenticateVectors, bindingOf, edgesFor, keysAlong, networks, pathVectors, startsOf } from '../helpers/trust-sequoia.ts'
import { trustData } from '../helpers/trust-sets.ts'

const isAbsent = !existsSync(trustData)

/** Some instant at which everything in the networks without times of their own is live. */
const later = Date.UTC(2022, 5, 1) / 1000

test.skipIf(isAbsent)('shared/data/trust/sequoia-wot: all 152 questions of authenticity are answered as expected, way by way', () => {
  const worlds = networks()
  const vectors = authenticateVectors()
  expect(vectors).toHaveLength(93 + 59)
  for (const vector of vectors) {
    const { test: name, network, target, uid, min, time = later, expected } = vector
    const world = worlds[network]
    if (world === undefined) throw new Error(`no network ${network}`)
    const into = incoming(edgesFor(world, target, uid, time))
    const flow = authenticate(into, { starts: startsOf(vector), target: bindingOf(target, uid), enough: min })
    const got = flow.paths.map(({ amount, edges }) => ({ amount, path: keysAlong(edges) }))
    expect({ name, target, uid, time, got }).toEqual({ name, target, uid, time, got: expected ?? [] })
  }
})

test.skipIf(isAbsent)('shared/data/trust/sequoia-wot: all 68 questions for the way from one key are answered as expected', () => {
  const worlds = networks()
  const vectors = pathVectors()
  expect(vectors).toHaveLength(68)
  for (const { test: name, network, target, uid, from, residualDepth, amount, path } of vectors) {
    const world = worlds[network]
    if (world === undefined) throw new Error(`no network ${network}`)
    const way = follow(firstSteps(incoming(edgesFor(world, target, uid, later)), bindingOf(target, uid)), from)
    const got = way === undefined ? undefined : { amount: way.amount, depth: way.depthLeft, path: keysAlong(way.edges) }
    expect({ name, target, uid, from, got }).toEqual({
      ...{ name, target, uid, from },
      got: path === undefined || path === null ? undefined : { amount, depth: residualDepth, path },
    })
  }
})

describe('policy flow', () => {
  const narrowed = (attestations: readonly Attestation[], more: Partial<FlowPolicyOptions> = {}): FlowSnapshot => {
    const question = { root, scope, now, attestations, ...more }
    return narrowByFlow(computeTrust(question), question)
  }
  const circle = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3))

  test('two introducers known as VERIFIED make VERIFIED: half of full each', () => {
    const given = [says('root', 'anna', 2), says('root', 'ben', 2), says('anna', 'zoe', 2), says('ben', 'zoe', 2)]
    expect(narrowed(given).flow(did('zoe')).amount).toBe(120)
    expect(narrowed(given).level(did('zoe'))).toBe(2)
  })

  test('an AUTHORITY alone makes VERIFIED only where it says TRUSTED, and the explanation says what is missing', () => {
    const by = (level: 2 | 3): FlowSnapshot => narrowed([says('root', 'ada', 4), says('ada', 'zoe', level)])
    expect(by(3).level(did('zoe'))).toBe(2)
    const why = by(2).explain(did('zoe'))
    expect(why).toMatchObject({ level: 1, levelName: 'basic', because: [{ path: [root, did('ada'), did('zoe')], minLevel: 2 }], missingForNext: { level: 2 } })
    expect(why.sentence).toBe('BASIC in /task/run by the policy flow, because 60 of 120 for VERIFIED arrive; the rule alone would say VERIFIED.')
  })

  test('whom the rule does not hear carries nothing: warrants, old heads, spent quotas', () => {
    const given = [...circle, ...['anna', 'ben', 'carl'].map((friend) => says(friend, 'zoe', 2))]
    const amount = (more: Partial<TrustQuestion>): number => {
      const question = { root, scope, now, attestations: given, ...more }
      return narrowByFlow(computeTrust(question), question).flow(did('zoe')).amount
    }
    expect(amount({})).toBe(180)
    expect(amount({ warrants: [did('anna')] })).toBe(120)
    expect(amount({ headAge: (issuer) => (issuer === did('anna') ? 3 * dayMs : 0) })).toBe(160)
    const crowd = Array.from({ length: 64 }, (_, at) => says('anna', `crowd${at}`, 2, { firstSeenAt: now - 2 * dayMs }))
    expect(amount({ attestations: [...given, ...crowd] })).toBe(120)
  })

  test('who is relied on less carries less', () => {
    const given = [...circle, ...['anna', 'ben'].map((friend) => says(friend, 'zoe', 3))]
    expect(narrowed(given).level(did('zoe'))).toBe(2)
    const wary = narrowed(given, {
      reliance: new Map([
        [did('anna'), 30],
        [did('ben'), 60],
      ]),
    })
    expect(wary.flow(did('zoe')).amount).toBe(90)
    expect([wary.level(did('zoe')), wary.level(did('anna'))]).toEqual([1, 3])
  })

  test('it may be asked of a CSV, and is not unless asked', async () => {
    const csv = Buffer.from('iss,sub,level,scope\nme,ada,4,/task\nada,zoe,2,/task\n')
    const levels = async (policy?: TrustPolicy): Promise<unknown> => (await computeTrustFromCsv([csv], { root: 'me', scope, now, policy })).levels
    expect(await levels('flow')).toEqual({ me: 4, ada: 4, zoe: 1 })
    expect(await levels()).toEqual({ me: 4, ada: 4, zoe: 2 })
    expect((await computeTrustFromCsv([csv], { root: 'me', scope, now, policy: 'flow', reliance: new Map([['ada' as Did, 20]]) })).levels).toEqual({
      me: 4,
      ada: 4,
    })
  })

  test('aliases of one controller carry together what one does', () => {
    const given = [...circle, ...['anna', 'ben'].map((friend) => says(friend, 'zoe', 2))]
    const controllerOf = (who: Did): Did => (who === did('ben') ? did('anna') : who)
    expect(narrowed(given).flow(did('zoe')).amount).toBe(120)
    expect(
      narrowByFlow(computeTrust({ root, scope, now, attestations: given }), { root, scope, now, attestations: given, controllerOf }).flow(did('zoe')).amount,
    ).toBe(60)
  })

  test('in any world nobody is higher than by the rule, and the own word of the root stands', () => {
    let lowered = 0
    fc.assert(
      fc.property(world, ({ attestations, revocations, headAges }) => {
        const gate = computeTrust({ root, scope, attestations, revocations, now, headAge: headAgeOf(headAges) })
        const flow = narrowByFlow(gate, { root, scope, attestations, revocations, now })
        for (const who of everybody) {
          expect(flow.level(who)).toBeLessThanOrEqual(gate.level(who))
          const isOwnWord = gate.explain(who).because[0]?.path.length === 2
          if (isOwnWord || gate.level(who) < 1) expect(flow.level(who)).toBe(gate.level(who))
          expect(flow.explain(who).level).toBe(flow.level(who))
          if (flow.level(who) < gate.level(who)) lowered++
        }
      }),
      { numRuns: 200, seed: 5 },
    )
    expect(lowered).toBeGreaterThan(0)
  })
})
