import { type Audit, receiptCountersigned, taskRequested } from '../audit/index.ts'
import { type Clock, type Did, equal, hex, isErrorCode, MeshError, type Random, type SignalOption, utf8 } from '../base/index.ts'
import { type PrekeyBundle, sealBox } from '../envelope/index.ts'
import { type Keyring, type Signed, signStatement } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import {
  callTask,
  countersignCodec,
  receiptLifetimeMs,
  requestCodec,
  taskCodeBytesMax,
  type TaskEvent,
  taskInputBytesMax,
  taskLifetimeMsMax,
} from '../protocols/task/index.ts'
import { type IsolationLevel, type SandboxLimits, sandboxLimitsDefault, type SandboxUsage } from '../sandbox/index.ts'
import { put, type Store } from '../store/index.ts'
import { hashText } from './hashes.ts'
import { documentOf, openReceipt, type ReceiptDocument } from './receipt.ts'

export interface TaskOrder {
  readonly on: Did
  /** Body of an async function whose parameter is `input`. */
  readonly code: string
  /** Plain JSON data. */
  readonly input: unknown
  readonly limits?: Partial<SandboxLimits>
  /** The weakest isolation accepted; `sandboxed` when missing. */
  readonly isolation?: IsolationLevel
}

export type TaskProgress =
  | { readonly type: 'accepted'; readonly isolation: IsolationLevel; readonly backend: string }
  | { readonly type: 'console'; readonly level: string; readonly text: string }
  | { readonly type: 'progress'; readonly fraction: number; readonly note: string }
  | {
      readonly type: 'result'
      readonly ok: boolean
      /** What the code returned; undefined when it failed. */
      readonly result: unknown
      /** Why it failed. */
      readonly error: { readonly code: string; readonly message: string; readonly limit: string } | undefined
      readonly usage: SandboxUsage
      readonly receipt: ReceiptDocument
    }

export interface AskerOptions {
  readonly host: Host
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly store: Store
  /** The executor's bundle; also makes sure it has seen our hello and so our evidence. */
  bundleOf(peer: Did, options: SignalOption): Promise<PrekeyBundle>
}

export interface Tasks {
  /**
   * Runs code on another machine. Yields progress and ends with one `result`, of which both sides then hold a receipt signed by both.
   * Aborting or leaving early kills the task.
   * @throws ERR_TRUST_LOW, ERR_POLICY_DENIED, ERR_SANDBOX_UNAVAILABLE, ERR_OVERLOADED, ERR_RECEIPT_INVALID, ERR_NET_*, ERR_USAGE
   */
  run(order: TaskOrder, options?: SignalOption): AsyncGenerator<TaskProgress>
}

export function createAsker({ host, keyring, clock, random, audit, store, bundleOf }: AskerOptions): Tasks {
  const sign = (kind: 'task' | 'task-countersign', to: Did, type: string, payload: Uint8Array, refs: readonly Uint8Array[], lifetimeMs: number): Signed => {
    const issuedAt = clock.now()
    return signStatement(kind, { to, type, payload, refs, issuedAt, expiresAt: issuedAt + lifetimeMs }, { keyring, random })
  }

  async function* run({ on, code, input, limits, isolation = 'sandboxed' }: TaskOrder, { signal }: SignalOption = {}): AsyncGenerator<TaskProgress> {
    const inputText = JSON.stringify(input ?? null)
    checkSize('code', code, taskCodeBytesMax)
    checkSize('input', inputText, taskInputBytesMax)
    const [codeHash, inputHash] = await Promise.all([hashText(code), hashText(inputText)])
    const replySecret = random.bytes(32)
    const payload = requestCodec.encode({
      version: 1,
      codeHash,
      engine: 'javascript',
      code,
      input: inputText,
      limits: { ...sandboxLimitsDefault, ...limits },
      isolation,
      strict: false,
      capabilities: [],
      priority: 5,
      deadline: undefined,
      idempotent: false,
      detached: false,
      artefacts: [],
      bundle: undefined,
      traceId: undefined,
      replySecret,
    })
    const bundle = await bundleOf(on, { signal })
    const request = sign('task', on, 'task_request', payload, [], taskLifetimeMsMax)
    const parties = { did: keyring.did, requester: keyring.did, executor: on, taskId: hex(request.statement.id) }
    const sealed = sealBox(request.bytes, { bundle, now: clock.now(), random })
    await audit.record(taskRequested({ ...parties, requestHash: request.hash, codeHash }))

    let document: ReceiptDocument | undefined
    /** Checks receipt against result, keeps both signatures, then answers the executor. */
    async function countersign({ result, receipt }: Extract<TaskEvent, { readonly event: 'result' }>): Promise<Uint8Array> {
      const { signed, facts } = openReceipt(receipt, clock.now(), {
        executor: on,
        asker: keyring.did,
        requestHash: request.hash,
        codeHash,
        inputHash,
        isolation,
      })
      const matches = result === undefined ? facts.resultHash === undefined : facts.resultHash !== undefined && equal(await hashText(result), facts.resultHash)
      if (!matches || (facts.outcome === 'ok') !== (result !== undefined)) throw new MeshError('ERR_RECEIPT_INVALID', 'the receipt is about another result')
      const back = sign(
        'task-countersign',
        on,
        'task_result',
        countersignCodec.encode({ version: 1, receiptHash: signed.hash, resultMatches: true }),
        [signed.hash],
        receiptLifetimeMs,
      )
      await audit.record(
        receiptCountersigned({ ...parties, receiptHash: signed.hash }),
        store.qualify([put(`${parties.taskId}/receipt`, signed.bytes), put(`${parties.taskId}/countersigned`, back.bytes)]),
      )
      document = documentOf(signed, facts, back)
      return back.bytes
    }
    let last: TaskProgress | undefined
    try {
      for await (const event of callTask(host, on, {
        sealed,
        replySecret,
        requestHash: request.hash,
        countersign,
        ...(signal === undefined ? {} : { signal }),
      })) {
        if (event.event === 'accepted') yield { type: 'accepted', isolation: event.isolation, backend: event.backend }
        else if (event.event === 'console') yield { type: 'console', level: event.level, text: event.text }
        else if (event.event === 'progress') yield { type: 'progress', fraction: event.permille / 1_000, note: event.note }
        else if (event.event === 'result' && document !== undefined) last = resultOf(event, document)
      }
    } catch (error) {
      // The receipt is on our disk: the result stands, whether or not the executor heard so.
      if (last === undefined) throw error
    }
    if (last === undefined) throw new MeshError('ERR_PROTOCOL', 'the task ended without a result')
    yield last
  }
  return { run }
}

function resultOf({ result, message, limit }: Extract<TaskEvent, { readonly event: 'result' }>, receipt: ReceiptDocument): TaskProgress {
  const ok = receipt.outcome === 'ok'
  const code = isErrorCode(receipt.outcome) ? receipt.outcome : 'ERR_REFUSED'
  return {
    type: 'result',
    ok,
    result: result === undefined ? undefined : parseResult(result),
    error: ok ? undefined : { code, message, limit },
    usage: receipt.usage,
    receipt,
  }
}

function parseResult(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('ERR_SANDBOX_RESULT', 'the result is no JSON', { cause })
  }
}

function checkSize(what: string, text: string, bytesMax: number): void {
  const size = utf8(text).length
  if (size > bytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${what} of ${size} bytes exceeds ${bytesMax}`)
}
