import {
  type Audit,
  codeExecuted,
  codeExecutionFailed,
  openCheckpoint,
  receiptCountersigned,
  receiptSigned,
  sandboxCreated,
  taskCancelled,
  taskRefused,
  taskRequested,
} from '../audit/index.ts'
import { type Clock, type Did, equal, hex, MeshError, type Random, toMeshError, utf8, createTally, minuteMs } from '../base/index.ts'
import { sha256, verify } from '../crypto/index.ts'
import { openBox, type PrekeyRing, type ReplayGuard } from '../envelope/index.ts'
import { type Keyring, openStatement, type Signed, signStatement } from '../identity/index.ts'
import type { Decision, TaskGrant } from '../policy/index.ts'
import {
  type OpenedTask,
  receiptCodec,
  receiptLifetimeMs,
  requestCodec,
  type TaskEvent,
  taskLifetimeMsMax,
  type TaskRequest,
  taskStatementTypes,
} from '../protocols/task/index.ts'
import type { Sandboxes, SandboxOutcome } from '../sandbox/index.ts'
import { put, type Store } from '../store/index.ts'
import { hashText } from './hashes.ts'
import { openCountersignature } from './receipt.ts'

/** Tasks running or waiting for a worker at a time; more are refused with a time to come back. */
export const tasksAtOnceMax = 64
/** Of these, one asker may have so many. */
export const tasksPerAskerMax = 16

/** Refusals of one asker written down per minute; the rest are only refused. */
export const taskRefusalsNotedMax = 60

export interface ExecutorOptions {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly prekeys: PrekeyRing
  readonly replay: ReplayGuard
  readonly audit: Audit
  readonly store: Store
  readonly sandboxes: Sandboxes
  /** The text of the policy in force, for the receipt. */
  readonly policyText: string
  /** A task ended, for bystanders. */
  onEnd(end: { readonly id: string; readonly asker: Did; readonly outcome: string }): void
  decide(asker: Did, question: { readonly isolation: TaskRequest['isolation']; readonly limits: TaskRequest['limits'] }): Promise<Decision<TaskGrant>>
}

export interface Executor {
  /** Opens and verifies a request; nothing runs yet. @throws a coded refusal */
  open(peer: Did, sealed: Uint8Array): Promise<OpenedTask>
}

interface Order {
  readonly id: string
  readonly asker: Did
  readonly signed: Signed
  readonly request: TaskRequest
  readonly inputHash: Uint8Array
}

