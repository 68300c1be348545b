import { agentCapabilities } from '../base/index.ts'
import { z } from 'zod'
import { engines, isolationLevels } from '../sandbox/index.ts'

/** What the local API takes and gives, one place for server, client and OpenAPI. Times are ms since 1970, sizes bytes. */
/** A DID in any spelling, a petname, or a ticket. */
const name = z.string().min(1).max(2_048)
const limit = z.coerce.number().int().min(1).max(1_000).default(50)
const timeoutMs = z.int().min(1).max(600_000).optional()

export const dialBody = z.object({ target: z.string().min(1).max(4_096), timeoutMs })
export const pingBody = z.object({ peer: name, timeoutMs })
const id32 = z.string().regex(/^[0-9a-f]{32}$/)
export const sendBody = z.object({
  to: name,
  /** Base64 when the encoding is bytes. */
  body: z.string().max(80 * 1024),
  type: z.string().min(1).max(64).default('text'),
  encoding: z.enum(['text', 'json', 'bytes']).default('text'),
  agent: z.string().max(64).optional(),
  priority: z.int().min(0).max(9).optional(),
  /** How long the message is good for, and tried; 7 days when it is not said. */
  ttlMs: z.int().min(1_000).max(604_800_000).optional(),
  traceId: id32.optional(),
  replyTo: id32.optional(),
  token: z.string().max(2_048).optional(),
  timeoutMs,
})
export const askBody = z.object({ to: name, agent: z.string().min(1).max(64), data: z.unknown(), timeoutMs })
const topic = z.string().min(1).max(128)
export const publishBody = z.object({
  topic,
  body: z.string().max(16 * 1024),
  type: z.string().min(1).max(64).default('text'),
  encoding: z.enum(['text', 'json']).default('text'),
  waitMs: z.int().min(0).max(120_000).optional(),
})
const groupName = z.string().min(1).max(64)
const dids = z.array(name).max(255)
export const groupBody = z.object({ name: groupName, members: dids.default([]) })
export const groupNamed = z.object({ group: groupName })
export const groupChangeBody = z.object({ group: groupName, members: dids.min(1) })
export const groupSendBody = z.object({
  group: groupName,
  body: z.string().max(56 * 1024),
  type: z.string().min(1).max(64).default('text'),
  encoding: z.enum(['text', 'json']).default('text'),
})
export const groupQuery = z.object({ group: groupName, limit })
const groupHead = { head: z.string(), author: z.string(), members: z.array(z.string()), admins: z.array(z.string()) }
export const group = z.object({
  id: z.string(),
  name: z.string(),
  status: z.enum(['member', 'left', 'removed']),
  ...groupHead,
  fork: z.boolean(),
  heads: z.array(z.object(groupHead)),
  entries: z.int(),
  lost: z.array(z.string()).optional(),
})
export const groupList = z.object({ groups: z.array(group) })
export const groupSent = z.object({
  id: z.string(),
  group: z.string(),
  epoch: z.string(),
  recipients: z.array(z.object({ did: z.string(), status: z.enum(['acknowledged', 'deposited', 'queued', 'refused']) })),
})
export const topicQuery = z.object({ topic })
export const published = z.object({ id: z.string(), topicId: z.string(), neighbours: z.int() })
export const topicLine = z.discriminatedUnion('event', [
  z.object({ event: z.literal('subscribed'), topic: z.string() }),
  z.object({
    event: z.literal('message'),
    id: z.string(),
    topic: z.string(),
    from: z.string(),
    type: z.string(),
    encoding: z.string(),
    body: z.string(),
    issuedAt: z.int(),
    receivedAt: z.int(),
  }),
])
export const agentKey = z.object({ name: z.string(), did: z.string(), seq: z.int() })
export const agentBody = z.object({ name: z.string().min(1).max(64) })
const programCode = { code: z.string().max(256 * 1024), language: z.enum(['javascript', 'typescript']).default('javascript') }
export const limitsBody = z
  .object({
    memoryMiB: z.int(),
    wallMs: z.int(),
    cpuMs: z.int(),
    outputBytes: z.int(),
    hostCalls: z.int(),
    cpuPercent: z.int(),
    netKiBps: z.int(),
    fsOps: z.int(),
    processes: z.int(),
  })
  .partial()
