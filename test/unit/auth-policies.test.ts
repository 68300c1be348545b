import fc from 'fast-check'
import { expect, test } from 'vitest'
import { contextConfidence, contextFactor } from '../../src/auth/context.ts'
import { type FactorType, factorTypes } from '../../src/auth/factors.ts'
import { contextThresholdDefault, factorPolicy, loginPolicyDefault, missingTypes, stepUpPolicyDefault } from '../../src/auth/policies.ts'

const type = fc.constantFrom(...factorTypes)

test('no number of other factors ever stands in for a type that is missing', () => {
  fc.assert(
    fc.property(fc.array(fc.uniqueArray(type, { minLength: 1 }), { minLength: 1, maxLength: 8 }), fc.array(type, { maxLength: 40 }), (ways, shown) => {
      const policy = factorPolicy(ways)
      fc.pre(policy !== undefined)
      const passed = new Set(shown)
      const isWhole = ways.some((way) => way.every((needed) => shown.includes(needed)))
      const missing = missingTypes(policy, passed)
      expect(missing.length === 0).toBe(isWhole)
      // What is said to be missing is missing, and with it the policy is met.
      expect(missing.filter((needed) => passed.has(needed))).toEqual([])
      expect(missingTypes(policy, new Set([...passed, ...missing]))).toEqual([])
    }),
    { numRuns: 2_000, seed: 6 },
  )
})

test('a way that asks for no proof is no policy, and leads nowhere if it were one', () => {
  const everything = new Set<FactorType>(['biometric', 'context'])
  for (const ways of [[], [[]], [['context']], [['biometric', 'context']], [['webauthn'], []]] satisfies FactorType[][][]) {
    expect(factorPolicy(ways)).toBeUndefined()
    expect(missingTypes(ways, everything)).not.toEqual([])
  }
})

test('a policy is written as one way or as several', () => {
  expect(factorPolicy(['webauthn', 'biometric'])).toEqual([['webauthn', 'biometric']])
  expect(factorPolicy([['webauthn'], ['totp', 'context']])).toEqual([['webauthn'], ['totp', 'context']])
  expect(missingTypes(loginPolicyDefault, new Set(['totp']))).toEqual(['context'])
  expect(missingTypes(stepUpPolicyDefault, new Set(['totp', 'recovery', 'context', 'biometric']))).toEqual(['webauthn'])
})

const facts = fc.record({
  isKnownDevice: fc.boolean(),
  isLoopback: fc.boolean(),
  sinceLoginMs: fc.option(fc.integer({ min: 0, max: 10 ** 12 }), { nil: undefined }),
  failedTries: fc.integer({ min: 0, max: 200 }),
})

test('the confidence is 0 to 1, and nothing that speaks against somebody raises it', () => {
  fc.assert(
    fc.property(facts, fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 10 ** 11 }), (given, moreTries, longer) => {
      const confidence = contextConfidence(given)
      expect(confidence).toBeGreaterThanOrEqual(0)
      expect(confidence).toBeLessThanOrEqual(1)
      const worse = [
        { ...given, failedTries: given.failedTries + moreTries },
        { ...given, isKnownDevice: false },
        { ...given, isLoopback: false },
        { ...given, sinceLoginMs: given.sinceLoginMs === undefined ? undefined : given.sinceLoginMs + longer },
      ]
      for (const other of worse) expect(contextConfidence(other)).toBeLessThanOrEqual(confidence)
    }),
    { numRuns: 2_000, seed: 8 },
  )
})

test('the context passes at the threshold and above', () => {
  const known = { isKnownDevice: true, isLoopback: true, sinceLoginMs: 0, failedTries: 0 }
  expect(contextFactor(known, 1)).toMatchObject({ success: true, confidence: 1 })
  expect(contextFactor({ ...known, isLoopback: false }, 0.5)).toMatchObject({ success: true, confidence: 0.5 })
  expect(contextFactor({ ...known, isLoopback: false, failedTries: 1 }, contextThresholdDefault)).toMatchObject({ success: false, confidence: 0.45 })
})
