import { agentCapabilities, type Did, fromUtf8, hex, utf8 } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import { limitsShape, taskArtefactsMax, taskReceiptBytesMax, taskResultBytesMax } from '../protocols/task/index.ts'
import { engines, isolationLevels } from '../sandbox/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bool, bytesOf, bytesUpTo, codec, type Decoded, did, instant, listOf, literal, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'
import { taskRetriesMax } from './asker-order.ts'

/** Tasks asked for that ended and are still listed; the oldest are forgotten first. */
export const askedEndedMax = 1_000
/** Tasks of this node that go on at a time; more are refused. */
export const askedOpenMax = 256

/** `asked` to `running` go on; the others are ends. `lost`: whether it ran is not known, or its outcome is gone. */
export const askedStatuses = ['asked', 'queued', 'accepted', 'running', 'done', 'failed', 'lost', 'cancelled'] as const
export type AskedStatus = (typeof askedStatuses)[number]
export const isOpenStatus = (status: AskedStatus): boolean => askedStatuses.indexOf(status) < askedStatuses.indexOf('done')

const count = uintUpTo(Number.MAX_SAFE_INTEGER)
const attempt = row({
  /** Id of the signed request. */
  id: bytesOf(16),
  executor: did,
  requestHash: bytesOf(32),
  at: instant,
  endedAt: nullable(instant),
  /** Why it did not end well; empty while it goes on and when it did. */
  code: textUpTo(64),
  message: textUpTo(512),
})

const file = row({ name: textUpTo(255), size: count, hash: bytesOf(32) })
const kept = row({ name: textUpTo(255), size: count, hash: bytesOf(32), path: textUpTo(8_192) })

const askedShape = row({
  version: literal(1),
  id: bytesOf(16),
  /** A DID, or `any`. */
  on: textUpTo(128),
  status: oneOf(askedStatuses),
  engine: oneOf(engines),
  isolation: oneOf(isolationLevels),
  strict: bool,
  capabilities: listOf(oneOf(agentCapabilities), agentCapabilities.length),
  limits: limitsShape,
  files: listOf(file, taskArtefactsMax),
  /** Folder for what it leaves; empty when that is thrown away. */
  out: textUpTo(4_096),
  priority: uintUpTo(9),
  idempotent: bool,
  retries: uintUpTo(taskRetriesMax),
  codeHash: bytesOf(32),
  codeBytes: count,
  inputHash: bytesOf(32),
  inputBytes: count,
  traceId: textUpTo(32),
  createdAt: instant,
  deadlineAt: nullable(instant),
  acceptedAt: nullable(instant),
  endedAt: nullable(instant),
  /** What really isolates, once somebody accepted. */
  backend: nullable(row({ isolation: oneOf(isolationLevels), backend: textUpTo(64) })),
  attempts: listOf(attempt, taskRetriesMax + 1),
  error: nullable(row({ code: textUpTo(64), message: textUpTo(8_192), limit: textUpTo(32) })),
  /** What it left. */
  artefacts: listOf(kept, taskArtefactsMax),
  /** Hash of the signed receipt that was countersigned. */
  receipt: nullable(bytesOf(32)),
})
/** A task this node asked for. */
export type AskedRecord = Decoded<typeof askedShape>
export type AskedAttempt = AskedRecord['attempts'][number]
const askedCodec = codec('asked task', askedShape, 512 * 1024)

const endShape = row({
  /** The signed `task-receipt` and our signature under it. */
  receipt: bytesUpTo(taskReceiptBytesMax),
  countersigned: bytesUpTo(taskReceiptBytesMax),
  /** JSON; null when it failed. */
  result: nullable(textUpTo(taskResultBytesMax)),
})
/** What a task ended with. */
export type AskedEnd = Decoded<typeof endShape>
const endCodec = codec('end of an asked task', endShape, taskResultBytesMax + 64 * 1024)

/** What is on disk of the tasks asked for. Requests, results and logs are sealed: they hold what the owner's tasks are about. */
export interface AskedRecords {
  load(): AsyncIterable<AskedRecord>
  /** Writes for a durable batch of the caller's, under their full keys. */
  keep(record: AskedRecord): readonly StoreOp[]
  /** Keeps the signed request of the attempt that goes on. */
  keepRequest(id: Uint8Array, request: Uint8Array): readonly StoreOp[]
  request(id: Uint8Array): Promise<Uint8Array | undefined>
  /** Keeps how it ended and forgets the request. */
  keepEnd(id: Uint8Array, end: AskedEnd): readonly StoreOp[]
  end(id: Uint8Array): Promise<AskedEnd | undefined>
  forgetRequest(id: Uint8Array): readonly StoreOp[]
  /** Keeps one piece of the log, and drops those that are too old. Not durable. */
  keepLog(id: Uint8Array, piece: number, text: string, drop: readonly number[]): Promise<void>
  /** Pieces of the log, oldest first. */
  log(id: Uint8Array): AsyncIterable<readonly [piece: number, text: string]>
  forget(record: AskedRecord): Promise<void>
}

