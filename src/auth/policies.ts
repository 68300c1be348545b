import { type FactorType, proofTypes } from './factors.ts'

/** Ways in, each a set of types that must all have passed. Source: auth/v1 section 14. */
export type FactorPolicy = readonly (readonly FactorType[])[]

/** Ways of one policy, and types in one way. */
export const policyWaysMax = 8

const hasProof = (way: readonly FactorType[]): boolean => proofTypes.some((type) => way.includes(type))

/** A policy as a person writes it: one way, `["webauthn", "biometric"]`, or several. Undefined when a way needs no proof, or there is none. */
export function factorPolicy(written: readonly FactorType[] | FactorPolicy): FactorPolicy | undefined {
  const ways = written.map((way) => (typeof way === 'string' ? undefined : way))
  const policy: FactorPolicy = ways.every((way) => way !== undefined) ? ways : [written.filter((type) => typeof type === 'string')]
  return policy.length > 0 && policy.length <= policyWaysMax && policy.every(hasProof) ? policy : undefined
}

/**
 * The types still missing, in the way that misses fewest; none when some way is whole. Types are matched, never counted: three passkeys are no code.
 * A way that asks for no proof leads nowhere.
 */
export function missingTypes(policy: FactorPolicy, passed: ReadonlySet<FactorType>): readonly FactorType[] {
  const missing = policy.filter(hasProof).map((way) => way.filter((type) => !passed.has(type)))
  const [least] = missing.toSorted((a, b) => a.length - b.length)
  return least === undefined ? proofTypes : [...new Set(least)]
}

/** What a login needs unless the settings say otherwise. Source: auth/v1 section 14. */
export const loginPolicyDefault: FactorPolicy = [['webauthn', 'biometric'], ['totp', 'context'], ['recovery']]
/** What a step-up needs: the person, in front of the machine. */
export const stepUpPolicyDefault: FactorPolicy = [['webauthn', 'biometric']]
/** Confidence at which the context passes. Source: auth/v1 section 13. */
export const contextThresholdDefault = 0.5

/** Whether an app's codes open a login by themselves: beside them at most the context is asked for. Source: auth/v1 section 3, [3.9] */
export const isAppEnough = (policy: FactorPolicy): boolean =>
  policy.some((way) => way.includes('totp') && way.every((type) => type === 'totp' || type === 'context'))
