import type { Did, ErrorCode } from '../base/index.ts'
import type { Plain } from '../wire/index.ts'
import { type AuditData, type AuditEvent, cut } from './entry.ts'

/** Longest free text in an entry, in UTF-16 units. Source: audit/v1 section 8. */
export const reasonCharsMax = 256
/** Longest list in an entry. */
export const listItemsMax = 32

// One function per kind of entry. `did` is the identity whose log it is. Contents appear as hashes; no secret goes in.

interface Own {
  readonly did: Did
}
interface Refusal {
  readonly code: ErrorCode
  readonly reason: string
}

export const identityCreated = ({ did }: Own): AuditEvent => happened('identity_created', did, did, {})

export interface KeyFacts extends Own {
  /** Whose keys; `did` itself for one's own. */
  readonly identity: Did
  readonly key: Did
  readonly seq: number
}

/** A key was put in force: one's own, or that of an identity known here. */
export const keyRotated = ({ did, identity, key, seq }: KeyFacts): AuditEvent => happened('key_rotated', did, identity, { key, seq })

/** Two successions of one identity were seen. */
export const identityFrozen = ({ did, identity, key, seq }: KeyFacts): AuditEvent => happened('identity_frozen', did, identity, { key, seq })

export const nodeStarted = ({ did, version, listen }: Own & { readonly version: string; readonly listen: readonly string[] }): AuditEvent =>
  happened('node_started', did, did, { version: brief(version), listen: listed(listen) })

export const nodeStopped = ({ did, reason }: Own & { readonly reason: string }): AuditEvent => happened('node_stopped', did, did, { reason: brief(reason) })

export interface PeerFacts extends Own {
  readonly peer: Did
  readonly route: string
  readonly direction: string
}

export const peerConnected = ({ did, peer, route, direction }: PeerFacts): AuditEvent =>
  happened('peer_connected', peer, did, { route: brief(route), direction: brief(direction) })

export const peerDisconnected = ({ did, peer, route, direction }: PeerFacts): AuditEvent =>
  happened('peer_disconnected', peer, did, { route: brief(route), direction: brief(direction) })

export const peerRefused = ({ did, peer, code, reason }: Own & Refusal & { readonly peer: Did | undefined }): AuditEvent =>
  happened('peer_refused', did, peer, { code, reason: brief(reason) })

export interface MessageFacts extends Own {
  readonly from: Did
  readonly to: Did
  /** The statement's id. */
  readonly id: Uint8Array
  readonly type: string
  /** SHA-256 of the statement as signed. */
  readonly statementHash: Uint8Array
  readonly bytes: number
}

export const messageSent = ({ from, to, id, type, statementHash, bytes }: MessageFacts): AuditEvent =>
  happened('message_sent', from, to, { id, type: brief(type), statementHash, bytes })

export const messageReceived = ({ from, to, id, type, statementHash, bytes }: MessageFacts): AuditEvent =>
  happened('message_received', from, to, { id, type: brief(type), statementHash, bytes })

export const messageRefused = ({
  did,
  from,
  id,
  code,
  reason,
}: Own & Refusal & { readonly from: Did | undefined; readonly id?: Uint8Array | undefined }): AuditEvent =>
  happened('message_refused', did, from, { id, code, reason: brief(reason) })

export interface FileFacts extends Own {
  /** The transfer's id, the same at both ends. */
  readonly id: Uint8Array
  readonly bytes: number
  /** SHA-256 of the whole body. */
  readonly bodyHash: Uint8Array
  readonly receiptHash: Uint8Array
}

export const fileSent = ({ did, to, id, bytes, bodyHash, receiptHash }: FileFacts & { readonly to: Did }): AuditEvent =>
  happened('file_sent', did, to, { id, bytes, bodyHash, receiptHash })

export const fileReceived = ({ did, from, id, bytes, bodyHash, receiptHash }: FileFacts & { readonly from: Did }): AuditEvent =>
  happened('file_received', did, from, { id, bytes, bodyHash, receiptHash })

