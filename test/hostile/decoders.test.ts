import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createSeededRandom, equal, fromHex, MeshError, realRandom, utf8 } from '../../src/base/index.ts'
import { entryCodec } from '../../src/audit/entry.ts'
import { openCheckpoint } from '../../src/audit/index.ts'
import { verify } from '../../src/crypto/index.ts'
import { openBox, openBundle, openPrekeys, sealBox } from '../../src/envelope/index.ts'
import { openContent, packContent } from '../../src/envelope/content.ts'
import { decodeSessionFrame } from '../../src/envelope/ratchet.ts'
import {
  composeStatement,
  createKeyring,
  decodeRecoveryKey,
  encodeRecoveryKey,
  openAgentRecord,
  openChainStatement,
  openStatement,
  parseDid,
  partiesOf,
  signAgentRecord,
  signStatement,
} from '../../src/identity/index.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../src/protocols/klp/frames.ts'
import { framed, unframed } from '../../src/protocols/channel.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import { decodeEvent, encodeEvent, probeCodec, receiptCodec, requestCodec, resumeCodec } from '../../src/protocols/task/codec.ts'
import { messageCodec } from '../../src/agents/message.ts'
import { attestationCodec, headCodec, openTrustStatement, revocationCodec } from '../../src/trust/statements.ts'
import { makeWarrant, readWarrant } from '../../src/trust/warrant.ts'
import { decodeTicket, encodeTicket } from '../../src/node/ticket.ts'
import { askCodec, readAnswer, refusalCodec, welcomeCodec } from '../../src/protocols/join/codec.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { inception, seedOf, succession } from '../helpers/chain.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { keyringOf, messagePayload } from '../helpers/raw-peer.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { decodeBackup } from '../../src/vault/backup.ts'
import { decodeVault } from '../../src/vault/format.ts'
import { decodeRecoveryCode, encodeRecoveryCode } from '../../src/vault/index.ts'
import { decodeOldVault } from '../../src/vault/old-vault.ts'
import { acceptedEvent, receiptOf, requestOf } from '../helpers/tasks.ts'

const now = Date.UTC(2026, 0, 1)
const fromUtf8Loosely = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
const clock = {
  now: () => now,
  monotonic: () => 0,
  after: () => () => undefined,
  sleep: () => Promise.reject(new Error('no time here')),
  timeout: () => new AbortController().signal,
}
const random = createSeededRandom(1)
const [anna, ben] = [keyringOf(1), keyringOf(2)]
const signing = { keyring: anna, random }
const prekeys = await openPrekeys({ store: createMemoryStore(), keyring: ben, clock, random })
const own = await prekeys.current()
const bytes32 = random.bytes(32)
/** What a vector of vaults holds under `field`. */
const vaultVector = (name: string, field: string): string =>
  String(
    (JSON.parse(readFileSync(new URL(`../../protocols/vault/v1/vectors/${name}.json`, import.meta.url), 'utf8')) as Readonly<Record<string, unknown>>)[field],
  )
const usage = { cpuMs: 1, wallMs: 2, memoryBytes: 3, outputBytes: 4, hostCalls: 5, netBytes: 6, fsOps: 7 }
const limits = { memoryMiB: 1, wallMs: 2, cpuMs: 3, outputBytes: 4, hostCalls: 5, cpuPercent: 6, netKiBps: 7, fsOps: 8, processes: 9 }

