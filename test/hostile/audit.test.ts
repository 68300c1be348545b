import { describe, expect, test } from 'vitest'
import { createSeededRandom, fromUtf8, MeshError, randomInt, utf8 } from '../../src/base/index.ts'
import { createMemoryStore, del, put, type Store } from '../../src/store/index.ts'
import { type AuditEntry, type AuditVerdict, verifyAudit } from '../../src/audit/index.ts'
import { groupEntriesMax } from '../../src/audit/audit.ts'
import { signCheckpoint } from '../../src/audit/checkpoint.ts'
import { entryCodec, firstPrevHash } from '../../src/audit/entry.ts'
import { entryKey, headCodec, headKey, putTile } from '../../src/audit/layout.ts'
import { growTree, leafHash } from '../../src/audit/tree.ts'
import { collect, createFilledAudit, dump, noted, openAudit, owner, storeOf, stranger } from '../helpers/audit.ts'

const size = 40
const { store: original, audit: log } = await createFilledAudit(size)
const pairs = await dump(original)
const newest = await log.checkpoint()
const older = await (await createFilledAudit(25)).audit.checkpoint()
const seqs = Array.from({ length: size }, (_, seq) => seq)

const entryBytes = (seq: number): Uint8Array => pairs.find(([key]) => key === entryKey(seq))?.[1] ?? new Uint8Array()

/** Writes a log that is sound in itself: numbers, chain and stored hashes mended. `spoil` may break entries before they are hashed. */
async function forge(
  store: Store,
  data: readonly number[],
  checkpointOf: (head: { readonly size: number; readonly root: Uint8Array }) => string,
  spoil: (entry: AuditEntry) => AuditEntry = (entry) => entry,
): Promise<void> {
  for (const [key] of await dump(store)) await store.batch([del(key)])
  const tree = growTree(0, [])
  let prevHash = firstPrevHash
  for (const number of data) {
    const { time } = entryCodec.decode(entryBytes(0))
    const bytes = entryCodec.encode(spoil({ ...noted(number), subject: undefined, seq: tree.size, time, prevHash }))
    await store.batch([put(entryKey(tree.size), bytes)])
    prevHash = leafHash(bytes)
    tree.append(prevHash)
  }
  const head = { size: tree.size, root: tree.root() }
  await store.batch([...tree.takeChanged().map(putTile), put(headKey, headCodec.encode({ size: tree.size, last: prevHash, checkpoint: checkpointOf(head) }))])
}

const flip = (bytes: Uint8Array, at: number, bit: number): Uint8Array => bytes.map((byte, index) => (index === at ? byte ^ (1 << bit) : byte))

type Draw = (below: number) => number
interface Tampering {
  readonly name: string
  /** Alters the store; gives the first entry that is wrong where that can be known. */
  readonly apply: (store: Store, draw: Draw) => Promise<number | undefined>
}

const keepNewest = (): string => newest
const signAsOwner = (head: { readonly size: number; readonly root: Uint8Array }): string =>
  signCheckpoint(head, { did: owner.did, sign: (message) => owner.signer.sign(message) })
const signForeign = (head: { readonly size: number; readonly root: Uint8Array }): string =>
  signCheckpoint(head, { did: stranger.did, sign: (message) => stranger.signer.sign(message) })
const signAsOwnerWithForeignKey = (head: { readonly size: number; readonly root: Uint8Array }): string =>
  signCheckpoint(head, { did: owner.did, sign: (message) => stranger.signer.sign(message) })
const renumbered = (head: { readonly size: number }): string => newest.replace(`\n${size}\n`, `\n${head.size}\n`)

