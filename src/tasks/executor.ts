import { type Audit, grantUsed, receiptCountersigned, taskRefused, taskRequested } from '../audit/index.ts'
import {
  type AgentCapability,
  type Clock,
  createTally,
  type Did,
  equal,
  fromHex,
  hex,
  type Logger,
  MeshError,
  minuteMs,
  type Random,
  secondMs,
  toMeshError,
  utf8,
} from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { openBox, type PrekeyRing, type ReplayGuard } from '../envelope/index.ts'
import { type Keyring, openStatement, type Signed } from '../identity/index.ts'
import type { Decision, TaskGrant, TaskQuestion } from '../policy/index.ts'
import {
  type Artefact,
  type AskerEnd,
  type OpenedTask,
  probeCodec,
  receiptLifetimeMs,
  requestCodec,
  resumeCodec,
  taskArtefactBytesMax,
  type TaskEvent,
  type TaskProbe,
  taskLifetimeMsMax,
  type TaskRequest,
  type TaskResume,
  taskStatementTypes,
} from '../protocols/task/index.ts'
import type { HostBridge, IsolationBackend, IsolationLevel, SandboxLimits, Sandboxes } from '../sandbox/index.ts'
import type { Store } from '../store/index.ts'
import { createEndWriter, failedBy, noticeOf, type TaskEndNotice } from './executor-end.ts'
import { artefactsProblem, createTaskFolders, type TaskFolder } from './executor-files.ts'
import { createJob, type Job } from './executor-job.ts'
import { createServedJournal, outdated, type ServedRecord } from './executor-journal.ts'
import { createFairQueue, type FairQueue } from './executor-queue.ts'
import { nothingSaid } from './executor-log.ts'
import { createServedDoors, type ServedTasks } from './executor-served.ts'
import { hashText } from './hashes.ts'
import { openCountersignature } from './receipt.ts'

/** Tasks that get their files, wait or run at a time; more are refused with a time to come back. Source: task/v1 section 6. */
export const tasksTakenMax = 128
/** Of these, one asker may have so many. Source: task/v1 section 6. */
export const tasksPerAskerMax = 16
/** Tasks that run at a time at one isolation level. Source: task/v1 section 6. */
export const tasksRunningMax = 2
/** Bytes of files that tasks taken may bring, all and one asker's. Source: task/v1 section 6. */
export const taskFileBytesMax = 16 * taskArtefactBytesMax
export const taskFileBytesPerAskerMax = 4 * taskArtefactBytesMax
/** Refusals of one asker written down per minute; the rest are only refused. */
export const taskRefusalsNotedMax = 60
/** How often it is asked anew whether those whose tasks are here may still have them. Source: task/v1 section 3. */
export const recheckMs = 10 * secondMs
const retryMsMin = secondMs
const retryMsMax = minuteMs

/** What a run may reach outside: made for each run. */
export interface BridgeOrder {
  /** Of the task. */
  readonly id: string
  /** The identity that asked. */
  readonly asker: Did
  readonly capabilities: readonly AgentCapability[]
  readonly limits: SandboxLimits
  /** At this level: some calls need a container. */
  readonly isolation: IsolationLevel
  /** As its tokens narrow it. */
  readonly reach: TaskGrant['reach']
  readonly byToken: TaskGrant['byToken']
  /** The root `work` of the run: files that came in `in`, what it leaves in `out` comes back. */
  readonly work: string | undefined
}

/** What a task asks for, and the chains of capability tokens it leans on. */
export type AdmissionQuestion = Pick<TaskQuestion, 'isolation' | 'limits' | 'engine' | 'capabilities' | 'codeHash'> & {
  readonly grants?: readonly Uint8Array[] | undefined
}

