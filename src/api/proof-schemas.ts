import { z } from 'zod'

const name = z.string().min(1).max(2_048)
const scopes = z.array(z.string().max(64)).min(1).max(8)
const timeoutMs = z.int().min(1).max(3_600_000).optional()
const levelName = z.string().max(16)
const listText = z.string().max(600 << 10)

export const domainBody = z.strictObject({ domain: name, timeoutMs })
export const domainNamed = z.strictObject({ domain: name })
export const pinDomainBody = z.strictObject({
  domain: name,
  peer: name.optional(),
  /** unknown, basic or verified */
  level: levelName.default('basic'),
  scopes: scopes.optional(),
  replace: z.boolean().default(false),
  timeoutMs,
})
const answer = z.union([z.object({ dids: z.array(z.string()) }), z.object({ absent: z.literal(true) }), z.object({ failed: z.string() })])
/** What a domain says, both ways. */
export const domainReport = z.object({ domain: z.string(), dids: z.array(z.string()), ways: z.object({ 'did.json': answer, dns: answer }) })
export const domainPin = z.object({
  domain: z.string(),
  did: z.string(),
  level: z.int(),
  scopes: z.array(z.string()),
  statement: z.string().nullable(),
  since: z.int(),
  checkedAt: z.int(),
  renewedAt: z.int(),
  state: z.enum(['good', 'unreachable', 'broken']),
})
export const domainDocument = z.object({ path: z.string(), document: z.unknown(), dnsName: z.string(), dnsText: z.string() })

export const listBody = z.strictObject({ text: listText })
export const followBody = z.strictObject({ text: listText, level: levelName.optional(), scopes: scopes.optional() })
export const listNamed = z.strictObject({ name: z.string().min(1).max(64) })
export const listReport = z.object({
  list: z.object({
    name: z.string(),
    version: z.int(),
    issued: z.int(),
    expires: z.int(),
    threshold: z.int(),
    keys: z.array(z.string()),
    entries: z.array(z.object({ did: z.string(), level: z.string(), scopes: z.array(z.string()), depth: z.int(), note: z.string().optional() })),
  }),
  signers: z.array(z.string()),
  isGood: z.boolean(),
  reason: z.string().nullable(),
})
export const followedList = z.object({
  name: z.string(),
  version: z.int(),
  expires: z.int(),
  threshold: z.int(),
  keys: z.array(z.string()),
  entries: z.int(),
  level: z.int(),
  scopes: z.array(z.string()),
  addedAt: z.int(),
  updatedAt: z.int(),
})

export const introduceBody = z.strictObject({
  peers: z.tuple([name, name]),
  level: levelName.default('basic'),
  scopes: scopes.optional(),
  lifetimeMs: z.int().min(1).optional(),
  note: z.string().max(512).optional(),
})
export const introduced = z.object({ introduced: z.array(z.object({ did: z.string(), statement: z.string().nullable(), told: z.string() })) })