/** A built-in agent by its name, or a program of the operator's. `grants` as sandbox/v1 section 5 has them. */
export const agentAddBody = agentBody.extend({
  program: z
    .object({
      ...programCode,
      level: z.enum(['native', 'sandboxed', 'containerized', 'virtualized']).default('sandboxed'),
      strict: z.boolean().default(false),
      limits: limitsBody.optional(),
      grants: z.record(z.string(), z.unknown()).default({}),
    })
    .optional(),
})
export const agentUpdateBody = agentBody.extend(programCode)
export const agentLogsQuery = agentBody.extend({ follow: z.stringbool().default(false) })
export const agentProgram = z.object({
  name: z.string(),
  did: z.string(),
  status: z.enum(['starting', 'running', 'waiting', 'failed', 'stopped']),
  level: z.string(),
  strict: z.boolean(),
  /** What really isolates it; null before its first start. */
  backend: z.string().nullable(),
  language: z.string(),
  /** BLAKE3, hexadecimal. */
  codeHash: z.string(),
  capabilities: z.array(z.string()),
  limits: z.record(z.string(), z.int()),
  restarts: z.int(),
  /** Messages answered, failed, with the agent, and waiting. */
  handled: z.int(),
  failed: z.int(),
  inHand: z.int(),
  waiting: z.int(),
  cpuMs: z.number(),
  /** The most of its present life, or of its last. */
  memoryBytes: z.number(),
  lastError: z.object({ code: z.string(), message: z.string(), at: z.int() }).nullable(),
  addedAt: z.int(),
  updatedAt: z.int(),
})
export const attestBody = z.object({
  subject: name,
  level: z.enum(['distrust', 'caution', 'basic', 'verified', 'trusted', 'authority']),
  scopes: z.array(z.string().max(64)).min(1).max(8),
  depth: z.int().min(0).max(4).optional(),
  lifetimeMs: z.int().min(1),
})
const scopesGiven = z.array(z.string().max(64)).min(1).max(4)
export const inviteBody = z.object({
  level: z.enum(['basic', 'verified', 'trusted', 'authority']),
  scopes: scopesGiven,
  /** How long somebody may join. */
  openMs: z.int().min(1),
  /** How long what both sides sign lives; 90 days unless given. */
  lifetimeMs: z.int().min(1).optional(),
  uses: z.int().min(1).max(32).optional(),
  /** AUTHORITY is given only with this. */
  confirmed: z.boolean().default(false),
})
export const inviteNamed = z.object({ name: z.string().min(1).max(64) })
export const joinBody = z.object({ ticket: z.string().min(1).max(4_096), confirmed: z.boolean().default(false), timeoutMs })
export const invite = z.object({
  name: z.string(),
  status: z.enum(['open', 'used', 'revoked', 'burnt', 'expired']),
  level: z.int(),
  levelName: z.string(),
  scopes: z.array(z.string()),
  createdAt: z.int(),
  expiresAt: z.int(),
  uses: z.int(),
  joined: z.array(z.object({ did: z.string(), at: z.int() })),
})
export const invited = invite.extend({ ticket: z.string() })
export const joined = z.object({ did: z.string(), level: z.int(), levelName: z.string(), scopes: z.array(z.string()), until: z.int() })
export const pinNamed = z.object({ source: z.string().min(1).max(512) })
export const pin = z.object({ source: z.string(), did: z.string(), since: z.int(), offered: z.string().nullable() })
export const compareBody = z.object({ peer: name, timeoutMs })
export const comparison = z.object({ did: z.string(), words: z.array(z.string()), digits: z.string(), expiresAt: z.int() })
export const acceptBody = z.object({
  peer: name,
  /** The six words or the six digits that the other side reads. */
  heard: z.string().min(1).max(256),
  level: z.enum(['basic', 'verified', 'trusted', 'authority']).optional(),
  scopes: z.array(z.string().max(64)).min(1).max(8).optional(),
  lifetimeMs: z.int().min(1).optional(),
  confirmed: z.boolean().default(false),
})
export const nameBody = z.object({ name: z.string().min(1).max(192), peer: name, replace: z.boolean().default(false) })
export const nameRemoveBody = z.object({ name: z.string().min(1).max(192) })
export const petname = z.object({ name: z.string(), did: z.string(), since: z.int() })
export const pendingPeer = z.object({ did: z.string(), scope: z.string(), times: z.int(), firstAt: z.int(), lastAt: z.int() })
export const pendingNamed = z.object({ peer: name })
export const approveBody = z.object({
  peer: name,
  level: z.enum(['basic', 'verified', 'trusted', 'authority']).optional(),
  scopes: z.array(z.string().max(64)).min(1).max(8).optional(),
  lifetimeMs: z.int().min(1).optional(),
  confirmed: z.boolean().default(false),
})
export const approved = z.object({ did: z.string(), id: z.string(), level: z.int(), levelName: z.string(), scopes: z.array(z.string()) })
const commandPath = z.string().min(1).max(64)
export const grantBody = z.object({
  audience: name,
  command: commandPath,
  caveats: z
    .strictObject({
      capabilities: z.array(z.enum(agentCapabilities)).max(agentCapabilities.length).optional(),
      limits: z.record(z.string(), z.int().min(0)).optional(),
      isolation: z.enum(isolationLevels).optional(),
      /** BLAKE3, hexadecimal. */
      code: z
        .array(z.string().regex(/^[0-9a-f]{64}$/))
        .max(16)
        .optional(),
      hosts: z.array(z.string().max(255)).max(16).optional(),
      secrets: z.array(z.string().max(64)).max(16).optional(),
      roots: z.array(z.string().max(64)).max(16).optional(),
    })
    .optional(),
  /** As long as the token it is made from, or an hour, unless given. */
  lifetimeMs: z.int().min(1).optional(),
  /** Text or id of a token of somebody else's to hand on. */
  proof: z.string().min(4).max(8_192).optional(),
})
export const grantNamed = z.object({ id: z.string().regex(/^[0-9a-f]{4,64}$/) })
export const grantRevokeBody = grantNamed.extend({ kind: z.enum(['soft', 'hard']).default('soft') })
export const grantTextBody = z.object({ text: z.string().max(8_192) })
export const grantCheckQuery = z.object({ did: name, command: commandPath })
const caveatsView = z.record(z.string(), z.unknown())
export const grant = z.object({
  id: z.string(),
  kind: z.enum(['issued', 'held']),
  state: z.enum(['valid', 'expired', 'revoked', 'invalid']),
  reason: z.string(),
  issuer: z.string(),
  audience: z.string(),
  owner: z.string(),
  command: z.string(),
  caveats: caveatsView,
  issuedAt: z.int(),
  expiresAt: z.int(),
  revokedAt: z.int().nullable(),
  chainLength: z.int(),
  /** What its audience imports or shows. */
  text: z.string(),
})
const grantReason = z.object({ holds: z.boolean(), text: z.string() })
export const grantCheck = z.object({
  did: z.string(),
  command: z.string(),
  level: z.int(),
  allow: z.boolean(),
  code: z.string(),
  reason: z.string(),
  reasons: z.object({ ceiling: grantReason, token: grantReason, policy: grantReason }),
  /** What to do about a no. */
  next: z.string(),
})
export const policyView = z.object({
  levels: z.object({ task: z.string(), message: z.string(), file: z.string() }),
  strangers: z.boolean(),
  isolation: z.record(z.string(), z.string()),
  commands: z.array(z.object({ command: z.string(), ceiling: z.string(), levelMin: z.string(), byLevel: z.record(z.string(), z.string()) })),
  capabilities: z.record(z.string(), z.array(z.string())),
  limits: z.record(z.string(), z.int()),
  requireToken: z.array(z.string()),
  native: z.array(z.string()),
  roles: z.record(z.string(), z.array(z.string())),
  assigned: z.record(z.string(), z.string()),
  sources: z.record(z.string(), z.string()),
})
export const revokeBody = z.object({ id: z.string().regex(/^[0-9a-f]{64}$/), kind: z.enum(['soft', 'hard']).default('soft') })
export const identityBody = z.object({
  agentId: z.string().min(1).max(64),
  capabilities: z.array(z.enum(agentCapabilities)).max(agentCapabilities.length).default([]),
})
const signable = { message: z.unknown().optional(), text: z.string().optional(), audience: z.string().max(256).default('') }
export const signBody = z.object({ agentId: z.string().min(1).max(64), ...signable })
export const verifyBody = z.object({ publicKey: name, signature: z.string().max(128), ...signable })
export const mailboxBody = z.object({ target: z.string().min(1).max(4_096), timeoutMs })
export const mailboxCheckBody = z.object({ receipt: z.string().max(16_384) })
export const mailboxRemoveBody = z.object({ holder: name })
export const taskBody = z.object({
  on: name,
  code: z.string().max(256 * 1024),
  input: z.unknown(),
  engine: z.enum(engines).optional(),
  limits: limitsBody.optional(),
  isolation: z.enum(isolationLevels).optional(),
  strict: z.boolean().optional(),
  capabilities: z.array(z.enum(agentCapabilities)).max(agentCapabilities.length).optional(),
  priority: z.int().min(0).max(9).optional(),
  /** For all of it, attempts included. */
  deadlineMs: z.int().min(1).max(86_400_000).optional(),
  /** Running it twice does no harm: only then another attempt is made. */
  idempotent: z.boolean().optional(),
  retries: z.int().min(0).max(8).optional(),
  /** Of this machine, or in base64 when small. */
  files: z
    .array(z.object({ name: z.string().max(200).optional(), path: z.string().max(4_096).optional(), base64: z.string().max(700_000).optional() }))
    .max(32)
    .optional(),
  /** Folder of this machine for the files the task leaves. */
  out: z.string().min(1).max(4_096).optional(),
  /** A publisher's signed bundle, base64. */
  bundle: z.string().max(44_000).optional(),
  /** Capability tokens it leans on: their text, or the ids of imported ones. */
  grants: z.array(z.string().min(4).max(8_192)).max(4).optional(),
  traceId: id32.optional(),
})
export const taskParams = z.object({ id: z.string().regex(/^[0-9a-f]{4,32}$/) })
export const taskListQuery = z.object({ limit: z.coerce.number().int().min(1).max(2_000).default(100), ended: z.enum(['true', 'false']).optional() })
export const taskLogsQuery = z.object({ follow: z.enum(['true', 'false']).default('false') })
export const sendFileBody = z.object({
  to: name,
  path: z.string().min(1).max(4_096),
  name: z.string().min(1).max(255).optional(),
  mediaType: z.string().min(1).max(127).optional(),
  lifetimeMs: z.int().min(1).optional(),
  /** Answer when it is over, not when the first attempt is. */
  wait: z.boolean().default(false),
})
export const receiveBody = z.object({ dir: z.string().min(1).max(4_096), from: z.array(name).max(64).optional() })
export const cancelBody = z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) })
export const pageQuery = z.object({ limit })
const scope = z.string().max(64).default('/task/run')
export const attestationsQuery = z.object({
  issuer: name.optional(),
  subject: name.optional(),
  /** Statements that cover it. */
  scope: z.string().max(64).optional(),
  /** Only this node's own. */
  mine: z.enum(['true', 'false']).default('false'),
  /** The beginning of an id, or a peer about whom this node says something that counts. */
  match: name.optional(),
})
const levelWord = z.enum(['distrust', 'caution', 'basic', 'verified', 'trusted', 'authority'])
export const simulateBody = z.object({
  scope,
  /** Ids, beginnings of ids, or peers about whom this node says something. */
  revoke: z.array(name).max(64).default([]),
  kind: z.enum(['soft', 'hard']).default('soft'),
  add: z
    .array(
      z.object({
        /** This node unless given. */
        issuer: name.optional(),
        subject: name,
        level: levelWord,
        depth: z.int().min(0).max(4).optional(),
        scopes: z.array(z.string().max(64)).min(1).max(8).optional(),
      }),
    )
    .max(64)
    .default([]),
})
export const graphQuery = z.object({ scope, subject: name.optional(), nodes: z.coerce.number().int().min(1).max(500).optional() })
export const rankQuery = z.object({ scope, capability: z.string().min(1).max(64).optional(), limit: z.coerce.number().int().min(1).max(1_000).default(50) })
export const explainQuery = z.object({ subject: name, scope: z.string().max(64).default('/task/run') })
export const levelsQuery = z.object({ scope: z.string().max(64).default('/task/run') })
export const findQuery = z.object({ capability: z.string().min(1).max(64), limit: z.coerce.number().int().min(1).max(100).default(20) })
export const presenceBody = z.object({ presence: z.enum(['online', 'busy', 'away']) })