export interface ExecutorOptions {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly prekeys: PrekeyRing
  readonly replay: ReplayGuard
  readonly audit: Audit
  /** The whole store: what is written of a task goes into one batch with what it says. */
  readonly store: Store
  readonly sandboxes: Pick<Sandboxes, 'ready'>
  /** Where files of tasks lie while they are here; a temporary folder unless given. */
  readonly workDir?: string | undefined
  /** The text of the policy in force, for the receipt. */
  policyText(): string
  /** Tasks that run at a time at one isolation level. */
  readonly slots?: number | undefined
  /** Which identity a key belongs to. */
  subject(key: Did): Did
  /** May this asker run this here? Asked before it is taken, before it runs, and again while it does. */
  decide(asker: Did, question: AdmissionQuestion): Promise<Decision<TaskGrant>>
  /** Without one a task reaches nothing outside. */
  bridgeFor?(order: BridgeOrder): HostBridge | undefined
  /** Refuses a bundle that does not fit its task or that nobody here trusts; without it bundles are refused. */
  checkBundle?(bundle: Uint8Array, task: Pick<TaskRequest, 'codeHash' | 'engine' | 'capabilities'>): Promise<void>
  /** Tells an asker that is not there how its task ended; durable when it resolves. */
  tell(asker: Did, notice: TaskEndNotice): Promise<void>
  /** A task ended, for bystanders. */
  onEnd(end: { readonly id: string; readonly asker: Did; readonly outcome: string }): void
}

export interface Executor {
  /** Opens and verifies a request; nothing runs yet. @throws a coded refusal */
  open(peer: Did, sealed: Uint8Array): Promise<OpenedTask>
  readonly served: ServedTasks
  /** Writes down what became of the tasks of before, and tells their askers. */
  start(): Promise<void>
  /** Stops the tasks of everybody who may not have them any more. */
  recheck(): Promise<void>
  /** Ends what is here: what runs is lost, what waits was not run. */
  stop(): Promise<void>
}

interface Order {
  readonly id: string
  readonly asker: Did
  readonly signed: Signed
  readonly request: TaskRequest
  readonly inputHash: Uint8Array
}

