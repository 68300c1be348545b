import { z } from 'zod'

export const entry = z.object({
  seq: z.int(),
  time: z.int(),
  event: z.string(),
  actor: z.string(),
  subject: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
})
/** `before`: where an older page begins; null at the beginning of the log. A page can be shorter than asked for, or empty, with older ones left to look at. */
export const auditPage = z.object({ entries: z.array(entry), before: z.int().nullable() })
export const auditQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  before: z.coerce.number().int().min(0).optional(),
  /** The name of an event, or several with commas between; `peer_` is all that begin so. */
  event: z.string().max(512).optional(),
  /** A text in the actor or the subject. */
  party: z.string().max(256).optional(),
})
export const checkpoint = z.object({ did: z.string(), keys: z.array(z.string()), checkpoint: z.string() })
export const consistencyQuery = z.object({ from: z.coerce.number().int().min(1) })
/** An inclusion or consistency proof. Source: audit/v1 section 6. */
export const proof = z.record(z.string(), z.unknown())
export const entryParams = z.object({ seq: z.coerce.number().int().min(0) })
export const verdict = z.object({
  ok: z.boolean(),
  entries: z.int(),
  checkpoint: z.string().nullable(),
  firstBad: z.object({ seq: z.int(), reason: z.string() }).optional(),
})
const problem = z.object({ code: z.string(), message: z.string(), hint: z.string(), details: z.record(z.string(), z.unknown()).optional() })
/** One line while the log is checked, NDJSON. The last is `verdict` or `error`. */
export const verifyLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), read: z.int(), of: z.int() }),
  verdict.extend({ type: z.literal('verdict') }),
  z.object({ type: z.literal('error'), error: problem }),
])
