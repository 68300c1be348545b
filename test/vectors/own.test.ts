import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeVectors } from '../../scripts/make-vectors.ts'
import { entryCodec } from '../../src/audit/entry.ts'
import { openCheckpoint, verifyConsistency, verifyProof } from '../../src/audit/index.ts'
import { growTree, leafHash } from '../../src/audit/tree.ts'
import { type AgentCapability, base64, createSeededRandom, type Did, didFromKey, fromBase64, fromHex, fromUtf8, hex, keyFromDid, MeshError, utf8 } from '../../src/base/index.ts'
import { checkBundle, createBundlePins, openBundle as openCodeBundle, parsePin } from '../../src/bundles/index.ts'
import type { Engine } from '../../src/sandbox/index.ts'
import { createKemPrivateKey, createSigner, deriveFromPassphrase, verify } from '../../src/crypto/index.ts'
import { decodeGroupFrame, openBox, openBundle, openGroupFrame, receivingChain } from '../../src/envelope/index.ts'
import { agentRecordRule, chainRecordRule, createKeyring, openAgentRecord, readIdentityFile, kindDidFromDid, openChainStatement, openKeyFile, openStatement, parseDid, readChain, peerIdFromDid, type StatementKind, verifySignedJson } from '../../src/identity/index.ts'
import { signedJsonInput } from '../../src/identity/signed-json.ts'
import { parseDocument, verifySignedDocument } from '../../src/node/index.ts'
import { capabilityKey } from '../../src/node/capabilities.ts'
import { decodeFrame, encodeFrame } from '../../src/protocols/klp/frames.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import { openStreamReceipt } from '../../src/files/outgoing.ts'
import { safeFileName } from '../../src/base/file-names.ts'
import { plainRefusalCodec, unframed } from '../../src/protocols/channel.ts'
import { createStreamChannel } from '../../src/protocols/stream/channel.ts'
import { chunkLength, decodeStreamEvent, encodeStreamEvent, offerCodec, offerLifetimeMsMax } from '../../src/protocols/stream/codec.ts'
import { decodeEvent, encodeEvent, receiptLifetimeMs } from '../../src/protocols/task/codec.ts'
import { openCountersignature, openReceipt } from '../../src/tasks/receipt.ts'
import { createRoster } from '../../src/agents/roster.ts'
import { openRosterEntry } from '../../src/agents/roster-entry.ts'
import { openTopicMessage, topicIdOf } from '../../src/agents/topic-message.ts'
import { validateBody } from '../../src/agents/index.ts'
import { messageCodec } from '../../src/agents/message.ts'
import { headRecordKey } from '../../src/trust/index.ts'
import { openTrustStatement } from '../../src/trust/statements.ts'
import { readWarrant } from '../../src/trust/warrant.ts'
import { canonicalJson, decode, encode, parseJsonText, type Plain } from '../../src/wire/index.ts'
import type { Vector } from '../../scripts/vectors/world.ts'
import { readSession, readSessionRun } from '../helpers/session-vectors.ts'
import { readApprovalVector } from '../helpers/vectors-approval.ts'
import { attSyncReaders } from '../helpers/vectors-att-sync.ts'
import { factorReaders } from '../helpers/vectors-factors.ts'
import { joinReaders } from '../helpers/vectors-join.ts'
import { meetingReaders } from '../helpers/vectors-meeting.ts'
import { readGrantVector } from '../helpers/vectors-grant.ts'
import { mailboxReaders } from '../helpers/vectors-mailbox.ts'
import { vaultReaders } from '../helpers/vectors-vault.ts'

const files = await makeVectors()

interface KeyFile {
  readonly slots: readonly [{ readonly salt: string; readonly memoryKiB: number; readonly iterations: number; readonly parallelism: number }]
}

const text = (vector: Vector, field: string): string => {
  const value = vector[field]
  if (typeof value !== 'string') throw new TypeError(`no ${field}`)
  return value
}
const bytes = (vector: Vector, field: string): Uint8Array => fromHex(text(vector, field))
const number = (vector: Vector, field: string): number => Number(vector[field])
const texts = (vector: Vector, field: string): readonly string[] => vector[field] as readonly string[]
const has = (vector: Vector, field: string): boolean => Object.hasOwn(vector, field)