export function createExecutor(options: ExecutorOptions): Executor {
  const { keyring, clock, random, prekeys, replay, audit, store, sandboxes, policyText, decide, onEnd } = options
  const running = new Map<Did, number>()
  const refusals = createTally<Did>({ clock, most: taskRefusalsNotedMax, windowMs: minuteMs })
  const policyHash = sha256(utf8(policyText))

  function takePlace(asker: Did): () => void {
    const all = [...running.values()].reduce((sum, count) => sum + count, 0)
    const own = running.get(asker) ?? 0
    if (all >= tasksAtOnceMax || own >= tasksPerAskerMax) {
      throw new MeshError('ERR_OVERLOADED', 'too many tasks are running here', { details: { retryAfterMs: 1_000 } })
    }
    running.set(asker, own + 1)
    return () => {
      const left = (running.get(asker) ?? 1) - 1
      if (left === 0) running.delete(asker)
      else running.set(asker, left)
    }
  }
  const parties = ({ id, asker }: Order) => ({ did: keyring.did, requester: asker, executor: keyring.did, taskId: id })

  async function read(peer: Did, sealed: Uint8Array): Promise<Order> {
    const signed = openStatement('task', openBox(sealed, prekeys), { now: clock.now(), lifetimeMsMax: taskLifetimeMsMax })
    if (signed.statement.to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the task is addressed to somebody else')
    if (signed.statement.from !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the task was signed by somebody else than the peer that carries it')
    if (signed.statement.type !== taskStatementTypes.request) throw new MeshError('ERR_PROTOCOL', `a ${signed.statement.type} where a request was due`)
    const request = requestCodec.decode(signed.statement.payload)
    if (!equal(await hashText(request.code), request.codeHash)) throw new MeshError('ERR_SANDBOX_CODE', 'the code is not what its hash names')
    return { id: hex(signed.statement.id), asker: peer, signed, request, inputHash: await hashText(request.input) }
  }
  /** A request that is admitted is on disk, once, before it runs. */
  async function claim(order: Order): Promise<void> {
    const taken = replay.claim(order.signed)
    try {
      await audit.record(taskRequested({ ...parties(order), requestHash: order.signed.hash, codeHash: order.request.codeHash }), taken.ops)
    } catch (error) {
      await taken.release()
      throw error
    }
  }
  async function admit(order: Order): Promise<TaskGrant & { readonly release: () => void }> {
    try {
      const decision = await decide(order.asker, order.request)
      if (!decision.allow) throw new MeshError(decision.code, decision.reason)
      // Both the level asked for and the level policy raises it to must exist: no other stands in for either.
      await sandboxes.ready(order.request.isolation)
      await sandboxes.ready(decision.grant.isolation)
      return { ...decision.grant, release: takePlace(order.asker) }
    } catch (error) {
      const { code, message } = toMeshError(error)
      if (refusals.count(order.asker)) await audit.record(taskRefused({ ...parties(order), code, reason: message }))
      throw error
    }
  }
  async function* run(order: Order, signal: AbortSignal, onReceipt: (receipt: Signed) => void): AsyncGenerator<TaskEvent> {
    const { isolation, limits, release } = await admit(order)
    try {
      await claim(order)
      const backend = await sandboxes.ready(isolation)
      await audit.record(sandboxCreated({ ...parties(order), sandboxId: order.id, isolationLevel: isolation, backend: backend.name, limits }))
      yield { event: 'accepted', isolation, backend: backend.name, strict: false, capabilities: [], limits }
      const startedAt = clock.now()
      let outcome: SandboxOutcome | undefined
      for await (const event of backend.run({ code: order.request.code, input: order.request.input }, { limits, signal })) {
        if (event.type === 'console') yield { event: 'console', level: event.level, text: event.text }
        else if (event.type === 'progress') yield { event: 'progress', permille: Math.round(event.fraction * 1_000), note: event.note.slice(0, 8_192) }
        else if (event.type !== 'receiving') outcome = event
      }
      if (outcome === undefined) throw new MeshError('ERR_INTERNAL', 'the sandbox gave no outcome')
      const receipt = await close(order, outcome, { isolation, backend: backend.name, limits, startedAt })
      onReceipt(receipt)
      onEnd({ id: order.id, asker: order.asker, outcome: outcome.type === 'done' ? 'ok' : outcome.code })
      const failed = outcome.type === 'failed' ? outcome : undefined
      yield {
        event: 'result',
        result: outcome.type === 'done' ? outcome.result : undefined,
        message: (failed?.message ?? '').slice(0, 8_192),
        limit: failed?.limit ?? '',
        receipt: receipt.bytes,
      }
    } finally {
      release()
    }
  }
  /** Writes down how a run ended and signs the receipt, in one batch. */
  async function close(
    order: Order,
    outcome: SandboxOutcome,
    { isolation, backend, limits, startedAt }: Pick<TaskGrant, 'isolation' | 'limits'> & { readonly backend: string; readonly startedAt: number },
  ): Promise<Signed> {
    const { request, inputHash } = order
    const { usage } = outcome
    const resultHash = outcome.type === 'done' ? await hashText(outcome.result) : undefined
    const facts = {
      ...parties(order),
      executionId: order.id,
      codeHash: request.codeHash,
      inputHash,
      isolationLevel: isolation,
      backend,
      limits,
      usage,
      securityEvents: outcome.security.length,
    }
    if (outcome.type === 'failed' && outcome.code === 'ERR_TASK_CANCELLED') await audit.record(taskCancelled({ ...parties(order), reason: outcome.message }))
    await audit.record(
      resultHash === undefined
        ? codeExecutionFailed({
            ...facts,
            code: outcome.type === 'failed' ? outcome.code : 'ERR_INTERNAL',
            reason: outcome.type === 'failed' ? outcome.message : '',
          })
        : codeExecuted({ ...facts, resultHash }),
    )
    const head = openCheckpoint(await audit.checkpoint(), { did: keyring.identity, keys: [keyring.did], verify })
    if (!head.ok) throw new MeshError('ERR_AUDIT_TAMPERED', head.reason)
    const issuedAt = clock.now()
    const payload = receiptCodec.encode({
      version: 1,
      requestHash: order.signed.hash,
      codeHash: request.codeHash,
      inputHash,
      resultHash,
      outcome: outcome.type === 'done' ? 'ok' : outcome.code,
      startedAt,
      endedAt: issuedAt,
      usage: {
        cpuMs: Math.round(usage.cpuMs),
        wallMs: Math.round(usage.wallMs),
        memoryBytes: Math.round(usage.memoryBytes),
        outputBytes: usage.outputBytes,
        hostCalls: usage.hostCalls,
        netBytes: usage.netBytes,
        fsOps: usage.fsOps,
      },
      isolation,
      backend,
      engine: request.engine,
      strict: false,
      capabilities: [],
      limits,
      artefactsIn: [],
      artefactsOut: [],
      policyHash,
      securityEvents: outcome.security.length,
      auditSize: head.size,
      auditRoot: head.root,
    })
    const receipt = signStatement(
      'task-receipt',
      { to: order.asker, type: 'task_result', payload, refs: [order.signed.hash], issuedAt, expiresAt: issuedAt + receiptLifetimeMs },
      { keyring, random },
    )
    await audit.record(receiptSigned({ ...parties(order), receiptHash: receipt.hash }), store.qualify([put(`${order.id}/receipt`, receipt.bytes)]))
    return receipt
  }

  return {
    async open(peer, sealed) {
      const order = await read(peer, sealed)
      let receipt: Signed | undefined
      return {
        replySecret: order.request.replySecret,
        requestHash: order.signed.hash,
        run: (signal) => run(order, signal, (signed) => (receipt = signed)),
        async keep(countersignature) {
          if (receipt === undefined) throw new MeshError('ERR_PROTOCOL', 'a countersignature before the receipt')
          const signed = openCountersignature(countersignature, clock.now(), receipt)
          await audit.record(
            receiptCountersigned({ ...parties(order), receiptHash: receipt.hash }),
            store.qualify([put(`${order.id}/countersigned`, signed.bytes)]),
          )
        },
      }
    },
  }
}