export const fileRefused = ({ did, from, id, code, reason }: Own & Refusal & { readonly from: Did; readonly id: Uint8Array }): AuditEvent =>
  happened('file_refused', did, from, { id, code, reason: brief(reason) })

export interface AttestationFacts extends Own {
  readonly issuer: Did
  readonly subject: Did
  readonly id: Uint8Array
  readonly level: number
  readonly scope: string
}

export const attestationIssued = ({ issuer, subject, id, level, scope }: AttestationFacts): AuditEvent =>
  happened('attestation_issued', issuer, subject, { id, level, scope: brief(scope) })

export const attestationAccepted = ({ did, issuer, subject, id, level, scope }: AttestationFacts): AuditEvent =>
  happened('attestation_accepted', did, subject, { issuer, id, level, scope: brief(scope) })

export const attestationRefused = ({
  did,
  issuer,
  subject,
  code,
  reason,
}: Own & Refusal & { readonly issuer: Did | undefined; readonly subject: Did | undefined }): AuditEvent =>
  happened('attestation_refused', did, subject, { issuer, code, reason: brief(reason) })

export const attestationRevoked = ({
  issuer,
  subject,
  id,
  reason,
}: Own & { readonly issuer: Did; readonly subject: Did; readonly id: Uint8Array; readonly reason: string }): AuditEvent =>
  happened('attestation_revoked', issuer, subject, { id, reason: brief(reason) })

interface InviteFacts extends Own {
  /** The name of the invite, which is no secret. */
  readonly invite: string
}
interface InviteTermsFacts extends InviteFacts {
  readonly level: number
  readonly scopes: readonly string[]
}

export const inviteCreated = ({
  did,
  invite,
  level,
  scopes,
  expiresAt,
  uses,
}: InviteTermsFacts & { readonly expiresAt: number; readonly uses: number }): AuditEvent =>
  happened('invite_created', did, did, { invite: brief(invite), level, scopes: listed(scopes), expiresAt, uses })

/** An invite is used up, once, by `joiner`; on disk before anything is signed for it. */
export const inviteUsed = ({ did, invite, joiner, level, scopes, left }: InviteTermsFacts & { readonly joiner: Did; readonly left: number }): AuditEvent =>
  happened('invite_used', joiner, did, { invite: brief(invite), level, scopes: listed(scopes), left })

export const inviteEnded = ({ did, invite, status }: InviteFacts & { readonly status: string }): AuditEvent =>
  happened('invite_ended', did, did, { invite: brief(invite), status: brief(status) })

export const joinRefused = ({ did, joiner, code, reason }: Own & Refusal & { readonly joiner: Did }): AuditEvent =>
  happened('join_refused', did, joiner, { code, reason: brief(reason) })

interface NameFacts extends Own {
  readonly peer: Did
  readonly name: string
}

/** The operator gave `peer` a name; `before` had it until now. */
export const nameSet = ({ did, peer, name, before }: NameFacts & { readonly before?: Did | undefined }): AuditEvent =>
  happened('name_set', did, peer, { name: brief(name), before })

export const nameRemoved = ({ did, peer, name }: NameFacts): AuditEvent => happened('name_removed', did, peer, { name: brief(name) })

/** Two people read to each other what their nodes show of both keys; `same` says what the one here answered. */
export const peerCompared = ({ did, peer, key, same }: Own & { readonly peer: Did; readonly key: Did; readonly same: boolean }): AuditEvent =>
  happened('peer_compared', did, peer, { key, same })

interface PinFacts extends Own {
  /** What is no identity and led to one: an address, a domain. */
  readonly source: string
}

export const pinned = ({ did, source, peer }: PinFacts & { readonly peer: Did }): AuditEvent => happened('pinned', did, peer, { source: brief(source) })

/** Somebody else answered than the first time, or than who was expected. */
export const pinBroken = ({ did, source, expected, found }: PinFacts & { readonly expected: Did; readonly found: Did }): AuditEvent =>
  happened('pin_broken', did, expected, { source: brief(source), found })