/** What our code says to a vector of each kind: it throws, or what it found fits what the vector holds. */
const readers: Readonly<Record<string, (vector: Vector) => void | Promise<void>>> = {
  'grant': readGrantVector,
  'approval': readApprovalVector,
  'did'(vector) {
    if (has(vector, 'text')) {
      const read = parseDid(text(vector, 'text'))
      if (has(vector, 'did')) expect(read).toBe(text(vector, 'did'))
      return
    }
    const did = parseDid(text(vector, 'did'))
    for (const spelling of ['peerId', 'kindDid']) expect(parseDid(text(vector, spelling))).toBe(did)
    expect([peerIdFromDid(did), kindDidFromDid(did)]).toEqual([text(vector, 'peerId'), text(vector, 'kindDid')])
  },
  async 'key-file'(vector) {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-key-file-'))
    try {
      const path = join(folder, 'identity.json')
      await writeFile(path, JSON.stringify(vector['file']))
      const random = createSeededRandom(1)
      const file = await readIdentityFile(path)
      if (file.schema === 'kindmesh.identity/1') throw new Error('not a key file')
      const keyring = createKeyring(await openKeyFile(file, { passphrase: bytes(vector, 'passphrase'), random }), random)
      expect(keyring.identity).toBe(text(vector, 'did'))
      expect(hex(createSigner(bytes(vector, 'seed')).publicKey)).toBe(hex(keyring.publicKey))
      const [{ salt, memoryKiB, iterations, parallelism }] = (vector['file'] as KeyFile).slots
      const params = { kdf: 'argon2id', memoryKiB, iterations, parallelism, salt: fromBase64(salt) ?? new Uint8Array() } as const
      expect(hex(await deriveFromPassphrase(bytes(vector, 'passphrase'), params))).toBe(text(vector, 'wrappingKey'))
    } finally {
      await rm(folder, { recursive: true })
    }
  },
  'chain-statement'(vector) {
    const { did, key, seq, signed } = openChainStatement(bytes(vector, 'signed'))
    expect([keyFromDid(did), keyFromDid(key), seq, signed.ref]).toEqual([bytes(vector, 'did'), bytes(vector, 'key'), number(vector, 'seq'), text(vector, 'hash')])
  },
  'chain'(vector) {
    const given = vector['statements'] as readonly { readonly signed: string; readonly seenAt: number }[]
    const { did, current, seq, status, keys } = readChain(given.map(({ signed, seenAt }) => ({ ...openChainStatement(fromHex(signed)), seenAt })))
    expect([did, current].map((key) => hex(keyFromDid(key)))).toEqual([text(vector, 'did'), text(vector, 'current')])
    expect([seq, status]).toEqual([vector['seq'], vector['status']])
    expect(keys.map(({ key, from, until }) => [hex(keyFromDid(key)), from, until ?? null])).toEqual(vector['keys'])
  },
  'agent-record'(vector) {
    const value = bytes(vector, 'value')
    const facts = agentRecordRule({ now: () => number(vector, 'now') }).check(bytes(vector, 'key'), value)
    const { agent, node, name } = openAgentRecord(value, number(vector, 'now'))
    expect([keyFromDid(agent), keyFromDid(node), name]).toEqual([bytes(vector, 'agent'), bytes(vector, 'node'), text(vector, 'name')])
    expect(facts).toEqual({ seq: number(vector, 'seq'), expiresAt: number(vector, 'expiresAt') })
  },
  'chain-record'(vector) {
    const rule = chainRecordRule({ now: () => number(vector, 'now') })
    expect(rule.check(bytes(vector, 'key'), bytes(vector, 'value')).seq).toBe(number(vector, 'seq'))
  },
  'cbor'(vector) {
    expect(hex(encode(decode(bytes(vector, 'cbor'), 1 << 16) as Plain))).toBe(text(vector, 'cbor'))
  },
  'statement'(vector) {
    const signed = openStatement(text(vector, 'of') as StatementKind, bytes(vector, 'signed'), { now: number(vector, 'now'), lifetimeMsMax: number(vector, 'lifetimeMsMax') })
    if (has(vector, 'hash')) expect(signed.ref).toBe(text(vector, 'hash'))
  },
  'prekeys'(vector) {
    const bundle = openBundle(bytes(vector, 'bundle'), number(vector, 'now'))
    if (!has(vector, 'kemSeed')) return
    expect(hex(createKemPrivateKey(bytes(vector, 'kemSeed')).publicKey)).toBe(hex(bundle.kem.bytes))
    expect([hex(bundle.kid), bundle.seq]).toEqual([text(vector, 'kid'), number(vector, 'seq')])
  },
  'box'(vector) {
    const bundle = openBundle(bytes(vector, 'bundle'), Date.UTC(2026, 0, 1))
    const own = { bundle, private: createKemPrivateKey(bytes(vector, 'kemSeed')), ratchetSecret: new Uint8Array(32) }
    const content = openBox(bytes(vector, 'box'), { find: (kid) => (hex(kid) === hex(bundle.kid) ? own : undefined) })
    expect(hex(content)).toBe(text(vector, 'content'))
  },
  'session': readSession,
  'session-run': readSessionRun,
  'capability-key'(vector) {
    expect(hex(capabilityKey(text(vector, 'name')))).toBe(text(vector, 'key'))
  },
  'frame'(vector) {
    expect(hex(encodeFrame(decodeFrame(bytes(vector, 'frame'))))).toBe(text(vector, 'frame'))
  },
  'payload'(vector) {
    const payload = bytes(vector, 'payload')
    const rewrites = new Map<string, () => Uint8Array>([
      ['message', () => messageCodec.encode(messageCodec.decode(payload))],
      ['task-event', () => encodeEvent(decodeEvent(payload))],
      ['plain-refusal', () => plainRefusalCodec.encode(plainRefusalCodec.decode(payload))],
    ])
    const again = rewrites.get(text(vector, 'of'))?.() ?? new Uint8Array()
    expect(hex(again)).toBe(text(vector, 'payload'))
  },
  'body'(vector) {
    validateBody(text(vector, 'type'), text(vector, 'encoding'), text(vector, 'body'))
  },
  'jcs'(vector) {
    expect(hex(canonicalJson(parseJsonText(text(vector, 'text'), 1 << 20), 1 << 18))).toBe(text(vector, 'canonical'))
  },
  'jcs-number'(vector) {
    const value = new DataView(bytes(vector, 'bits').buffer).getFloat64(0)
    expect(fromUtf8(canonicalJson(value, 64))).toBe(text(vector, 'written'))
  },
  'signed-json'(vector) {
    const claim = { signature: text(vector, 'signature'), publicKey: text(vector, 'publicKey'), audience: text(vector, 'audience') }
    const message = parseJsonText(text(vector, 'text'), 1 << 20)
    if (has(vector, 'input')) expect(hex(signedJsonInput(message, claim.audience))).toBe(text(vector, 'input'))
    if (!verifySignedJson({ message, ...claim })) throw new MeshError('ERR_AUDIT_TAMPERED', 'bad')
  },
  'signed-document'(vector) {
    if (!verifySignedDocument(parseDocument(text(vector, 'text')), {}).valid) throw new MeshError('ERR_AUDIT_TAMPERED', 'bad')
  },
  async 'bundle'(vector) {
    const opened = openCodeBundle(utf8(text(vector, 'text')))
    const capabilities = vector['capabilities'] as readonly AgentCapability[]
    checkBundle(opened, { codeHash: bytes(vector, 'codeHash'), engine: text(vector, 'engine') as Engine, capabilities })
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-vectors-'))
    try {
      const pins = createBundlePins(join(folder, 'pins.json'), createSeededRandom(1))
      for (const pin of vector['pins'] as readonly string[]) await pins.add(parsePin(pin, ''))
      await pins.check(opened)
    } finally {
      await rm(folder, { recursive: true })
    }
  },
  'group-frame'(vector) {
    const chain = receivingChain({ suite: number(vector, 'suite') === 2 ? 2 : 1, tag: bytes(vector, 'tag'), n: number(vector, 'n'), key: bytes(vector, 'key') })
    const context = { group: bytes(vector, 'group'), epoch: bytes(vector, 'epoch'), sender: didFromKey(bytes(vector, 'sender')) }
    expect(hex(openGroupFrame(chain, decodeGroupFrame(bytes(vector, 'frame')), context).content)).toBe(text(vector, 'content'))
  },
  'roster'(vector) {
    const roster = createRoster(didFromKey(bytes(vector, 'group')))
    for (const entry of texts(vector, 'entries')) roster.add(openRosterEntry(fromHex(entry), { now: number(vector, 'now') }))
    const head = roster.head()
    expect([head?.entry.ref, roster.heads().length]).toEqual([text(vector, 'head'), number(vector, 'heads')])
    expect([...(head?.members ?? [])].map((did) => hex(keyFromDid(did))).toSorted()).toEqual(texts(vector, 'members'))
  },
  'topic'(vector) {
    const topic = topicIdOf(text(vector, 'name'))
    const content = openTopicMessage(bytes(vector, 'signed'), { topic, from: didFromKey(bytes(vector, 'author')), now: number(vector, 'now') })
    expect([hex(topic.bytes), topic.channel, content.body]).toEqual([text(vector, 'id'), text(vector, 'channel'), text(vector, 'body')])
  },
  'trust'(vector) {
    const item = { kind: text(vector, 'of') as 'attestation', bytes: bytes(vector, 'signed') }
    const { signed } = openTrustStatement(item, number(vector, 'now'))
    expect(signed.ref).toBe(text(vector, 'id'))
    if (has(vector, 'recordKey')) expect(hex(headRecordKey(signed.statement.from))).toBe(text(vector, 'recordKey'))
  },
  'trust-warrant'(vector) {
    const { warrant, verify } = readWarrant(bytes(vector, 'warrant'))
    verify()
    expect(warrant.id).toBe(text(vector, 'id'))
    expect(hex(keyFromDid(warrant.key))).toBe(text(vector, 'issuer'))
  },
  'channel'(vector) {
    const back = createChannel(bytes(vector, 'replySecret'), 'to-asker', bytes(vector, 'requestHash'))
    expect(texts(vector, 'frames').map((frame) => hex(back.open(fromHex(frame))))).toEqual(texts(vector, 'events'))
    const answer = createChannel(bytes(vector, 'replySecret'), 'to-executor', bytes(vector, 'requestHash'))
    expect(hex(answer.open(bytes(vector, 'answer')))).toBe(text(vector, 'answered'))
  },
  'task-receipt'(vector) {
    const did = (field: string): Did => didFromKey(bytes(vector, field))
    const [requestHash, codeHash, inputHash] = [bytes(vector, 'requestHash'), bytes(vector, 'codeHash'), bytes(vector, 'inputHash')]
    openReceipt(bytes(vector, 'signed'), number(vector, 'now'), { executor: did('executor'), asker: did('asker'), requestHash, codeHash, inputHash, isolation: 'sandboxed' })
  },
  'task-countersign'(vector) {
    const receipt = openStatement('task-receipt', bytes(vector, 'receipt'), { now: number(vector, 'now'), lifetimeMsMax: receiptLifetimeMs })
    openCountersignature(bytes(vector, 'signed'), number(vector, 'now'), receipt)
  },
  ...attSyncReaders,
  ...meetingReaders,
  ...factorReaders,
  ...joinReaders,
  ...mailboxReaders,
  ...vaultReaders,
  'stream-offer'(vector) {
    const signed = openStatement('stream-offer', bytes(vector, 'signed'), { now: number(vector, 'now'), lifetimeMsMax: offerLifetimeMsMax })
    const { transfer, name, size, hash, mediaType, secret } = offerCodec.decode(signed.statement.payload)
    expect([signed.ref, hex(transfer), name, size]).toEqual([text(vector, 'hash'), text(vector, 'transfer'), text(vector, 'name'), number(vector, 'size')])
    expect([hex(hash), mediaType, hex(secret)]).toEqual([text(vector, 'bodyHash'), text(vector, 'mediaType'), text(vector, 'secret')])
  },
  'stream'(vector) {
    const back = createStreamChannel(bytes(vector, 'secret'), 'to-sender', bytes(vector, 'offerHash'))
    const events = texts(vector, 'frames').map((frame) => back.open(unframed(fromHex(frame)).body))
    expect(events.map((event) => hex(encodeStreamEvent(decodeStreamEvent(event))))).toEqual(texts(vector, 'events'))
    const forth = createStreamChannel(bytes(vector, 'secret'), 'to-receiver', bytes(vector, 'offerHash'))
    let at = number(vector, 'cursor')
    for (const frame of texts(vector, 'chunks')) {
      const chunk = forth.open(fromHex(frame))
      if (chunk.length !== chunkLength(at, number(vector, 'size'))) throw new MeshError('ERR_PROTOCOL', 'another length was due')
      expect(text(vector, 'body').startsWith(hex(chunk), 2 * (at - number(vector, 'cursor')))).toBe(true)
      at += chunk.length
    }
  },
  'stream-receipt'(vector) {
    const offer = openStatement('stream-offer', bytes(vector, 'offer'), { now: number(vector, 'now'), lifetimeMsMax: offerLifetimeMsMax })
    openStreamReceipt(bytes(vector, 'signed'), number(vector, 'now'), { offer, ...offerCodec.decode(offer.statement.payload) })
  },
  'file-name'(vector) {
    expect(safeFileName(text(vector, 'name'))).toBe(text(vector, 'safe'))
  },
  'checkpoint'(vector) {
    const opened = openCheckpoint(text(vector, 'note'), { did: text(vector, 'did') as Did, verify })
    if (!opened.ok) throw new MeshError('ERR_AUDIT_TAMPERED', opened.reason)
    expect([opened.size, base64(opened.root)]).toEqual([vector['size'], vector['root']])
  },
  'tree'(vector) {
    const tree = growTree(0, [])
    const roots = [hex(tree.root())]
    for (const entry of texts(vector, 'entries')) {
      tree.append(leafHash(fromHex(entry)))
      roots.push(hex(tree.root()))
    }
    expect(roots).toEqual(vector['roots'])
  },
  'audit-entry'(vector) {
    const entry = bytes(vector, 'entry')
    expect(entryCodec.decode(entry)).toMatchObject(vector['fields'] as object)
    expect(hex(entryCodec.encode(entryCodec.decode(entry)))).toBe(text(vector, 'entry'))
    expect(hex(leafHash(entry))).toBe(text(vector, 'leaf'))
  },
  'audit-proof'(vector) {
    const verdict = verifyProof(vector['proof'], { did: text(vector, 'did') as Did })
    if (!verdict.ok) throw new MeshError('ERR_AUDIT_TAMPERED', 'bad')
  },
  'audit-consistency'(vector) {
    const verdict = verifyConsistency(vector['proof'], { did: text(vector, 'did') as Did, oldCheckpoint: text(vector, 'oldCheckpoint') })
    if (!verdict.ok) throw new MeshError('ERR_AUDIT_TAMPERED', 'bad')
  },
}