const message = signStatement(
  'message',
  { to: ben.did, type: 'text', payload: messagePayload({ body: 'hello' }), issuedAt: now, expiresAt: now + 60_000, refs: [bytes32] },
  signing,
)
const attestationPayload = attestationCodec.encode({ version: 1, level: 2, scopes: ['/task/run', '/'], depth: 1, evidence: undefined, seq: 7, prev: bytes32 })
const attestation = signStatement(
  'attestation',
  { to: ben.did, type: 'attestation', payload: attestationPayload, issuedAt: now, expiresAt: now + 60_000 },
  signing,
)
const attestationAgain = signStatement(
  'attestation',
  { to: ben.did, type: 'attestation', payload: attestationPayload, issuedAt: now, expiresAt: now + 60_000 },
  signing,
)
const revocationPayload = revocationCodec.encode({ version: 1, attestation: bytes32, kind: 'soft', at: now, seq: 8, prev: undefined })
const revocation = signStatement('revocation', { to: ben.did, type: 'revocation', payload: revocationPayload, issuedAt: now, expiresAt: now + 60_000 }, signing)
const headPayload = headCodec.encode({ version: 2, seq: 8, count: 2, fingerprint: bytes32, warnings: 1, warningsRoot: bytes32 })
const head = signStatement('head', { to: anna.did, type: 'head', payload: headPayload, issuedAt: now, expiresAt: now + 60_000 }, signing)
const sealed = sealBox(message.bytes, { bundle: own.bundle, now, random: realRandom })
const frames: readonly Frame[] = [
  {
    frame: 0,
    versions: [1],
    wants: [{ name: 'x', need: 'required' }],
    manifest: { capabilities: ['message', 'agent:echo'], roles: ['peer'], ttlMs: 7, presence: 'busy' },
    credit: 9,
    bundle: own.bundle.bytes,
    evidence: [{ kind: 'head', bytes: head.bytes }],
  },
  { frame: 1, answers: [{ name: 'x', answer: 'denied', reason: 'no', alternative: 'y', limits: [{ name: 'wallMs', most: 3 }] }], validUntil: now },
  { frame: 2, rid: 1, ttlsMs: [5], sealed },
  { frame: 3, rids: [1, 2], sealed: bytes32 },
  { frame: 4, rid: 1, code: 'ERR_REFUSED', message: 'no', retryAfterMs: 0 },
  { frame: 5, rid: 1 },
  { frame: 6, code: 'ERR_STOPPED', message: 'bye' },
  { frame: 7, rid: 2 },
  { frame: 8, rid: 2 },
]
const said = ['one', 'two', 'three'].map((text) => ({
  ...composeStatement('message', { from: anna.did, to: ben.did, type: 'text', payload: utf8(text), issuedAt: now, expiresAt: now + 60_000 }, random),
  kind: 'message' as const,
}))
const contents = [
  packContent(said.slice(0, 1), undefined, anna),
  packContent(said, undefined, anna),
  packContent(said, { dh: bytes32, generation: 7, heal: { kid: bytes32.subarray(0, 8), enc: random.bytes(1_120) } }, anna),
]
const sessionFrames = [3, 4].map((n) => encode([1, 1, 1, bytes32.subarray(0, 8), bytes32, 2, n, random.bytes(64)]))
const artefact = { name: 'a.txt', size: 3, hash: bytes32 }
const task = requestCodec.encode(
  requestOf({ codeHash: bytes32, limits, capabilities: ['file:read'], deadline: now, artefacts: [artefact], bundle: bytes32, replySecret: bytes32 }),
)
const taskReceipt = receiptOf({ outcome: 'ok', usage, capabilities: ['file:write'], limits, artefactsIn: [bytes32], artefactsOut: [artefact] })
const events = [
  encodeEvent(acceptedEvent),
  encodeEvent({ event: 'queued', position: 3 }),
  encodeEvent({ event: 'running' }),
  encodeEvent({ event: 'usage', usage }),
  encodeEvent({ event: 'artefact', ...artefact }),
  encodeEvent({ event: 'chunk', bytes: bytes32 }),
  encodeEvent({ event: 'progress', permille: 500, note: 'half' }),
  encodeEvent({ event: 'result', result: '1', message: '', limit: '', receipt: bytes32 }),
  encodeEvent({ event: 'kept' }),
]
const entry = entryCodec.encode({ seq: 1, time: now, event: 'x', actor: anna.did, subject: undefined, data: { a: 1, b: [true, null, 'x'] }, prevHash: bytes32 })
const plainSamples: readonly Plain[] = [[1, -1, 'é', true, null, bytes32], { a: { b: { c: [[[]]] } }, bb: 2 ** 53 - 1 }, -(2 ** 53 - 1)]
const ticket = encodeTicket({ did: anna.did, addresses: ['/ip4/127.0.0.1/tcp/1'] })
const inviteTerms = { level: 2, scopes: ['/task/run'], expiresAt: now, lifetimeMs: 1 }
const inviteTicket = encodeTicket({ did: anna.did, addresses: ['/ip4/127.0.0.1/tcp/1'], invite: { secret: bytes32.subarray(0, 16), terms: inviteTerms } })
const joinSamples = [
  askCodec.encode({ frame: 1, id: bytes32.subarray(0, 16), joiner: anna.did, proof: bytes32 }),
  welcomeCodec.encode({ frame: 2, proof: bytes32, attestation: bytes32, head: undefined }),
  refusalCodec.encode({ frame: 0, code: 'ERR_INVITE_USED', message: 'used' }),
]
const checkpoint = `kindmesh/audit/${anna.did}\n1\n${Buffer.from(bytes32).toString('base64')}\n\n— x abcd\n`

