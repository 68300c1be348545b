import { z } from 'zod'
import { fromBase64 } from '../base/index.ts'
import { credentialIdBytesMax, transportNames } from './records.ts'

/** Most bytes of each field of an authenticator's answer; more is refused before it is decoded. Source: auth/v1 section 3. */
export const clientDataBytesMax = 1_024
export const attestationBytesMax = 4_096
export const authenticatorDataBytesMax = 512
export const passkeySignatureBytesMax = 512
const userHandleBytesMax = 64

/** Bytes as base64url text, decoded; only the one spelling is taken. */
const bytes = (max: number) =>
  z
    .string()
    .min(1)
    .max(Math.ceil((max * 4) / 3))
    .regex(/^[A-Za-z0-9_-]+$/)
    .transform((text, context) => {
      const decoded = fromBase64(text)
      if (decoded !== undefined && decoded.length <= max) return decoded
      context.addIssue({ code: 'custom', message: 'not base64url' })
      return z.NEVER
    })

const credentialFields = { id: z.string().max(1_364), rawId: bytes(credentialIdBytesMax), type: z.literal('public-key') }

/**
 * What `navigator.credentials.create()` gives, as JSON. Outputs of extensions are dropped unread: that of `prf` opens the vault and stays in the browser.
 * Source: WebAuthn level 3 section 5.1
 */
export const registrationForm = z.object({
  ...credentialFields,
  response: z.object({
    clientDataJSON: bytes(clientDataBytesMax),
    attestationObject: bytes(attestationBytesMax),
    transports: z
      .array(z.string().max(32))
      .max(16)
      .transform((given) => transportNames.filter((name) => given.includes(name)))
      .default([]),
  }),
})
export type RegistrationForm = z.infer<typeof registrationForm>

/** What `navigator.credentials.get()` gives, as JSON. */
export const assertionForm = z.object({
  ...credentialFields,
  response: z.object({
    clientDataJSON: bytes(clientDataBytesMax),
    authenticatorData: bytes(authenticatorDataBytesMax),
    signature: bytes(passkeySignatureBytesMax),
    userHandle: bytes(userHandleBytesMax).optional(),
  }),
})
export type AssertionForm = z.infer<typeof assertionForm>