const tamperings: readonly Tampering[] = [
  {
    name: 'a bit of an entry flipped',
    async apply(store, draw) {
      const seq = draw(size)
      const bytes = entryBytes(seq)
      await store.batch([put(entryKey(seq), flip(bytes, draw(bytes.length), draw(8)))])
      return seq
    },
  },
  {
    name: 'an entry edited, its own form sound',
    async apply(store, draw) {
      const seq = draw(size)
      const entry = entryCodec.decode(entryBytes(seq))
      await store.batch([put(entryKey(seq), entryCodec.encode({ ...entry, time: entry.time + 1 + draw(1_000) }))])
      return seq
    },
  },
  {
    name: 'an entry edited and the chain behind it mended, stored hashes left',
    async apply(store, draw) {
      const seq = draw(size)
      let prevHash: Uint8Array | undefined
      for (let at = seq; at < size; at++) {
        const entry = entryCodec.decode(entryBytes(at))
        const bytes = entryCodec.encode(prevHash === undefined ? { ...entry, data: { number: -1 } } : { ...entry, prevHash })
        await store.batch([put(entryKey(at), bytes)])
        prevHash = leafHash(bytes)
      }
      return seq
    },
  },
  {
    name: 'an entry edited, chain and stored hashes mended',
    async apply(store, draw) {
      const seq = draw(size)
      await forge(
        store,
        seqs.map((number) => (number === seq ? -1 : number)),
        keepNewest,
      )
      return undefined
    },
  },
  {
    name: 'an entry deleted',
    async apply(store, draw) {
      const seq = draw(size)
      await store.batch([del(entryKey(seq))])
      return seq
    },
  },
  {
    name: 'an entry deleted, everything else mended and renumbered',
    async apply(store, draw) {
      const seq = draw(size)
      await forge(store, seqs.toSpliced(seq, 1), [keepNewest, renumbered, signForeign, signAsOwnerWithForeignKey][draw(4)] ?? keepNewest)
      return undefined
    },
  },
  {
    name: 'two entries swapped',
    async apply(store, draw) {
      const first = draw(size - 1)
      const second = first + 1 + draw(size - first - 1)
      await store.batch([put(entryKey(first), entryBytes(second)), put(entryKey(second), entryBytes(first))])
      return first
    },
  },
  {
    name: 'two entries swapped, everything else mended',
    async apply(store, draw) {
      const first = draw(size - 1)
      const second = first + 1 + draw(size - first - 1)
      await forge(store, seqs.with(first, second).with(second, first), [keepNewest, signForeign, signAsOwnerWithForeignKey][draw(3)] ?? keepNewest)
      return undefined
    },
  },
  {
    name: 'the last entries cut off',
    async apply(store, draw) {
      const left = draw(size)
      for (let seq = left; seq < size; seq++) await store.batch([del(entryKey(seq))])
      return left
    },
  },
  {
    name: 'the last entries cut off, the rest made sound',
    async apply(store, draw) {
      await forge(store, seqs.slice(0, draw(size)), [keepNewest, renumbered, signForeign, signAsOwnerWithForeignKey][draw(4)] ?? keepNewest)
      return undefined
    },
  },
  {
    name: 'everything deleted',
    async apply(store) {
      for (const [key] of pairs) await store.batch([del(key)])
      return 0
    },
  },
  {
    name: 'the checkpoint deleted',
    async apply(store) {
      await store.batch([del(headKey)])
      return size
    },
  },
  {
    name: 'an older checkpoint put over the newer entries',
    async apply(store) {
      const bytes = await store.get(headKey)
      const head = headCodec.decode(bytes ?? new Uint8Array())
      await store.batch([put(headKey, headCodec.encode({ ...head, size: 25, checkpoint: older }))])
      return 25
    },
  },
  {
    name: 'the stored hash of the last entry altered',
    async apply(store, draw) {
      const head = headCodec.decode((await store.get(headKey)) ?? new Uint8Array())
      await store.batch([put(headKey, headCodec.encode({ ...head, last: flip(head.last, draw(32), draw(8)) }))])
      return size
    },
  },
  {
    name: 'an entry added',
    async apply(store) {
      const prevHash = leafHash(entryBytes(size - 1))
      await store.batch([put(entryKey(size), entryCodec.encode({ ...entryCodec.decode(entryBytes(0)), seq: size, prevHash }))])
      return size
    },
  },
  {
    name: 'a bit of any stored value flipped',
    async apply(store, draw) {
      const [key, value] = pairs[draw(pairs.length)] ?? ['', new Uint8Array()]
      await store.batch([put(key, flip(value, draw(value.length), draw(8)))])
      return undefined
    },
  },
]

