import { createPublicKey, verify as nodeVerify } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { base64, base64url, concat, equal, fromBase64, hex, utf8 } from '../../src/base/index.ts'
import { createLevelStore, createMemoryStore, put } from '../../src/store/index.ts'
import { dataBytesMax, originOf, verifyAudit, verifyConsistency, verifyProof, waitingMax } from '../../src/audit/index.ts'
import { keyHash } from '../../src/audit/checkpoint.ts'
import { verify } from '../../src/crypto/index.ts'
import { collect, createFilledAudit, noted, openAudit, owner, slowTree, stranger } from '../helpers/audit.ts'

const numbers = Array.from({ length: 1_000 }, (_, number) => number)

describe('record', () => {
  test('writes the entry and the act it describes together', async () => {
    const store = createMemoryStore()
    const audit = await openAudit(store)
    expect(await audit.record(noted(7), [put('act/7', utf8('done'))])).toEqual({ seq: 0 })
    expect(await store.get('act/7')).toEqual(utf8('done'))
    expect(await audit.get(0)).toMatchObject({
      seq: 0,
      event: 'noted',
      actor: owner.did,
      subject: undefined,
      data: { number: 7 },
      prevHash: new Uint8Array(32),
    })
  })

  test('1,000 records at once keep the order of the calls', async () => {
    const { audit } = await createFilledAudit(0)
    const recorded = await Promise.all(numbers.map((number) => audit.record(noted(number))))
    expect(recorded.map(({ seq }) => seq)).toEqual(numbers)
    expect((await collect(audit.entries())).map(({ data }) => data['number'])).toEqual(numbers)
    expect(await audit.verify()).toMatchObject({ ok: true, entries: 1_000 })
  })

  test('records at once share durable writes', async () => {
    let writes = 0
    const audit = await openAudit(
      createMemoryStore({
        fault: () => {
          writes++
          return undefined
        },
      }),
    )
    await Promise.all(numbers.map((number) => audit.record(noted(number))))
    expect(writes).toBeLessThanOrEqual(1 + Math.ceil(1_000 / 256))
  })

  test('data too large or too deep is replaced, never refused', async () => {
    const { audit } = await createFilledAudit(0)
    const deep = JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`) as string[]
    await audit.record({ event: 'noted', actor: owner.did, data: { text: 'x'.repeat(dataBytesMax) } })
    await audit.record({ event: 'noted', actor: owner.did, data: { list: numbers } })
    await audit.record({
      event: 'n'.repeat(1_000),
      actor: 'a'.repeat(1_000),
      subject: '\ud800',
      data: { deep, half: 0.5, nothing: undefined as unknown as null, lone: '\udc00' },
    })
    const [large, long, odd] = await collect(audit.entries())
    expect(large?.data).toMatchObject({ omitted: 'too large', bytes: dataBytesMax + 9 })
    expect(long?.data).toEqual({ omitted: 'too many values' })
    expect(odd).toMatchObject({ subject: '\ufffd', data: { half: '0.5', lone: '\ufffd' } })
    expect(await audit.verify()).toMatchObject({ ok: true })
  })

  test('an act cannot write into the log', async () => {
    const { audit } = await createFilledAudit(1)
    await expect(audit.record(noted(1), [put('audit/head', new Uint8Array())])).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
    expect(await audit.verify()).toMatchObject({ ok: true, entries: 1 })
  })

  test('more records than may wait are refused', async () => {
    const { audit } = await createFilledAudit(0)
    const accepted = Array.from({ length: waitingMax }, (_, number) => audit.record(noted(number)))
    await expect(audit.record(noted(-1))).rejects.toMatchObject({ code: 'ERR_OVERLOADED' })
    await Promise.all(accepted)
  })

  test('closing writes what is queued and refuses more', async () => {
    const { store, audit } = await createFilledAudit(0)
    const queued = audit.record(noted(0))
    await audit.close()
    await expect(audit.record(noted(1))).rejects.toMatchObject({ code: 'ERR_STOPPED' })
    expect(await queued).toEqual({ seq: 0 })
    expect(await verifyAudit({ store, did: owner.did })).toMatchObject({ ok: true, entries: 1 })
  })
})

describe('an audit log opened again', () => {
  test.each([0, 1, 15, 16, 17, 255, 256, 257])('goes on after %i entries', async (size) => {
    const { store } = await createFilledAudit(size)
    const audit = await openAudit(store)
    expect(await audit.record(noted(size))).toEqual({ seq: size })
    const leaves = (await collect(store.range({ gte: 'audit/entry/', lt: 'audit/head' }))).map(([, bytes]) => slowTree.leaf(bytes))
    expect(leaves).toHaveLength(size + 1)
    expect((await audit.checkpoint()).split('\n')[2]).toBe(base64(slowTree.root(leaves)))
    expect(await audit.verify()).toMatchObject({ ok: true, entries: size + 1 })
  })

  test('goes on in the level store after a restart', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-audit-'))
    try {
      for (const round of [0, 1, 2]) {
        const store = await createLevelStore(folder)
        const audit = await openAudit(store)
        await Promise.all(numbers.slice(0, 300).map((number) => audit.record(noted(number), [put(`act/${round}/${number}`, utf8('done'))])))
        expect(await audit.verify()).toMatchObject({ ok: true, entries: 300 * (round + 1) })
        expect(verifyProof(await audit.prove(299), { did: owner.did })).toMatchObject({ ok: true, entry: { data: { number: 299 } } })
        await audit.close()
        await store.close()
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('is refused under another identity', async () => {
    const { store } = await createFilledAudit(3)
    await expect(openAudit(store, stranger)).rejects.toMatchObject({ code: 'ERR_AUDIT_TAMPERED' })
  })
})

describe('reading', () => {
  test('tail gives the last entries, page by page, oldest first', async () => {
    const { audit } = await createFilledAudit(10)
    const seqs = async (page: { readonly limit: number; readonly before?: number }): Promise<number[]> => (await audit.tail(page)).map(({ seq }) => seq)
    expect(await seqs({ limit: 3 })).toEqual([7, 8, 9])
    expect(await seqs({ limit: 3, before: 7 })).toEqual([4, 5, 6])
    expect(await seqs({ limit: 30, before: 2 })).toEqual([0, 1])
    expect(await seqs({ limit: 3, before: 0 })).toEqual([])
    expect(await seqs({ limit: 0 })).toEqual([])
  })

  test('entries start where asked; a missing one has a code', async () => {
    const { audit } = await createFilledAudit(10)
    expect((await collect(audit.entries({ from: 8 }))).map(({ seq }) => seq)).toEqual([8, 9])
    await expect(audit.get(10)).rejects.toMatchObject({ code: 'ERR_AUDIT_MISSING' })
    await expect(audit.get(0.5)).rejects.toMatchObject({ code: 'ERR_AUDIT_MISSING' })
  })
})

describe('the checkpoint', () => {
  test('is a C2SP signed note that node:crypto verifies', async () => {
    const { audit } = await createFilledAudit(5)
    const note = await audit.checkpoint()
    const [origin, size, , empty, line = ''] = note.split('\n')
    expect([origin, size, empty]).toEqual([originOf(owner.did), '5', ''])
    const [dash, name, encoded = ''] = line.split(' ')
    expect([dash, name]).toEqual(['—', origin])
    const signature = fromBase64(encoded) ?? new Uint8Array()
    expect(hex(signature.subarray(0, 4))).toBe(hex(keyHash(originOf(owner.did), owner.signer.publicKey)))
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: base64url(owner.signer.publicKey) }, format: 'jwk' })
    expect(nodeVerify(null, utf8(note.slice(0, note.indexOf('\n\n') + 1)), key, signature.subarray(4))).toBe(true)
  })

  test('names keys as the example of the signed-note specification does', () => {
    const key = (fromBase64('ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW') ?? new Uint8Array()).subarray(1)
    const signature = fromBase64('x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=') ?? new Uint8Array()
    const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    expect(hex(keyHash('PeterNeumann', key))).toBe('c74f20a3')
    expect(equal(signature.subarray(0, 4), keyHash('PeterNeumann', key))).toBe(true)
    expect(verify(key, utf8(text), signature.subarray(4))).toBe(true)
  })

  test('goes out after each group, and a hook that throws breaks nothing', async () => {
    const kept: string[] = []
    const audit = await openAudit(createMemoryStore(), owner, (checkpoint) => {
      kept.push(checkpoint)
      throw new Error('disk full')
    })
    await audit.record(noted(0))
    await audit.record(noted(1))
    expect(kept.map((note) => note.split('\n')[1])).toEqual(['1', '2'])
    expect(kept.at(-1)).toBe(await audit.checkpoint())
  })
})

describe('a proof', () => {
  test('shows a third party every entry, by the DID alone', async () => {
    const { audit } = await createFilledAudit(37)
    for (let seq = 0; seq < 37; seq++) {
      const verdict = verifyProof(JSON.stringify(await audit.prove(seq)), { did: owner.did })
      expect(verdict).toMatchObject({ ok: true, did: owner.did, size: 37, entry: { seq, data: { number: seq } } })
    }
  })

  test('is refused when anything in it is altered', async () => {
    const { audit } = await createFilledAudit(37)
    const proof = await audit.prove(20)
    const other = await audit.prove(21)
    const { audit: foreign } = await createFilledAudit(3)
    const altered: readonly unknown[] = [
      { ...proof, entry: other.entry },
      { ...proof, index: 21 },
      { ...proof, size: 36 },
      { ...proof, hashes: other.hashes },
      { ...proof, hashes: proof.hashes.slice(1) },
      { ...proof, hashes: [...proof.hashes, ...proof.hashes] },
      { ...proof, hashes: Array.from({ length: 65 }, () => proof.hashes[0]) },
      { ...proof, checkpoint: await foreign.checkpoint() },
      { ...proof, checkpoint: proof.checkpoint.replace('\n37\n', '\n38\n') },
      { ...proof, checkpoint: 'x'.repeat(100_000) },
      { ...proof, checkpoint: '' },
      { ...proof, schema: 'kindmesh.audit-proof/2' },
      { ...proof, index: -1 },
      { ...proof, entry: 7 },
      'not json',
      'x'.repeat(100_000),
      null,
    ]
    for (const document of altered) expect(verifyProof(document).ok).toBe(false)
    expect(verifyProof(proof, { did: stranger.did }).ok).toBe(false)
    expect(verifyProof(proof).ok).toBe(true)
  })

  test('of consistency joins an older checkpoint to the newest', async () => {
    const { audit } = await createFilledAudit(0)
    const checkpoints: string[] = []
    for (let number = 0; number < 40; number++) {
      await audit.record(noted(number))
      checkpoints.push(await audit.checkpoint())
    }
    for (let oldSize = 1; oldSize <= 40; oldSize++) {
      const document = await audit.consistency(oldSize)
      const oldCheckpoint = checkpoints[oldSize - 1] ?? ''
      expect(verifyConsistency(JSON.stringify(document), { oldCheckpoint, did: owner.did })).toEqual({ ok: true, did: owner.did, oldSize, size: 40 })
      expect(verifyConsistency(document, { oldCheckpoint: checkpoints[oldSize % 40] ?? '' }).ok).toBe(false)
    }
    await expect(audit.consistency(0)).rejects.toMatchObject({ code: 'ERR_AUDIT_MISSING' })
    await expect(audit.consistency(41)).rejects.toMatchObject({ code: 'ERR_AUDIT_MISSING' })
  })

  test('of consistency refuses a log with another history', async () => {
    const { audit } = await createFilledAudit(9)
    const { audit: other } = await createFilledAudit(0)
    await other.record(noted(99))
    expect(verifyConsistency(await audit.consistency(1), { oldCheckpoint: await other.checkpoint() })).toMatchObject({ ok: false })
  })
})

test('checkpoints carry lines of witnesses, and a bad line of our own spoils them', async () => {
  const { store, audit } = await createFilledAudit(2)
  const note = await audit.checkpoint()
  const witness = `— witness.example/w1 ${base64(concat(keyHash('witness.example/w1', stranger.signer.publicKey), new Uint8Array(72)))}\n`
  const forged = `— ${originOf(owner.did)} ${base64(concat(keyHash(originOf(owner.did), owner.signer.publicKey), new Uint8Array(64)))}\n`
  const ok = async (expectedCheckpoint: string): Promise<boolean> => (await verifyAudit({ store, did: owner.did, expectedCheckpoint })).ok
  const elsewhere = note.slice(0, note.indexOf('\n\n') + 1).replace('kindmesh/audit/', 'kindmesh/other/')
  const signature = base64(concat(keyHash(originOf(owner.did), owner.signer.publicKey), owner.signer.sign(utf8(elsewhere))))
  expect(await ok(`${elsewhere}\n— ${originOf(owner.did)} ${signature}\n`)).toBe(false)
  expect(await ok(note + witness)).toBe(true)
  expect(await ok(note + forged)).toBe(false)
  expect(await ok(`${note}junk\n`)).toBe(false)
  expect(await ok(note.slice(0, -1))).toBe(false)
})