/** The operator's word about a pin: another identity from now on, or none. */
export const pinApproved = ({ did, source, peer, before }: PinFacts & { readonly peer: Did | undefined; readonly before: Did }): AuditEvent =>
  happened('pin_approved', did, peer, { source: brief(source), before })

/** The operator turned away for good a peer that waited. */
export const peerRejected = ({ did, peer, scope }: Own & { readonly peer: Did; readonly scope: string }): AuditEvent =>
  happened('peer_rejected', did, peer, { scope: brief(scope) })

export interface GrantFacts extends Own {
  readonly id: Uint8Array
  readonly audience: Did
  /** Whose resource it is about. */
  readonly owner: Did
  readonly command: string
}

/** A capability token was signed here; `approval`, where a person countersigned it: auth/v1 section 7. */
export const grantIssued = ({
  did,
  id,
  audience,
  owner,
  command,
  until,
  approval,
}: GrantFacts & { readonly until: number; readonly approval?: Uint8Array | undefined }): AuditEvent =>
  happened('grant_issued', did, audience, { id, owner, command: brief(command), until, approval })

export const grantRevoked = ({ did, id, audience, owner, command }: GrantFacts): AuditEvent =>
  happened('grant_revoked', did, audience, { id, owner, command: brief(command) })

/** A token of somebody else's was taken in; `did` is its audience. */
export const grantImported = ({ did, id, owner, command, until }: Omit<GrantFacts, 'audience'> & { readonly until: number }): AuditEvent =>
  happened('grant_imported', did, owner, { id, command: brief(command), until })

/** A token that ended was put away: its audience is not held to it any more. */
export const grantForgotten = ({ did, id, audience, owner, command }: GrantFacts): AuditEvent =>
  happened('grant_forgotten', did, audience, { id, owner, command: brief(command) })

/** A task was taken by right of a token. */
export const grantUsed = ({ requester, executor, taskId, id }: TaskFacts & { readonly id: Uint8Array }): AuditEvent =>
  happened('grant_used', requester, executor, { taskId: brief(taskId), id })

/** An issuer signed two things of which it may sign one; both are kept. */
export const issuerContradicted = ({ did, issuer, id }: Own & { readonly issuer: Did; readonly id: Uint8Array }): AuditEvent =>
  happened('issuer_contradicted', did, issuer, { id })

export interface IsolationFacts {
  /** The level really used. */
  readonly isolationLevel: string
  readonly backend: string
  /** Numbers by name. */
  readonly limits: object
}

export const sandboxCreated = ({
  did,
  requester,
  sandboxId,
  isolationLevel,
  backend,
  limits,
}: Own & IsolationFacts & { readonly requester: Did; readonly sandboxId: string }): AuditEvent =>
  happened('sandbox_created', did, requester, {
    sandboxId: brief(sandboxId),
    isolationLevel: brief(isolationLevel),
    backend: brief(backend),
    limits: figures(limits),
  })

export interface ExecutionFacts extends Own, IsolationFacts {
  readonly requester: Did
  readonly executionId: string
  readonly codeHash: Uint8Array
  readonly inputHash: Uint8Array
  /** Numbers by name. */
  readonly usage: object
  /** How many refused attempts the sandbox reported. */
  readonly securityEvents: number
}

const execution = ({ executionId, codeHash, inputHash, isolationLevel, backend, limits, usage, securityEvents }: ExecutionFacts): AuditData => ({
  executionId: brief(executionId),
  codeHash,
  inputHash,
  isolationLevel: brief(isolationLevel),
  backend: brief(backend),
  limits: figures(limits),
  usage: figures(usage),
  securityEvents,
})

export const codeExecuted = (facts: ExecutionFacts & { readonly resultHash: Uint8Array }): AuditEvent =>
  happened('code_executed', facts.did, facts.requester, { ...execution(facts), resultHash: facts.resultHash })

