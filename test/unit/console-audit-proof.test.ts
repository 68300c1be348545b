import { globSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type ProofOwner, checkConsistency, checkInclusion } from '../../src/console/lib/audit-proof.ts'
import { fromBase64, hex, toBase64 } from '../../src/console/lib/bytes.ts'
import { readCbor } from '../../src/console/lib/cbor.ts'
import { readCheckpoint } from '../../src/console/lib/checkpoint.ts'
import { leafHash } from '../../src/console/lib/merkle.ts'
import { fromHex } from '../../src/base/index.ts'
import { signCheckpoint } from '../../src/audit/checkpoint.ts'
import { entryCodec } from '../../src/audit/entry.ts'
import { createFilledAudit, noted, owner, stranger } from '../helpers/audit.ts'

interface AuditVector {
  readonly kind: string
  readonly expect: 'ok' | 'bad'
  readonly comment: string
  readonly did: string
  readonly note: string
  readonly proof: unknown
  readonly oldCheckpoint: string
  readonly size: number
  readonly root: string
  readonly entry: string
  readonly leaf: string
}

const vectors = globSync('protocols/audit/v1/vectors/*.json').map((path) => JSON.parse(readFileSync(path, 'utf8')) as AuditVector)
const ofKind = (kind: string): AuditVector[] => vectors.filter((vector) => vector.kind === kind)

describe('the published vectors', () => {
  test.each(ofKind('checkpoint'))('checkpoint: $comment', async ({ note, did, expect: expected, size, root }) => {
    const head = await readCheckpoint(note, { did })
    if (expected === 'bad') expect(head).toBeTypeOf('string')
    else expect(head).toMatchObject({ size, root: fromBase64(root), signer: did })
  })

  test.each(ofKind('audit-proof'))('inclusion: $comment', async ({ proof, did, expect: expected }) => {
    expect(await checkInclusion(proof, { did })).toMatchObject({ ok: expected === 'ok' })
  })

  test.each(ofKind('audit-consistency'))('consistency: $comment', async ({ proof, did, oldCheckpoint, expect: expected }) => {
    expect(await checkConsistency(proof, { did, oldCheckpoint })).toMatchObject({ ok: expected === 'ok' })
  })

  test('an entry and its leaf hash', async () => {
    const [vector] = ofKind('audit-entry')
    const entry = new Uint8Array(fromHex(vector?.entry ?? ''))
    expect(hex(await leafHash(entry))).toBe(vector?.leaf)
    expect(readCbor(entry)).toMatchObject({ seq: 3, event: 'message_received' })
  })

  test('are all looked at', () => {
    expect(new Set(vectors.map(({ kind }) => kind))).toEqual(new Set(['checkpoint', 'audit-proof', 'audit-consistency', 'audit-entry', 'tree']))
    expect(ofKind('audit-proof').filter((vector) => vector.expect === 'bad')).toHaveLength(5)
  })
})

