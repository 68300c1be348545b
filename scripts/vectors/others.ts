import { createAudit, messageReceived, nodeStarted } from '../../src/audit/index.ts'
import { base64, concat, dayMs, fromBase64, hex, minuteMs, silentLogger, utf8 } from '../../src/base/index.ts'
import { keyHash } from '../../src/audit/checkpoint.ts'
import { growTree, leafHash } from '../../src/audit/tree.ts'
import { contentHash, sha256 } from '../../src/crypto/index.ts'
import { messageCodec, receiptCodec } from '../../src/agents/message.ts'
import { type Signed, signStatement } from '../../src/identity/index.ts'
import { plainRefusalCodec } from '../../src/protocols/channel.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import {
  countersignCodec,
  encodeEvent,
  probeCodec,
  receiptCodec as taskReceiptCodec,
  receiptLifetimeMs,
  requestCodec,
  resumeCodec,
} from '../../src/protocols/task/codec.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { attestationCodec, fingerprintOf, headCodec, headRecordKey, oldHeadCodec, revocationCodec, type SignedKind } from '../../src/trust/statements.ts'
import { warrantCodec, makeWarrant } from '../../src/trust/warrant.ts'
import { encode, type Plain } from '../../src/wire/index.ts'
import { message } from './klp.ts'
import { anna, ben, chance, clock, cleo, flipped, now, type Vector, type Vectors } from './world.ts'

const signing = (keyring = anna, seed = 2) => ({ keyring, random: chance(seed) })

