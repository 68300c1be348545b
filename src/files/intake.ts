import { basename } from 'node:path'
import { type Audit, fileReceived } from '../audit/index.ts'
import { type Clock, concat, dayMs, type Did, equal, hex, keyFromDid, type Logger, MeshError, type Random, safeFileName, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import type { ReplayGuard } from '../envelope/index.ts'
import { type Keyring, type Signed, signStatement } from '../identity/index.ts'
import { type BodySink, type Offer, streamReceiptCodec, streamReceiptLifetimeMs } from '../protocols/stream/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { fileIs, openPartFile, type PartFile, partPath, placeFile, removeFile } from './part-file.ts'
import { incomingCodec, type IncomingRecord } from './records.ts'
import type { ReceivedFile } from './transfers.ts'

/** A part to which nothing was added for this long is thrown away. Source: stream/v1 section 6. */
export const partLifetimeMs = 7 * dayMs
/** That a file came is remembered this long, so that a sender that did not hear so gets a receipt and no second file. Source: stream/v1 section 6. */
export const receivedMemoryMs = 30 * dayMs
/** Transfers known here, unfinished and received; past it the received ones are forgotten, those longest known first. Source: stream/v1 section 6. */
export const transfersKnownMax = 20_000

export interface IntakeOptions {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  /** The whole store: a transfer is kept in one batch with the replay mark of its offer. */
  readonly store: Store
  readonly logger: Logger
}

/** What is known of one transfer here. `key` names it among those of all senders. */
export interface IntakeEntry {
  readonly key: Uint8Array
  record: IncomingRecord
  /** Bytes taken by the stream that runs now; undefined when none does. */
  live: number | undefined
  /** It is on disk. */
  isKept: boolean
}

/** Puts bodies on the disk and keeps the durable account of them. */
export interface Intake {
  readonly entries: ReadonlyMap<string, IntakeEntry>
  keyOf(from: Did, transfer: Uint8Array): string
  /** The entry of an offer of an identity, made or found: its bytes count from here on. Nothing is written. @throws ERR_FILE_CHANGED when the same transfer was offered with another body */
  admit(from: Did, offer: Offer, dir: string): IntakeEntry
  /** Takes back what `admit` did, unless it was claimed. */
  release(entry: IntakeEntry): void
  /** Writes the entry down in one batch with the replay mark of its offer. */
  claim(entry: IntakeEntry, mark: ReturnType<ReplayGuard['claim']>): Promise<void>
  /** Opens the body of an entry at its cursor. */
  sink(
    entry: IntakeEntry,
    offer: Signed,
    options: { readonly signal: AbortSignal; onKept(cursor: number): void; onReceived(file: ReceivedFile): void },
  ): Promise<BodySink>
  /** Forgets an entry and its part. */
  drop(entry: IntakeEntry): Promise<void>
  /** Throws away parts and memories past their time. */
  sweep(): Promise<void>
}

export async function openIntake({ keyring, clock, random, audit, store: root, logger }: IntakeOptions): Promise<Intake> {
  const store = root.sub('files').sub('in')
  const entries = new Map<string, IntakeEntry>()
  const kept: IntakeEntry[] = []
  for await (const [name, value] of store.range({})) {
    kept.push({ key: Buffer.from(name, 'hex'), record: incomingCodec.decode(value), live: undefined, isKept: true })
  }
  for (const entry of kept.toSorted((a, b) => a.record.touchedAt - b.record.touchedAt)) entries.set(hex(entry.key), entry)
  const keyOf = (from: Did, transfer: Uint8Array): string => hex(sha256(concat(utf8('kindmesh/1/part\0'), keyFromDid(from), transfer)).subarray(0, 16))
  const partOf = ({ key, record }: IntakeEntry): string => partPath(record.dir, key)
  const ops = ({ key, record }: IntakeEntry): readonly StoreOp[] => store.qualify([put(hex(key), incomingCodec.encode(record))])
  const keep = (entry: IntakeEntry, change: Partial<IncomingRecord>): Promise<void> => {
    entry.record = { ...entry.record, ...change, touchedAt: clock.now() }
    return store.durable([put(hex(entry.key), incomingCodec.encode(entry.record))])
  }
  async function drop(entry: IntakeEntry): Promise<void> {
    if (entry.record.receivedAt === undefined) await removeFile(partOf(entry))
    entries.delete(hex(entry.key))
    await store.durable([del(hex(entry.key))])
  }
  /** Makes room among what is known. */
  function forgotten(): readonly StoreOp[] {
    if (entries.size <= transfersKnownMax) return []
    for (const [name, { record }] of entries) {
      if (record.receivedAt === undefined) continue
      entries.delete(name)
      return [del(name)]
    }
    return []
  }
  function receiptFor({ record }: IntakeEntry, offer: Signed): Signed {
    const { transfer, size, hash } = record
    const issuedAt = clock.now()
    const payload = streamReceiptCodec.encode({ version: 1, status: 'received', transfer, size, hash })
    const fields = { to: offer.statement.from, type: 'stream_receipt', payload, refs: [offer.hash], issuedAt, expiresAt: issuedAt + streamReceiptLifetimeMs }
    return signStatement('stream-receipt', fields, { keyring, random })
  }
  /** A place chosen before the power went may be the file already. */
  async function placed(entry: IntakeEntry): Promise<string> {
    const { record } = entry
    if (record.final !== undefined && (await fileIs(record.final, record))) return record.final
    const choose = (final: string): Promise<void> => keep(entry, { final })
    return await placeFile(partOf(entry), { dir: record.dir, name: safeFileName(record.name), choose })
  }

  return {
    entries,
    drop,
    keyOf,
    admit(from, { transfer, name, size, hash, mediaType }, dir) {
      const key = keyOf(from, transfer)
      const known = entries.get(key)
      if (known !== undefined) {
        if (known.record.size !== size || !equal(known.record.hash, hash)) throw new MeshError('ERR_FILE_CHANGED', 'this transfer was begun with another body')
        return known
      }
      const record: IncomingRecord = {
        version: 1,
        from,
        transfer,
        name,
        size,
        hash,
        mediaType,
        dir,
        cursor: 0,
        final: undefined,
        touchedAt: clock.now(),
        receivedAt: undefined,
      }
      const entry: IntakeEntry = { key: Buffer.from(key, 'hex'), record, live: undefined, isKept: false }
      entries.set(key, entry)
      return entry
    },
    release({ key, isKept }) {
      if (!isKept) entries.delete(hex(key))
    },
    async claim(entry, mark) {
      entry.record = { ...entry.record, touchedAt: clock.now() }
      try {
        await root.durable([...mark.ops, ...ops(entry), ...store.qualify(forgotten())])
        entry.isKept = true
      } catch (error) {
        await mark.release()
        throw error
      }
    },
    async sink(entry, offer, { signal, onKept, onReceived }) {
      const { record } = entry
      const { size } = record
      const nothing = { cursor: size, signal, write: () => Promise.reject(new MeshError('ERR_PROTOCOL', 'all is here')), close: async () => undefined }
      if (record.receivedAt !== undefined) {
        // The power may have gone before its second name was taken off.
        await removeFile(partOf(entry))
        return { ...nothing, finish: async () => receiptFor(entry, offer).bytes }
      }

      async function received(path: string): Promise<Uint8Array> {
        const now = clock.now()
        entry.record = { ...entry.record, final: path, cursor: size, touchedAt: now, receivedAt: now }
        const receipt = receiptFor(entry, offer)
        const { from, transfer, hash } = entry.record
        await audit.record(fileReceived({ did: keyring.identity, from, id: transfer, bytes: size, bodyHash: hash, receiptHash: receipt.hash }), ops(entry))
        await removeFile(partOf(entry))
        onReceived({ id: hex(transfer), from, name: basename(path), path, bytes: size, hash: hex(hash) })
        return receipt.bytes
      }
      if (record.final !== undefined && (await fileIs(record.final, record))) return { ...nothing, finish: () => received(record.final ?? '') }

      async function onSynced(cursor: number): Promise<void> {
        await keep(entry, { cursor })
        onKept(cursor)
      }
      const openAt = (cursor: number): Promise<PartFile> => openPartFile({ path: partOf(entry), size, cursor, onSynced })
      const part = await openAt(record.cursor).catch(async (error: unknown) => {
        // What was kept is not there any more: it begins anew.
        if (record.cursor === 0) throw error
        await keep(entry, { cursor: 0 })
        return await openAt(0)
      })
      entry.live = part.at
      return {
        cursor: part.at,
        signal,
        async write(chunk) {
          await part.write(chunk)
          entry.live = part.at
        },
        async finish() {
          const found = await part.end()
          if (!equal(found, record.hash)) {
            await part.close()
            await drop(entry)
            throw new MeshError('ERR_FILE_HASH', 'the bytes that came are not those the offer names', { details: { retryAfterMs: 1_000 } })
          }
          return await received(await placed(entry))
        },
        async close() {
          entry.live = undefined
          await part.close()
        },
      }
    },
    async sweep() {
      const now = clock.now()
      for (const entry of entries.values()) {
        const { touchedAt, receivedAt } = entry.record
        if (entry.live !== undefined || now - touchedAt < (receivedAt === undefined ? partLifetimeMs : receivedMemoryMs)) continue
        logger.info('a transfer is forgotten', { from: entry.record.from, received: receivedAt !== undefined })
        await drop(entry)
      }
    },
  }
}
