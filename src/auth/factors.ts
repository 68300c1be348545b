import type { LoginContext } from './types.ts'

/** What a person can show: what they have, know or are, and where they come from. Source: auth/v1 section 10; the seed's AuthenticationFactor. */
export const factorTypes = ['webauthn', 'totp', 'biometric', 'context', 'recovery'] as const
export type FactorType = (typeof factorTypes)[number]

/** The types somebody shows a proof of; `biometric` and `context` only say more about one of these. */
export const proofTypes = ['webauthn', 'totp', 'recovery'] as const satisfies readonly FactorType[]
export type ProofType = (typeof proofTypes)[number]

/** One factor as it was found. */
export interface AuthenticationFactor {
  readonly type: FactorType
  readonly success: boolean
  /** 0 to 1 */
  readonly confidence: number
  /** What the confidence rests on; never a secret. */
  readonly metadata: Readonly<Record<string, string | number | boolean>>
}

/** Where an attempt comes from. `isLoopback` is seen by who serves it, never said by who asks. */
export interface AuthenticationContext extends LoginContext {
  readonly isLoopback: boolean
}

/** What somebody shows in order to be `userId`. */
export interface AuthenticationChallenge {
  /** Name or id; without one the passkey says who it is. */
  readonly userId?: string | undefined
  /** Goes on with a login that lacked factors. */
  readonly flow?: string | undefined
  /** The assertion and the login it answers. */
  readonly webAuthnResponse?: { readonly flow: string; readonly response: unknown } | undefined
  readonly totpCode?: string | undefined
  readonly recoveryCode?: string | undefined
  readonly contextData: AuthenticationContext
}

/** What came of it. Every failed attempt has the same result, whatever failed: see `failedResult`. */
export interface AuthenticationResult {
  readonly success: boolean
  readonly userId: string | null
  /** Shown once. */
  readonly sessionToken: string | null
  /** ms since 1970 */
  readonly expiresAt: number | null
  readonly factors: readonly AuthenticationFactor[]
  /** Types still needed, when all that was shown passed. */
  readonly missing: readonly FactorType[]
  /** With which to go on showing factors, for 5 minutes. */
  readonly flow: string | null
  /** Shown once, to a device not known before. */
  readonly deviceToken: string | null
}

/** The proofs a challenge shows, in the order of `proofTypes`. */
export const shownProofs = ({ webAuthnResponse, totpCode, recoveryCode }: AuthenticationChallenge): readonly ProofType[] =>
  proofTypes.filter((type) => ({ webauthn: webAuthnResponse, totp: totpCode, recovery: recoveryCode })[type] !== undefined)

/** The one answer to an attempt that failed: it names what was shown and says no more. Source: auth/v1 section 10.2 */
export const failedResult = (challenge: AuthenticationChallenge): AuthenticationResult => ({
  success: false,
  userId: null,
  sessionToken: null,
  expiresAt: null,
  factors: shownProofs(challenge).map((type) => ({ type, success: false, confidence: 0, metadata: {} })),
  missing: [],
  flow: null,
  deviceToken: null,
})
