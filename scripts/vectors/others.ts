import { createAudit, messageReceived, nodeStarted } from '../../src/audit/index.ts'
import { dayMs, minuteMs, silentLogger, utf8 } from '../../src/base/index.ts'
import { contentHash } from '../../src/crypto/index.ts'
import { messageCodec, receiptCodec } from '../../src/agents/message.ts'
import { signStatement } from '../../src/identity/index.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import { countersignCodec, encodeEvent, receiptCodec as taskReceiptCodec, receiptLifetimeMs, requestCodec } from '../../src/protocols/task/codec.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { attestationCodec, fingerprintOf, headCodec, headRecordKey, revocationCodec } from '../../src/trust/statements.ts'
import { message } from './klp.ts'
import { anna, ben, chance, clock, cleo, now, type Vector, type Vectors } from './world.ts'

const signing = (keyring = anna, seed = 2) => ({ keyring, random: chance(seed) })

export function messageVectors(): Vectors {
  const question = messageCodec.encode({
    version: 1,
    agent: 'echo',
    expectsReply: true,
    priority: 5,
    traceId: new Uint8Array(16).fill(7),
    encoding: 'json',
    body: '{"q":1}',
  })
  const asked = message()
  const receipt = signStatement(
    'receipt',
    {
      to: anna.did,
      type: 'receipt',
      payload: receiptCodec.encode({ version: 1, status: 'acknowledged', messageHash: asked.hash }),
      refs: [asked.hash],
      issuedAt: now,
      expiresAt: now + minuteMs,
    },
    signing(ben, 3),
  )
  return {
    payload: {
      comment: 'a question to the agent echo',
      spec: '1',
      expect: 'ok',
      kind: 'payload',
      of: 'message',
      payload: question,
      list: [1, 'echo', true, 5, '07'.repeat(16), 'json', '{"q":1}'],
    },
    receipt: {
      comment: 'the receipt of a message',
      spec: '2',
      expect: 'ok',
      kind: 'statement',
      of: 'receipt',
      signed: receipt.bytes,
      now,
      lifetimeMsMax: 10 * minuteMs,
      hash: receipt.hash,
      from: ben.publicKey,
      to: anna.publicKey,
      refs: [asked.hash],
    },
  }
}

export function trustVectors(): Vectors {
  const attest = (
    issuer: typeof anna,
    subject: typeof anna,
    fields: { readonly level?: number; readonly scopes?: readonly string[]; readonly lifetimeMs?: number },
  ) => {
    const { level = 2, scopes = ['/task/run'], lifetimeMs = 90 * dayMs } = fields
    const payload = attestationCodec.encode({ version: 1, level, scopes, depth: 0, evidence: undefined, seq: 1, prev: undefined })
    return signStatement('attestation', { to: subject.did, type: 'attestation', payload, issuedAt: now, expiresAt: now + lifetimeMs }, signing(issuer, 4))
  }
  const good = attest(anna, ben, {})
  const revocationPayload = revocationCodec.encode({ version: 1, attestation: good.hash, kind: 'soft', at: now, seq: 2, prev: good.hash })
  const revocation = signStatement(
    'revocation',
    { to: ben.did, type: 'revocation', payload: revocationPayload, issuedAt: now, expiresAt: now + 800 * dayMs },
    signing(anna, 5),
  )
  const head = signStatement(
    'head',
    {
      to: anna.did,
      type: 'head',
      payload: headCodec.encode({ version: 1, seq: 2, count: 2, fingerprint: fingerprintOf([good.hash, revocation.hash]) }),
      issuedAt: now,
      expiresAt: now + 2 * dayMs,
    },
    signing(anna, 6),
  )
  const item = (comment: string, spec: string, expect: string, of: string, signed: Uint8Array, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'trust',
    of,
    signed,
    now,
    ...more,
  })
  return {
    attestation: item('anna says VERIFIED of ben in /task/run', '1', 'ok', 'attestation', good.bytes, {
      id: good.hash,
      issuer: anna.publicKey,
      subject: ben.publicKey,
      list: [1, 2, ['/task/run'], 0, null, 1, null],
    }),
    'attestation-of-oneself': item('nobody rates himself', '1.3', 'ERR_TRUST_INVALID', 'attestation', attest(anna, anna, {}).bytes),
    'attestation-bad-scope': item(
      'a scope that is no command path',
      '1.3',
      'ERR_TRUST_INVALID',
      'attestation',
      attest(anna, ben, { scopes: ['task/run'] }).bytes,
    ),
    'attestation-no-scope': item('no scope', '1.3', 'ERR_TRUST_INVALID', 'attestation', attest(anna, ben, { scopes: [] }).bytes),
    'attestation-too-long': item('401 days', '1.2', 'ERR_STATEMENT_LIFETIME', 'attestation', attest(anna, ben, { lifetimeMs: 401 * dayMs }).bytes),
    revocation: item('anna withdraws it', '1', 'ok', 'revocation', revocation.bytes, {
      id: revocation.hash,
      issuer: anna.publicKey,
      subject: ben.publicKey,
      list: [1, good.hash, 'soft', now, 2, good.hash],
    }),
    head: item('the head of anna after both', '1.5', 'ok', 'head', head.bytes, {
      id: head.hash,
      issuer: anna.publicKey,
      subject: anna.publicKey,
      hashes: [good.hash, revocation.hash],
      recordKey: headRecordKey(anna.did),
    }),
  }
}

