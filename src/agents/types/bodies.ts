import { z } from 'zod'
import { anything, count, didText, hash, identifier, instant, jsonObject, key, named, note, share } from './shapes.ts'

const entry = z.union([z.strictObject({ key, version: count, value: anything }), z.strictObject({ key, version: count, deleted: z.literal(true) })])

/** Bodies of the reserved message types: JSON objects with these members and no others. Source: message/v1 section 6. */
export const messageBodies = {
  task_request: z
    .strictObject({
      taskId: identifier,
      description: z.string().min(1).max(8_192),
      capability: named.optional(),
      input: anything.optional(),
      deadline: instant.optional(),
    })
    .describe('work for an agent, in its own words; code to run travels as task/v1'),
  task_result: z.strictObject({ taskId: identifier, output: anything, receipt: hash.optional() }).describe('the work is done'),
  task_error: z
    .strictObject({
      taskId: identifier,
      code: z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/),
      message: note,
      retryable: z.boolean().optional(),
      retryAfterMs: count.optional(),
    })
    .describe('the work failed or was refused'),
  task_progress: z.strictObject({ taskId: identifier, fraction: share, note: note.optional() }).describe('how far the work is, 0 to 1'),
  status_update: z
    .strictObject({
      status: z.enum(['available', 'busy', 'away', 'leaving']),
      load: share.optional(),
      note: note.optional(),
      until: instant.optional(),
    })
    .describe('how the sender does'),
  heartbeat: z.strictObject({ seq: count, uptimeMs: count, load: share.optional() }).describe('the sender is alive'),
  memory_read: z.strictObject({ space: named, key, version: count.optional() }).describe('asks for a value of a shared memory'),
  memory_write: z
    .strictObject({ space: named, key, value: anything, ifVersion: count.optional(), ttlMs: z.int().min(1).optional() })
    .describe('asks to set a value of a shared memory'),
  state_sync: z
    .strictObject({ space: named, base: count, version: count, entries: z.array(entry).max(256) })
    .describe('what changed in a shared memory from one version to another'),
  capability_announce: z
    .strictObject({
      capabilities: z.array(named).max(64),
      roles: z
        .array(z.enum(['peer', 'gateway', 'archive', 'validator']))
        .max(4)
        .optional(),
      validUntil: instant,
    })
    .describe('what the sender offers; hello is what counts (klp/v1)'),
  service_discovery: z
    .strictObject({ seek: z.array(named).min(1).max(16), limit: z.int().min(1).max(100).optional() })
    .describe('who offers these capabilities?'),
  security_alert: z
    .strictObject({
      severity: z.enum(['info', 'warning', 'critical']),
      event: named,
      at: instant,
      subject: didText.optional(),
      description: z.string().max(2_048).optional(),
      evidence: z.array(hash).max(8).optional(),
    })
    .describe('the sender noticed something; a claim, not a proof'),
  trust_update: z
    .strictObject({ issuer: didText, statements: z.array(hash).min(1).max(64) })
    .describe('names statements of an issuer that are new; they are pulled and verified as trust/v1 says, none is believed because a message names it'),
  config_update: z
    .strictObject({
      layer: z.enum(['system', 'organization', 'user', 'agent', 'session', 'runtime']),
      version: count,
      changes: z
        .array(z.strictObject({ key, value: anything, locked: z.boolean().optional() }))
        .min(1)
        .max(64),
    })
    .describe('proposes settings of a layer; the receiver’s operator decides'),
  contract_proposal: z
    .strictObject({ contractId: identifier, participants: z.array(didText).min(2).max(16), terms: jsonObject, expiresAt: instant })
    .describe('proposes terms to every participant'),
  contract_acceptance: z
    .strictObject({ contractId: identifier, termsHash: hash, accepted: z.boolean(), reason: note.optional() })
    .describe('accepts or refuses; `termsHash` is SHA-256 of the canonical text (signed-json/v1) of the terms'),
  contract_execution: z
    .strictObject({
      contractId: identifier,
      termsHash: hash,
      step: named,
      state: z.enum(['started', 'done', 'failed']),
      output: anything.optional(),
      receipt: hash.optional(),
    })
    .describe('a step of an accepted contract'),
} as const satisfies Record<string, z.ZodType>

/** A message type that every node knows. */
export type ReservedType = keyof typeof messageBodies
/** The body of a message of a reserved type. */
export type MessageBody<T extends ReservedType> = z.infer<(typeof messageBodies)[T]>
