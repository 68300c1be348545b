import { base64, type Did, equal, hex, MeshError } from '../base/index.ts'
import { openStatement, type Signed } from '../identity/index.ts'
import { type IsolationLevel, isolationLevels } from '../sandbox/index.ts'
import { countersignCodec, receiptCodec, receiptLifetimeMs, type TaskReceipt } from '../protocols/task/index.ts'

/** What a task's two parties signed, as plain data to keep or to show a third party. */
export interface ReceiptDocument {
  readonly schema: 'kindmesh.receipt/1'
  readonly id: string
  readonly executor: Did
  readonly asker: Did
  /** `ok` or the code of the failure. */
  readonly outcome: string
  readonly codeHash: string
  readonly inputHash: string
  readonly resultHash: string | null
  readonly isolation: string
  readonly backend: string
  readonly startedAt: number
  readonly endedAt: number
  readonly usage: TaskReceipt['usage']
  /** The signed `task-receipt`, base64. */
  readonly signed: string
  /** The signed `task-countersign`, base64. */
  readonly countersigned: string
}

export function documentOf(receipt: Signed, facts: TaskReceipt, countersigned: Signed): ReceiptDocument {
  return {
    schema: 'kindmesh.receipt/1',
    id: receipt.ref,
    executor: receipt.statement.from,
    asker: receipt.statement.to,
    outcome: facts.outcome,
    codeHash: hex(facts.codeHash),
    inputHash: hex(facts.inputHash),
    resultHash: facts.resultHash === undefined ? null : hex(facts.resultHash),
    isolation: facts.isolation,
    backend: facts.backend,
    startedAt: facts.startedAt,
    endedAt: facts.endedAt,
    usage: facts.usage,
    signed: base64(receipt.bytes),
    countersigned: base64(countersigned.bytes),
  }
}

export interface ExpectedReceipt {
  readonly executor: Did
  readonly asker: Did
  readonly requestHash: Uint8Array
  readonly codeHash: Uint8Array
  readonly inputHash: Uint8Array
  /** The weakest level the asker accepts. */
  readonly isolation: IsolationLevel
}

/** Verifies an executor's receipt against the task it must be about. @throws ERR_RECEIPT_INVALID, ERR_STATEMENT_*, ERR_WIRE_* */
export function openReceipt(bytes: Uint8Array, now: number, expected: ExpectedReceipt): { readonly signed: Signed; readonly facts: TaskReceipt } {
  const signed = openStatement('task-receipt', bytes, { now, lifetimeMsMax: receiptLifetimeMs })
  const facts = receiptCodec.decode(signed.statement.payload)
  const fits =
    signed.statement.from === expected.executor &&
    signed.statement.to === expected.asker &&
    equal(facts.requestHash, expected.requestHash) &&
    equal(facts.codeHash, expected.codeHash) &&
    equal(facts.inputHash, expected.inputHash)
  const [ref, ...others] = signed.statement.refs
  if (!fits || ref === undefined || others.length > 0 || !equal(ref, expected.requestHash)) {
    throw new MeshError('ERR_RECEIPT_INVALID', 'the receipt is about another task')
  }
  if (isolationLevels.indexOf(facts.isolation) < isolationLevels.indexOf(expected.isolation)) {
    throw new MeshError('ERR_RECEIPT_INVALID', `run at ${facts.isolation}, weaker than the ${expected.isolation} asked for`)
  }
  return { signed, facts }
}

/** Verifies an asker's countersignature of a receipt. @throws ERR_RECEIPT_INVALID, ERR_STATEMENT_*, ERR_WIRE_* */
export function openCountersignature(bytes: Uint8Array, now: number, receipt: Signed): Signed {
  const signed = openStatement('task-countersign', bytes, { now, lifetimeMsMax: receiptLifetimeMs })
  const { receiptHash } = countersignCodec.decode(signed.statement.payload)
  const fits = signed.statement.from === receipt.statement.to && signed.statement.to === receipt.statement.from && equal(receiptHash, receipt.hash)
  if (!fits) throw new MeshError('ERR_RECEIPT_INVALID', 'the countersignature is about another receipt')
  return signed
}