describe('A12: tampering', () => {
  test('1,000 edits, deletions, reorderings and truncations are all seen, and the first bad entry is named', async () => {
    const random = createSeededRandom(12)
    const draw: Draw = (below) => randomInt(random, below)
    const missed: string[] = []
    for (let round = 0; round < 1_008; round++) {
      const tampering = tamperings[round % tamperings.length] as Tampering
      const store = await storeOf(pairs)
      const expected = await tampering.apply(store, draw)
      const verdict = await verifyAudit({ store, did: owner.did })
      const named = expected === undefined || (!verdict.ok && verdict.firstBad.seq === expected)
      if (verdict.ok || !named) missed.push(`${round} ${tampering.name}: expected ${expected}, got ${JSON.stringify(verdict)}`)
    }
    expect(missed).toEqual([])
  })

  test('the log left alone verifies, from every entry on', async () => {
    const store = await storeOf(pairs)
    for (const from of [0, 1, 15, 16, 17, 39, 40, 41]) {
      expect(await verifyAudit({ store, did: owner.did, from })).toEqual({ ok: true, entries: size, checkpoint: newest })
    }
  })

  test('an altered entry is named in a long log too, also where the chain behind it was mended', async () => {
    const { store } = await createFilledAudit(4_500)
    const bytesAt = async (seq: number): Promise<Uint8Array> => (await store.get(entryKey(seq))) ?? new Uint8Array()
    for (const seq of [0, 100, 4_095, 4_096, 4_499]) {
      const bytes = await bytesAt(seq)
      await store.batch([put(entryKey(seq), entryCodec.encode({ ...entryCodec.decode(bytes), time: 1 }))])
      expect(await verifyAudit({ store, did: owner.did })).toMatchObject({ ok: false, firstBad: { seq } })
      await store.batch([put(entryKey(seq), bytes)])
    }
    expect(await verifyAudit({ store, did: owner.did })).toMatchObject({ ok: true, entries: 4_500 })
    let prevHash: Uint8Array | undefined
    for (let seq = 300; seq < 4_500; seq++) {
      const entry = entryCodec.decode(await bytesAt(seq))
      const bytes = entryCodec.encode(prevHash === undefined ? { ...entry, time: 1 } : { ...entry, prevHash })
      await store.batch([put(entryKey(seq), bytes)])
      prevHash = leafHash(bytes)
    }
    expect(await verifyAudit({ store, did: owner.did })).toMatchObject({ ok: false, firstBad: { seq: 300 } })
  })

  test('a signed log with wrong numbers or a broken chain is refused, and its entries are not proven', async () => {
    const spoils: readonly ((entry: AuditEntry) => AuditEntry)[] = [
      (entry) => ({ ...entry, seq: entry.seq === 7 ? 8 : entry.seq }),
      (entry) => ({ ...entry, prevHash: entry.seq === 7 ? firstPrevHash : entry.prevHash }),
    ]
    for (const spoil of spoils) {
      const store = await storeOf(pairs)
      await forge(store, seqs, signAsOwner, spoil)
      expect(await verifyAudit({ store, did: owner.did })).toMatchObject({ ok: false, firstBad: { seq: 7 } })
    }
    const store = await storeOf(pairs)
    await forge(store, seqs, signAsOwner, spoils[0])
    await expect((await openAudit(store)).prove(7)).rejects.toMatchObject({ code: 'ERR_AUDIT_TAMPERED' })
  })

  test('a log restored from its own past is seen with a checkpoint kept elsewhere', async () => {
    const { store } = await createFilledAudit(25)
    expect(await verifyAudit({ store, did: owner.did })).toMatchObject({ ok: true })
    expect(await verifyAudit({ store, did: owner.did, expectedCheckpoint: newest })).toMatchObject({ ok: false, firstBad: { seq: 25 } })
  })

  test('a log its owner rewrote and signed again is seen with a checkpoint kept elsewhere', async () => {
    const store = await storeOf(pairs)
    await forge(store, seqs.with(3, -1), signAsOwner)
    expect(await verifyAudit({ store, did: owner.did })).toMatchObject({ ok: true })
    expect(await verifyAudit({ store, did: owner.did, expectedCheckpoint: newest })).toMatchObject({ ok: false })
    expect(await verifyAudit({ store, did: owner.did, expectedCheckpoint: older, from: 30 })).toMatchObject({ ok: false })
  })

  test('an older checkpoint of the same log is part of it', async () => {
    const store = await storeOf(pairs)
    for (const from of [0, 20, 25, 30]) expect(await verifyAudit({ store, did: owner.did, expectedCheckpoint: older, from })).toMatchObject({ ok: true })
  })

  test('a log altered at its end is not opened for writing', async () => {
    const opened: string[] = []
    for (const { name, apply } of tamperings) {
      const store = await storeOf(pairs)
      await apply(store, (below) => below - 1)
      const result = await openAudit(store).catch((error: unknown) => error)
      if (result instanceof MeshError) expect([name, result.code]).toEqual([name, 'ERR_AUDIT_TAMPERED'])
      else opened.push(name)
    }
    // Nothing left at all looks like a new log; a checkpoint kept elsewhere tells.
    expect(opened).toEqual(['everything deleted'])
  })

  test('an altered entry is not proven', async () => {
    const store = await storeOf(pairs)
    const audit = await openAudit(store)
    await store.batch([put(entryKey(3), entryBytes(4))])
    await expect(audit.prove(3)).rejects.toMatchObject({ code: 'ERR_AUDIT_TAMPERED' })
  })
})

