import { type Audit, sandboxCreated } from '../audit/index.ts'
import { type Clock, type Did, MeshError, minuteMs, secondMs, toMeshError } from '../base/index.ts'
import type { TaskEvent } from '../protocols/task/index.ts'
import type { HostBridge, IsolationBackend, SandboxEvent, SandboxOutcome, TaskCode } from '../sandbox/index.ts'
import type { TaskFolder } from './executor-files.ts'
import { createServedLog, nothingSaid, type ServedLog } from './executor-log.ts'
import type { ServedJournal, ServedRecord } from './executor-journal.ts'
import { type EndWriter, failedBy } from './executor-end.ts'
import type { FairQueue } from './executor-queue.ts'
import { createFeed, type Feed } from './feed.ts'

/** Events that wait for an asker; then the task waits for it. */
const eventsWaitingMax = 16
/** How often an asker hears that its task still runs. Source: task/v1 section 4. */
export const usageEveryMs = 5 * secondMs
/** From acceptance to the last byte of the request's files. Source: task/v1 section 6. */
export const uploadMsMax = 10 * minuteMs
/** A timer further away than this cannot be set. */
const timerMsMax = 2 ** 31 - 1

export interface JobOptions {
  readonly id: string
  /** The executor. */
  readonly self: Did
  readonly record: ServedRecord
  readonly task: TaskCode
  readonly folder: TaskFolder | undefined
  readonly queue: FairQueue
  readonly backend: IsolationBackend
  /** Its way out, made when it begins to run and closed when that ends. */
  bridge(): HostBridge | undefined
  readonly clock: Clock
  readonly audit: Audit
  readonly journal: ServedJournal
  readonly writeEnd: EndWriter
  /** Once, when nothing more happens: with what was written down, or why it could not be. */
  onEnd(job: Job, failure: MeshError | undefined): void
}

/** One task from when it is taken until its receipt is written. */
export interface Job {
  readonly id: string
  readonly record: ServedRecord
  readonly log: ServedLog
  readonly folder: TaskFolder | undefined
  /** How many are before it; undefined when it does not wait. */
  readonly position: number | undefined
  /** Aborts when somebody stops it. */
  readonly stopped: AbortSignal
  /** All files of the request came: it may run. */
  start(record: Pick<ServedRecord, 'artefactsIn'>): void
  /** Ends it, whatever it does; the reason stands in the receipt. The first counts. */
  stop(reason: MeshError): void
  /** Events from now on, until it has ended. */
  follow(): Feed<TaskEvent>
  /** Never rejects. */
  readonly ended: Promise<void>
}

