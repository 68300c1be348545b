import { type Did, hex, isErrorCode, MeshError, secondMs, type SignalOption, toMeshError, within } from '../base/index.ts'
import {
  type AskedTasks,
  type Asker,
  type Candidate,
  type CandidateAnswer,
  chooseExecutor,
  openAsker,
  prepareOrder,
  type PreparedOrder,
  type TaskOrder,
} from '../tasks/index.ts'
import type { Level } from '../trust/index.ts'
import type { Finder } from './find.ts'

/** Peers looked at for a task that anybody may run. */
export const candidatesAskedMax = 32
/** Time each of them has to say whether it takes the task. */
export const candidateAnswerMsMax = 5 * secondMs

/** What would be sent, to whom, and what became of it if it were. */
export interface TaskPlan {
  readonly executor: Did
  readonly why: string
  readonly request: {
    /** Signed, before it is sealed. */
    readonly bytes: number
    readonly codeHash: string
    readonly codeBytes: number
    readonly inputHash: string
    readonly inputBytes: number
    readonly files: readonly { readonly name: string; readonly bytes: number; readonly hash: string }[]
    readonly engine: string
    readonly isolation: string
    readonly strict: boolean
    readonly capabilities: readonly string[]
    readonly limits: PreparedOrder['limits']
    readonly priority: number
    readonly deadlineAt: number | null
    readonly idempotent: boolean
    readonly traceId: string
  }
  /** `allow` is null when the executor did not say. */
  readonly decision: {
    readonly allow: boolean | null
    readonly code: string
    readonly reason: string
    /** What would isolate it there. */
    readonly isolation: string | null
    readonly backend: string | null
    readonly running: number | null
    readonly queued: number | null
  }
  /** What there must be for it to run, in sentences. */
  readonly missing: readonly string[]
}

/** Tasks of this node on other machines. */
export interface Tasks extends AskedTasks {
  /** What `run` would do, without doing it. @throws as `run` does before it sends */
  plan(order: TaskOrder, options?: SignalOption): Promise<TaskPlan>
}

export interface TasksOptions extends Omit<Parameters<typeof openAsker>[0], 'choose'> {
  readonly finder: Pick<Finder, 'find'>
  /** Ours, in `/task/run`. */
  level(peer: Did): Level
  /** How well we know it, 0 to 1, for choosing among equals. */
  known(peer: Did): number
}

export async function createTasks(options: TasksOptions): Promise<Pick<Asker, 'wake' | 'hint' | 'stop'> & { readonly tasks: Tasks }> {
  const { host, clock, random, keys, finder, level, known } = options

  /** What one peer says to a task. */
  async function answerOf(peer: Did, order: PreparedOrder, signal: AbortSignal): Promise<CandidateAnswer> {
    try {
      const { running, queued, isolation, backend } = await asker.probe(order, peer, { signal })
      return { takes: true, running, queued, isolation, backend }
    } catch (error) {
      const { code, message, details } = toMeshError(error)
      return { takes: false, code, reason: message, isSaid: details?.['refused'] === true }
    }
  }
  async function candidates(order: PreparedOrder, signal: AbortSignal): Promise<readonly { readonly key: Did; readonly candidate: Candidate }[]> {
    const found = await finder.find('task', { limit: candidatesAskedMax, signal })
    const others = found.filter(({ did }) => keys.subject(did) !== keys.subject(host.did))
    return await Promise.all(
      others.map(async ({ did, presence, route }) => {
        const deadline = within(clock, candidateAnswerMsMax, signal, 'asking a candidate')
        const answer = await answerOf(did, order, deadline)
        signal.throwIfAborted()
        return { key: did, candidate: { did: keys.subject(did), level: level(did), known: known(did), presence, route, answer } }
      }),
    )
  }
  const asker: Asker = await openAsker({
    ...options,
    async choose(order, { tried, signal }) {
      const all = await candidates(order, signal)
      const { did, why } = chooseExecutor(
        all.map(({ candidate }) => candidate),
        { tried, random },
      )
      const executor = all.find(({ candidate }) => candidate.did === did)?.key
      if (executor === undefined) throw new MeshError('ERR_INTERNAL', 'a peer was chosen that was not found')
      return { executor, why }
    },
  })
  const stopWatching = host.onPeer(({ event, peer }) => {
    if (event === 'connected') asker.wake(peer.did)
  })
  return {
    ...asker,
    async stop() {
      stopWatching()
      await asker.stop()
    },
    tasks: {
      ...asker.tasks,
      async plan(order, { signal = new AbortController().signal } = {}) {
        const prepared = await prepareOrder(order, { clock, random })
        const { executor, why, answer } = await planned(prepared, signal)
        const decision = decisionOf(answer)
        return {
          executor: keys.subject(executor),
          why,
          request: { bytes: asker.sizeOf(prepared, executor), ...requestView(prepared) },
          decision,
          missing: decision.allow === true ? [] : missingOf(decision),
        }
      },
    },
  }

  async function planned(
    order: PreparedOrder,
    signal: AbortSignal,
  ): Promise<{ readonly executor: Did; readonly why: string; readonly answer: CandidateAnswer }> {
    if (order.on !== 'any') {
      const executor = await keys.current(order.on, { signal })
      const answer = await answerOf(executor, order, signal)
      signal.throwIfAborted()
      return { executor, why: 'named by the order', answer }
    }
    const all = await candidates(order, signal)
    const { did, why } = chooseExecutor(
      all.map(({ candidate }) => candidate),
      { tried: [], random },
    )
    const chosen = all.find(({ candidate }) => candidate.did === did)
    if (chosen === undefined) throw new MeshError('ERR_INTERNAL', 'a peer was chosen that was not found')
    return { executor: chosen.key, why, answer: chosen.candidate.answer }
  }
}

const decisionOf = (answer: CandidateAnswer): TaskPlan['decision'] =>
  answer.takes
    ? { allow: true, code: '', reason: '', isolation: answer.isolation, backend: answer.backend, running: answer.running, queued: answer.queued }
    : { allow: answer.isSaid ? false : null, code: answer.code, reason: answer.reason, isolation: null, backend: null, running: null, queued: null }

/** What there must be for it to run. */
function missingOf({ code, reason }: TaskPlan['decision']): readonly string[] {
  const { hint } = new MeshError(isErrorCode(code) ? code : 'ERR_REFUSED', reason)
  return [`${reason} (${code}); ${hint}`]
}

const requestView = (order: PreparedOrder): Omit<TaskPlan['request'], 'bytes'> => ({
  codeHash: hex(order.codeHash),
  codeBytes: Buffer.byteLength(order.code),
  inputHash: hex(order.inputHash),
  inputBytes: Buffer.byteLength(order.inputText),
  files: order.files.map(({ name, size, hash }) => ({ name, bytes: size, hash: hex(hash) })),
  engine: order.engine,
  isolation: order.isolation,
  strict: order.strict,
  capabilities: order.capabilities,
  limits: order.limits,
  priority: order.priority,
  deadlineAt: order.deadlineAt ?? null,
  idempotent: order.idempotent,
  traceId: order.traceId,
})
