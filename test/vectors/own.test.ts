import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { makeVectors } from '../../scripts/make-vectors.ts'
import { verifyConsistency, verifyProof } from '../../src/audit/index.ts'
import { createSeededRandom, type Did, fromBase64, fromHex, hex, MeshError, utf8 } from '../../src/base/index.ts'
import { createKemPrivateKey, createLocalBox, deriveKey } from '../../src/crypto/index.ts'
import { openBox, openBundle } from '../../src/envelope/index.ts'
import { kindDidFromDid, openStatement, parseDid, peerIdFromDid, type StatementKind } from '../../src/identity/index.ts'
import { decodeFrame, encodeFrame } from '../../src/protocols/klp/frames.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import { messageCodec } from '../../src/agents/message.ts'
import { headRecordKey } from '../../src/trust/index.ts'
import { openTrustStatement } from '../../src/trust/statements.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import type { Vector } from '../../scripts/vectors/world.ts'

const files = await makeVectors()

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
const readers: Readonly<Record<string, (vector: Vector) => void>> = {
  'did'(vector) {
    if (has(vector, 'text')) return void parseDid(text(vector, 'text'))
    const did = parseDid(text(vector, 'did'))
    for (const spelling of ['peerId', 'kindDid']) expect(parseDid(text(vector, spelling))).toBe(did)
    expect([peerIdFromDid(did), kindDidFromDid(did)]).toEqual([text(vector, 'peerId'), text(vector, 'kindDid')])
  },
  'key-file'(vector) {
    const file = vector['file'] as { readonly did: string; readonly seed: string; readonly slots: readonly [{ readonly rootKey: string; readonly salt: string; readonly memoryKiB: number; readonly iterations: number; readonly parallelism: number }] }
    const [{ rootKey: sealedRoot, salt, memoryKiB, iterations, parallelism }] = file.slots
    const open = (key: Uint8Array, sealed: string, context: string): Uint8Array => createLocalBox(key, createSeededRandom(1)).open(fromBase64(sealed) ?? new Uint8Array(), utf8(context))
    const rootKey = open(bytes(vector, 'wrappingKey'), sealedRoot, `kindmesh.key-file/1 slot ${file.did} argon2id ${memoryKiB} ${iterations} ${parallelism} ${salt}`)
    expect(hex(open(deriveKey(rootKey, 'identity'), file.seed, `kindmesh.key-file/1 seed ${file.did}`))).toBe(text(vector, 'seed'))
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
    expect(hex(createKemPrivateKey(bytes(vector, 'kemSeed')).publicKey)).toBe(hex(bundle.kem.bytes))
    expect([hex(bundle.kid), bundle.seq]).toEqual([text(vector, 'kid'), number(vector, 'seq')])
  },
  'box'(vector) {
    const bundle = openBundle(bytes(vector, 'bundle'), Date.UTC(2026, 0, 1))
    const own = { bundle, private: createKemPrivateKey(bytes(vector, 'kemSeed')) }
    const content = openBox(bytes(vector, 'box'), { find: (kid) => (hex(kid) === hex(bundle.kid) ? own : undefined) })
    expect(hex(content)).toBe(text(vector, 'content'))
  },
  'frame'(vector) {
    expect(hex(encodeFrame(decodeFrame(bytes(vector, 'frame'))))).toBe(text(vector, 'frame'))
  },
  'payload'(vector) {
    expect(hex(messageCodec.encode(messageCodec.decode(bytes(vector, 'payload'))))).toBe(text(vector, 'payload'))
  },
  'trust'(vector) {
    const item = { kind: text(vector, 'of') as 'attestation', bytes: bytes(vector, 'signed') }
    const { signed } = openTrustStatement(item, number(vector, 'now'))
    expect(signed.ref).toBe(text(vector, 'id'))
    if (has(vector, 'recordKey')) expect(hex(headRecordKey(signed.statement.from))).toBe(text(vector, 'recordKey'))
  },
  'channel'(vector) {
    const back = createChannel(bytes(vector, 'replySecret'), 'to-asker', bytes(vector, 'requestHash'))
    expect(texts(vector, 'frames').map((frame) => hex(back.open(fromHex(frame))))).toEqual(texts(vector, 'events'))
    const answer = createChannel(bytes(vector, 'replySecret'), 'to-executor', bytes(vector, 'requestHash'))
    expect(hex(answer.open(bytes(vector, 'answer')))).toBe(text(vector, 'answered'))
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
})

describe('our code reads its own vectors', () => {
  test.each([...files.keys()].map((path) => [path.replace(/^protocols\//, ''), path] as const))('%s', (_name, path) => {
    const vector = JSON.parse(readFileSync(path, 'utf8')) as Vector
    const read = readers[vector.kind]
    if (read === undefined) throw new Error(`nobody reads ${vector.kind}`)
    let verdict = 'ok'
    try {
      read(vector)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      verdict = error.code === 'ERR_AUDIT_TAMPERED' ? 'bad' : error.code
    }
    expect(verdict).toBe(vector.expect)
  })
})