export async function taskVectors(): Promise<Vectors> {
  const code = 'return { sum: input.a + input.b }'
  const [input, result] = ['{"a":40,"b":2}', '{"sum":42}']
  const [codeHash, inputHash, resultHash] = await Promise.all([code, input, result].map((text) => contentHash(utf8(text))))
  const hashes = { codeHash: codeHash ?? new Uint8Array(), inputHash: inputHash ?? new Uint8Array() }
  const replySecret = new Uint8Array(32).fill(8)
  const limits = { memoryMiB: 64, wallMs: 2_000, cpuMs: 2_000, outputBytes: 1 << 20, hostCalls: 10_000 }
  const requestPayload = requestCodec.encode({ version: 1, codeHash: hashes.codeHash, code, input, limits, isolation: 'sandboxed', replySecret })
  const request = signStatement(
    'task',
    { to: ben.did, type: 'task_request', payload: requestPayload, issuedAt: now, expiresAt: now + 10 * minuteMs },
    signing(anna, 7),
  )
  const receiptPayload = taskReceiptCodec.encode({
    version: 1,
    requestHash: request.hash,
    ...hashes,
    resultHash,
    outcome: 'ok',
    startedAt: now,
    endedAt: now + 30,
    usage: { cpuMs: 10, wallMs: 25, memoryBytes: 2_000_000, outputBytes: 10, hostCalls: 0 },
    isolation: 'sandboxed',
    backend: 'isolated-vm+bubblewrap',
    policyHash: new Uint8Array(32).fill(6),
    securityEvents: 0,
    auditSize: 12,
    auditRoot: new Uint8Array(32).fill(5),
  })
  const receipt = signStatement(
    'task-receipt',
    { to: anna.did, type: 'task_result', payload: receiptPayload, refs: [request.hash], issuedAt: now, expiresAt: now + receiptLifetimeMs },
    signing(ben, 8),
  )
  const countersign = signStatement(
    'task-countersign',
    {
      to: ben.did,
      type: 'task_result',
      payload: countersignCodec.encode({ version: 1, receiptHash: receipt.hash, resultMatches: true }),
      refs: [receipt.hash],
      issuedAt: now,
      expiresAt: now + receiptLifetimeMs,
    },
    signing(anna, 9),
  )
  const back = createChannel(replySecret, 'to-asker', request.hash)
  const events = [
    encodeEvent({ event: 'accepted', isolation: 'sandboxed', backend: 'isolated-vm+bubblewrap' }),
    encodeEvent({ event: 'result', result, message: '', limit: '', receipt: receipt.bytes }),
  ]
  const frames = events.map((event) => back.seal(event))
  const answer = createChannel(replySecret, 'to-executor', request.hash).seal(countersign.bytes)
  const signed = (
    comment: string,
    spec: string,
    of: string,
    { bytes, hash }: typeof receipt,
    from: typeof anna,
    lifetimeMsMax: number,
    more: object = {},
  ): Vector => ({ comment, spec, expect: 'ok', kind: 'statement', of, signed: bytes, now, lifetimeMsMax, hash, from: from.publicKey, ...more })
  const channel = { kind: 'channel', replySecret, requestHash: request.hash }
  return {
    request: signed('a task from anna to ben', '2', 'task', request, anna, 10 * minuteMs, { code, input }),
    receipt: signed('the receipt of ben', '5', 'task-receipt', receipt, ben, receiptLifetimeMs, { refs: [request.hash] }),
    countersign: signed('the countersignature of anna', '5', 'task-countersign', countersign, anna, receiptLifetimeMs, { refs: [receipt.hash] }),
    frames: { comment: 'two frames back, and one answer', spec: '4', expect: 'ok', ...channel, frames, events, answer, answered: countersign.bytes },
    'frames-swapped': { comment: 'the second frame first', spec: '4.1', expect: 'ERR_CRYPTO_OPEN', ...channel, frames: frames.toReversed(), events: [] },
  }
}

export async function auditVectors(): Promise<Vectors> {
  const audit = await createAudit({ store: createMemoryStore(), sign: anna.sign, did: anna.did, clock, logger: silentLogger })
  await audit.record(nodeStarted({ did: anna.did, version: '1', listen: ['/ip4/127.0.0.1/tcp/4160'] }))
  let oldCheckpoint = ''
  for (let index = 0; index < 6; index++) {
    if (index === 4) oldCheckpoint = await audit.checkpoint()
    const { statement, hash, bytes } = message()
    await audit.record(
      messageReceived({ did: anna.did, from: cleo.did, to: anna.did, id: statement.id, type: 'text', statementHash: hash, bytes: bytes.length }),
    )
  }
  const proof = await audit.prove(3)
  const old = await audit.consistency(5)
  const broken = { ...proof, index: 4 }
  return {
    proof: { comment: 'entry 3 of 7', spec: '6.1', expect: 'ok', kind: 'audit-proof', did: anna.did, proof },
    'proof-other-place': { comment: 'the same entry at another place', spec: '6.1', expect: 'bad', kind: 'audit-proof', did: anna.did, proof: broken },
    'proof-other-log': { comment: 'the log of somebody else', spec: '4.3', expect: 'bad', kind: 'audit-proof', did: ben.did, proof },
    consistency: {
      comment: '7 entries continue 5',
      spec: '6.2',
      expect: 'ok',
      kind: 'audit-consistency',
      did: anna.did,
      proof: old,
      oldCheckpoint,
      entries: await entriesOf(audit),
    },
    'consistency-rewritten': {
      comment: 'an older log with another entry in it',
      spec: '6.2',
      expect: 'bad',
      kind: 'audit-consistency',
      did: anna.did,
      proof: { ...old, hashes: old.hashes.toReversed() },
      oldCheckpoint,
    },
  }
}

/** All entries, base64. */
async function entriesOf(audit: Awaited<ReturnType<typeof createAudit>>): Promise<readonly string[]> {
  const entries: string[] = []
  for (let seq = 0; seq < 7; seq++) entries.push((await audit.prove(seq)).entry)
  return entries
}
