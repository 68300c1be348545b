import { z } from 'zod'
import { factorTypes } from '../auth/index.ts'

const word = z.string().min(1).max(256)

/** The seed's AuthenticationChallenge; where it comes from is seen, not said. */
export const challengeBody = z.object({
  /** Name or id; a passkey says it by itself. */
  userId: z.string().max(256).optional(),
  flow: word.optional(),
  webAuthnResponse: z.object({ flow: word, response: z.unknown() }).optional(),
  totpCode: z.string().max(64).optional(),
  recoveryCode: z.string().max(128).optional(),
  deviceToken: z.string().max(128).optional(),
})

const factor = z.object({
  type: z.enum(factorTypes),
  success: z.boolean(),
  confidence: z.number(),
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
})

/** The seed's AuthenticationResult; times in ms since 1970. */
export const authenticationResult = z.object({
  success: z.boolean(),
  userId: z.string().nullable(),
  sessionToken: z.string().nullable(),
  expiresAt: z.int().nullable(),
  factors: z.array(factor),
  missing: z.array(z.enum(factorTypes)),
  flow: z.string().nullable(),
  deviceToken: z.string().nullable(),
})

/** Whose codes, by name or id; one's own unless given. */
export const codesOf = z.object({ user: word.optional() })
export const totpFinishBody = codesOf.extend({ flow: word, code: z.string().max(64) })
export const totpEnrolment = z.object({ flow: z.string(), uri: z.string(), secret: z.string(), expiresAt: z.int() })
export const factorStatus = z.object({
  user: z.string(),
  totp: z.boolean(),
  totpSince: z.int().nullable(),
  recoveryCodesLeft: z.int(),
  recoveryMadeAt: z.int().nullable(),
  devices: z.int(),
})
export const recoveryCodes = z.object({ user: z.string(), codes: z.array(z.string()) })
