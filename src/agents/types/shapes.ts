import { z } from 'zod'

/** Building blocks of the bodies of reserved message types. Source: message/v1 section 6. Times in ms since 1970. */

/** A name: of a capability, a memory space, a step, an event. */
export const named = z.string().regex(/^[a-z0-9][a-z0-9._:/-]{0,63}$/)
/** An identifier that the sender makes up. */
export const identifier = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/)
/** did:key of an Ed25519 key, in form; whether it is a point is for whoever uses it. */
export const didText = z.string().regex(/^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$/)
/** SHA-256 in hexadecimal. */
export const hash = z.string().regex(/^[0-9a-f]{64}$/)
export const key = z.string().min(1).max(256)
export const note = z.string().max(512)
export const instant = z.int().min(0)
export const count = z.int().min(0)
export const share = z.number().min(0).max(1)
/** Any JSON value, bounded by the size of the body. */
export const anything = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.unknown()), z.record(z.string(), z.unknown())])
export const jsonObject = z.record(z.string(), z.unknown())
