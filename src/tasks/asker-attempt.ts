import { type Clock, type Did, equal, fromHex, MeshError, type Random, type SignalOption } from '../base/index.ts'
import { type PrekeyBundle, sealBox } from '../envelope/index.ts'
import { type Keyring, openStatement, type Signed, signStatement } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import {
  type Artefact,
  callTask,
  countersignCodec,
  probeCodec,
  probeTask,
  receiptLifetimeMs,
  requestCodec,
  resumeCodec,
  type TaskCall,
  type TaskDecision,
  type TaskEvent,
  taskLifetimeMsMax,
  type TaskReceipt,
  type TaskRequest,
  taskStatementTypes,
} from '../protocols/task/index.ts'
import type { PreparedOrder } from './asker-order.ts'
import { hashText } from './hashes.ts'
import { openReceipt } from './receipt.ts'

export interface AttemptOptions {
  readonly host: Host
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  /** The executor's bundle; also makes sure it has seen our hello and so our evidence. */
  bundleOf(peer: Did, options: SignalOption): Promise<PrekeyBundle>
}

/** A signed request and what it holds. */
export interface Request {
  readonly signed: Signed
  readonly fields: TaskRequest
}

export type ResultEvent = Extract<TaskEvent, { readonly event: 'result' }>
export type Handlers = Pick<TaskCall, 'bodies' | 'onArtefact' | 'countersign' | 'onSent'> & { readonly signal: AbortSignal }

/** What one attempt says to an executor, and how its answers are read. Knows nothing of records or retries. */
export interface Attempts {
  compose(order: PreparedOrder, executor: Did, id: Uint8Array): Request
  /** Reads a request that was kept. */
  read(bytes: Uint8Array): Request
  /** Sends a request for the first and only time. */
  send(request: Request, handlers: Handlers): AsyncGenerator<TaskEvent>
  /** Asks for a task that was sent before: waits for its end, or ends it first. */
  resume(request: Request, action: 'attach' | 'stop', handlers: Omit<Handlers, 'bodies'>): AsyncGenerator<TaskEvent>
  /** Asks whether an order would be taken; nothing is promised by the answer. @throws the executor's coded refusal, ERR_NET_* */
  probe(order: PreparedOrder, executor: Did, options: { readonly signal: AbortSignal }): Promise<TaskDecision>
  /** Checks a result and its receipt against the request. @throws ERR_RECEIPT_INVALID, ERR_STATEMENT_*, ERR_WIRE_* */
  check(request: Request, event: ResultEvent, artefacts: readonly Artefact[]): Promise<{ readonly receipt: Signed; readonly facts: TaskReceipt }>
  countersign(receipt: Signed): Signed
}

