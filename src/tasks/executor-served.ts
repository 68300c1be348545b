import { type AgentCapability, type Did, hex, MeshError, type SignalOption } from '../base/index.ts'
import type { Artefact } from '../protocols/task/index.ts'
import type { Engine, IsolationLevel, SandboxLimits, SandboxUsage } from '../sandbox/index.ts'
import type { Job } from './executor-job.ts'
import type { ServedJournal, ServedRecord } from './executor-journal.ts'
import { type KeptLog, nothingSaid, type ServedLine } from './executor-log.ts'
import { createFeed } from './feed.ts'

/** Lines of a running task that wait for a reader; of more the oldest are left out. */
const linesWaitingMax = 1_024
/** Ended tasks in one answer. */
export const servedPageMax = 1_000

/** A task of somebody else's on this node. */
export interface ServedTask {
  readonly id: string
  /** The identity that asked. */
  readonly asker: Did
  /** `queued` also while its files come. */
  readonly state: 'queued' | 'running' | 'done'
  /** How many are before it. */
  readonly position?: number
  readonly engine: Engine
  readonly isolation: IsolationLevel
  readonly backend: string
  readonly strict: boolean
  readonly capabilities: readonly AgentCapability[]
  readonly limits: SandboxLimits
  readonly priority: number
  readonly deadline?: number
  readonly detached: boolean
  readonly traceId?: string
  readonly acceptedAt: number
  readonly startedAt?: number
  readonly endedAt?: number
  /** `ok` or a code. */
  readonly outcome?: string
  readonly message?: string
  readonly usage?: SandboxUsage
  readonly filesIn: readonly ServedFile[]
  readonly filesOut: readonly ServedFile[]
  readonly requestHash: string
  readonly codeHash: string
  readonly receiptHash?: string
  /** The asker has signed for the outcome. */
  readonly countersigned: boolean
}

export interface ServedFile {
  readonly name: string
  readonly bytes: number
  /** SHA-256, hexadecimal. */
  readonly hash: string
}

/** Tasks that this node runs for others, for its operator. */
export interface ServedTasks {
  /** Those that wait or run, by age. */
  list(): readonly ServedTask[]
  /** Those that ended, the last first. */
  history(page?: { readonly limit?: number }): readonly ServedTask[]
  /** @throws ERR_NOT_FOUND */
  describe(id: string): ServedTask
  /** What a task said: the beginning and the end that are kept, then, when `follow` is given, what it says until it ends. @throws ERR_NOT_FOUND */
  logs(id: string, options?: SignalOption & { readonly follow?: boolean }): AsyncGenerator<ServedLine | { readonly cut: KeptLog['cut'] }>
  /** Ends a task that waits or runs; false when none of that id does. */
  stop(id: string): boolean
}

export interface ServedDoorsOptions {
  readonly journal: Pick<ServedJournal, 'log'>
  readonly live: ReadonlyMap<string, Job>
  readonly records: ReadonlyMap<string, ServedRecord>
}

export function createServedDoors({ journal, live, records }: ServedDoorsOptions): ServedTasks {
  const find = (id: string): ServedTask => {
    const job = live.get(id)
    const record = job?.record ?? records.get(id)
    if (record === undefined) throw new MeshError('ERR_NOT_FOUND', `no task ${id} was run here`, { hint: 'see `kindmesh task history --served`' })
    return viewOf(id, record, job?.position)
  }
  return {
    list: () => [...live.keys()].map(find),
    history: ({ limit = 100 } = {}) =>
      [...records]
        .filter(([, { state }]) => state === 'done')
        .toSorted(([, a], [, b]) => (b.endedAt ?? 0) - (a.endedAt ?? 0))
        .slice(0, Math.min(limit, servedPageMax))
        .map(([id, record]) => viewOf(id, record, undefined)),
    describe: find,
    async *logs(id, { follow = false, signal } = {}) {
      find(id)
      const job = live.get(id)
      const kept = job?.log.kept() ?? (await journal.log(id)) ?? nothingSaid
      const news = createFeed<ServedLine>({ most: linesWaitingMax, lossy: true })
      const unfollow = follow ? job?.log.follow((line) => void news.push(line)) : undefined
      const end = (): void => news.end()
      try {
        yield* kept.first
        if (kept.cut.lines > 0) yield { cut: kept.cut }
        yield* kept.last
        if (unfollow === undefined) return
        void job?.ended.then(end)
        signal?.addEventListener('abort', end, { once: true })
        if (signal?.aborted === true) end()
        yield* news.read()
      } finally {
        unfollow?.()
        signal?.removeEventListener('abort', end)
      }
    },
    stop(id) {
      const job = live.get(id)
      job?.stop(new MeshError('ERR_TASK_CANCELLED', 'stopped by the operator of the executor'))
      return job !== undefined
    },
  }
}

const fileOf = ({ name, size, hash }: Artefact): ServedFile => ({ name, bytes: size, hash: hex(hash) })

function viewOf(id: string, record: ServedRecord, position: number | undefined): ServedTask {
  const { subject, state, engine, isolation, backend, strict, capabilities, limits, priority, deadline, detached, traceId, acceptedAt } = record
  const { startedAt, endedAt, outcome, message, usage, artefactsIn, artefactsOut, requestHash, codeHash, receiptHash, countersignedAt } = record
  return {
    id,
    asker: subject,
    state,
    ...(position === undefined ? {} : { position }),
    engine,
    isolation,
    backend,
    strict,
    capabilities,
    limits,
    priority,
    ...(deadline === undefined ? {} : { deadline }),
    detached,
    ...(traceId === undefined ? {} : { traceId: hex(traceId) }),
    acceptedAt,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(outcome === '' ? {} : { outcome }),
    ...(message === '' ? {} : { message }),
    ...(usage === undefined ? {} : { usage }),
    filesIn: artefactsIn.map(fileOf),
    filesOut: artefactsOut.map(fileOf),
    requestHash: hex(requestHash),
    codeHash: hex(codeHash),
    ...(receiptHash === undefined ? {} : { receiptHash: hex(receiptHash) }),
    countersigned: countersignedAt !== undefined,
  }
}