const firstOfChain = inception(30, 31, 39, now)
const recoveryFile = utf8(encodeRecoveryKey({ did: firstOfChain.did, seed: bytes32, chain: [firstOfChain.signed.bytes] }))
const agentChain = inception(40, 41, 49, now)
const agentRecord = signAgentRecord({
  node: ben,
  agent: createKeyring({ seed: seedOf(40), rootKey: bytes32 }, random),
  identity: ben.did,
  name: 'echo',
  chain: [agentChain.signed.bytes],
  now,
  random,
})

interface Decoder {
  readonly samples: readonly Uint8Array[]
  decode(bytes: Uint8Array): unknown
  /** Writes again what was decoded; must give the same bytes. */
  encode?(value: never): Uint8Array
}

const decoders: Readonly<Record<string, Decoder>> = {
  CBOR: { samples: plainSamples.map(encode), decode: (bytes) => decode(bytes, 4_096), encode },
  'signed message': {
    samples: [message.bytes],
    decode: (bytes) => openStatement('message', bytes, { now, lifetimeMsMax: 600_000 }),
    encode: ({ bytes }: typeof message) => bytes,
  },
  'parties of a statement': { samples: [message.bytes, attestation.bytes], decode: (bytes) => partiesOf('message', bytes) },
  'prekey bundle': { samples: [own.bundle.bytes], decode: (bytes) => openBundle(bytes, now), encode: ({ bytes }: typeof own.bundle) => bytes },
  box: { samples: [sealed], decode: (bytes) => openBox(bytes, prekeys) },
  'session frame': {
    samples: sessionFrames,
    decode: decodeSessionFrame,
    encode: ({ suite, tag, dh, pn, n, ciphertext }: ReturnType<typeof decodeSessionFrame>) => encode([1, suite, 1, tag, dh, pn, n, ciphertext]),
  },
  content: { samples: contents, decode: (bytes) => openContent(bytes, { now, lifetimeMsMax: 600_000 }) },
  'KLP frame': { samples: frames.map(encodeFrame), decode: decodeFrame, encode: encodeFrame },
  'message payload': {
    samples: [messagePayload({ body: 'x' })],
    decode: (bytes) => messageCodec.decode(bytes),
    encode: (value: ReturnType<typeof messageCodec.decode>) => messageCodec.encode(value),
  },
  'chain statement': {
    samples: [firstOfChain.signed.bytes, succession(31, firstOfChain, 32, { now }).signed.bytes],
    decode: openChainStatement,
    encode: ({ signed }: ReturnType<typeof openChainStatement>) => signed.bytes,
  },
  'agent record': { samples: [agentRecord], decode: (bytes) => openAgentRecord(bytes, now) },
  vault: { samples: [fromHex(vaultVector('file-prf', 'file'))], decode: decodeVault },
  'vault backup': { samples: [fromHex(vaultVector('backup', 'file'))], decode: decodeBackup },
  'old vault': { samples: [fromHex(vaultVector('old-vault', 'file'))], decode: decodeOldVault },
  'recovery code': {
    samples: [utf8(vaultVector('recovery-code', 'code'))],
    decode: (bytes) => encodeRecoveryCode(decodeRecoveryCode(fromUtf8Loosely(bytes))),
  },
  'recovery key': { samples: [recoveryFile], decode: (bytes) => decodeRecoveryKey(fromUtf8Loosely(bytes)) },
  attestation: { samples: [attestation.bytes, revocation.bytes, head.bytes], decode: (bytes) => openTrustStatement({ kind: 'attestation', bytes }, now) },
  revocation: { samples: [revocation.bytes, attestation.bytes], decode: (bytes) => openTrustStatement({ kind: 'revocation', bytes }, now) },
  head: { samples: [head.bytes, attestation.bytes], decode: (bytes) => openTrustStatement({ kind: 'head', bytes }, now) },
  warrant: {
    samples: [makeWarrant({ kind: 'attestation', bytes: attestation.bytes }, { kind: 'attestation', bytes: attestationAgain.bytes })],
    decode: (bytes) => readWarrant(bytes).verify(),
  },
  'attestation payload': {
    samples: [attestationPayload, revocationPayload, headPayload],
    decode: (bytes) => attestationCodec.decode(bytes),
    encode: (value: ReturnType<typeof attestationCodec.decode>) => attestationCodec.encode(value),
  },
  'task request': {
    samples: [task],
    decode: (bytes) => requestCodec.decode(bytes),
    encode: (value: ReturnType<typeof requestCodec.decode>) => requestCodec.encode(value),
  },
  'task probe': {
    samples: [
      probeCodec.encode({
        version: 1,
        engine: 'command',
        limits: requestOf({}).limits,
        isolation: 'containerized',
        strict: true,
        capabilities: ['file:read'],
        deadline: 1,
        fileBytes: 9,
        replySecret: bytes32,
      }),
    ],
    decode: (bytes) => probeCodec.decode(bytes),
    encode: (value: ReturnType<typeof probeCodec.decode>) => probeCodec.encode(value),
  },
  'task resume': {
    samples: [resumeCodec.encode({ version: 1, requestHash: bytes32, action: 'stop', replySecret: bytes32 })],
    decode: (bytes) => resumeCodec.decode(bytes),
    encode: (value: ReturnType<typeof resumeCodec.decode>) => resumeCodec.encode(value),
  },
  'task receipt': {
    samples: [receiptCodec.encode(taskReceipt)],
    decode: (bytes) => receiptCodec.decode(bytes),
    encode: (value: ReturnType<typeof receiptCodec.decode>) => receiptCodec.encode(value),
  },
  'task event': { samples: events, decode: decodeEvent, encode: encodeEvent },
  'task frame': {
    samples: events.map((event) => framed(1, createChannel(bytes32, 'to-asker', bytes32).seal(event))),
    decode: (bytes) => createChannel(bytes32, 'to-asker', bytes32).open(unframed(bytes).body),
  },
  'audit entry': {
    samples: [entry],
    decode: (bytes) => entryCodec.decode(bytes),
    encode: (value: ReturnType<typeof entryCodec.decode>) => entryCodec.encode(value),
  },
  'audit checkpoint': { samples: [utf8(checkpoint)], decode: (bytes) => openCheckpoint(Buffer.from(bytes).toString(), { did: anna.did, verify }) },
  'join answer': { samples: joinSamples, decode: (bytes) => readAnswer(bytes, welcomeCodec) },
  ticket: { samples: [utf8(ticket), utf8(inviteTicket)], decode: (bytes) => decodeTicket(Buffer.from(bytes).toString()) },
  DID: { samples: [anna.did, 'kind:agent:AAAA#ed25519', '12D3KooW'].map(utf8), decode: (bytes) => parseDid(Buffer.from(bytes).toString('latin1')) },
}