export function createAttempts({ host, keyring, clock, random, bundleOf }: AttemptOptions): Attempts {
  type Kind = 'task' | 'task-countersign'
  const sign = (
    kind: Kind,
    to: Did,
    type: string,
    payload: Uint8Array,
    { id, refs = [] }: { readonly id?: Uint8Array; readonly refs?: readonly Uint8Array[] } = {},
  ): Signed => {
    const issuedAt = clock.now()
    const expiresAt = issuedAt + (kind === 'task' ? taskLifetimeMsMax : receiptLifetimeMs)
    return signStatement(kind, { to, type, payload, refs, issuedAt, expiresAt, ...(id === undefined ? {} : { id }) }, { keyring, random })
  }
  async function* call(statement: Signed, replySecret: Uint8Array, handlers: Handlers): AsyncGenerator<TaskEvent> {
    const { to } = statement.statement
    const bundle = await bundleOf(to, { signal: handlers.signal })
    const sealed = sealBox(statement.bytes, { bundle, now: clock.now(), random })
    yield* callTask(host, to, { ...handlers, sealed, replySecret, requestHash: statement.hash })
  }
  return {
    compose(order, executor, id) {
      const fields: TaskRequest = {
        version: 1,
        codeHash: order.codeHash,
        engine: order.engine,
        code: order.code,
        input: order.inputText,
        limits: order.limits,
        isolation: order.isolation,
        strict: order.strict,
        capabilities: order.capabilities,
        priority: order.priority,
        deadline: order.deadlineAt,
        idempotent: order.idempotent,
        // Our record outlives this process, and asks again.
        detached: true,
        artefacts: order.files.map(({ name, size, hash }) => ({ name, size, hash })),
        bundle: order.bundle,
        traceId: fromHex(order.traceId),
        replySecret: random.bytes(32),
        ...(order.grants === undefined ? {} : { grants: order.grants }),
      }
      return { signed: sign('task', executor, taskStatementTypes.request, requestCodec.encode(fields), { id }), fields }
    },
    read(bytes) {
      const signed = openStatement('task', bytes, { now: clock.now(), lifetimeMsMax: taskLifetimeMsMax, atAnyTime: true })
      return { signed, fields: requestCodec.decode(signed.statement.payload) }
    },
    send: ({ signed, fields }, handlers) => call(signed, fields.replySecret, handlers),
    async *resume({ signed }, action, handlers) {
      // A stream of its own has keys of its own: its frames are counted from 0 again.
      const replySecret = random.bytes(32)
      const payload = resumeCodec.encode({ version: 1, requestHash: signed.hash, action, replySecret })
      yield* call(sign('task', signed.statement.to, taskStatementTypes.resume, payload, { refs: [signed.hash] }), replySecret, handlers)
    },
    async probe({ engine, limits, isolation, strict, capabilities, deadlineAt, files, grants }, executor, { signal }) {
      const replySecret = random.bytes(32)
      const fileBytes = files.reduce((sum, { size }) => sum + size, 0)
      const payload = probeCodec.encode({
        version: 1,
        engine,
        limits,
        isolation,
        strict,
        capabilities,
        deadline: deadlineAt,
        fileBytes,
        replySecret,
        ...(grants === undefined ? {} : { grants }),
      })
      const statement = sign('task', executor, taskStatementTypes.probe, payload)
      const bundle = await bundleOf(executor, { signal })
      const sealed = sealBox(statement.bytes, { bundle, now: clock.now(), random })
      return await probeTask(host, executor, { sealed, replySecret, requestHash: statement.hash, signal })
    },
    async check({ signed, fields }, { receipt: bytes, result }, artefacts) {
      const { signed: receipt, facts } = openReceipt(bytes, clock.now(), {
        executor: signed.statement.to,
        asker: signed.statement.from,
        requestHash: signed.hash,
        codeHash: fields.codeHash,
        inputHash: await hashText(fields.input),
        isolation: fields.isolation,
      })
      const matches = result === undefined ? facts.resultHash === undefined : facts.resultHash !== undefined && equal(await hashText(result), facts.resultHash)
      if (!matches || (facts.outcome === 'ok') !== (result !== undefined)) throw invalid('the receipt is about another result')
      checkGrant(fields, facts)
      checkArtefacts(facts.artefactsOut, artefacts)
      return { receipt, facts }
    },
    countersign: (receipt) =>
      sign('task-countersign', receipt.statement.from, 'task_result', countersignCodec.encode({ version: 1, receiptHash: receipt.hash, resultMatches: true }), {
        refs: [receipt.hash],
      }),
  }
}

const invalid = (message: string): MeshError => new MeshError('ERR_RECEIPT_INVALID', message)

/** What was granted is what was asked for, or less. Source: task/v1 section 5. */
function checkGrant(asked: TaskRequest, granted: TaskReceipt): void {
  if (granted.engine !== asked.engine) throw invalid(`run as ${granted.engine}, not as ${asked.engine}`)
  if (asked.strict && !granted.strict) throw invalid('run without the strict worker that was asked for')
  const over = granted.capabilities.find((name) => !asked.capabilities.includes(name))
  if (over !== undefined) throw invalid(`run with ${over}, which was not asked for`)
  const raised = (Object.keys(asked.limits) as (keyof typeof asked.limits)[]).find((name) => granted.limits[name] > asked.limits[name])
  if (raised !== undefined) throw invalid(`run with more ${raised} than was asked for`)
  const [ours, theirs] = [asked.artefacts, granted.artefactsIn]
  // A task that ended before its files were there has none.
  const got = theirs.length === 0 && granted.outcome !== 'ok' ? [] : ours
  if (theirs.length !== got.length || got.some(({ hash }, index) => !equal(hash, theirs[index] ?? new Uint8Array()))) throw invalid('run with other files')
}

/** The files that came are those the receipt names. */
function checkArtefacts(named: readonly Artefact[], came: readonly Artefact[]): void {
  const fits = (one: Artefact): boolean => came.some(({ name, size, hash }) => name === one.name && size === one.size && equal(hash, one.hash))
  if (named.length !== came.length || !named.every(fits)) throw invalid('the receipt is about other files')
}
