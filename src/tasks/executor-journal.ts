import { dayMs, type Did, fromUtf8, utf8 } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import { capabilitiesShape, artefactShape, limitsShape, taskArtefactsMax, usageShape } from '../protocols/task/index.ts'
import { engines, isolationLevels } from '../sandbox/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bool, bytesOf, codec, type Decoded, did, instant, listOf, literal, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'
import { decodeLog, encodeLog, type KeptLog } from './executor-log.ts'

/** Tasks run for others that are remembered; the oldest are forgotten first. Source: task/v1 section 6. */
export const servedKeptMax = 4_096
/** Results, files and logs kept of them, bytes; of more, those of whoever has most here go first, its oldest before the others. Source: task/v1 section 6. */
export const servedBytesMax = 512 << 20
/** A result that nobody fetched is kept this long. Source: task/v1 section 7. */
export const servedResultLifetimeMs = 7 * dayMs
/** That a task was run here is remembered this long. */
export const servedLifetimeMs = 90 * dayMs

const count = uintUpTo(Number.MAX_SAFE_INTEGER)
const recordShape = row({
  version: literal(1),
  /** The key that asked, and the identity it belonged to. */
  asker: did,
  subject: did,
  requestHash: bytesOf(32),
  codeHash: bytesOf(32),
  inputHash: bytesOf(32),
  engine: oneOf(engines),
  isolation: oneOf(isolationLevels),
  backend: textUpTo(64),
  strict: bool,
  capabilities: capabilitiesShape,
  limits: limitsShape,
  priority: uintUpTo(9),
  deadline: nullable(instant),
  detached: bool,
  traceId: nullable(bytesOf(16)),
  /** Files of the request that came whole. */
  artefactsIn: listOf(artefactShape, taskArtefactsMax),
  state: oneOf(['queued', 'running', 'done']),
  acceptedAt: instant,
  startedAt: nullable(instant),
  endedAt: nullable(instant),
  /** `ok` or a code; empty before the end. */
  outcome: textUpTo(64),
  message: textUpTo(8_192),
  limit: textUpTo(32),
  usage: nullable(usageShape),
  artefactsOut: listOf(artefactShape, taskArtefactsMax),
  receiptHash: nullable(bytesOf(32)),
  /** Bytes of result and log. */
  bytes: count,
  countersignedAt: nullable(instant),
  /** The asker was written to. */
  told: bool,
  /** Result, log and files are gone. */
  stripped: bool,
})
/** A task this node was asked to run. */
export type ServedRecord = Decoded<typeof recordShape>
const recordCodec = codec('served task', recordShape, 64 * 1024)

/** What is on disk of the tasks run for others. Results and logs are sealed. Keys are task ids, hexadecimal. */
export interface ServedJournal {
  load(): AsyncIterable<readonly [id: string, record: ServedRecord]>
  /** As it is on disk. */
  find(id: string): Promise<ServedRecord | undefined>
  /** Writes for a durable batch of the caller's, under their full keys. */
  keep(id: string, record: ServedRecord): readonly StoreOp[]
  keepEnd(
    id: string,
    end: { readonly result: string | undefined; readonly log: KeptLog; readonly receipt: Uint8Array },
  ): {
    readonly ops: readonly StoreOp[]
    readonly bytes: number
  }
  result(id: string): Promise<string | undefined>
  log(id: string): Promise<KeptLog | undefined>
  receipt(id: string): Promise<Uint8Array | undefined>
  keepCountersignature(id: string, signed: Uint8Array): readonly StoreOp[]
  forgetResult(id: string): readonly StoreOp[]
  /** Forgets result and log. */
  strip(id: string): readonly StoreOp[]
  forget(id: string): readonly StoreOp[]
}

