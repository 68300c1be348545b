import { receiptCountersigned, taskCancelled, taskRequested } from '../audit/index.ts'
import { equal, hex, MeshError, secondMs, toMeshError } from '../base/index.ts'
import { openStatement } from '../identity/index.ts'
import { receiptCodec, receiptLifetimeMs, type TaskEvent } from '../protocols/task/index.ts'
import { type AskedRecord, type AskedRecords, askedEndedMax, askedOpenMax, createAskedRecords, fileViewOf, isOpenStatus, viewOf } from './asked-records.ts'
import type { AskedTasks, Asker, AskerOptions, Choice } from './asked-tasks.ts'
import { type Attempts, createAttempts, type Request, type ResultEvent } from './asker-attempt.ts'
import { createIncomingFiles, type IncomingFiles } from './asker-files.ts'
import { bodiesOf, codeOf, countersignedOf, createJob, cut, isLoss, type Job, orderOf, recordOf, resultOf, retryable } from './asker-job.ts'
import { prepareOrder, type PreparedOrder, taskAnswerMsMax, taskGraceMs, type TaskProgress, taskQueueMsMax, type TaskResult } from './asker-order.ts'
import { createFeed } from './feed.ts'
import { createPatience, type Patience } from './patience.ts'
import { documentOf } from './receipt.ts'
import { type LogLine, openTaskLog, readTaskLog } from './task-log.ts'

/** First and longest pause before an executor that went away is asked again, and before another attempt. */
export const taskAgainMsMin = secondMs
export const taskAgainMsMax = 30 * secondMs
/** Time to tell an executor that a task is no longer wanted. */
export const taskStopMsMax = 10 * secondMs
/** Progress that waits for its reader before the executor is slowed down. */
const progressWaitingMax = 256