export function messageVectors(): Vectors {
  const question = messageCodec.encode({
    version: 1,
    agent: 'echo',
    expectsReply: true,
    priority: 5,
    traceId: new Uint8Array(16).fill(7),
    replyTo: new Uint8Array(16).fill(8),
    order: { run: new Uint8Array(8).fill(9), seq: 12, floor: 10 },
    hints: ['/ip4/192.0.2.1/tcp/4160'],
    token: new Uint8Array([1, 2, 3]),
    encoding: 'json',
    body: utf8('{"q":1}'),
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
      list: [
        1,
        'echo',
        true,
        5,
        '07'.repeat(16),
        '08'.repeat(16),
        ['09'.repeat(8), 12, 10],
        ['/ip4/192.0.2.1/tcp/4160'],
        '010203',
        'json',
        hex(utf8('{"q":1}')),
      ],
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
      payload: headCodec.encode({
        version: 2,
        seq: 2,
        count: 2,
        fingerprint: fingerprintOf([good.hash, revocation.hash]),
        warnings: 1,
        warningsRoot: fingerprintOf([revocation.hash]),
      }),
      issuedAt: now,
      expiresAt: now + 2 * dayMs,
    },
    signing(anna, 6),
  )
  const signHead = (payload: Uint8Array) =>
    signStatement('head', { to: anna.did, type: 'head', payload, issuedAt: now, expiresAt: now + 2 * dayMs }, signing(anna, 16))
  const oldHead = signHead(oldHeadCodec.encode({ version: 1, seq: 2, count: 2, fingerprint: fingerprintOf([good.hash, revocation.hash]) }))
  const otherHead = signHead(oldHeadCodec.encode({ version: 1, seq: 2, count: 1, fingerprint: fingerprintOf([revocation.hash]) }))
  const other = attest(anna, ben, { level: 3 })
  const signedItem = ({ kind, bytes }: Signed) => ({ kind: kind as SignedKind, bytes })
  const inOrder = (...two: readonly Signed[]): readonly Signed[] => two.toSorted((a, b) => (a.ref < b.ref ? -1 : 1))
  const pair = (...two: readonly Signed[]): Uint8Array => {
    const [first, second] = two.map(signedItem)
    return first === undefined || second === undefined ? new Uint8Array() : warrantCodec.encode({ version: 1, first, second })
  }
  const proof = (comment: string, expect: string, warrant: Uint8Array, more: object = {}): Vector => ({
    ...{ comment, spec: '1.6', expect, kind: 'trust-warrant', warrant, ...more },
  })
  const distrustPayload = attestationCodec.encode({
    version: 1,
    level: -1,
    scopes: ['/', '/authority/task'],
    depth: 0,
    evidence: undefined,
    seq: 3,
    prev: revocation.hash,
  })
  const distrust = signStatement(
    'attestation',
    { to: ben.did, type: 'attestation', payload: distrustPayload, issuedAt: now, expiresAt: now + 400 * dayMs },
    signing(anna, 10),
  )
  const hardPayload = revocationCodec.encode({ version: 1, attestation: good.hash, kind: 'hard', at: now - 3_600_000, seq: 4, prev: distrust.hash })
  const hard = signStatement(
    'revocation',
    { to: ben.did, type: 'revocation', payload: hardPayload, issuedAt: now, expiresAt: now + 800 * dayMs },
    signing(anna, 11),
  )
  /** A statement of any payload, well signed. */
  const raw = (kind: SignedKind, payload: readonly Plain[], lifetimeMs = dayMs) =>
    signStatement(
      kind,
      { to: kind === 'head' ? anna.did : ben.did, type: kind, payload: encode(payload), issuedAt: now, expiresAt: now + lifetimeMs },
      signing(anna, 13),
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
    'attestation-distrust': item('anna distrusts ben, in everything', '1.3', 'ok', 'attestation', distrust.bytes, {
      id: distrust.hash,
      issuer: anna.publicKey,
      subject: ben.publicKey,
      list: [1, -1, ['/', '/authority/task'], 0, null, 3, revocation.hash],
    }),
    'attestation-level-5': item('a level there is not', '1.3', 'ERR_WIRE_MALFORMED', 'attestation', raw('attestation', [1, 5, ['/'], 0, null, 1, null]).bytes),
    'attestation-depth-5': item('a depth over 4', '1.3', 'ERR_WIRE_MALFORMED', 'attestation', raw('attestation', [1, 4, ['/'], 5, null, 1, null]).bytes),
    'attestation-nine-scopes': item(
      'nine scopes',
      '1.3',
      'ERR_WIRE_MALFORMED',
      'attestation',
      raw('attestation', [1, 1, Array.from({ length: 9 }, (_, index) => `/${index}`), 0, null, 1, null]).bytes,
    ),
    'attestation-empty-segment': item('an empty segment', '1.3', 'ERR_TRUST_INVALID', 'attestation', attest(anna, ben, { scopes: ['/task//run'] }).bytes),
    'attestation-altered': item('one bit of the payload turned', '1', 'ERR_STATEMENT_SIGNATURE', 'attestation', flipped(good.bytes, -3)),
    'attestation-as-revocation': item('a revocation called an attestation', '1', 'ERR_WIRE_MALFORMED', 'attestation', revocation.bytes),
    'attestation-expired': { ...item('91 days later', '1', 'ERR_STATEMENT_EXPIRED', 'attestation', good.bytes), now: now + 91 * dayMs },
    'attestation-too-large': item(
      'a statement of more than 1,280 bytes',
      '1.2',
      'ERR_WIRE_TOO_LARGE',
      'attestation',
      signStatement(
        'attestation',
        { to: ben.did, type: 'attestation', payload: new Uint8Array(1_200), issuedAt: now, expiresAt: now + dayMs },
        signing(anna, 12),
      ).bytes,
    ),
    'revocation-hard': item('anna calls her key lost since an hour', '1', 'ok', 'revocation', hard.bytes, {
      id: hard.hash,
      issuer: anna.publicKey,
      subject: ben.publicKey,
      list: [1, good.hash, 'hard', now - 3_600_000, 4, distrust.hash],
    }),
    'revocation-other-kind': item(
      'neither soft nor hard',
      '1',
      'ERR_WIRE_MALFORMED',
      'revocation',
      raw('revocation', [1, good.hash, 'firm', now, 4, null]).bytes,
    ),
    'head-long-lived': item('a head for 49 hours', '1.2', 'ERR_STATEMENT_LIFETIME', 'head', raw('head', [1, 2, 2, new Uint8Array(32)], 49 * 3_600_000).bytes),
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
      warnings: [revocation.hash],
      recordKey: headRecordKey(anna.did),
    }),
    'head-old': item('a head that does not name its warnings', '1.5', 'ok', 'head', oldHead.bytes, {
      id: oldHead.hash,
      issuer: anna.publicKey,
      subject: anna.publicKey,
      hashes: [good.hash, revocation.hash],
      recordKey: headRecordKey(anna.did),
    }),
    'head-version-3': item(
      'a head of a version there is not',
      '1.5',
      'ERR_WIRE_MALFORMED',
      'head',
      raw('head', [3, 2, 2, new Uint8Array(32), 0, new Uint8Array(32)]).bytes,
    ),
    warrant: proof('two statements with one seq', 'ok', makeWarrant(signedItem(good), signedItem(other)), {
      id: sha256(concat(...[good.hash, other.hash].toSorted(Buffer.compare))),
      issuer: anna.publicKey,
    }),
    'warrant-heads': proof('two heads that count differently up to one seq', 'ok', makeWarrant(signedItem(head), signedItem(otherHead)), {
      id: sha256(concat(...[head.hash, otherHead.hash].toSorted(Buffer.compare))),
      issuer: anna.publicKey,
    }),
    'warrant-one-bit': proof('one signature does not match', 'ERR_STATEMENT_SIGNATURE', flipped(makeWarrant(signedItem(good), signedItem(other)), 40)),
    'warrant-other-order': proof('the greater hash first', 'ERR_TRUST_INVALID', pair(...inOrder(good, other).toReversed())),
    'warrant-of-two-seqs': proof('two statements in a row', 'ERR_TRUST_INVALID', pair(...inOrder(good, revocation))),
    'warrant-of-two-issuers': proof('two statements with one seq by two issuers', 'ERR_TRUST_INVALID', pair(...inOrder(good, attest(ben, anna, {})))),
    'warrant-same-heads': proof('a head renewed', 'ERR_TRUST_INVALID', pair(...inOrder(head, oldHead))),
  }
}