export function createServedJournal(root: Store, keyring: Pick<Keyring, 'box'>): ServedJournal {
  const store = root.sub('served')
  const [records, results, logs, receipts] = [store.sub('record'), store.sub('result'), store.sub('log'), store.sub('receipt')]
  const box = keyring.box('served')
  const context = (what: string, id: string): Uint8Array => utf8(`${what} ${id}`)
  async function opened(from: Store, what: string, id: string): Promise<Uint8Array | undefined> {
    const sealed = await from.get(id)
    return sealed === undefined ? undefined : box.open(sealed, context(what, id))
  }
  return {
    async *load() {
      for await (const [id, value] of records.range({})) yield [id, recordCodec.decode(value)]
    },
    async find(id) {
      const value = await records.get(id)
      return value === undefined ? undefined : recordCodec.decode(value)
    },
    keep: (id, record) => records.qualify([put(id, recordCodec.encode(record))]),
    keepEnd(id, { result, log, receipt }) {
      const text = result === undefined ? undefined : box.seal(utf8(result), context('result', id))
      const lines = box.seal(utf8(encodeLog(log)), context('log', id))
      return {
        bytes: (text?.length ?? 0) + lines.length,
        ops: [
          ...(text === undefined ? [] : results.qualify([put(id, text)])),
          ...logs.qualify([put(id, lines)]),
          ...receipts.qualify([put(`${id}/signed`, receipt)]),
        ],
      }
    },
    async result(id) {
      const bytes = await opened(results, 'result', id)
      return bytes === undefined ? undefined : fromUtf8(bytes)
    },
    async log(id) {
      const bytes = await opened(logs, 'log', id)
      return bytes === undefined ? undefined : decodeLog(fromUtf8(bytes))
    },
    receipt: (id) => receipts.get(`${id}/signed`),
    keepCountersignature: (id, signed) => receipts.qualify([put(`${id}/countersigned`, signed)]),
    forgetResult: (id) => results.qualify([del(id)]),
    strip: (id) => [...results.qualify([del(id)]), ...logs.qualify([del(id)])],
    forget: (id) => [
      ...records.qualify([del(id)]),
      ...results.qualify([del(id)]),
      ...logs.qualify([del(id)]),
      ...receipts.qualify([del(`${id}/signed`), del(`${id}/countersigned`)]),
    ],
  }
}

/** Bytes that a record keeps here. */
export const weightOf = ({ bytes, artefactsOut, countersignedAt, stripped }: ServedRecord): number =>
  stripped ? 0 : bytes + (countersignedAt === undefined ? artefactsOut.reduce((sum, { size }) => sum + size, 0) : 0)

/** Which ended tasks are forgotten now, and which lose their result. Records in order of their end. Source: task/v1 section 6. */
export function outdated(
  ended: readonly (readonly [id: string, record: ServedRecord])[],
  now: number,
): { readonly forget: readonly string[]; readonly strip: readonly string[] } {
  const forget = new Set<string>()
  const strip = new Set<string>()
  for (const [index, [id, { endedAt = now, stripped }]] of ended.entries()) {
    if (ended.length - index > servedKeptMax || now - endedAt > servedLifetimeMs) forget.add(id)
    else if (now - endedAt > servedResultLifetimeMs && !stripped) strip.add(id)
  }
  const per = new Map<Did, { bytes: number; readonly ids: (readonly [string, number])[] }>()
  let total = 0
  for (const [id, record] of ended) {
    if (forget.has(id) || strip.has(id)) continue
    const weight = weightOf(record)
    const own = per.get(record.subject) ?? { bytes: 0, ids: [] }
    per.set(record.subject, own)
    own.bytes += weight
    own.ids.push([id, weight])
    total += weight
  }
  while (total > servedBytesMax) {
    const most = [...per.values()].toSorted((a, b) => b.bytes - a.bytes)[0]
    const oldest = most?.ids.shift()
    if (most === undefined || oldest === undefined) break
    most.bytes -= oldest[1]
    total -= oldest[1]
    strip.add(oldest[0])
  }
  return { forget: [...forget], strip: [...strip] }
}