export async function openExecutor(options: ExecutorOptions): Promise<Executor> {
  const { keyring, clock, random, logger, prekeys, replay, audit, sandboxes, decide, subject } = options
  const journal = createServedJournal(options.store, keyring)
  const folders = createTaskFolders(options.workDir)
  const writeEnd = createEndWriter({ keyring, clock, random, audit, journal, policyHash: () => sha256(utf8(options.policyText())) })
  const refusals = createTally<Did>({ clock, most: taskRefusalsNotedMax, windowMs: minuteMs })
  /** Those that were taken and have not ended; a place is held from the moment of the decision. */
  const live = new Map<string, Job>()
  /** Chains of tokens that live tasks lean on. */
  const shown = new Map<string, readonly Uint8Array[]>()
  const places = new Map<string, { readonly asker: Did; readonly fileBytes: number }>()
  const records = new Map<string, ServedRecord>()
  const byRequest = new Map<string, string>()
  const queues = new Map<IsolationLevel, FairQueue>()
  /** Streams that wait for the end of a task, by its id. */
  const attached = new Map<string, number>()
  let runMs = secondMs
  let isStopping = false

  const loaded: (readonly [string, ServedRecord])[] = []
  for await (const entry of journal.load()) loaded.push(entry)
  for (const [id, record] of loaded.toSorted(([, a], [, b]) => a.acceptedAt - b.acceptedAt)) remember(id, record)

  function remember(id: string, record: ServedRecord): void {
    records.set(id, record)
    byRequest.set(hex(record.requestHash), id)
  }
  const queueOf = (level: IsolationLevel): FairQueue => {
    const known = queues.get(level) ?? createFairQueue({ slots: options.slots ?? tasksRunningMax, clock })
    queues.set(level, known)
    return known
  }
  const parties = (id: string, asker: Did) => ({ did: keyring.did, requester: asker, executor: keyring.did, taskId: id })
  const overloaded = (message: string): MeshError => {
    const retryAfterMs = Math.round(Math.min(retryMsMax, Math.max(retryMsMin, (runMs * live.size) / (options.slots ?? tasksRunningMax))))
    return new MeshError('ERR_OVERLOADED', message, { details: { retryAfterMs } })
  }

  function takePlace({ id, asker, fileBytes }: { readonly id: string; readonly asker: Did; readonly fileBytes: number }): () => void {
    const own = subject(asker)
    const theirs = [...places.values()].filter((place) => place.asker === own)
    const bytes = (all: Iterable<{ readonly fileBytes: number }>): number => [...all].reduce((sum, place) => sum + place.fileBytes, fileBytes)
    if (places.size >= tasksTakenMax) throw overloaded(`${tasksTakenMax} tasks run or wait here`)
    if (theirs.length >= tasksPerAskerMax) throw overloaded(`${tasksPerAskerMax} of your tasks run or wait here`)
    if (bytes(places.values()) > taskFileBytesMax || bytes(theirs) > taskFileBytesPerAskerMax) throw overloaded('the tasks here bring too many files already')
    places.set(id, { asker: own, fileBytes })
    return () => void places.delete(id)
  }

  function openSigned(peer: Did, sealed: Uint8Array): Signed {
    const signed = openStatement('task', openBox(sealed, prekeys), { now: clock.now(), lifetimeMsMax: taskLifetimeMsMax })
    if (signed.statement.to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the task is addressed to somebody else')
    if (signed.statement.from !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the task was signed by somebody else than the peer that carries it')
    return signed
  }
  async function readOrder(asker: Did, signed: Signed): Promise<Order> {
    const request = requestCodec.decode(signed.statement.payload)
    if (!equal(await hashText(request.code), request.codeHash)) throw new MeshError('ERR_SANDBOX_CODE', 'the code is not what its hash names')
    if (new Set(request.capabilities).size !== request.capabilities.length) throw new MeshError('ERR_WIRE_MALFORMED', 'a capability is named twice')
    const problem = artefactsProblem(request.artefacts)
    if (problem !== undefined) throw new MeshError('ERR_TASK_FILES', problem)
    return { id: hex(signed.statement.id), asker, signed, request, inputHash: await hashText(request.input) }
  }

  interface Admitted extends TaskGrant {
    readonly backend: IsolationBackend
    release(): void
  }
  /** What policy and this machine say to it; whether there is room is another question. */
  async function judge(
    asker: Did,
    request: Omit<TaskProbe, 'version' | 'fileBytes' | 'replySecret'>,
    codeHash: string,
  ): Promise<TaskGrant & Pick<Admitted, 'backend'>> {
    if (isStopping) throw new MeshError('ERR_STOPPED', 'this node is stopping')
    if (request.deadline !== undefined && request.deadline <= clock.now()) throw new MeshError('ERR_TASK_DEADLINE', 'the deadline has passed')
    const { isolation: asked, limits, engine, capabilities, grants } = request
    const decision = await decide(asker, { isolation: asked, limits, engine, capabilities, grants, codeHash })
    if (!decision.allow) throw new MeshError(decision.code, decision.reason)
    const { grant } = decision
    // Both the level asked for and the level policy raises it to must exist: no other stands in for either.
    const { strict } = request
    await sandboxes.ready(request.isolation, { strict })
    return { ...grant, backend: await sandboxes.ready(grant.isolation, { strict }) }
  }
  /** Says whether a task would be taken now, and promises nothing. Source: task/v1 section 8. */
  async function* probe(asker: Did, id: string, asked: TaskProbe): AsyncGenerator<TaskEvent> {
    const { isolation, backend } = await judge(asker, asked, 'any')
    takePlace({ id, asker, fileBytes: asked.fileBytes })()
    const running = [...live.values()].filter(({ record }) => record.state === 'running').length
    yield { event: 'decision', isolation, backend: backend.name, running, queued: places.size - running }
  }
  async function admit(order: Order): Promise<Admitted> {
    const { id, asker, request } = order
    let release: (() => void) | undefined
    try {
      const granted = await judge(asker, request, hex(request.codeHash))
      if (request.bundle !== undefined) {
        if (options.checkBundle === undefined) throw new MeshError('ERR_POLICY_DENIED', 'no bundles are taken here')
        await options.checkBundle(request.bundle, request)
      }
      if (records.has(id) || places.has(id)) throw new MeshError('ERR_REPLAYED', `a task ${id} was taken before`)
      const fileBytes = request.artefacts.reduce((sum, { size }) => sum + size, 0)
      release = takePlace({ id, asker, fileBytes })
      if (fileBytes > 0) await folders.checkRoom(fileBytes)
      return { ...granted, release }
    } catch (error) {
      release?.()
      const { code, message } = toMeshError(error)
      if (refusals.count(asker)) await audit.record(taskRefused({ ...parties(id, asker), code, reason: message }))
      throw error
    }
  }
  /** A request that is admitted is on disk, once, before anything is done for it. */
  async function claim(order: Order, record: ServedRecord, tokens: readonly string[]): Promise<void> {
    const taken = replay.claim(order.signed)
    try {
      const entry = taskRequested({ ...parties(order.id, order.asker), requestHash: order.signed.hash, codeHash: order.request.codeHash })
      // One turn, one batch: what the task leans on is written down with it.
      const used = tokens.map((id) => audit.record(grantUsed({ ...parties(order.id, order.asker), id: fromHex(id) })))
      await Promise.all([audit.record(entry, [...taken.ops, ...journal.keep(order.id, record)]), ...used])
    } catch (error) {
      await taken.release()
      throw error
    }
  }
  async function take(order: Order): Promise<Job> {
    const { id, asker, request, inputHash, signed } = order
    const { isolation, limits, capabilities, tokens, reach, byToken, backend, release } = await admit(order)
    const { engine, strict, priority, deadline, detached, traceId, codeHash } = request
    const record: ServedRecord = {
      version: 1,
      asker,
      subject: subject(asker),
      requestHash: signed.hash,
      codeHash,
      inputHash,
      engine,
      isolation,
      backend: backend.name,
      strict,
      capabilities,
      limits,
      priority,
      deadline,
      detached,
      traceId,
      artefactsIn: [],
      state: 'queued',
      acceptedAt: clock.now(),
      startedAt: undefined,
      endedAt: undefined,
      outcome: '',
      message: '',
      limit: '',
      usage: undefined,
      artefactsOut: [],
      receiptHash: undefined,
      bytes: 0,
      countersignedAt: undefined,
      told: false,
      stripped: false,
    }
    try {
      await claim(order, record, tokens)
    } catch (error) {
      release()
      throw error
    }
    let folder: TaskFolder | undefined
    try {
      const hasFiles = request.artefacts.length > 0 || capabilities.includes('file:read') || capabilities.includes('file:write')
      folder = hasFiles ? await folders.make(id) : undefined
    } catch (error) {
      release()
      remember(id, record)
      await settle(id, failedBy(toMeshError(error).code, 'no room for the files of the task'))
      throw error
    }
    const bridge = () => options.bridgeFor?.({ id, asker: record.subject, capabilities, limits, isolation, reach, byToken, work: folder?.path })
    const { code, input } = request
    const task = { engine, code, input }
    const job = createJob({
      id,
      self: keyring.did,
      record,
      task,
      folder,
      queue: queueOf(isolation),
      backend,
      bridge,
      clock,
      audit,
      journal,
      writeEnd,
      onEnd: ended,
    })
    live.set(id, job)
    if (request.grants !== undefined) shown.set(id, request.grants)
    remember(id, record)
    function ended(_job: Job, failure: MeshError | undefined): void {
      live.delete(id)
      shown.delete(id)
      release()
      remember(id, job.record)
      if (failure === undefined) afterEnd(id, folder)
      else logger.error('the end of a task could not be written down', { id, code: failure.code, message: failure.message })
    }
    return job
  }
  /** What an ended task leaves is tidied up; none of it can undo what was written down. */
  function afterEnd(id: string, folder: TaskFolder | undefined): void {
    const record = records.get(id)
    if (record === undefined) return
    if (record.startedAt !== undefined && record.endedAt !== undefined) runMs = (3 * runMs + (record.endedAt - record.startedAt)) / 4
    options.onEnd({ id, asker: record.asker, outcome: record.outcome })
    const tidy = record.artefactsOut.length > 0 ? folder?.removeIn() : folder?.remove()
    tidy?.catch((error: unknown) => logger.warn('files of a task were not removed', { id, code: toMeshError(error).code }))
    inBackground('old tasks were not forgotten', prune)
    if ((attached.get(id) ?? 0) === 0) inBackground('an asker was not told of the end of its task', () => tellAsker(id))
  }
  const inBackground = (what: string, act: () => Promise<unknown>): void => {
    act().catch((error: unknown) => logger.warn(what, { code: toMeshError(error).code }))
  }
  /** Writes down the end of a task that is not here any more. */
  async function settle(id: string, outcome: ReturnType<typeof failedBy>): Promise<void> {
    const record = records.get(id)
    if (record === undefined || record.state === 'done' || live.has(id)) return
    // A write that failed may have landed all the same: the disk decides.
    const kept = await journal.find(id)
    if (kept?.state === 'done') return remember(id, kept)
    const written = await writeEnd(id, record, outcome, nothingSaid)
    remember(id, written.record)
    options.onEnd({ id, asker: record.asker, outcome: written.record.outcome })
  }
  const settleLost = (id: string, { state }: ServedRecord): Promise<void> =>
    settle(
      id,
      state === 'running'
        ? failedBy('ERR_TASK_LOST', 'the executor stopped while it ran; it is not run again')
        : failedBy('ERR_TASK_NOT_RUN', 'the executor stopped before it began'),
    )
  async function keepRecord(id: string, change: Partial<ServedRecord>): Promise<void> {
    const record = records.get(id)
    if (record === undefined) return
    const changed = { ...record, ...change }
    await options.store.durable(journal.keep(id, changed))
    records.set(id, changed)
  }
  async function tellAsker(id: string): Promise<void> {
    const record = records.get(id)
    if (record === undefined || record.state !== 'done' || record.countersignedAt !== undefined || record.told || record.stripped) return
    // Who left while it ran knows that it ended.
    if (record.outcome === 'ERR_TASK_CANCELLED') return
    records.set(id, { ...record, told: true })
    await options.tell(record.asker, noticeOf(id, record))
    await keepRecord(id, { told: true })
  }
  async function prune(): Promise<void> {
    const ended = [...records].filter(([, { state }]) => state === 'done')
    const { forget, strip } = outdated(ended, clock.now())
    if (forget.length === 0 && strip.length === 0) return
    const ops = forget.flatMap((id) => journal.forget(id))
    for (const id of forget) {
      byRequest.delete(hex(records.get(id)?.requestHash ?? new Uint8Array()))
      records.delete(id)
    }
    for (const id of strip) {
      const record = records.get(id)
      if (record === undefined) continue
      const stripped = { ...record, stripped: true }
      records.set(id, stripped)
      ops.push(...journal.strip(id), ...journal.keep(id, stripped))
    }
    await options.store.durable(ops)
    await Promise.all([...forget, ...strip].map(async (id) => (await folders.find(id)).remove()))
  }
  /** Files of the request, as the asker sends them. */
  async function receive(job: Job, artefacts: readonly Artefact[], asker: AskerEnd): Promise<readonly Artefact[]> {
    if (job.folder === undefined) return []
    for (const artefact of artefacts) {
      const sink = await job.folder.receive(artefact)
      try {
        for (let left = artefact.size; left > 0;) {
          job.stopped.throwIfAborted()
          const chunk = await asker.nextChunk(left)
          await sink.write(chunk)
          left -= chunk.length
        }
        await sink.end()
      } finally {
        await sink.close()
      }
    }
    return artefacts
  }
  async function* run(order: Order, asker: AskerEnd): AsyncGenerator<TaskEvent> {
    const job = await take(order)
    const { isolation, backend, strict, capabilities, limits, detached } = job.record
    let isRunning = false
    try {
      yield { event: 'accepted', isolation, backend, strict, capabilities, limits }
      const artefactsIn = await receive(job, order.request.artefacts, asker)
      const events = follow(job, asker.signal, { stops: !detached })
      isRunning = true
      job.start({ artefactsIn })
      yield* events
    } catch (error) {
      const reason = toMeshError(error)
      if (!isRunning) job.stop(reason.code.startsWith('ERR_NET_') ? new MeshError('ERR_TASK_CANCELLED', 'the asker left') : reason)
      throw error
    } finally {
      // Its asker left before it heard that the task is taken; no file is due, so it has all it needs.
      if (!isRunning && detached && order.request.artefacts.length === 0) job.start({ artefactsIn: [] })
      else if (!isRunning || !detached) {
        job.stop(new MeshError('ERR_TASK_CANCELLED', 'the asker left'))
        await job.ended
      }
    }
  }
  /** Events of a task until its end, then its files and its result. */
  async function* follow(job: Job, signal: AbortSignal, { stops }: { readonly stops: boolean }): AsyncGenerator<TaskEvent> {
    const feed = job.follow()
    const leave = (): void => {
      feed.end()
      if (stops) job.stop(new MeshError('ERR_TASK_CANCELLED', 'the asker left'))
    }
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    try {
      yield* feed.read()
    } finally {
      signal.removeEventListener('abort', leave)
    }
    if (!signal.aborted) yield* ending(job.id)
  }
  /** What an ended task gives back. @throws ERR_TASK_LOST when it is not here any more */
  async function* ending(id: string): AsyncGenerator<TaskEvent> {
    const record = records.get(id)
    const receipt = await journal.receipt(id)
    if (record === undefined || receipt === undefined || record.state !== 'done' || record.stripped) throw lost()
    if (record.countersignedAt !== undefined) throw new MeshError('ERR_TASK_LOST', 'you signed for the outcome of this task; it is not kept here any more')
    if (record.artefactsOut.length > 0) {
      const folder = await folders.find(id)
      for (const artefact of record.artefactsOut) {
        yield { event: 'artefact', ...artefact }
        for await (const bytes of folder.read(artefact)) yield { event: 'chunk', bytes }
      }
    }
    yield { event: 'result', result: await journal.result(id), message: record.message, limit: record.limit, receipt }
  }
  const lost = (): MeshError => new MeshError('ERR_TASK_LOST', 'this task is not known here, or not any more')

  async function keep(id: string, countersignature: Uint8Array): Promise<void> {
    const record = records.get(id)
    const bytes = await journal.receipt(id)
    if (record === undefined || bytes === undefined || record.state !== 'done') throw new MeshError('ERR_PROTOCOL', 'a countersignature before the receipt')
    const receipt = openStatement('task-receipt', bytes, { now: clock.now(), lifetimeMsMax: receiptLifetimeMs, atAnyTime: true })
    const signed = openCountersignature(countersignature, clock.now(), receipt)
    const changed = { ...record, countersignedAt: clock.now() }
    await audit.record(receiptCountersigned({ ...parties(id, record.asker), receiptHash: receipt.hash }), [
      ...journal.keepCountersignature(id, signed.bytes),
      ...journal.forgetResult(id),
      ...journal.keep(id, changed),
    ])
    records.set(id, changed)
    if (record.artefactsOut.length > 0) inBackground('files of a task were not removed', async () => (await folders.find(id)).remove())
  }
  function attach(id: string): () => void {
    attached.set(id, (attached.get(id) ?? 0) + 1)
    return () => {
      const left = (attached.get(id) ?? 1) - 1
      if (left > 0) attached.set(id, left)
      else attached.delete(id)
      if (left === 0) inBackground('an asker was not told of the end of its task', () => tellAsker(id))
    }
  }
  async function* resume(
    peer: Did,
    { requestHash, action }: TaskResume,
    signed: Signed,
    asker: AskerEnd,
    onFound: (id: string) => void,
  ): AsyncGenerator<TaskEvent> {
    const id = byRequest.get(hex(requestHash))
    const record = id === undefined ? undefined : records.get(id)
    // A stranger learns nothing about the tasks of others.
    if (id === undefined || record === undefined || record.subject !== subject(peer)) throw lost()
    const mark = replay.claim(signed)
    await options.store.durable(mark.ops).catch(async (error: unknown) => {
      await mark.release()
      throw error
    })
    onFound(id)
    const job = live.get(id)
    if (job !== undefined) {
      if (action === 'stop') job.stop(new MeshError('ERR_TASK_CANCELLED', 'stopped by its asker'))
      yield* follow(job, asker.signal, { stops: false })
      return
    }
    if (record.state !== 'done') await settleLost(id, record)
    yield* ending(id)
  }

  let stopChecking = (): void => undefined
  async function recheck(): Promise<void> {
    for (const job of [...live.values()]) {
      const { asker, isolation, limits, engine, capabilities, codeHash } = job.record
      const decision = await decide(asker, { isolation, limits, engine, capabilities, codeHash: hex(codeHash), grants: shown.get(job.id) })
      if (!decision.allow) job.stop(new MeshError(decision.code, decision.reason))
    }
  }
  function recheckLater(): void {
    stopChecking = clock.after(recheckMs, () => {
      recheck()
        .catch((error: unknown) => logger.warn('it was not asked whether tasks may go on', { code: toMeshError(error).code }))
        .finally(() => {
          if (!isStopping) recheckLater()
        })
    })
  }

  return {
    served: createServedDoors({ journal, live, records }),
    async open(peer, sealed) {
      const signed = openSigned(peer, sealed)
      const { type, payload } = signed.statement
      let detach: (() => void) | undefined
      let id: string | undefined
      const opened = { requestHash: signed.hash, end: () => detach?.() }
      const keepIt = (countersignature: Uint8Array): Promise<void> => {
        if (id === undefined) throw new MeshError('ERR_PROTOCOL', 'a countersignature before the receipt')
        return keep(id, countersignature)
      }
      if (type === taskStatementTypes.resume) {
        const asked = resumeCodec.decode(payload)
        const onFound = (found: string): void => {
          id = found
          detach = attach(found)
        }
        return { ...opened, replySecret: asked.replySecret, fileBytes: 0, run: (asker) => resume(peer, asked, signed, asker, onFound), keep: keepIt }
      }
      if (type === taskStatementTypes.probe) {
        const asked = probeCodec.decode(payload)
        return { ...opened, replySecret: asked.replySecret, fileBytes: 0, run: () => probe(peer, hex(signed.statement.id), asked), keep: keepIt }
      }
      if (type !== taskStatementTypes.request) throw new MeshError('ERR_PROTOCOL', `a ${type} where a request was due`)
      const order = await readOrder(peer, signed)
      return {
        ...opened,
        replySecret: order.request.replySecret,
        fileBytes: order.request.artefacts.reduce((sum, { size }) => sum + size, 0),
        run(asker) {
          id = order.id
          detach = attach(order.id)
          return run(order, asker)
        },
        keep: keepIt,
      }
    },
    async start() {
      for (const [id, record] of [...records]) if (record.state !== 'done') await settleLost(id, record)
      await prune()
      const kept = [...records].filter(
        ([, { artefactsOut, countersignedAt, stripped }]) => artefactsOut.length > 0 && countersignedAt === undefined && !stripped,
      )
      await folders.sweep(new Set(kept.map(([id]) => id)))
      recheckLater()
      for (const id of [...records.keys()]) inBackground('an asker was not told of the end of its task', () => tellAsker(id))
    },
    recheck,
    async stop() {
      isStopping = true
      stopChecking()
      const jobs = [...live.values()]
      for (const job of jobs) {
        const isRunning = job.record.state === 'running'
        job.stop(
          new MeshError(
            isRunning ? 'ERR_TASK_LOST' : 'ERR_TASK_NOT_RUN',
            isRunning ? 'the executor stopped while it ran' : 'the executor stopped before it began',
          ),
        )
      }
      await Promise.all(jobs.map(({ ended }) => ended))
      await folders.stop()
    },
  }
}
