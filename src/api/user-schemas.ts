import { z } from 'zod'
import { factorTypes } from '../auth/index.ts'

const word = z.string().min(1).max(256)
const role = z.enum(['owner', 'operator', 'viewer', 'agent'])

export const enrolToken = z.object({ token: word })
export const registerBegin = z.object({ token: word.optional(), name: z.string().max(256).optional() })
export const loginBegin = z.object({ name: z.string().max(256).optional() })
export const passkeyAnswer = z.object({ flow: word, response: z.unknown(), label: z.string().max(64).optional(), deviceToken: z.string().max(128).optional() })
/** An act to be approved, as the part that does it writes it; base64. */
export const stepUpBegin = z.object({ act: z.object({ name: z.string().min(1).max(32), content: z.base64().max(2_048) }).optional() })

/** What the browser is asked: PublicKeyCredentialCreationOptionsJSON or PublicKeyCredentialRequestOptionsJSON. */
export const begun = z.object({ flow: z.string(), options: z.record(z.string(), z.unknown()) })
export const user = z.object({ id: z.string(), name: z.string(), role, createdAt: z.int(), lastLoginAt: z.int().nullable() })
export const userSession = z.object({
  id: z.string(),
  userId: z.string(),
  role,
  createdAt: z.int(),
  lastSeenAt: z.int(),
  steppedUpAt: z.int().nullable(),
  factors: z.array(z.enum(factorTypes)),
  device: z.string(),
})
/** With what opens it, shown once. */
export const openedSession = userSession.extend({ token: z.string(), expiresAt: z.int() })
export const entered = z.object({ user, session: openedSession, factors: z.array(z.enum(factorTypes)), deviceToken: z.string().nullable() })
export const passkey = z.object({
  id: z.string(),
  label: z.string(),
  createdAt: z.int(),
  lastUsedAt: z.int().nullable(),
  backedUp: z.boolean(),
  disabled: z.boolean(),
})
export const registered = z.object({ user, credential: passkey, session: openedSession.nullable() })
export const steppedUp = z.object({ session: openedSession, approval: z.base64().nullable() })
export const me = z.object({ user, session: userSession, rights: z.array(z.string()) })

export const userInviteBody = z.object({ role, name: z.string().max(256).optional() })
export const userInvite = z.object({ id: z.string(), role, name: z.string().nullable(), createdAt: z.int(), expiresAt: z.int() })
/** The link is shown once. */
export const userInvited = userInvite.extend({ url: z.string(), token: z.string() })
export const enrolInvite = userInvite.omit({ id: true })
export const userNamed = z.object({ user: word })
export const userRoleBody = z.object({ user: word, role })
export const idNamed = z.object({ id: word })
export const sessionsQuery = z.object({ user: word.optional() })
export const passkeyList = z.object({ passkeys: z.array(passkey) })
export const nothing = z.object({})
export const loggedOut = z.object({ loggedOut: z.boolean() })

export const codeLogin = z.object({ name: word, type: z.enum(['totp', 'recovery']), code: z.string().min(1).max(128) })
export const codeEntered = z.object({ user, session: z.object({ token: z.string(), expiresAt: z.int() }) })
