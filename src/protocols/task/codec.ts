import { minuteMs } from '../../base/index.ts'
import { signedBytesMax } from '../../identity/index.ts'
import { isolationLevels } from '../../sandbox/index.ts'
import { bool, bytesOf, bytesUpTo, codec, type Decoded, instant, literal, nullable, oneOf, row, type Shape, textUpTo, uintUpTo } from '../../wire/index.ts'

export const taskProtocol = '/kindmesh/task/1.0.0'
/** Code of one task, UTF-8 bytes. Source: task/v1 section 2. */
export const taskCodeBytesMax = 256 * 1024
/** Input of one task, JSON in UTF-8 bytes. */
export const taskInputBytesMax = 256 * 1024
/** Result of one task, JSON in UTF-8 bytes. */
export const taskResultBytesMax = 1 << 20
export const taskFrameBytesMax = taskResultBytesMax + 64 * 1024
/** A request is good this long after it was signed. */
export const taskLifetimeMsMax = 10 * minuteMs
/** Receipts are evidence and live longer. */
export const receiptLifetimeMs = 400 * 24 * 60 * minuteMs
const textCharsMax = 8_192
const count = uintUpTo(Number.MAX_SAFE_INTEGER)

const limits = row({
  memoryMiB: count,
  wallMs: count,
  cpuMs: count,
  outputBytes: count,
  hostCalls: count,
  cpuPercent: count,
  netKiBps: count,
  fsOps: count,
  processes: count,
})
const usage = row({ cpuMs: count, wallMs: count, memoryBytes: count, outputBytes: count, hostCalls: count, netBytes: count, fsOps: count })

const requestShape = row({
  version: literal(1),
  /** BLAKE3 of the code: what the receipt names. */
  codeHash: bytesOf(32),
  code: textUpTo(taskCodeBytesMax),
  input: textUpTo(taskInputBytesMax),
  limits,
  /** The weakest isolation the asker accepts. */
  isolation: oneOf(isolationLevels),
  /** Root of the keys for everything that comes back on this stream. */
  replySecret: bytesOf(32),
})
/** Payload of a signed `task` statement. */
export const requestCodec = codec('task request', requestShape, signedBytesMax('task'))
export type TaskRequest = Decoded<typeof requestShape>

const receiptShape = row({
  version: literal(1),
  requestHash: bytesOf(32),
  codeHash: bytesOf(32),
  inputHash: bytesOf(32),
  /** BLAKE3 of the result's JSON; null when there is none. */
  resultHash: nullable(bytesOf(32)),
  /** `ok`, or the code of the failure. */
  outcome: textUpTo(64),
  startedAt: instant,
  endedAt: instant,
  usage,
  /** Level and back end really used. */
  isolation: oneOf(isolationLevels),
  backend: textUpTo(64),
  policyHash: bytesOf(32),
  securityEvents: count,
  /** Size and root of the executor's audit log when it signed. */
  auditSize: count,
  auditRoot: bytesOf(32),
})
/** Payload of a signed `task-receipt`. */
export const receiptCodec = codec('task receipt', receiptShape, 4_096)
export type TaskReceipt = Decoded<typeof receiptShape>

/** Payload of a signed `task-countersign`: the asker got this receipt and a result that fits it. */
export const countersignCodec = codec('task countersignature', row({ version: literal(1), receiptHash: bytesOf(32), resultMatches: bool }), 256)

const levels = ['log', 'info', 'warn', 'error', 'debug'] as const
const eventShapes = {
  accepted: row({ event: literal('accepted'), isolation: oneOf(isolationLevels), backend: textUpTo(64) }),
  progress: row({ event: literal('progress'), permille: uintUpTo(1_000), note: textUpTo(textCharsMax) }),
  console: row({ event: literal('console'), level: oneOf(levels), text: textUpTo(taskResultBytesMax) }),
  result: row({
    event: literal('result'),
    /** JSON, null when the task failed. */
    result: nullable(textUpTo(taskResultBytesMax)),
    message: textUpTo(textCharsMax),
    limit: textUpTo(32),
    /** The signed `task-receipt`. */
    receipt: bytesUpTo(8_192),
  }),
  refused: row({ event: literal('refused'), code: textUpTo(64), message: textUpTo(512) }),
  /** The countersignature is on the executor's disk. */
  kept: row({ event: literal('kept') }),
} as const

export type TaskEvent = { [K in keyof typeof eventShapes]: Decoded<(typeof eventShapes)[K]> }[keyof typeof eventShapes]
const eventNames = Object.keys(eventShapes) as readonly (keyof typeof eventShapes)[]

const eventCodecs = new Map(eventNames.map((name) => [name, codec(`task event ${name}`, eventShapes[name] as Shape<TaskEvent>, taskFrameBytesMax)]))
const named = row({ name: oneOf(eventNames), body: bytesUpTo(taskFrameBytesMax) })
const namedCodec = codec('task event', named, taskFrameBytesMax)

export function encodeEvent(event: TaskEvent): Uint8Array {
  const body = eventCodecs.get(event.event)?.encode(event) ?? new Uint8Array()
  return namedCodec.encode({ name: event.event, body })
}

/** @throws ERR_WIRE_* */
export function decodeEvent(bytes: Uint8Array): TaskEvent {
  const { name, body } = namedCodec.decode(bytes)
  const found = eventCodecs.get(name)
  if (found === undefined) throw new Error('every name has a codec')
  return found.decode(body)
}