/** Which acts took place, and which the log tells of. */
async function compareActs(store: Store): Promise<{ readonly acts: readonly number[]; readonly logged: readonly number[]; readonly verdict: AuditVerdict }> {
  const acts = (await collect(store.range({ gte: 'act/', lt: 'act0' }))).map(([, value]) => Number(fromUtf8(value)))
  const audit = await openAudit(store)
  const logged = (await collect(audit.entries())).map(({ data }) => Number(data['number']))
  return { acts: acts.sort((a, b) => a - b), logged: logged.sort((a, b) => a - b), verdict: await verifyAudit({ store, did: owner.did }) }
}

const act = (number: number) => [put(`act/${number}`, utf8(String(number)))]

describe('A11: fail closed', () => {
  test('whichever durable write fails, nothing is done unlogged and the log goes on', async () => {
    for (let failing = 2; failing <= 21; failing++) {
      const store = createMemoryStore({ fault: (write) => (write === failing ? 'fail' : undefined) })
      const audit = await openAudit(store)
      const done: number[] = []
      for (let number = 0; number < 25; number++) {
        const recorded = await audit.record(noted(number), act(number)).catch((error: unknown) => error)
        if (recorded instanceof MeshError) expect([recorded.code, number]).toEqual(['ERR_STORE_FAILED', failing - 2])
        else done.push(number)
      }
      expect(done).toHaveLength(24)
      expect(await compareActs(store)).toMatchObject({ acts: done, logged: done, verdict: { ok: true, entries: 24 } })
    }
  })

  test('records queued behind a failed write fail with it', async () => {
    const store = createMemoryStore({ fault: (write) => (write === 3 ? 'fail' : undefined) })
    const audit = await openAudit(store)
    const ends = await Promise.allSettled(Array.from({ length: 1_000 }, (_, number) => audit.record(noted(number), act(number))))
    const done = ends.flatMap(({ status }, number) => (status === 'fulfilled' ? [number] : []))
    expect(done).toEqual(Array.from({ length: groupEntriesMax }, (_, number) => number))
    expect(await audit.record(noted(1_000), act(1_000))).toEqual({ seq: groupEntriesMax })
    expect(await compareActs(store)).toMatchObject({ acts: [...done, 1_000], logged: [...done, 1_000], verdict: { ok: true } })
  })

  test('with hundreds of records in flight, exactly those that resolved are done and logged', async () => {
    const random = createSeededRandom(11)
    for (let round = 0; round < 20; round++) {
      const failing = new Set([2 + randomInt(random, 4), 5 + randomInt(random, 4)])
      const store = createMemoryStore({ fault: (write) => (failing.has(write) ? 'fail' : undefined) })
      const audit = await openAudit(store)
      const done: number[] = []
      const refused: string[] = []
      let number = 0
      for (let wave = 0; wave < 6; wave++) {
        const records = Array.from({ length: 1 + randomInt(random, 700) }, async () => {
          const mine = number++
          try {
            await audit.record(noted(mine), act(mine))
            done.push(mine)
          } catch (error) {
            refused.push(error instanceof MeshError ? error.code : String(error))
          }
        })
        await Promise.all(records)
      }
      expect(new Set(refused)).toEqual(new Set(['ERR_STORE_FAILED']))
      done.sort((a, b) => a - b)
      expect(await compareActs(store)).toMatchObject({ acts: done, logged: done, verdict: { ok: true, entries: done.length } })
    }
  })

  test('a power cut after lost writes leaves a log that is sound and acts that are all in it', async () => {
    for (let losing = 2; losing <= 12; losing++) {
      const store = createMemoryStore({ fault: (write) => (write >= losing ? 'lose' : undefined) })
      const audit = await openAudit(store)
      for (let number = 0; number < 12; number++) await audit.record(noted(number), act(number))
      store.crash()
      const { acts, logged, verdict } = await compareActs(store)
      expect(acts).toEqual(logged)
      expect(verdict).toMatchObject({ ok: true, entries: losing - 2 })
    }
  })

  test('a write that landed although it was reported failed is found, and the log goes on behind it', async () => {
    const inner = createMemoryStore()
    let lie = false
    const store: Store = {
      ...inner,
      async durable(ops) {
        await inner.durable(ops)
        if (lie) throw new MeshError('ERR_STORE_FAILED', 'sync failed')
      },
    }
    const audit = await openAudit(store)
    await audit.record(noted(0), act(0))
    lie = true
    await expect(audit.record(noted(1), act(1))).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' })
    lie = false
    expect(await audit.record(noted(2), act(2))).toEqual({ seq: 2 })
    expect(await compareActs(inner)).toMatchObject({ acts: [0, 1, 2], logged: [0, 1, 2], verdict: { ok: true, entries: 3 } })
  })

  test('a log cut back behind a failed write is refused', async () => {
    let fail = false
    const store = createMemoryStore({ fault: () => (fail ? 'fail' : undefined) })
    const audit = await openAudit(store)
    await audit.record(noted(0))
    const past = await dump(store)
    await audit.record(noted(1))
    fail = true
    await expect(audit.record(noted(2))).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' })
    fail = false
    await store.batch([del(entryKey(1)), ...past.map(([key, value]) => put(key, value))])
    await expect(audit.record(noted(3))).rejects.toMatchObject({ code: 'ERR_AUDIT_TAMPERED' })
  })

  test('a signer that fails stops the act', async () => {
    const store = createMemoryStore()
    let locked = false
    const audit = await openAudit(store, {
      did: owner.did,
      signer: {
        publicKey: owner.signer.publicKey,
        sign(message) {
          if (locked) throw new Error('sealed')
          return owner.signer.sign(message)
        },
      },
    })
    locked = true
    await expect(audit.record(noted(0), act(0))).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' })
    locked = false
    await audit.record(noted(1), act(1))
    expect(await compareActs(store)).toMatchObject({ acts: [1], logged: [1] })
  })
})