const usage = z.object({
  cpuMs: z.number(),
  wallMs: z.number(),
  memoryBytes: z.number(),
  outputBytes: z.number(),
  hostCalls: z.number(),
  netBytes: z.number(),
  fsOps: z.number(),
})
/** What a peer answered to something this node wants of it. */
export const termsAnswer = z.object({
  name: z.string(),
  answer: z.enum(['granted', 'partial', 'denied']),
  reason: z.string(),
  alternative: z.string(),
  limits: z.array(z.object({ name: z.string(), most: z.number() })),
})
export const peer = z.object({
  did: z.string(),
  peerId: z.string(),
  route: z.enum(['direct', 'relayed']),
  direction: z.enum(['inbound', 'outbound']),
  addresses: z.array(z.string()),
  level: z.int(),
  /** The operator's own name for it. */
  name: z.string().optional(),
  /** What the peer says of itself; missing before it has said hello. */
  capabilities: z.array(z.string()).optional(),
  roles: z.array(z.string()).optional(),
  presence: z.string().optional(),
  terms: z.array(termsAnswer).optional(),
})
export const awayPeer = z.object({ did: z.string(), peerId: z.string(), lastSeen: z.int() })
export const foundPeer = z.object({
  did: z.string(),
  peerId: z.string(),
  route: z.enum(['direct', 'relayed']),
  capabilities: z.array(z.string()),
  roles: z.array(z.string()),
  presence: z.string(),
  level: z.int(),
})
export const status = z.object({
  did: z.string(),
  peerId: z.string(),
  kindDid: z.string(),
  version: z.string(),
  startedAt: z.int(),
  addresses: z.array(z.string()),
  ticket: z.string(),
  peers: z.int(),
  agents: z.array(z.string()),
  capabilities: z.array(z.string()),
  roles: z.array(z.string()),
  presence: z.string(),
  sandboxes: z.array(z.object({ level: z.string(), backend: z.string().nullable(), lacks: z.string().nullable() })),
})
export const identity = z.object({ did: z.string(), peerId: z.string(), kindDid: z.string(), seq: z.int(), status: z.enum(['active', 'frozen']) })
export const rotateBody = z.object({ newRecovery: z.boolean().optional() })
export const rotated = z.object({ did: z.string(), peerId: z.string() })
export const recoveryBody = z.object({ recovery: z.string().max(32 * 1024) })
/** `keep`: hand it over and erase nothing yet. `held`: the copy that is safe now; erased here only when it is the key. */
export const recoveryExportBody = z.object({
  keep: z.boolean().optional(),
  held: z
    .string()
    .max(32 * 1024)
    .optional(),
})
export const dialed = z.object({ did: z.string(), peerId: z.string(), route: z.string(), rttMs: z.number() })
export const pinged = z.object({ rttMs: z.number(), route: z.string() })
export const sent = z.object({
  id: z.string(),
  status: z.enum(['acknowledged', 'deposited', 'queued']),
  route: z.enum(['direct', 'relayed', 'mailbox']).nullable(),
})
export const outboxEntry = z.object({
  id: z.string(),
  to: z.string(),
  kind: z.enum(['message', 'receipt']),
  status: z.enum(['queued', 'deposited', 'expired', 'refused']),
  tries: z.int(),
  expiresAt: z.int(),
  code: z.string().optional(),
})
export const asked = z.object({ id: z.string(), reply: z.unknown() })
export const message = z.object({
  id: z.string(),
  from: z.string(),
  type: z.string(),
  agent: z.string(),
  encoding: z.enum(['text', 'json', 'bytes']),
  body: z.string(),
  receivedAt: z.int(),
  priority: z.int(),
  traceId: z.string().nullable(),
  replyTo: z.string().nullable(),
  /** Id of the group it was said in. */
  group: z.string().optional(),
})
export const agentIdentity = z.object({
  agentId: z.string(),
  did: z.string(),
  didKey: z.string(),
  peerId: z.string(),
  publicKey: z.string(),
  createdAt: z.int(),
  lastUsed: z.int(),
  trustLevel: z.int(),
  capabilities: z.array(z.string()),
  signatureCount: z.int(),
})
export const signedJson = z.object({
  agentId: z.string(),
  did: z.string(),
  didKey: z.string(),
  publicKey: z.string(),
  audience: z.string(),
  message: z.unknown(),
  signature: z.string(),
})
const used = z.object({ items: z.int(), bytes: z.int() })
export const mailbox = z.object({
  did: z.string(),
  items: z.int(),
  bytes: z.int(),
  used: used.nullable(),
  until: z.int(),
  missed: z.int(),
  status: z.enum(['ready', 'unreachable', 'refused']),
  problem: z.string().nullable(),
})
export const collected = z.object({ taken: z.int(), known: z.int(), refused: z.int(), left: z.int() })
export const receiptVerdict = z.object({ holder: z.string(), seq: z.int(), storedUntil: z.int(), verdict: z.enum(['delivered', 'expired', 'lost']) })
export const heldMail = z.object({
  serves: z.boolean(),
  recipients: z.int(),
  items: z.int(),
  bytes: z.int(),
  limits: z.object({ recipients: z.int(), items: z.int(), bytes: z.int() }).nullable(),
})
export const attested = z.object({ id: z.string(), seq: z.int() })
export const attestation = z.object({
  id: z.string(),
  issuer: z.string(),
  subject: z.string(),
  level: z.int(),
  scopes: z.array(z.string()),
  depth: z.int(),
  issuedAt: z.int(),
  expiresAt: z.int(),
  seq: z.int(),
})
/** The reader's own names, by DID. */
const names = z.record(z.string(), z.string())
export const attestationList = z.object({
  attestations: z.array(attestation),
  /** Proofs that an issuer contradicted itself: by the ids of the two statements. */
  warrants: z.array(z.object({ id: z.string(), issuer: z.string(), statements: z.array(z.string()), firstSeenAt: z.int() })),
  names,
})
/** Statements held for others, and puts that were not kept, by reason. */
export const rendezvous = z.object({ held: z.int(), refused: z.object({ invalid: z.int(), full: z.int(), busy: z.int() }) })
export const ownWordList = z.object({
  roots: z.array(
    z.object({
      id: z.string(),
      subject: z.string(),
      level: z.int(),
      countsFor: z.int(),
      scopes: z.array(z.string()),
      depth: z.int(),
      issuedAt: z.int(),
      expiresAt: z.int(),
      until: z.int(),
      rights: z.array(z.object({ command: z.string(), how: z.enum(['yes', 'token', 'named']) })),
    }),
  ),
  names,
})
export const simulation = z.object({
  scope: z.string(),
  revoked: z.array(z.string()),
  changes: z.array(z.object({ subject: z.string(), before: z.int(), after: z.int() })),
  names,
})
export const graphView = z.object({
  scope: z.string(),
  at: z.int(),
  root: z.string(),
  subject: z.string().nullable(),
  nodes: z.array(z.object({ id: z.string(), name: z.string().nullable(), level: z.int(), layer: z.int().nullable() })),
  edges: z.array(z.object({ issuer: z.string(), subject: z.string(), level: z.int(), id: z.string(), until: z.number(), isHeard: z.boolean() })),
  leftOut: z.object({ nodes: z.int(), edges: z.int() }),
})
export const ranking = z.object({ scope: z.string(), ranked: z.array(z.object({ subject: z.string(), level: z.int(), score: z.number() })), names })
export const explanation = z.object({
  subject: z.string(),
  scope: z.string(),
  level: z.int(),
  levelName: z.string(),
  saidLevel: z.int(),
  because: z.array(z.object({ path: z.array(z.string()), attestations: z.array(z.string()), minLevel: z.int(), expires: z.int() })),
  counts: z.object({ introducers: z.int(), distrust: z.int(), cautions: z.int() }),
  vetoes: z.array(z.object({ issuer: z.string(), id: z.string(), level: z.int(), isDecisive: z.boolean() })),
  ignored: z.array(z.object({ id: z.string(), issuer: z.string(), reason: z.string() })),
  missingForNext: z
    .object({
      level: z.int(),
      need: z.string(),
      votes: z.int(),
      introducerLevel: z.int(),
      near: z.array(z.object({ did: z.string(), by: z.enum(['vouch', 'raise', 'rise', 'refresh']) })),
    })
    .nullable(),
  validUntil: z.int().nullable(),
  sentence: z.string(),
  names,
})
export const receipt = z.object({
  schema: z.literal('kindmesh.receipt/1'),
  id: z.string(),
  executor: z.string(),
  asker: z.string(),
  outcome: z.string(),
  codeHash: z.string(),
  inputHash: z.string(),
  resultHash: z.string().nullable(),
  isolation: z.string(),
  backend: z.string(),
  startedAt: z.int(),
  endedAt: z.int(),
  usage,
  signed: z.string(),
  countersigned: z.string(),
})
const problem = z.object({ code: z.string(), message: z.string(), hint: z.string(), details: z.record(z.string(), z.unknown()).optional() })
const fileOf = { name: z.string(), bytes: z.int(), hash: z.string() }
const taskArtefact = z.object({ ...fileOf, path: z.string() })
const taskProblem = z.object({ code: z.string(), message: z.string(), limit: z.string() })
/** One line of a task's answer, NDJSON. The last is `result` or `error`. */
export const taskLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('asked'), id: z.string() }),
  z.object({ type: z.literal('attempt'), number: z.int(), executor: z.string(), why: z.string() }),
  z.object({ type: z.literal('accepted'), isolation: z.string(), backend: z.string() }),
  z.object({ type: z.literal('queued'), position: z.int() }),
  z.object({ type: z.literal('running') }),
  z.object({ type: z.literal('usage'), usage }),
  z.object({ type: z.literal('artefact'), ...fileOf }),
  z.object({ type: z.literal('console'), level: z.string(), text: z.string() }),
  z.object({ type: z.literal('progress'), fraction: z.number(), note: z.string() }),
  z.object({ type: z.literal('retry'), code: z.string(), message: z.string(), inMs: z.int() }),
  z.object({
    type: z.literal('result'),
    ok: z.boolean(),
    result: z.unknown(),
    error: taskProblem.optional(),
    usage,
    artefacts: z.array(taskArtefact),
    receipt,
  }),
  z.object({ type: z.literal('error'), error: problem }),
])
const limitsGiven = z.record(z.string(), z.int())
const instantOrNot = z.int().nullable()
/** A task this node asked for. */
export const askedTask = z.object({
  role: z.literal('asked'),
  id: z.string(),
  status: z.enum(['asked', 'queued', 'accepted', 'running', 'done', 'failed', 'lost', 'cancelled']),
  on: z.string(),
  executor: z.string().nullable(),
  engine: z.string(),
  isolation: z.string(),
  backend: z.object({ isolation: z.string(), backend: z.string() }).nullable(),
  strict: z.boolean(),
  capabilities: z.array(z.string()),
  limits: limitsGiven,
  priority: z.int(),
  idempotent: z.boolean(),
  traceId: z.string(),
  code: z.object({ hash: z.string(), bytes: z.int() }),
  input: z.object({ hash: z.string(), bytes: z.int() }),
  files: z.array(z.object(fileOf)),
  artefacts: z.array(taskArtefact),
  createdAt: z.int(),
  deadlineAt: instantOrNot,
  acceptedAt: instantOrNot,
  endedAt: instantOrNot,
  attempts: z.array(z.object({ id: z.string(), executor: z.string(), at: z.int(), endedAt: instantOrNot, code: z.string(), message: z.string() })),
  error: taskProblem.nullable(),
  receipt: z.string().nullable(),
})
export const taskDescription = askedTask.extend({
  progress: z.object({ fraction: z.number(), note: z.string() }).nullable(),
  result: z.unknown(),
  usage: usage.nullable(),
  document: receipt.nullable(),
})
const servedFile = z.object({ name: z.string(), bytes: z.int(), hash: z.string() })
/** A task of somebody else's on this node. */
export const servedTask = z.object({
  role: z.literal('served'),
  id: z.string(),
  asker: z.string(),
  state: z.enum(['queued', 'running', 'done']),
  position: z.int().optional(),
  engine: z.string(),
  isolation: z.string(),
  backend: z.string(),
  strict: z.boolean(),
  capabilities: z.array(z.string()),
  limits: limitsGiven,
  priority: z.int(),
  deadline: z.int().optional(),
  detached: z.boolean(),
  traceId: z.string().optional(),
  acceptedAt: z.int(),
  startedAt: z.int().optional(),
  endedAt: z.int().optional(),
  outcome: z.string().optional(),
  message: z.string().optional(),
  usage: usage.optional(),
  filesIn: z.array(servedFile),
  filesOut: z.array(servedFile),
  requestHash: z.string(),
  codeHash: z.string(),
  receiptHash: z.string().optional(),
  countersigned: z.boolean(),
})
export const taskList = z.object({ asked: z.array(askedTask), served: z.array(servedTask) })
export const anyTask = z.discriminatedUnion('role', [taskDescription, servedTask])
export const taskStopped = z.object({ id: z.string(), stopped: z.boolean(), status: z.string() })
/** One line of a task's log, NDJSON. The last is `end` or `error`. */
export const taskLogLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('cut'), lines: z.int(), bytes: z.int() }),
  z.object({ type: z.literal('line'), n: z.int(), at: z.int(), level: z.string(), text: z.string() }),
  z.object({ type: z.literal('end'), status: z.string() }),
  z.object({ type: z.literal('error'), error: problem }),
])
export const taskPlan = z.object({
  executor: z.string(),
  why: z.string(),
  request: z.object({
    bytes: z.int(),
    codeHash: z.string(),
    codeBytes: z.int(),
    inputHash: z.string(),
    inputBytes: z.int(),
    files: z.array(z.object(fileOf)),
    engine: z.string(),
    isolation: z.string(),
    strict: z.boolean(),
    capabilities: z.array(z.string()),
    limits: limitsGiven,
    priority: z.int(),
    deadlineAt: instantOrNot,
    idempotent: z.boolean(),
    traceId: z.string(),
  }),
  decision: z.object({
    allow: z.boolean().nullable(),
    code: z.string(),
    reason: z.string(),
    isolation: z.string().nullable(),
    backend: z.string().nullable(),
    running: z.int().nullable(),
    queued: z.int().nullable(),
  }),
  missing: z.array(z.string()),
})
export const outgoingTransfer = z.object({
  direction: z.literal('out'),
  id: z.string(),
  to: z.string(),
  name: z.string(),
  bytes: z.int(),
  hash: z.string(),
  status: z.enum(['queued', 'sending', 'acknowledged', 'failed', 'expired', 'cancelled']),
  done: z.int(),
  tries: z.int(),
  expiresAt: z.int(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  receipt: z.string().optional(),
})
export const incomingTransfer = z.object({
  direction: z.literal('in'),
  id: z.string(),
  from: z.string(),
  name: z.string(),
  bytes: z.int(),
  hash: z.string(),
  status: z.enum(['receiving', 'partial', 'received']),
  done: z.int(),
  path: z.string().optional(),
})
/** One line of an agent's log, NDJSON. */
export const agentLogLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('line'), at: z.int(), level: z.string(), text: z.string() }),
  z.object({ type: z.literal('error'), error: problem }),
])
/** One line while a file is sent, NDJSON: how it stands. The last is how it stood when the answer ended. */
export const sendFileLine = z.discriminatedUnion('type', [
  outgoingTransfer.extend({ type: z.literal('transfer') }),
  z.object({ type: z.literal('error'), error: problem }),
])
/** One line while files are received, NDJSON. `ready` is the first. */
export const receiveLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), dir: z.string() }),
  z.object({ type: z.literal('file'), id: z.string(), from: z.string(), name: z.string(), path: z.string(), bytes: z.int(), hash: z.string() }),
  z.object({ type: z.literal('message'), message }),
  z.object({ type: z.literal('error'), error: problem }),
])
