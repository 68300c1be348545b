import { describe, expect, test } from 'vitest'
import * as audit from '../../src/audit/index.ts'
import { entryCodec, firstPrevHash, fit } from '../../src/audit/entry.ts'
import { owner, stranger } from '../helpers/audit.ts'

const hash = new Uint8Array(32).fill(7)
const id = new Uint8Array(16).fill(9)
const did = owner.did
const peer = stranger.did

/** One example of each kind; `text` stands wherever somebody else words something. */
const examples = (text: string): readonly audit.AuditEvent[] => {
  const refusal = { code: 'ERR_POLICY_DENIED', reason: text } as const
  const link = { did, peer, route: text, direction: text }
  const message = { did, from: peer, to: did, id, type: text, statementHash: hash, bytes: 512 }
  const attestation = { did, issuer: did, subject: peer, id, level: 2, scope: text }
  const isolation = { isolationLevel: text, backend: text, limits: { memoryMiB: 64, wallMs: 1_000.5, worst: Number.NaN } }
  const execution = { did, requester: peer, executionId: text, codeHash: hash, inputHash: hash, ...isolation, usage: { cpuMs: 12.7 }, securityEvents: 0 }
  const task = { did, requester: peer, executor: did, taskId: text }
  return [
    audit.identityCreated({ did }),
    audit.keyRotated({ did, identity: peer, key: peer, seq: 3 }),
    audit.identityFrozen({ did, identity: peer, key: peer, seq: 3 }),
    audit.nodeStarted({ did, version: text, listen: Array.from({ length: 100 }, () => text) }),
    audit.nodeStopped({ did, reason: text }),
    audit.peerConnected(link),
    audit.peerDisconnected(link),
    audit.peerRefused({ did, peer, ...refusal }),
    audit.messageSent(message),
    audit.messageReceived(message),
    audit.messageRefused({ did, from: undefined, ...refusal }),
    audit.attestationIssued(attestation),
    audit.attestationAccepted(attestation),
    audit.attestationRefused({ did, issuer: undefined, subject: undefined, ...refusal }),
    audit.attestationRevoked({ did, issuer: did, subject: peer, id, reason: text }),
    audit.issuerContradicted({ did, issuer: peer, id }),
    audit.inviteCreated({ did, invite: text, level: 2, scopes: [text], expiresAt: 1, uses: 1 }),
    audit.inviteUsed({ did, invite: text, joiner: peer, level: 2, scopes: [text], left: 0 }),
    audit.inviteEnded({ did, invite: text, status: text }),
    audit.joinRefused({ did, joiner: peer, ...refusal }),
    audit.nameSet({ did, peer, name: text, before: peer }),
    audit.nameRemoved({ did, peer, name: text }),
    audit.peerCompared({ did, peer, key: peer, same: true }),
    audit.pinned({ did, source: text, peer }),
    audit.pinBroken({ did, source: text, expected: peer, found: did }),
    audit.pinApproved({ did, source: text, peer, before: did }),
    audit.peerRejected({ did, peer, scope: text }),
    audit.sandboxCreated({ did, requester: peer, sandboxId: text, ...isolation }),
    audit.codeExecuted({ ...execution, resultHash: hash }),
    audit.codeExecutionFailed({ ...execution, ...refusal }),
    audit.taskRequested({ ...task, requestHash: hash, codeHash: hash }),
    audit.taskRefused({ ...task, ...refusal }),
    audit.taskCancelled({ ...task, reason: text }),
    audit.receiptSigned({ ...task, receiptHash: hash }),
    audit.receiptCountersigned({ ...task, receiptHash: hash }),
    audit.groupChanged({ did, group: hash, entry: hash, action: text, who: [peer] }),
    audit.topicPublished({ did, topic: hash, id: hash.subarray(0, 16), type: text, statementHash: hash, bytes: 300 }),
    audit.agentAdded({ did, agent: peer, name: text }),
    audit.agentRemoved({ did, agent: peer, name: text }),
    audit.agentUpdated({ did, agent: peer, name: text, codeHash: hash }),
    audit.agentIdentityCreated({ did, agent: peer, name: text, capabilities: [text] }),
    audit.jsonSigned({ did, agent: peer, name: text, inputHash: hash, audience: text, signatureCount: 3 }),
    audit.mailboxAdded({ did, holder: peer, items: 8, bytes: 1_024, until: 1 }),
    audit.mailboxRemoved({ did, holder: peer }),
    audit.mailboxOpened({ did, owner: peer }),
    audit.mailboxLeft({ did, owner: peer }),
    audit.configChanged({ did, keys: [text], configHash: hash }),
    audit.vaultWritten({ did, vault: text, counter: 2, digest: hash, change: text, mark: hash }),
    audit.vaultRead({ did, vault: text, mark: hash, reader: text, found: true }),
    audit.vaultUnsealed({ did, vault: text, kind: text, counter: 2 }),
    audit.vaultUnsealRefused({ did, vault: text, kind: text }),
    audit.vaultSealed({ did, vault: text }),
    audit.vaultExported({ did, vault: text, counter: 2, digest: hash }),
    audit.vaultRolledBack({ did, vault: text, found: 1, expected: 2 }),
    audit.auditVerified({ did, ok: false, entries: 3, firstBad: 1, reason: text }),
  ]
}

