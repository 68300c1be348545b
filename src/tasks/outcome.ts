import { type Did, equal, hex, MeshError } from '../base/index.ts'
import { openStatement } from '../identity/index.ts'
import { receiptLifetimeMs } from '../protocols/task/index.ts'
import type { AskedEnd, AskedRecord } from './asked-records.ts'
import { openCountersignature, openReceipt } from './receipt.ts'

/** What came of a task this node asked for, as both sides signed it. */
export interface TaskOutcome {
  /** The key that ran it. */
  readonly executor: Did
  /** Hash of the request, hexadecimal: one request has one outcome. */
  readonly request: string
  readonly signedAt: number
  /** `own`: the task itself, or who asked for it, ended it. */
  readonly verdict: 'success' | 'failure' | 'own'
}

/** Ends that say nothing about the executor: the code threw, hit its limits or was called off. */
const ownEnd = /^ERR_(?:SANDBOX_(?:THREW|CODE|LIMIT|RESULT|PERMISSION)|HOST_.*|TASK_(?:CANCELLED|DEADLINE|FILES)|TIMEOUT)$/

/**
 * Verifies both signatures under the end of a task against what was asked for, by one of these keys.
 * @throws ERR_RECEIPT_INVALID, ERR_STATEMENT_*, ERR_WIRE_*
 */
export function readOutcome(record: AskedRecord, end: AskedEnd, { askers, now }: { readonly askers: readonly Did[]; readonly now: number }): TaskOutcome {
  const { statement } = openStatement('task-receipt', end.receipt, { now, lifetimeMsMax: receiptLifetimeMs })
  const attempt = record.attempts.find(({ requestHash }) => statement.refs.some((ref) => equal(ref, requestHash)))
  const isOurs = attempt !== undefined && askers.includes(statement.to)
  if (!isOurs) throw new MeshError('ERR_RECEIPT_INVALID', 'the receipt is about a task that was not asked for here')
  const { executor, requestHash } = attempt
  const { codeHash, inputHash, isolation } = record
  const { signed, facts } = openReceipt(end.receipt, now, { executor, asker: statement.to, requestHash, codeHash, inputHash, isolation })
  openCountersignature(end.countersigned, now, signed)
  const verdict = facts.outcome === 'ok' ? 'success' : ownEnd.test(facts.outcome) ? 'own' : 'failure'
  return { executor, request: hex(requestHash), signedAt: statement.issuedAt, verdict }
}