describe('proofs of the log itself', () => {
  test('of every entry in logs of 1 to 20 entries are good, and say what was checked', async () => {
    const { audit } = await createFilledAudit(0)
    for (let size = 1; size <= 20; size++) {
      await audit.record(noted(size - 1))
      for (let seq = 0; seq < size; seq++) {
        const report = await checkInclusion(await audit.prove(seq), { did: owner.did })
        expect(report).toMatchObject({ ok: true, did: owner.did, size, entry: { seq, event: 'noted', data: { number: seq } } })
        expect(report.steps.map(({ what }) => what)).toEqual(['proof document', 'owner', 'checkpoint', 'leaf hash', 'path', 'entry'])
      }
    }
  })

  test('from every older checkpoint to now are good, and none from another log', async () => {
    const { audit } = await createFilledAudit(0)
    const checkpoints: string[] = []
    for (let size = 1; size <= 20; size++) {
      await audit.record(noted(size))
      checkpoints.push(await audit.checkpoint())
    }
    const forked = await createFilledAudit(20)
    for (const [index, oldCheckpoint] of checkpoints.entries()) {
      expect(await checkConsistency(await audit.consistency(index + 1), { did: owner.did, oldCheckpoint })).toMatchObject({ ok: true, size: 20 })
      expect(await checkConsistency(await forked.audit.consistency(index + 1), { did: owner.did, oldCheckpoint })).toMatchObject({ ok: false })
    }
  })

  test('with any byte of entry, path or checkpoint changed are bad', async () => {
    const { audit } = await createFilledAudit(7)
    const proof = await audit.prove(3)
    const spoiled: unknown[] = []
    for (const at of spots(proof.entry)) spoiled.push({ ...proof, entry: spoil(proof.entry, at) })
    for (const [index, hash] of proof.hashes.entries()) {
      for (const at of spots(hash)) spoiled.push({ ...proof, hashes: proof.hashes.with(index, spoil(hash, at)) })
    }
    const { checkpoint } = proof
    for (let at = 0; at < checkpoint.length; at++) {
      spoiled.push({ ...proof, checkpoint: checkpoint.slice(0, at) + (checkpoint[at] === 'A' ? 'B' : 'A') + checkpoint.slice(at + 1) })
    }
    for (const [name, value] of Object.entries({ schema: 'x', index: 4, size: 6, hashes: [...proof.hashes, proof.entry] })) {
      spoiled.push({ ...proof, [name]: value })
    }
    const good = (await Promise.all(spoiled.map((document) => checkInclusion(document, { did: owner.did })))).filter(({ ok }) => ok)
    expect(spoiled.length).toBeGreaterThan(400)
    expect(good).toEqual([])
  })

  test('of an entry that carries another number than its place are bad, well signed as they are', async () => {
    const entry = entryCodec.encode({ seq: 5, time: 1, event: 'noted', actor: owner.did, subject: undefined, data: {}, prevHash: new Uint8Array(32) })
    const head = { size: 1, root: await leafHash(new Uint8Array(entry)) }
    const checkpoint = signCheckpoint(head, { did: owner.did, sign: (message) => owner.signer.sign(message) })
    const report = await checkInclusion({ schema: 'kindmesh.audit-proof/1', entry: toBase64(entry), index: 0, size: 1, hashes: [], checkpoint })
    expect(report.steps.at(-1)).toMatchObject({ what: 'entry', ok: false })
    expect(report.ok).toBe(false)
  })

  test('of the log of somebody else are bad for this owner, and otherwise name him', async () => {
    const { audit } = await createFilledAudit(3)
    const proof = await audit.prove(1)
    expect(await checkInclusion(proof, { did: stranger.did })).toMatchObject({ ok: false })
    expect(await checkInclusion(JSON.stringify(proof))).toMatchObject({ ok: true, did: owner.did })
  })

  test('are good under a later key only when that key is known', async () => {
    const { audit } = await createFilledAudit(3)
    const proof = await audit.prove(1)
    const known: ProofOwner = { did: owner.did, keys: [stranger.did] }
    expect(await checkInclusion(proof, known)).toMatchObject({ ok: false })
    expect(await checkInclusion(proof, { did: owner.did, keys: [stranger.did, owner.did] })).toMatchObject({ ok: true })
  })
})

test('what is no proof is refused and never throws', async () => {
  const junk: unknown[] = [
    undefined,
    null,
    7,
    '',
    '{',
    '[]',
    'x'.repeat(70_000),
    {},
    { schema: 'kindmesh.audit-proof/1' },
    { schema: 'kindmesh.audit-proof/1', checkpoint: {} },
  ]
  for (const document of junk) expect(await checkInclusion(document)).toMatchObject({ ok: false })
})

describe('CBOR', () => {
  const bad = [
    '1800',
    '190001',
    'fb3ff8000000000000',
    'c000',
    '9f00ff',
    'a2616200616100',
    'a2616100616100',
    '62c328',
    '0000',
    '5b001fffffffffffff',
    '9b001fffffffffffff00',
    'a10000',
    '1b0020000000000000',
    '3b001fffffffffffff',
    `${'81'.repeat(40)}00`,
    '',
  ]
  test.each(bad)('%s is refused', (text) => {
    expect(() => readCbor(new Uint8Array(fromHex(text)))).toThrow()
  })
})

const spots = (text: string): number[] => Array.from({ length: fromBase64(text)?.length ?? 0 }, (_, at) => at)
const spoil = (text: string, at: number): string => {
  const bytes = fromBase64(text) ?? new Uint8Array()
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return toBase64(bytes)
}
