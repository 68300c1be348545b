import { agentCapabilities, minuteMs } from '../../base/index.ts'
import { signedBytesMax } from '../../identity/index.ts'
import { engines, isolationLevels } from '../../sandbox/index.ts'
import {
  bool,
  bytesOf,
  bytesUpTo,
  codec,
  type Decoded,
  instant,
  listOf,
  literal,
  nullable,
  oneOf,
  row,
  rowWithTail,
  type Shape,
  textUpTo,
  uintUpTo,
} from '../../wire/index.ts'
import { retryAfterMsMax } from '../channel.ts'
import { chunkBytes, nameCharsMax } from '../stream/codec.ts'

export const taskProtocol = '/kindmesh/task/1.0.0'
/** Code of one task, UTF-8 bytes. Source: task/v1 section 2. */
export const taskCodeBytesMax = 256 * 1024
/** Input of one task, JSON in UTF-8 bytes. */
export const taskInputBytesMax = 256 * 1024
/** Result of one task, JSON in UTF-8 bytes. */
export const taskResultBytesMax = 1 << 20
export const taskFrameBytesMax = taskResultBytesMax + 64 * 1024
/** Files that go with a task, and files that come back. Source: task/v1 section 6. */
export const taskArtefactsMax = 32
/** Bytes of one file, and of all files of one direction together. Source: task/v1 section 6. */
export const taskArtefactBytesMax = 64 << 20
/** A publisher's signed bundle. Source: task/v1 section 2. */
export const taskBundleBytesMax = 32 * 1024
/** Chains of capability tokens with one request, and the bytes of one. Source: task/v1 section 2. */
export const taskGrantsMax = 4
export const taskGrantBytesMax = 5_248
/** A signed receipt, as it travels and as it is kept. Source: task/v1 section 5. */
export const taskReceiptBytesMax = 24 * 1024
/** A request is good this long after it was signed. */
export const taskLifetimeMsMax = 10 * minuteMs
/** Receipts are evidence and live longer. */
export const receiptLifetimeMs = 400 * 24 * 60 * minuteMs
const textCharsMax = 8_192
const count = uintUpTo(Number.MAX_SAFE_INTEGER)