export async function taskVectors(): Promise<Vectors> {
  const code = 'return { sum: input.a + input.b }'
  const [input, result] = ['{"a":40,"b":2}', '{"sum":42}']
  const [codeHash, inputHash, resultHash] = await Promise.all([code, input, result].map((text) => contentHash(utf8(text))))
  const hashes = { codeHash: codeHash ?? new Uint8Array(), inputHash: inputHash ?? new Uint8Array() }
  const replySecret = new Uint8Array(32).fill(8)
  const limits = {
    memoryMiB: 64,
    wallMs: 2_000,
    cpuMs: 2_000,
    outputBytes: 1 << 20,
    hostCalls: 10_000,
    cpuPercent: 100,
    netKiBps: 1_024,
    fsOps: 100,
    processes: 32,
  }
  const requestPayload = requestCodec.encode({
    version: 1,
    codeHash: hashes.codeHash,
    engine: 'javascript',
    code,
    input,
    limits,
    isolation: 'sandboxed',
    strict: false,
    capabilities: ['file:read', 'file:write'],
    priority: 7,
    deadline: now + minuteMs,
    idempotent: true,
    detached: false,
    artefacts: [{ name: 'walden.txt', size: 5, hash: sha256(utf8('pond\n')) }],
    bundle: undefined,
    traceId: new Uint8Array(16).fill(7),
    replySecret,
  })
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
    usage: { cpuMs: 10, wallMs: 25, memoryBytes: 2_000_000, outputBytes: 10, hostCalls: 0, netBytes: 0, fsOps: 0 },
    isolation: 'sandboxed',
    backend: 'isolated-vm+bubblewrap',
    engine: 'javascript',
    strict: false,
    capabilities: ['file:read', 'file:write'],
    limits,
    artefactsIn: [sha256(utf8('pond\n'))],
    artefactsOut: [{ name: 'sum.txt', size: 3, hash: sha256(utf8('42\n')) }],
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
  const resume = signStatement(
    'task',
    {
      to: ben.did,
      type: 'task_resume',
      payload: resumeCodec.encode({ version: 1, requestHash: request.hash, action: 'attach', replySecret: new Uint8Array(32).fill(9) }),
      refs: [request.hash],
      issuedAt: now,
      expiresAt: now + 10 * minuteMs,
    },
    signing(anna, 15),
  )
  const probe = signStatement(
    'task',
    {
      to: ben.did,
      type: 'task_probe',
      payload: probeCodec.encode({
        version: 1,
        engine: 'javascript',
        limits,
        isolation: 'sandboxed',
        strict: false,
        capabilities: ['file:read'],
        deadline: undefined,
        fileBytes: 3,
        replySecret: new Uint8Array(32).fill(11),
      }),
      issuedAt: now,
      expiresAt: now + 10 * minuteMs,
    },
    signing(anna, 16),
  )
  const decision = encodeEvent({ event: 'decision', isolation: 'sandboxed', backend: 'isolated-vm+bubblewrap', running: 2, queued: 5 })
  const refused = encodeEvent({ event: 'refused', code: 'ERR_OVERLOADED', message: 'too many tasks wait here', retryAfterMs: 2_000 })
  const back = createChannel(replySecret, 'to-asker', request.hash)
  const events = [
    encodeEvent({
      event: 'accepted',
      isolation: 'sandboxed',
      backend: 'isolated-vm+bubblewrap',
      strict: false,
      capabilities: ['file:read', 'file:write'],
      limits,
    }),
    encodeEvent({ event: 'queued', position: 3 }),
    encodeEvent({ event: 'running' }),
    encodeEvent({ event: 'progress', permille: 500, note: 'half' }),
    encodeEvent({ event: 'console', level: 'info', text: 'adding' }),
    encodeEvent({ event: 'usage', usage: { cpuMs: 1, wallMs: 5, memoryBytes: 4, outputBytes: 3, hostCalls: 2, netBytes: 0, fsOps: 1 } }),
    encodeEvent({ event: 'artefact', name: 'sum.txt', size: 3, hash: sha256(utf8('42\n')) }),
    encodeEvent({ event: 'chunk', bytes: utf8('42\n') }),
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
  const about = { executor: ben.publicKey, asker: anna.publicKey, requestHash: request.hash, ...hashes }
  const checked = (comment: string, expect: string, change: object = {}): Vector => ({
    comment,
    spec: '5.1',
    expect,
    kind: 'task-receipt',
    signed: receipt.bytes,
    now,
    ...about,
    ...change,
  })
  const countersigned = (comment: string, expect: string, signedBytes: Uint8Array): Vector => ({
    comment,
    spec: '5',
    expect,
    kind: 'task-countersign',
    receipt: receipt.bytes,
    signed: signedBytes,
    now,
  })
  const countersignOf = (keyring: typeof anna, to: typeof anna, receiptHash: Uint8Array) =>
    signStatement(
      'task-countersign',
      {
        to: to.did,
        type: 'task_result',
        payload: countersignCodec.encode({ version: 1, receiptHash, resultMatches: true }),
        refs: [receiptHash],
        issuedAt: now,
        expiresAt: now + receiptLifetimeMs,
      },
      signing(keyring, 14),
    ).bytes
  const refusalBytes = plainRefusalCodec.encode({ code: 'ERR_SEAL_PREKEY', message: 'the box is for a prekey not held here' })
  return {
    request: signed('a task from anna to ben', '2', 'task', request, anna, 10 * minuteMs, { code, input }),
    resume: signed('anna asks for it again', '7', 'task', resume, anna, 10 * minuteMs, { refs: [request.hash] }),
    probe: signed('anna asks whether ben would take a task', '8', 'task', probe, anna, 10 * minuteMs),
    receipt: signed('the receipt of ben', '5', 'task-receipt', receipt, ben, receiptLifetimeMs, { refs: [request.hash] }),
    countersign: signed('the countersignature of anna', '5', 'task-countersign', countersign, anna, receiptLifetimeMs, { refs: [receipt.hash] }),
    frames: { comment: 'nine frames back, and one answer', spec: '4', expect: 'ok', ...channel, frames, events, answer, answered: countersign.bytes },
    'receipt-checked': checked('the receipt is about this very task', 'ok'),
    'receipt-other-request': checked('about another request', 'ERR_RECEIPT_INVALID', { requestHash: new Uint8Array(32) }),
    'receipt-other-code': checked('about other code', 'ERR_RECEIPT_INVALID', { codeHash: hashes.inputHash }),
    'receipt-other-input': checked('about another input', 'ERR_RECEIPT_INVALID', { inputHash: hashes.codeHash }),
    'receipt-other-executor': checked('signed by somebody else than who was asked', 'ERR_RECEIPT_INVALID', { executor: cleo.publicKey }),
    'receipt-other-asker': checked('made out to somebody else', 'ERR_RECEIPT_INVALID', { asker: cleo.publicKey }),
    'countersign-checked': countersigned('the countersignature of this very receipt', 'ok', countersign.bytes),
    'countersign-other-receipt': countersigned('of another receipt', 'ERR_RECEIPT_INVALID', countersignOf(anna, ben, request.hash)),
    'countersign-other-asker': countersigned('by somebody else than the asker', 'ERR_RECEIPT_INVALID', countersignOf(cleo, ben, receipt.hash)),
    'event-decision': {
      comment: 'it would run in the isolate worker; two run and five wait',
      spec: '8',
      expect: 'ok',
      kind: 'payload',
      of: 'task-event',
      payload: decision,
      list: ['decision', hex(encode(['decision', 'sandboxed', 'isolated-vm+bubblewrap', 2, 5]))],
    },
    'event-refused': {
      comment: 'too many tasks; come back in 2 s',
      spec: '4.2',
      expect: 'ok',
      kind: 'payload',
      of: 'task-event',
      payload: refused,
      list: ['refused', hex(encode(['refused', 'ERR_OVERLOADED', 'too many tasks wait here', 2_000]))],
    },
    refusal: {
      comment: 'a refusal in clear, behind its first byte 0',
      spec: '4',
      expect: 'ok',
      kind: 'payload',
      of: 'plain-refusal',
      payload: refusalBytes,
      list: ['ERR_SEAL_PREKEY', 'the box is for a prekey not held here'],
    },
    'frames-repeated': {
      comment: 'the first frame twice',
      spec: '4.1',
      expect: 'ERR_CRYPTO_OPEN',
      ...channel,
      frames: [frames[0], frames[0]],
      events: [],
    },
    'frames-dropped': { comment: 'the first frame is missing', spec: '4.1', expect: 'ERR_CRYPTO_OPEN', ...channel, frames: frames.slice(1), events: [] },
    'frames-other-request': {
      comment: 'the frames of another request',
      spec: '4',
      expect: 'ERR_CRYPTO_OPEN',
      ...channel,
      requestHash: receipt.hash,
      frames,
      events: [],
    },
    'frames-other-direction': {
      comment: 'a frame of the asker sent back to it',
      spec: '4',
      expect: 'ERR_CRYPTO_OPEN',
      ...channel,
      frames: [answer],
      events: [],
    },
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
  const text = proof.checkpoint
  const [head = '', signature = ''] = text.split('\n\n')
  const [origin = '', size = '', root = ''] = head.split('\n')
  const checkpoint = (comment: string, spec: string, expect: string, note: string, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'checkpoint',
    did: anna.did,
    note,
    ...more,
  })
  const witness = `— witness.example/one ${base64(new Uint8Array(68))}\n`
  const resigned = (note: string): string => `${note}\n— ${origin} ${base64(concat(keyHash(origin, anna.publicKey), anna.sign(utf8(note))))}\n`
  const leaves = Array.from({ length: 40 }, (_, index) => encode(index))
  return {
    checkpoint: checkpoint('the log of anna at 7 entries', '4', 'ok', text, { size: 7, root }),
    'checkpoint-witnessed': checkpoint('lines of others are skipped', '4.4', 'ok', `${head}\n\n${witness}${signature}`, { size: 7, root }),
    'checkpoint-extended': checkpoint('a further line of text', '4', 'ok', resigned(`${head}\nmore\n`), { size: 7, root }),
    'checkpoint-unsigned': checkpoint('signed by a witness only', '4.3', 'bad', `${head}\n\n${witness}`),
    'checkpoint-other-size': checkpoint('another size under the same signature', '4.3', 'bad', text.replace(`\n${size}\n`, '\n8\n')),
    'checkpoint-padded-size': checkpoint('a size with a zero in front, well signed', '4.3', 'bad', resigned(`${origin}\n0${size}\n${root}\n`)),
    'checkpoint-short-root': checkpoint('a root of 31 bytes, well signed', '4.3', 'bad', resigned(`${origin}\n${size}\n${base64(new Uint8Array(31))}\n`)),
    'checkpoint-two-signatures': checkpoint(
      'a bad signature of the log beside a good one',
      '4.3',
      'bad',
      `${head}\n\n${signature}— ${origin} ${base64(concat(keyHash(origin, anna.publicKey), new Uint8Array(64)))}\n`,
    ),
    'checkpoint-no-newline': checkpoint('cut off at its end', '4.3', 'bad', text.slice(0, -1)),
    tree: {
      comment: 'the root over the first 0 to 40 entries, each the CBOR of its number',
      spec: '3.1',
      expect: 'ok',
      kind: 'tree',
      entries: leaves,
      roots: rootsOf(leaves),
    },
    entry: {
      comment: 'an entry and its leaf hash',
      spec: '2',
      expect: 'ok',
      kind: 'audit-entry',
      entry: fromBase64(proof.entry),
      leaf: leafHash(fromBase64(proof.entry) ?? new Uint8Array()),
      fields: { seq: 3, time: now, event: 'message_received', actor: cleo.did, subject: anna.did },
    },
    'proof-altered-entry': {
      comment: 'the time of the entry changed',
      spec: '6.1.1',
      expect: 'bad',
      kind: 'audit-proof',
      did: anna.did,
      proof: { ...proof, entry: base64(flipped(fromBase64(proof.entry) ?? new Uint8Array(), 40)) },
    },
    'proof-short-path': {
      comment: 'a hash of the path left out',
      spec: '6.1.1',
      expect: 'bad',
      kind: 'audit-proof',
      did: anna.did,
      proof: { ...proof, hashes: proof.hashes.slice(1) },
    },
    'proof-other-size': {
      comment: 'another size than its checkpoint',
      spec: '6.1.1',
      expect: 'bad',
      kind: 'audit-proof',
      did: anna.did,
      proof: { ...proof, size: 8 },
    },
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

/** Roots as the log grows, the empty one first. */
function rootsOf(entries: readonly Uint8Array[]): readonly Uint8Array[] {
  const tree = growTree(0, [])
  const roots = [tree.root()]
  for (const entry of entries) {
    tree.append(leafHash(entry))
    roots.push(tree.root())
  }
  return roots
}

/** All entries, base64. */
async function entriesOf(audit: Awaited<ReturnType<typeof createAudit>>): Promise<readonly string[]> {
  const entries: string[] = []
  for (let seq = 0; seq < 7; seq++) entries.push((await audit.prove(seq)).entry)
  return entries
}