/** Some say no by their answer. */
const saysNo = (value: unknown): boolean => value === undefined || (typeof value === 'object' && value !== null && 'ok' in value && value.ok === false)

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 100_000 : 1_000_000

describe('fuzzed input gives a value or a coded error', () => {
  test.each(Object.entries(decoders))('%s', (_name, { samples, decode: read, encode: write }) => {
    const chance = createSeededRandom(2026)
    for (const sample of samples) {
      try {
        read(sample)
      } catch (error) {
        // Some samples belong to a neighbour of this decoder.
        expect(error).toBeInstanceOf(MeshError)
      }
    }
    let refused = 0
    for (let count = 0; count < inputs; count++) {
      const input = fuzzed(samples, chance)
      try {
        const value = read(input)
        if (saysNo(value)) refused++
        else if (write !== undefined && !equal(write(value as never), input)) {
          expect.fail(`${Buffer.from(input).toString('hex')} is decoded, but encodes to other bytes`)
        }
      } catch (error) {
        if (!(error instanceof MeshError) || error.code === 'ERR_INTERNAL') throw error
        refused++
      }
    }
    // Noise is refused, or the test feeds it to nobody.
    expect(refused).toBeGreaterThan(inputs / 10)
  })
})

describe('what a stranger makes large is refused before it is built', () => {
  test('announced lengths up to 2^64-1, deep nesting and many items', () => {
    const heads = [0x5a, 0x7a, 0x9a, 0xba].map((head) => Uint8Array.of(head, 0xff, 0xff, 0xff, 0xff))
    const long = [0x5b, 0x7b, 0x9b, 0xbb].map((head) => Uint8Array.of(head, ...new Uint8Array(8).fill(0xff)))
    const nested = [
      new Uint8Array(10_000).fill(0x81),
      Uint8Array.from({ length: 10_000 }, (_, index) => (index % 3 === 0 ? 0xa1 : index % 3 === 1 ? 0x61 : 0x61)),
    ]
    const many = Uint8Array.from([0x99, 0x20, 0x00, ...new Uint8Array(0x2000)])
    for (const input of [...heads, ...long, ...nested, many]) {
      expect(() => decode(input, 1 << 20)).toThrow(expect.objectContaining({ code: 'ERR_WIRE_MALFORMED' }))
    }
    expect(() => decode(new Uint8Array(4_097), 4_096)).toThrow(expect.objectContaining({ code: 'ERR_WIRE_TOO_LARGE' }))
  })
})