test('the files are what `npm run vectors` writes', () => {
  for (const [path, made] of files) expect(readFileSync(path, 'utf8'), path).toBe(made)
  expect(globSync('protocols/*/v1/vectors/*').toSorted()).toEqual([...files.keys()].toSorted())
})

test('every protocol of bytes has vectors of both kinds', () => {
  const kinds = new Map<string, Set<boolean>>()
  for (const [path, made] of files) {
    const room = path.split('/')[1] ?? ''
    kinds.set(room, (kinds.get(room) ?? new Set()).add((JSON.parse(made) as Vector).expect === 'ok'))
  }
  for (const room of ['identity', 'klp', 'topic', 'group', 'signed-json', 'message', 'trust', 'join', 'task', 'mailbox', 'audit', 'sandbox', 'vault']) expect(kinds.get(room), room).toEqual(new Set([true, false]))
  for (const room of ['identity', 'klp', 'topic', 'signed-json', 'message', 'trust', 'task', 'stream', 'audit']) expect(kinds.get(room), room).toEqual(new Set([true, false]))
})

describe('our code reads its own vectors', () => {
  test.each([...files.keys()].map((path) => [path.replace(/^protocols\//, ''), path] as const))('%s', async (_name, path) => {
    const vector = JSON.parse(readFileSync(path, 'utf8')) as Vector
    const read = readers[vector.kind]
    if (read === undefined) throw new Error(`nobody reads ${vector.kind}`)
    let verdict = 'ok'
    try {
      await read(vector)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      verdict = error.code === 'ERR_AUDIT_TAMPERED' ? 'bad' : error.code
    }
    expect(verdict).toBe(vector.expect)
  })
})