/** The asking side: every task is on disk before it is sent, and ends once. Source: task/v1 section 9. */
export async function openAsker(options: AskerOptions): Promise<Asker> {
  const { keyring, clock, random, audit, store: root, logger, keys, choose } = options
  const records: AskedRecords = createAskedRecords(root, keyring)
  const attempts: Attempts = createAttempts(options)
  const jobs = new Map<string, Job>()
  const stopping = new AbortController()

  const isOpen = ({ record }: Job): boolean => isOpenStatus(record.status)
  const idOf = ({ record }: Job): string => hex(record.id)
  const change = (job: Job, fields: Partial<AskedRecord>): void => {
    job.record = { ...job.record, ...fields }
  }
  /** Known after the next write of anybody that is durable; nothing is promised by it. */
  const note = (job: Job): void => {
    root.batch(records.keep(job.record)).catch((error: unknown) => logger.warn('the state of a task was not kept', { code: toMeshError(error).code }))
  }
  async function emit(job: Job, progress: TaskProgress): Promise<void> {
    await Promise.all([...job.feeds].map((feed) => feed.push(progress)))
  }
  function print(job: Job, level: string, text: string): void {
    const line: LogLine = { n: ++job.lines, at: clock.now(), level, text }
    job.log?.add(line)
    for (const feed of job.logFeeds) void feed.push(line)
  }

  function begin(order: PreparedOrder): Job {
    if (stopping.signal.aborted) throw new MeshError('ERR_STOPPED', 'the node is stopping')
    if ([...jobs.values()].filter(isOpen).length >= askedOpenMax) throw new MeshError('ERR_OVERLOADED', `${askedOpenMax} tasks go on already`)
    const job = createJob(recordOf(order, clock.now()), order)
    // Who waits for it may have left.
    job.recorded.promise.catch(() => undefined)
    jobs.set(idOf(job), job)
    return job
  }
  function launch(job: Job, how: 'fresh' | 'again'): void {
    job.driving = drive(job, how)
      .catch((error: unknown) => {
        logger.error('a task could not be kept', { id: idOf(job), code: toMeshError(error).code })
        close(job, toMeshError(error))
      })
      .finally(() => {
        job.driving = undefined
      })
  }
  function close(job: Job, error?: MeshError): void {
    if (error === undefined) job.recorded.resolve()
    else job.recorded.reject(error)
    for (const feed of job.feeds) feed.end(error)
    for (const feed of job.logFeeds) feed.end()
  }

  /** Attempt after attempt, until it has ended. */
  async function drive(job: Job, how: 'fresh' | 'again'): Promise<void> {
    job.log ??= await openTaskLog({ records, id: job.record.id, clock, logger })
    const signal = AbortSignal.any([job.stopper.signal, stopping.signal])
    let isAgain = how === 'again'
    for (;;) {
      try {
        const result = isAgain ? await resume(job, signal) : await attempt(job, signal)
        isAgain = false
        if (!isOpen(job) || job.record.status === 'done') return await finish(job, result)
        throw new MeshError(codeOf(result.error?.code), result.error?.message ?? '')
      } catch (error) {
        isAgain = false
        const reason = toMeshError(error)
        if (stopping.signal.aborted) return close(job, toMeshError(stopping.signal.reason))
        // A caller that called off is told its own reason.
        if (job.stopper.signal.aborted) return await end(job, 'cancelled', toMeshError(job.stopper.signal.reason))
        change(job, { attempts: closed(job.record, reason) })
        const inMs = pauseBefore(job, reason)
        if (inMs === undefined) return await end(job, isLoss(job, reason) ? 'lost' : 'failed', reason)
        note(job)
        await emit(job, { type: 'retry', code: reason.code, message: reason.message, inMs })
        await clock.sleep(inMs, { signal }).catch(() => undefined)
        if (job.stopper.signal.aborted) return await end(job, 'cancelled', toMeshError(job.stopper.signal.reason))
        if (stopping.signal.aborted) return close(job, toMeshError(stopping.signal.reason))
      }
    }
  }
  /** The attempts, the last of them over. */
  function closed({ attempts: all }: AskedRecord, { code, message }: { readonly code: string; readonly message: string }): AskedRecord['attempts'] {
    const last = all.at(-1)
    if (last === undefined || last.endedAt !== undefined) return all
    return [...all.slice(0, -1), { ...last, endedAt: clock.now(), code, message: message.slice(0, 512) }]
  }
  /** When to try once more; undefined when that is not to be. */
  function pauseBefore({ record, order }: Job, { code, details }: MeshError): number | undefined {
    if (order === undefined || !record.idempotent || record.attempts.length > record.retries || !retryable.test(code)) return undefined
    const hint = details?.['retryAfterMs']
    const doubled = Math.min(taskAgainMsMax, taskAgainMsMin * 2 ** Math.max(0, record.attempts.length - 1)) * (0.5 + random.fraction() / 2)
    const inMs = Math.round(Math.max(doubled, typeof hint === 'number' ? hint : 0))
    return record.deadlineAt !== undefined && clock.now() + inMs >= record.deadlineAt ? undefined : inMs
  }

  async function attempt(job: Job, signal: AbortSignal): Promise<TaskResult> {
    const { order, record } = job
    if (order === undefined) throw new MeshError('ERR_TASK_LOST', 'what was asked for is no longer here')
    const { executor, why } = await pick(job, order, signal)
    const id = record.attempts.length === 0 ? record.id : random.bytes(16)
    const request = attempts.compose(order, executor, id)
    const isFirst = record.attempts.length === 0
    change(job, {
      status: 'asked',
      acceptedAt: undefined,
      backend: undefined,
      attempts: [...record.attempts, { id, executor, requestHash: request.signed.hash, at: clock.now(), endedAt: undefined, code: '', message: '' }],
    })
    await audit.record(taskRequested({ ...partiesOf(request), requestHash: request.signed.hash, codeHash: order.codeHash }), [
      ...records.keep(job.record),
      ...records.keepRequest(id, request.signed.bytes),
    ])
    job.recorded.resolve()
    if (isFirst) await emit(job, { type: 'asked', id: idOf(job) })
    await emit(job, { type: 'attempt', number: job.record.attempts.length, executor: keys.subject(executor), why })
    return await converse(job, request, { first: 'send', signal })
  }
  async function pick({ record }: Job, order: PreparedOrder, signal: AbortSignal): Promise<Choice> {
    if (order.on !== 'any') return { executor: await keys.current(order.on, { signal }), why: 'named by the order' }
    return await choose(order, { tried: record.attempts.map(({ executor }) => keys.subject(executor)), signal })
  }
  /** The task was sent in an earlier life, or by a stream that is gone. */
  async function resume(job: Job, signal: AbortSignal): Promise<TaskResult> {
    const last = job.record.attempts.at(-1)
    const bytes = last === undefined ? undefined : await records.request(last.id)
    if (bytes === undefined) throw new MeshError('ERR_TASK_LOST', 'it was not sent before this node stopped')
    const request = attempts.read(bytes)
    job.order ??= orderOf(job.record, request)
    return await converse(job, request, { first: 'attach', signal })
  }
  const partiesOf = ({ signed }: Request) => ({
    did: keyring.did,
    requester: signed.statement.from,
    executor: signed.statement.to,
    taskId: hex(signed.statement.id),
  })

  /** Talks to one executor about one request, over as many streams as it takes, until there is a result that both signed. */
  async function converse(
    job: Job,
    request: Request,
    { first, signal }: { readonly first: 'send' | 'attach'; readonly signal: AbortSignal },
  ): Promise<TaskResult> {
    const { fields, signed } = request
    const hardMs = taskAnswerMsMax + taskQueueMsMax + fields.limits.wallMs + taskGraceMs * (2 + fields.artefacts.length)
    const untilMs = fields.deadline === undefined ? hardMs : Math.min(hardMs, Math.max(0, fields.deadline - clock.now()) + taskGraceMs)
    const patience = createPatience(clock, { mostMs: untilMs, what: 'the task took longer than its deadline' })
    const both = AbortSignal.any([signal, patience.signal])
    let action: 'send' | 'attach' = first
    job.isSent = first === 'attach'
    let pauseMs = taskAgainMsMin
    let settled: TaskResult | undefined
    patience.allow(taskAnswerMsMax, 'the executor does not answer')
    // Whoever reads slowly holds nothing up that is over.
    const release = (): void => {
      for (const feed of job.feeds) feed.release()
    }
    both.addEventListener('abort', release, { once: true })
    try {
      for (;;) {
        const incoming = createIncomingFiles({ dir: job.record.out === '' ? undefined : job.record.out, id: hex(signed.statement.id) })
        const handlers = {
          signal: both,
          onArtefact: incoming.begin,
          countersign: async (event: ResultEvent): Promise<Uint8Array> => {
            const ended = await settle(job, request, event, incoming)
            settled = ended.result
            return ended.countersigned
          },
        }
        try {
          const events =
            action === 'send'
              ? attempts.send(request, { ...handlers, onSent: () => (job.isSent = true), ...bodiesOf(job.order) })
              : attempts.resume(request, 'attach', handlers)
          for await (const event of events) {
            pauseMs = taskAgainMsMin
            await take(job, event, { patience, wallMs: fields.limits.wallMs })
          }
          if (settled !== undefined) return settled
          throw new MeshError('ERR_PROTOCOL', 'the task ended without a result')
        } catch (error) {
          // The receipt is on our disk: the result stands, whether or not the executor heard so.
          if (settled !== undefined) return settled
          const reason = toMeshError(error)
          if (stopping.signal.aborted || !job.isSent) throw reason
          if (both.aborted) {
            const stopped = await stopThere(job, request)
            if (stopped !== undefined) return stopped
            throw toMeshError(both.reason)
          }
          const isRefused = reason.details?.['refused'] === true
          if (!cut.test(reason.code) || (isRefused && action === 'send')) throw reason
          // The executor may have it all the same: asked again, never sent again.
          action = 'attach'
          await clock.sleep(pauseMs * (0.5 + random.fraction() / 2), { signal: both }).catch(() => undefined)
          pauseMs = Math.min(taskAgainMsMax, 2 * pauseMs)
        } finally {
          await incoming.drop()
        }
      }
    } finally {
      both.removeEventListener('abort', release)
      patience.end()
    }
  }
  /** Tells the executor that it is no longer wanted, and takes what comes of it; undefined when nobody hears. */
  async function stopThere(job: Job, request: Request): Promise<TaskResult | undefined> {
    const incoming = createIncomingFiles({ dir: undefined, id: hex(request.signed.statement.id) })
    let settled: TaskResult | undefined
    const signal = AbortSignal.any([clock.timeout(taskStopMsMax, 'stopping the task'), stopping.signal])
    try {
      const events = attempts.resume(request, 'stop', {
        signal,
        onArtefact: incoming.begin,
        countersign: async (event) => {
          const ended = await settle(job, request, event, incoming)
          settled = ended.result
          return ended.countersigned
        },
      })
      for await (const _event of events);
    } catch (error) {
      logger.info('the executor was not told to stop', { id: idOf(job), code: toMeshError(error).code })
    }
    return settled
  }

  async function take(job: Job, event: TaskEvent, { patience, wallMs }: { readonly patience: Patience; readonly wallMs: number }): Promise<void> {
    switch (event.event) {
      case 'accepted': {
        const { isolation, backend } = event
        patience.allow(taskQueueMsMax, 'the executor does not begin')
        change(job, { status: 'accepted', acceptedAt: job.record.acceptedAt ?? clock.now(), backend: { isolation, backend } })
        note(job)
        return await emit(job, { type: 'accepted', isolation, backend })
      }
      case 'queued':
        change(job, { status: 'queued' })
        return await emit(job, { type: 'queued', position: event.position })
      case 'running':
        patience.allow(wallMs + taskGraceMs, 'the executor gave no result within the wall limit')
        change(job, { status: 'running' })
        note(job)
        return await emit(job, { type: 'running' })
      case 'usage':
        return await emit(job, { type: 'usage', usage: event.usage })
      case 'console':
        print(job, event.level, event.text)
        return await emit(job, { type: 'console', level: event.level, text: event.text })
      case 'progress':
        job.progress = { fraction: event.permille / 1_000, note: event.note }
        return await emit(job, { type: 'progress', ...job.progress })
      case 'artefact':
        patience.allow(taskGraceMs, 'the executor does not send its files')
        return await emit(job, { type: 'artefact', name: event.name, bytes: event.size, hash: hex(event.hash) })
      default:
    }
  }

  /** Checks receipt against result and keeps both, once: what comes again gets the same answer, anything else none. */
  async function settle(
    job: Job,
    request: Request,
    event: ResultEvent,
    incoming: IncomingFiles,
  ): Promise<{ readonly result: TaskResult; readonly countersigned: Uint8Array }> {
    const { receipt, facts } = await attempts.check(request, event, incoming.list())
    const { id } = request.signed.statement
    const known = await records.end(id)
    if (known !== undefined) {
      if (!equal(known.receipt, receipt.bytes)) throw new MeshError('ERR_RECEIPT_INVALID', 'the executor signed two receipts for one task')
      return {
        result: resultOf(event, documentOf(receipt, facts, countersignedOf(known.countersigned)), job.record.artefacts),
        countersigned: known.countersigned,
      }
    }
    const back = attempts.countersign(receipt)
    const document = documentOf(receipt, facts, back)
    // Before anything is signed for: a result that is no JSON is none.
    const checked = resultOf(event, document, [])
    const files = await incoming.keep()
    const result = { ...checked, artefacts: files.map((file) => ({ ...fileViewOf(file), path: file.path })) }
    const error = result.error ?? { code: '', message: '', limit: '' }
    const attemptsClosed = closed(job.record, error)
    change(job, { attempts: attemptsClosed })
    // One that was given up before is over, whatever comes of it now.
    const isAgain =
      !result.ok && !job.stopper.signal.aborted && job.record.endedAt === undefined && pauseBefore(job, new MeshError(codeOf(error.code), '')) !== undefined
    const record: AskedRecord = isAgain
      ? job.record
      : {
          ...job.record,
          status: result.ok ? 'done' : error.code === 'ERR_TASK_CANCELLED' ? 'cancelled' : 'failed',
          endedAt: clock.now(),
          error: result.ok ? undefined : error,
          artefacts: files,
          receipt: receipt.hash,
        }
    const kept = { receipt: receipt.bytes, countersigned: back.bytes, result: event.result }
    await audit.record(receiptCountersigned({ ...partiesOf(request), receiptHash: receipt.hash }), [...records.keep(record), ...records.keepEnd(id, kept)])
    job.record = record
    options.ended?.(record, kept)
    return { result, countersigned: back.bytes }
  }

  async function finish(job: Job, result: TaskResult): Promise<void> {
    await job.log?.flush()
    void emit(job, result)
    close(job)
    await forgetOldest()
  }
  async function end(job: Job, status: 'cancelled' | 'failed' | 'lost', reason: MeshError): Promise<void> {
    const last = job.record.attempts.at(-1)
    const attemptsClosed = closed(job.record, reason)
    change(job, { attempts: attemptsClosed, status, endedAt: clock.now(), error: { code: reason.code, message: reason.message.slice(0, 8_192), limit: '' } })
    // Of a task that may have run the request stays: its executor may still tell.
    const mayStillCome = status === 'lost' && reason.details?.['refused'] !== true
    const ops = [...records.keep(job.record), ...(last === undefined || mayStillCome ? [] : records.forgetRequest(last.id))]
    if (status === 'cancelled' && last !== undefined) {
      const parties = { did: keyring.did, requester: keyring.did, executor: last.executor, taskId: hex(last.id) }
      await audit.record(taskCancelled({ ...parties, reason: reason.message }), ops)
    } else await root.durable(ops)
    await job.log?.flush()
    close(job, reason)
    await forgetOldest()
  }
  /** Ended tasks past the limit are forgotten, the oldest first. */
  async function forgetOldest(): Promise<void> {
    const ended = [...jobs.values()].filter((job) => !isOpen(job) && job.driving === undefined)
    if (ended.length <= askedEndedMax) return
    for (const job of ended.toSorted((a, b) => a.record.createdAt - b.record.createdAt).slice(0, ended.length - askedEndedMax)) {
      jobs.delete(idOf(job))
      await records.forget(job.record)
    }
  }
  /** A lost task whose executor may know: asked for once. */
  function revive(job: Job): void {
    if (job.driving !== undefined || job.record.status !== 'lost' || stopping.signal.aborted) return
    const signal = AbortSignal.any([clock.timeout(taskAnswerMsMax, 'asking for a lost task'), stopping.signal])
    const before = job.record
    job.driving = resume(job, signal)
      .then((result) => finish(job, result))
      .catch(async (error: unknown) => {
        const reason = toMeshError(error)
        const last = before.attempts.at(-1)
        job.record = before
        if (reason.code === 'ERR_TASK_LOST' && last !== undefined && !stopping.signal.aborted) await root.batch(records.forgetRequest(last.id))
      })
      .catch((error: unknown) => logger.warn('a lost task could not be kept', { id: idOf(job), code: toMeshError(error).code }))
      .finally(() => {
        job.driving = undefined
      })
  }

  function find(id: string): Job {
    const job = jobs.get(id)
    if (job !== undefined) return job
    const fits = id.length < 4 ? [] : [...jobs].filter(([key]) => key.startsWith(id)).map(([, one]) => one)
    if (fits.length > 1) throw new MeshError('ERR_USAGE', `several tasks begin with ${id}`)
    const [only] = fits
    if (only === undefined) throw new MeshError('ERR_NOT_FOUND', `no task ${id}`, { hint: 'see `kindmesh task list`' })
    return only
  }
  function halt(job: Job, reason: MeshError): void {
    if (isOpen(job)) job.stopper.abort(reason)
  }

  const tasks: AskedTasks = {
    async *run(order, { signal } = {}) {
      signal?.throwIfAborted()
      const prepared = await prepareOrder(order, { clock, random })
      const job = begin(prepared)
      const feed = createFeed<TaskProgress>({ most: progressWaitingMax })
      const onAbort = (): void => {
        const reason = toMeshError(signal?.reason)
        halt(job, reason)
        feed.end(reason)
      }
      job.feeds.add(feed)
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        launch(job, 'fresh')
        if (signal?.aborted === true) onAbort()
        yield* feed.read()
      } finally {
        signal?.removeEventListener('abort', onAbort)
        job.feeds.delete(feed)
        halt(job, new MeshError('ERR_TASK_CANCELLED', 'the asker left'))
      }
    },
    async start(order) {
      const job = begin(await prepareOrder(order, { clock, random }))
      launch(job, 'fresh')
      await job.recorded.promise
      return viewOf(job.record, keys.subject)
    },
    list() {
      const newest = [...jobs.values()].toSorted((a, b) => b.record.createdAt - a.record.createdAt)
      return [...newest.filter(isOpen), ...newest.filter((job) => !isOpen(job))].map(({ record }) => viewOf(record, keys.subject))
    },
    async describe(id) {
      const { record, progress } = find(id)
      const last = record.attempts.at(-1)
      const kept = last === undefined ? undefined : await records.end(last.id)
      const view = { ...viewOf(record, keys.subject), progress: progress ?? null }
      if (kept === undefined) return { ...view, result: null, usage: null, document: null }
      const receipt = openStatement('task-receipt', kept.receipt, { now: clock.now(), lifetimeMsMax: receiptLifetimeMs, atAnyTime: true })
      const document = documentOf(receipt, receiptCodec.decode(receipt.statement.payload), countersignedOf(kept.countersigned))
      return { ...view, result: kept.result === undefined ? null : (JSON.parse(kept.result) as unknown), usage: document.usage, document }
    },
    async *logs(id, { follow = false, signal } = {}) {
      const job = find(id)
      const feed = createFeed<LogLine>({ most: 1_024, lossy: true })
      const leave = (): void => feed.end(signal?.reason)
      const isLive = follow && (isOpen(job) || job.driving !== undefined)
      if (isLive) job.logFeeds.add(feed)
      signal?.addEventListener('abort', leave, { once: true })
      try {
        await job.log?.flush()
        const { cut: missing, lines } = await readTaskLog(records, job.record.id)
        if (missing.lines > 0) yield { type: 'cut', ...missing }
        for (const line of lines) yield { type: 'line', ...line }
        let last = lines.at(-1)?.n ?? 0
        if (isLive) {
          for await (const line of feed.read()) {
            if (line.n <= last) continue
            if (line.n > last + 1) yield { type: 'cut', lines: line.n - last - 1, bytes: 0 }
            last = line.n
            yield { type: 'line', ...line }
          }
        }
        yield { type: 'end', status: job.record.status }
      } finally {
        signal?.removeEventListener('abort', leave)
        job.logFeeds.delete(feed)
      }
    },
    async stop(id) {
      const job = find(id)
      const stopped = isOpen(job)
      halt(job, new MeshError('ERR_TASK_CANCELLED', 'stopped by its owner'))
      if (stopped) await job.driving
      return { id: idOf(job), stopped, status: job.record.status }
    },
  }

  for await (const record of records.load()) jobs.set(hex(record.id), createJob(record, undefined))
  for (const job of jobs.values()) {
    job.recorded.promise.catch(() => undefined)
    const last = isOpen(job) ? (await readTaskLog(records, job.record.id)).lines.at(-1) : undefined
    job.lines = last?.n ?? 0
    if (isOpen(job)) launch(job, 'again')
  }
  return {
    tasks,
    probe: attempts.probe,
    sizeOf: (order, executor) => attempts.compose(order, executor, order.id).signed.bytes.length,
    wake(peer) {
      const here = keys.subject(peer)
      for (const job of jobs.values()) {
        const last = job.record.attempts.at(-1)
        if (job.record.status === 'lost' && last !== undefined && keys.subject(last.executor) === here) revive(job)
      }
    },
    hint(from, requestHash) {
      for (const job of jobs.values()) {
        const last = job.record.attempts.at(-1)
        if (last !== undefined && hex(last.requestHash) === requestHash && keys.subject(last.executor) === keys.subject(from)) revive(job)
      }
    },
    async stop() {
      stopping.abort(new MeshError('ERR_STOPPED', 'the node is stopping'))
      await Promise.all([...jobs.values()].flatMap(({ driving }) => driving ?? []))
      await Promise.all([...jobs.values()].flatMap(({ log }) => log?.flush() ?? []))
    },
  }
}