export function createJob({ id, self, task, folder, queue, backend, bridge, clock, audit, journal, writeEnd, onEnd, ...given }: JobOptions): Job {
  const stopper = new AbortController()
  const log = createServedLog()
  const feeds = new Set<Feed<TaskEvent>>()
  const timers: (() => void)[] = []
  const over = Promise.withResolvers<void>()
  const { capabilities, deadline, limits } = given.record
  let record = given.record
  let position: number | undefined
  let isStarted = false
  /** From here on nobody who reads slowly is waited for. */
  const hurry = Promise.withResolvers<void>()
  let isHurried = false
  const stop = (reason: MeshError): void => {
    if (stopper.signal.aborted) return
    stopper.abort(reason)
    isHurried = true
    hurry.resolve()
    // One whose files have not all come has nothing that would notice.
    if (!isStarted) void finish(() => Promise.resolve(notRun()))
  }

  async function emit(event: TaskEvent): Promise<void> {
    if (feeds.size === 0 || (isHurried && event.event !== 'running')) return
    await Promise.race([Promise.all([...feeds].map((feed) => feed.push(event))), hurry.promise])
  }
  const notRun = (): SandboxOutcome => {
    const { code, message } = toMeshError(stopper.signal.reason)
    return failedBy(code, message)
  }
  async function take(event: SandboxEvent): Promise<void> {
    if (event.type === 'console') {
      log.add({ at: clock.now(), level: event.level, text: event.text })
      await emit({ event: 'console', level: event.level, text: event.text })
    } else if (event.type === 'progress') {
      await emit({ event: 'progress', permille: Math.round(event.fraction * 1_000), note: event.note.slice(0, 8_192).toWellFormed() })
    }
  }
  async function execute(): Promise<SandboxOutcome> {
    record = { ...record, state: 'running', startedAt: clock.now() }
    const { asker, isolation } = record
    await audit.record(
      sandboxCreated({ did: self, requester: asker, sandboxId: id, isolationLevel: isolation, backend: backend.name, limits }),
      journal.keep(id, record),
    )
    await emit({ event: 'running' })
    const begunAt = clock.monotonic()
    const host = bridge()
    let outputBytes = 0
    timers.push(
      clock.after(limits.wallMs + usageEveryMs, () => {
        isHurried = true
        hurry.resolve()
      }),
    )
    let stopTelling = (): void => undefined
    const tell = (): void => {
      stopTelling = clock.after(usageEveryMs, () => {
        const usage = {
          cpuMs: 0,
          wallMs: Math.round(clock.monotonic() - begunAt),
          memoryBytes: 0,
          outputBytes,
          hostCalls: 0,
          netBytes: 0,
          fsOps: 0,
          ...host?.usage(),
        }
        void emit({ event: 'usage', usage })
        tell()
      })
    }
    tell()
    try {
      let outcome: SandboxOutcome | undefined
      for await (const event of backend.run(task, { limits, capabilities, signal: stopper.signal, ...(host === undefined ? {} : { host }) })) {
        if (event.type === 'done' || event.type === 'failed') outcome = event
        else {
          if (event.type === 'console') outputBytes += event.text.length
          await take(event)
        }
      }
      if (outcome === undefined) throw new MeshError('ERR_INTERNAL', 'the sandbox gave no outcome')
      if (outcome.type === 'failed' && stopper.signal.aborted) return { ...outcome, ...codeOf(stopper.signal.reason) }
      return outcome.type === 'done' ? await withFiles(outcome) : outcome
    } finally {
      stopTelling()
    }
  }
  /** A result counts only with the files the task left. */
  async function withFiles(outcome: Extract<SandboxOutcome, { readonly type: 'done' }>): Promise<SandboxOutcome> {
    if (folder === undefined) return outcome
    try {
      record = { ...record, artefactsOut: await folder.collect() }
      return outcome
    } catch (error) {
      const { usage, security } = outcome
      return { type: 'failed', ...codeOf(error), usage, security }
    }
  }
  async function work(): Promise<SandboxOutcome> {
    const place = queue.enter(record.subject, record.priority, (now) => {
      position = now
      void emit({ event: 'queued', position: now })
    })
    try {
      await place.turn(stopper.signal)
    } catch {
      place.leave()
      return notRun()
    }
    position = undefined
    try {
      return await execute()
    } finally {
      place.leave()
    }
  }
  let isFinishing = false
  async function finish(how: () => Promise<SandboxOutcome>): Promise<void> {
    if (isFinishing) return
    isFinishing = true
    let failure: MeshError | undefined
    try {
      const outcome = await how()
      ;({ record } = await writeEnd(id, record, outcome, log.kept()).catch((error: unknown) => {
        // What cannot be written down as it was has failed; what no disk takes is settled at the next start.
        if (toMeshError(error).code !== 'ERR_WIRE_TOO_LARGE') throw error
        return writeEnd(id, { ...record, artefactsOut: [] }, failedBy('ERR_SANDBOX_RESULT', 'the result is too large'), nothingSaid)
      }))
    } catch (error) {
      failure = toMeshError(error)
    }
    position = undefined
    for (const cancel of timers) cancel()
    onEnd(job, failure)
    for (const feed of feeds) feed.end(failure)
    over.resolve()
  }

  if (deadline !== undefined && deadline - clock.now() <= timerMsMax) {
    timers.push(clock.after(Math.max(0, deadline - clock.now()), () => stop(new MeshError('ERR_TASK_DEADLINE', 'the deadline passed'))))
  }
  const stopWaiting = clock.after(uploadMsMax, () => stop(new MeshError('ERR_TIMEOUT', 'the files of the request did not come in time')))
  timers.push(stopWaiting)
  const job: Job = {
    id,
    get record() {
      return record
    },
    log,
    folder,
    get position() {
      return position
    },
    stopped: stopper.signal,
    start({ artefactsIn }) {
      if (isStarted || isFinishing) return
      isStarted = true
      stopWaiting()
      record = { ...record, artefactsIn }
      void finish(work)
    },
    stop,
    follow() {
      const feed = createFeed<TaskEvent>({ most: eventsWaitingMax })
      feeds.add(feed)
      void over.promise.then(() => feed.end())
      if (position !== undefined) void feed.push({ event: 'queued', position })
      else if (record.state === 'running') void feed.push({ event: 'running' })
      return feed
    },
    ended: over.promise,
  }
  return job
}

function codeOf(error: unknown): { readonly code: MeshError['code']; readonly message: string } {
  const { code, message } = toMeshError(error)
  return { code, message }
}