export const codeExecutionFailed = (facts: ExecutionFacts & Refusal): AuditEvent =>
  happened('code_execution_failed', facts.did, facts.requester, { ...execution(facts), code: facts.code, reason: brief(facts.reason) })

export interface TaskFacts extends Own {
  readonly requester: Did
  readonly executor: Did
  readonly taskId: string
}

export const taskRequested = ({
  requester,
  executor,
  taskId,
  requestHash,
  codeHash,
}: TaskFacts & { readonly requestHash: Uint8Array; readonly codeHash: Uint8Array }): AuditEvent =>
  happened('task_requested', requester, executor, { taskId: brief(taskId), requestHash, codeHash })

export const taskRefused = ({ requester, executor, taskId, code, reason }: TaskFacts & Refusal): AuditEvent =>
  happened('task_refused', executor, requester, { taskId: brief(taskId), code, reason: brief(reason) })

export const taskCancelled = ({ did, requester, executor, taskId, reason }: TaskFacts & { readonly reason: string }): AuditEvent =>
  happened('task_cancelled', did, did === requester ? executor : requester, { taskId: brief(taskId), reason: brief(reason) })

export const receiptSigned = ({ requester, executor, taskId, receiptHash }: TaskFacts & { readonly receiptHash: Uint8Array }): AuditEvent =>
  happened('receipt_signed', executor, requester, { taskId: brief(taskId), receiptHash })

export const receiptCountersigned = ({ requester, executor, taskId, receiptHash }: TaskFacts & { readonly receiptHash: Uint8Array }): AuditEvent =>
  happened('receipt_countersigned', requester, executor, { taskId: brief(taskId), receiptHash })

/** A roster entry signed here; `group` is the group's id. */
export const groupChanged = ({
  did,
  group,
  entry,
  action,
  who,
}: Own & { readonly group: Uint8Array; readonly entry: Uint8Array; readonly action: string; readonly who: readonly Did[] }): AuditEvent =>
  happened('group_changed', did, undefined, { group, entry, action: brief(action), who: listed(who) })

/** `topic` is the topic's id: a public statement has no recipient. */
export const topicPublished = ({
  did,
  topic,
  id,
  type,
  statementHash,
  bytes,
}: Own & Omit<MessageFacts, 'from' | 'to'> & { readonly topic: Uint8Array }): AuditEvent =>
  happened('topic_published', did, undefined, { topic, id, type: brief(type), statementHash, bytes })

/** `codeHash`, BLAKE3, when the agent is a program of the operator's. */
export const agentAdded = ({
  did,
  agent,
  name,
  codeHash,
}: Own & { readonly agent: string; readonly name: string; readonly codeHash?: Uint8Array | undefined }): AuditEvent =>
  happened('agent_added', did, agent, { name: brief(name), codeHash })

export const agentUpdated = ({
  did,
  agent,
  name,
  codeHash,
}: Own & { readonly agent: string; readonly name: string; readonly codeHash: Uint8Array }): AuditEvent =>
  happened('agent_updated', did, agent, { name: brief(name), codeHash })

export interface AgentKeyFacts extends Own {
  /** The agent's own key. */
  readonly agent: Did
  readonly name: string
}

export const agentIdentityCreated = ({ did, agent, name, capabilities }: AgentKeyFacts & { readonly capabilities: readonly string[] }): AuditEvent =>
  happened('agent_identity_created', did, agent, { name: brief(name), capabilities: listed(capabilities) })

/** `inputHash` names the data and its audience as they were signed. */
export const jsonSigned = ({
  did,
  agent,
  name,
  inputHash,
  audience,
  signatureCount,
}: AgentKeyFacts & { readonly inputHash: Uint8Array; readonly audience: string; readonly signatureCount: number }): AuditEvent =>
  happened('json_signed', agent, did, { name: brief(name), inputHash, audience: brief(audience), signatureCount })

interface MailboxFacts extends Own {
  readonly holder: Did
}