describe('events', () => {
  test('have these names', () => {
    expect(examples('x').map(({ event }) => event)).toEqual([
      'identity_created',
      'key_rotated',
      'identity_frozen',
      'node_started',
      'node_stopped',
      'peer_connected',
      'peer_disconnected',
      'peer_refused',
      'message_sent',
      'message_received',
      'message_refused',
      'attestation_issued',
      'attestation_accepted',
      'attestation_refused',
      'attestation_revoked',
      'issuer_contradicted',
      'invite_created',
      'invite_used',
      'invite_ended',
      'join_refused',
      'name_set',
      'name_removed',
      'peer_compared',
      'pinned',
      'pin_broken',
      'pin_approved',
      'peer_rejected',
      'sandbox_created',
      'code_executed',
      'code_execution_failed',
      'task_requested',
      'task_refused',
      'task_cancelled',
      'receipt_signed',
      'receipt_countersigned',
      'group_changed',
      'topic_published',
      'agent_added',
      'agent_removed',
      'agent_updated',
      'agent_identity_created',
      'json_signed',
      'mailbox_added',
      'mailbox_removed',
      'mailbox_opened',
      'mailbox_left',
      'config_changed',
      'vault_written',
      'vault_read',
      'vault_unsealed',
      'vault_unseal_refused',
      'vault_sealed',
      'vault_exported',
      'vault_rolled_back',
      'audit_verified',
    ])
  })

  test.each(['x', 'x'.repeat(1_000_000), '\ud800\udfff\ud800', '\0'])('fit an entry whatever a stranger words (%#)', (text) => {
    for (const event of examples(text)) {
      const fitted = fit(event)
      const entry = { seq: 0, time: 0, ...fitted, subject: fitted.subject, prevHash: firstPrevHash }
      const decoded = entryCodec.decode(entryCodec.encode(entry))
      expect(decoded).toMatchObject({ event: event.event, actor: event.actor })
      if (text === 'x') expect(decoded.data).toEqual(event.data)
    }
  })

  test('round figures, leave out what is unknown, and name both sides of a cancelled task', () => {
    const events = new Map(examples('x').map((event) => [event.event, event]))
    expect(events.get('code_executed')?.data).toMatchObject({ limits: { memoryMiB: 64, wallMs: 1_001 }, usage: { cpuMs: 13 } })
    expect(Object.keys(events.get('message_refused')?.data ?? {})).toEqual(['code', 'reason'])
    const task = { requester: peer, executor: did, taskId: 't', reason: 'late' }
    expect(audit.taskCancelled({ did: peer, ...task })).toMatchObject({ actor: peer, subject: did })
    expect(audit.taskCancelled({ did, ...task })).toMatchObject({ actor: did, subject: peer })
  })
})
