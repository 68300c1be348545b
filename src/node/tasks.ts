import { type Did, hex, MeshError, secondMs, type SignalOption, toMeshError, within } from '../base/index.ts'
import type { TermsAnswer } from '../protocols/klp/index.ts'
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
  readonly finder: Pick<Finder, 'find' | 'describe'>
  /** Ours, in `/task/run`. */
  level(peer: Did): Level
}

export async function createTasks(options: TasksOptions): Promise<Pick<Asker, 'wake' | 'hint' | 'stop'> & { readonly tasks: Tasks }> {
  const { host, clock, random, keys, finder, level } = options

  /** What one peer says to a task. */
  async function answerOf(peer: Did, _order: PreparedOrder, { signal }: SignalOption): Promise<CandidateAnswer> {
    await options.bundleOf(peer, { signal })
    return answerOfTerms(finder.describe(peer).terms?.find(({ name }) => name === 'task'))
  }
  async function candidates(order: PreparedOrder, signal: AbortSignal): Promise<readonly { readonly key: Did; readonly candidate: Candidate }[]> {
    const found = await finder.find('task', { limit: candidatesAskedMax, signal })
    const others = found.filter(({ did }) => keys.subject(did) !== keys.subject(host.did))
    return await Promise.all(
      others.map(async ({ did, presence, route }) => {
        const deadline = within(clock, candidateAnswerMsMax, signal, 'asking a candidate')
        const answer = await answerOf(did, order, { signal: deadline }).catch((error: unknown): CandidateAnswer => {
          signal.throwIfAborted()
          return { takes: false, code: toMeshError(error).code, reason: toMeshError(error).message }
        })
        return { key: did, candidate: { did: keys.subject(did), level: level(did), presence, route, answer } }
      }),
    )
  }
  const asker = await openAsker({
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
          request: requestView(prepared),
          decision,
          missing: decision.allow === false ? [`${decision.reason} (${decision.code})`] : [],
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
      return { executor, why: 'named by the order', answer: await answerOf(executor, order, { signal }) }
    }
    const all = await candidates(order, signal)
    const { did, why } = chooseExecutor(
      all.map(({ candidate }) => candidate),
      { tried: [], random },
    )
    const chosen = all.find(({ candidate }) => candidate.did === did)
    return { executor: chosen?.key ?? did, why, answer: chosen?.candidate.answer }
  }
}

function answerOfTerms(terms: TermsAnswer | undefined): CandidateAnswer {
  if (terms === undefined || terms.answer === 'granted') return undefined
  if (terms.answer === 'partial' && terms.limits.length > 0) return undefined
  return { takes: false, code: terms.answer === 'denied' ? 'ERR_CAPABILITY_DENIED' : 'ERR_TRUST_LOW', reason: terms.reason }
}

function decisionOf(answer: CandidateAnswer): TaskPlan['decision'] {
  if (answer === undefined) return { allow: null, code: '', reason: 'the executor decides when the task comes', running: null, queued: null }
  if (answer.takes) return { allow: true, code: '', reason: '', running: answer.running, queued: answer.queued }
  return { allow: false, code: answer.code, reason: answer.reason, running: null, queued: null }
}

const requestView = (order: PreparedOrder): TaskPlan['request'] => ({
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