export const mailboxAdded = ({
  did,
  holder,
  items,
  bytes,
  until,
}: MailboxFacts & { readonly items: number; readonly bytes: number; readonly until: number }): AuditEvent =>
  happened('mailbox_added', did, holder, { items, bytes, until })

export const mailboxRemoved = ({ did, holder }: MailboxFacts): AuditEvent => happened('mailbox_removed', did, holder, {})

/** This node holds mail for `owner`. */
export const mailboxOpened = ({ did, owner }: Own & { readonly owner: Did }): AuditEvent => happened('mailbox_opened', owner, did, {})

export const mailboxLeft = ({ did, owner }: Own & { readonly owner: Did }): AuditEvent => happened('mailbox_left', owner, did, {})

export const agentRemoved = ({ did, agent, name }: Own & { readonly agent: string; readonly name: string }): AuditEvent =>
  happened('agent_removed', did, agent, { name: brief(name) })

interface DomainFacts extends Own {
  readonly domain: string
  /** Whom it names. */
  readonly subject: Did
}

export const domainPinned = ({ did, domain, subject, level }: DomainFacts & { readonly level: number }): AuditEvent =>
  happened('domain_pinned', did, subject, { domain: brief(domain), level })

export const domainUnpinned = ({ did, domain, subject }: DomainFacts): AuditEvent => happened('domain_unpinned', did, subject, { domain: brief(domain) })

/** A pinned domain names somebody else now, or nobody. */
export const domainBroken = ({ did, domain, subject, now }: DomainFacts & { readonly now: Did | undefined }): AuditEvent =>
  happened('domain_broken', did, subject, { domain: brief(domain), now })

interface AuthorityListFacts extends Own {
  readonly name: string
  readonly version: number
  readonly hash: Uint8Array
}

export const authorityListAdded = ({
  did,
  name,
  version,
  hash,
  level,
  scopes,
}: AuthorityListFacts & { readonly level: number; readonly scopes: readonly string[] }): AuditEvent =>
  happened('authority_list_added', did, did, { name: brief(name), version, hash, level, scopes: listed(scopes) })

export const authorityListUpdated = ({ did, name, version, hash }: AuthorityListFacts): AuditEvent =>
  happened('authority_list_updated', did, did, { name: brief(name), version, hash })

export const authorityListRemoved = ({ did, name, version, hash }: AuthorityListFacts): AuditEvent =>
  happened('authority_list_removed', did, did, { name: brief(name), version, hash })

/** `keys` names the settings, their values appear in the hash only. */
export const configChanged = ({ did, keys, configHash }: Own & { readonly keys: readonly string[]; readonly configHash: Uint8Array }): AuditEvent =>
  happened('config_changed', did, did, { keys: listed(keys), configHash })

export const auditVerified = ({
  did,
  ok,
  entries,
  firstBad,
  reason,
}: Own & { readonly ok: boolean; readonly entries: number; readonly firstBad?: number | undefined; readonly reason?: string | undefined }): AuditEvent =>
  happened('audit_verified', did, did, { ok, entries, firstBad, reason: reason === undefined ? undefined : brief(reason) })

/** Facts that are not known leave no trace in `data`. */
export function happened(event: string, actor: string, subject: string | undefined, facts: Readonly<Record<string, Plain | undefined>>): AuditEvent {
  const data: Record<string, Plain> = {}
  for (const [name, value] of Object.entries(facts)) if (value !== undefined) data[name] = value
  return { event, actor, subject, data }
}

export const brief = (text: string): string => cut(text, reasonCharsMax)

const listed = (texts: readonly string[]): readonly string[] => texts.slice(0, listItemsMax).map(brief)

/** Named numbers, rounded: CBOR here carries integers only. */
function figures(numbers: object): Readonly<Record<string, number>> {
  const rounded: Record<string, number> = {}
  for (const [name, value] of Object.entries(numbers).slice(0, listItemsMax)) if (Number.isFinite(value)) rounded[name] = Math.round(Number(value))
  return rounded
}
