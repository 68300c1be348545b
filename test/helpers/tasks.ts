import type { receiptCodec, requestCodec, TaskEvent } from '../../src/protocols/task/index.ts'
import { sandboxLimitsDefault } from '../../src/sandbox/index.ts'

type Request = Parameters<typeof requestCodec.encode>[0]
type Receipt = Parameters<typeof receiptCodec.encode>[0]

const zeros = new Uint8Array(32)
export const usageNone = { cpuMs: 0, wallMs: 0, memoryBytes: 0, outputBytes: 0, hostCalls: 0, netBytes: 0, fsOps: 0 } as const

/** A request of which only what matters is said. */
export const requestOf = (fields: Partial<Request>): Request => ({
  version: 1,
  codeHash: zeros,
  engine: 'javascript',
  code: 'return 1',
  input: 'null',
  limits: sandboxLimitsDefault,
  isolation: 'sandboxed',
  strict: false,
  capabilities: [],
  priority: 5,
  deadline: undefined,
  idempotent: false,
  detached: false,
  artefacts: [],
  bundle: undefined,
  traceId: undefined,
  replySecret: zeros,
  ...fields,
})

/** A receipt of which only what matters is said. */
export const receiptOf = (fields: Partial<Receipt>): Receipt => ({
  version: 1,
  requestHash: zeros,
  codeHash: zeros,
  inputHash: zeros,
  resultHash: undefined,
  outcome: 'ERR_SANDBOX_THREW',
  startedAt: 0,
  endedAt: 0,
  usage: usageNone,
  isolation: 'sandboxed',
  backend: 'x',
  engine: 'javascript',
  strict: false,
  capabilities: [],
  limits: sandboxLimitsDefault,
  artefactsIn: [],
  artefactsOut: [],
  policyHash: zeros,
  securityEvents: 0,
  auditSize: 1,
  auditRoot: zeros,
  ...fields,
})

export const acceptedEvent: TaskEvent = {
  event: 'accepted',
  isolation: 'sandboxed',
  backend: 'x',
  strict: false,
  capabilities: [],
  limits: sandboxLimitsDefault,
}