/** Limits on the wire. */
export const limitsShape = row({
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
export const usageShape = row({ cpuMs: count, wallMs: count, memoryBytes: count, outputBytes: count, hostCalls: count, netBytes: count, fsOps: count })

export const capabilitiesShape = listOf(oneOf(agentCapabilities), agentCapabilities.length)
const artefactFields = {
  /** One path component; that it is a safe one is checked where it is used. */
  name: textUpTo(nameCharsMax),
  size: uintUpTo(taskArtefactBytesMax),
  /** SHA-256 of the whole. */
  hash: bytesOf(32),
} as const
export const artefactShape = row(artefactFields)
/** A file that goes with a task or comes back from it. Source: task/v1 section 2. */
export type Artefact = Decoded<typeof artefactShape>

/** Chains of capability tokens that the asker leans on; a request without them ends before. Source: task/v1 section 2, grant/v1 section 3. */
const grantsTail = { grants: listOf(bytesUpTo(taskGrantBytesMax), taskGrantsMax) } as const

const requestShape = rowWithTail(
  {
    version: literal(1),
    /** BLAKE3 of the code: what the receipt names. */
    codeHash: bytesOf(32),
    engine: oneOf(engines),
    code: textUpTo(taskCodeBytesMax),
    input: textUpTo(taskInputBytesMax),
    limits: limitsShape,
    /** The weakest isolation the asker accepts. */
    isolation: oneOf(isolationLevels),
    /** Only a worker without a compiler that runs nothing else. */
    strict: bool,
    /** All it may ever do beyond computing; in the order of `agentCapabilities`, each once. */
    capabilities: capabilitiesShape,
    /** 0, later, to 9, sooner. */
    priority: uintUpTo(9),
    /** Not started after it and stopped at it. */
    deadline: nullable(instant),
    /** Running it twice does no more than running it once: the asker may try it elsewhere. */
    idempotent: bool,
    /** It goes on when the asker leaves; the result is kept and delivered later. */
    detached: bool,
    /** Their bodies follow on the stream, in this order. */
    artefacts: listOf(artefactShape, taskArtefactsMax),
    bundle: nullable(bytesUpTo(taskBundleBytesMax)),
    traceId: nullable(bytesOf(16)),
    /** Root of the keys for everything else on this stream. */
    replySecret: bytesOf(32),
  },
  grantsTail,
)
/** Payload of a signed `task` statement. */
export const requestCodec = codec('task request', requestShape, signedBytesMax('task'))
export type TaskRequest = Decoded<typeof requestShape>

const resumeShape = row({
  version: literal(1),
  /** Of the `task` statement it is about. */
  requestHash: bytesOf(32),
  /** `attach` waits for the end and gets result and receipt, `stop` ends it first. */
  action: oneOf(['attach', 'stop']),
  replySecret: bytesOf(32),
})
/** Payload of a signed `task` statement of type `task_resume`: asks for a task taken before. Source: task/v1 section 7. */
export const resumeCodec = codec('task resume', resumeShape, 256)
export type TaskResume = Decoded<typeof resumeShape>
const probeShape = rowWithTail(
  {
    version: literal(1),
    engine: oneOf(engines),
    limits: limitsShape,
    isolation: oneOf(isolationLevels),
    strict: bool,
    capabilities: capabilitiesShape,
    deadline: nullable(instant),
    /** Bytes of the files that would go with it. */
    fileBytes: uintUpTo(taskArtefactBytesMax),
    replySecret: bytesOf(32),
  },
  grantsTail,
)
/** Payload of a signed `task` statement of type `task_probe`: would this be taken? Source: task/v1 section 8. */
export const probeCodec = codec('task probe', probeShape, 1_024 + taskGrantsMax * (taskGrantBytesMax + 8))
export type TaskProbe = Decoded<typeof probeShape>
/** What a `task` statement is: its type. */
export const taskStatementTypes = { request: 'task_request', resume: 'task_resume', probe: 'task_probe' } as const

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
  usage: usageShape,
  /** Level and back end really used. */
  isolation: oneOf(isolationLevels),
  backend: textUpTo(64),
  engine: oneOf(engines),
  strict: bool,
  /** What was granted. */
  capabilities: capabilitiesShape,
  limits: limitsShape,
  /** SHA-256 of the files that came with it, in the order of the request. */
  artefactsIn: listOf(bytesOf(32), taskArtefactsMax),
  /** Files it left, by name. */
  artefactsOut: listOf(artefactShape, taskArtefactsMax),
  policyHash: bytesOf(32),
  securityEvents: count,
  /** Size and root of the executor's audit log when it signed. */
  auditSize: count,
  auditRoot: bytesOf(32),
})
/** Payload of a signed `task-receipt`. */
export const receiptCodec = codec('task receipt', receiptShape, taskReceiptBytesMax - 2_048)
export type TaskReceipt = Decoded<typeof receiptShape>

/** Payload of a signed `task-countersign`: the asker got this receipt and a result that fits it. */
export const countersignCodec = codec('task countersignature', row({ version: literal(1), receiptHash: bytesOf(32), resultMatches: bool }), 256)

const levels = ['log', 'info', 'warn', 'error', 'debug'] as const
const eventShapes = {
  /** Taken, on disk, with what policy grants. The bodies of the request's files are due now. */
  accepted: row({
    event: literal('accepted'),
    isolation: oneOf(isolationLevels),
    backend: textUpTo(64),
    strict: bool,
    capabilities: capabilitiesShape,
    limits: limitsShape,
  }),
  /** Waits; as many are before it. */
  queued: row({ event: literal('queued'), position: count }),
  running: row({ event: literal('running') }),
  /** Used so far. */
  usage: row({ event: literal('usage'), usage: usageShape }),
  progress: row({ event: literal('progress'), permille: uintUpTo(1_000), note: textUpTo(textCharsMax) }),
  console: row({ event: literal('console'), level: oneOf(levels), text: textUpTo(taskResultBytesMax) }),
  /** A file it left; its body follows in chunks. */
  artefact: row({ event: literal('artefact'), ...artefactFields }),
  chunk: row({ event: literal('chunk'), bytes: bytesUpTo(chunkBytes) }),
  result: row({
    event: literal('result'),
    /** JSON, null when the task failed. */
    result: nullable(textUpTo(taskResultBytesMax)),
    message: textUpTo(textCharsMax),
    limit: textUpTo(32),
    /** The signed `task-receipt`. */
    receipt: bytesUpTo(taskReceiptBytesMax),
  }),
  refused: row({ event: literal('refused'), code: textUpTo(64), message: textUpTo(512), retryAfterMs: uintUpTo(retryAfterMsMax) }),
  /** To a probe: it would be taken like this, and so many run and wait here. */
  decision: row({ event: literal('decision'), isolation: oneOf(isolationLevels), backend: textUpTo(64), running: count, queued: count }),
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