export function createAskedRecords(root: Store, keyring: Pick<Keyring, 'box'>): AskedRecords {
  const store = root.sub('asked')
  const [records, requests, ends, logs] = [store.sub('record'), store.sub('request'), store.sub('end'), store.sub('log')]
  const box = keyring.box('asked')
  const context = (what: string, id: Uint8Array): Uint8Array => utf8(`${what} ${hex(id)}`)
  const pieceKey = (id: Uint8Array, piece: number): string => `${hex(id)}/${String(piece).padStart(8, '0')}`
  const pieces = (id: Uint8Array) => logs.range({ gte: `${hex(id)}/`, lt: `${hex(id)}0` })
  const opened = async (from: Store, what: string, id: Uint8Array): Promise<Uint8Array | undefined> => {
    const sealed = await from.get(hex(id))
    return sealed === undefined ? undefined : box.open(sealed, context(what, id))
  }
  return {
    async *load() {
      for await (const [, value] of records.range({})) yield askedCodec.decode(value)
    },
    keep: (record) => records.qualify([put(hex(record.id), askedCodec.encode(record))]),
    keepRequest: (id, request) => requests.qualify([put(hex(id), box.seal(request, context('request', id)))]),
    request: (id) => opened(requests, 'request', id),
    keepEnd: (id, end) => [...ends.qualify([put(hex(id), box.seal(endCodec.encode(end), context('end', id)))]), ...requests.qualify([del(hex(id))])],
    async end(id) {
      const bytes = await opened(ends, 'end', id)
      return bytes === undefined ? undefined : endCodec.decode(bytes)
    },
    forgetRequest: (id) => requests.qualify([del(hex(id))]),
    keepLog: (id, piece, text, drop) =>
      logs.batch([put(pieceKey(id, piece), box.seal(utf8(text), context(`log ${piece}`, id))), ...drop.map((old) => del(pieceKey(id, old)))]),
    async *log(id) {
      for await (const [key, value] of pieces(id)) {
        const piece = Number(key.slice(-8))
        yield [piece, fromUtf8(box.open(value, context(`log ${piece}`, id)))] as const
      }
    },
    async forget({ id, attempts }) {
      const keys: string[] = []
      for await (const [key] of pieces(id)) keys.push(key)
      const sent = attempts.map((one) => del(hex(one.id)))
      await root.batch([...records.qualify([del(hex(id))]), ...requests.qualify(sent), ...ends.qualify(sent), ...logs.qualify(keys.map(del))])
    },
  }
}

export interface FileView {
  readonly name: string
  readonly bytes: number
  readonly hash: string
}

export const fileViewOf = ({ name, size, hash }: AskedRecord['files'][number]): FileView => ({ name, bytes: size, hash: hex(hash) })

/** A task as it is shown. */
export interface AskedTask {
  readonly role: 'asked'
  readonly id: string
  readonly status: AskedStatus
  /** A DID, or `any`. */
  readonly on: string
  /** Who has it, or had it last; null while nobody does. */
  readonly executor: Did | null
  readonly engine: string
  /** The weakest isolation accepted. */
  readonly isolation: string
  /** What really isolates. */
  readonly backend: { readonly isolation: string; readonly backend: string } | null
  readonly strict: boolean
  readonly capabilities: readonly string[]
  readonly limits: AskedRecord['limits']
  readonly priority: number
  readonly idempotent: boolean
  readonly traceId: string
  readonly code: { readonly hash: string; readonly bytes: number }
  readonly input: { readonly hash: string; readonly bytes: number }
  readonly files: readonly FileView[]
  /** What it left, and where; an empty path for what was thrown away. */
  readonly artefacts: readonly (FileView & { readonly path: string })[]
  readonly createdAt: number
  readonly deadlineAt: number | null
  readonly acceptedAt: number | null
  readonly endedAt: number | null
  readonly attempts: readonly {
    readonly id: string
    readonly executor: Did
    readonly at: number
    readonly endedAt: number | null
    readonly code: string
    readonly message: string
  }[]
  readonly error: { readonly code: string; readonly message: string; readonly limit: string } | null
  /** Id of the receipt both signed. */
  readonly receipt: string | null
}

function executorOf({ attempts }: AskedRecord, subject: (key: Did) => Did): Did | null {
  const last = attempts.at(-1)
  return last === undefined ? null : subject(last.executor)
}

export const viewOf = (record: AskedRecord, subject: (key: Did) => Did): AskedTask => ({
  role: 'asked',
  id: hex(record.id),
  status: record.status,
  on: record.on,
  executor: executorOf(record, subject),
  engine: record.engine,
  isolation: record.isolation,
  backend: record.backend ?? null,
  strict: record.strict,
  capabilities: record.capabilities,
  limits: record.limits,
  priority: record.priority,
  idempotent: record.idempotent,
  traceId: record.traceId,
  code: { hash: hex(record.codeHash), bytes: record.codeBytes },
  input: { hash: hex(record.inputHash), bytes: record.inputBytes },
  files: record.files.map(fileViewOf),
  artefacts: record.artefacts.map((one) => ({ ...fileViewOf(one), path: one.path })),
  createdAt: record.createdAt,
  deadlineAt: record.deadlineAt ?? null,
  acceptedAt: record.acceptedAt ?? null,
  endedAt: record.endedAt ?? null,
  attempts: record.attempts.map(({ id, executor, at, endedAt, code, message }) => ({
    id: hex(id),
    executor: subject(executor),
    at,
    endedAt: endedAt ?? null,
    code,
    message,
  })),
  error: record.error ?? null,
  receipt: record.receipt === undefined ? null : hex(record.receipt),
})
