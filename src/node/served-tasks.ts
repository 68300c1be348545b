import type { Inbox, Mail, Taker } from '../agents/index.ts'
import type { Audit } from '../audit/index.ts'
import type { BundlePins } from '../bundles/index.ts'
import { type Clock, type Did, type Logger, type Random, secondMs, toMeshError } from '../base/index.ts'
import type { PrekeyRing, ReplayGuard } from '../envelope/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import { type Decision, decideTask, type HeldToken, levelMinOf, type Policy, taskScope } from '../policy/index.ts'
import { serveTasks } from '../protocols/task/index.ts'
import type { HostBridge, Sandboxes } from '../sandbox/index.ts'
import type { Store } from '../store/index.ts'
import { type BridgeOrder, openExecutor, readNotice, type ServedTasks } from '../tasks/index.ts'
import type { Level } from '../trust/index.ts'
import { bundleCheck } from './bundles.ts'
import type { EventHub } from './events.ts'
import type { KeyChains } from './key-chains.ts'
import type { Trust } from './trust.ts'

/** News of an introducer older than this are asked for before its word decides on a task. */
const admissionAgeMsMax = 30 * secondMs
/** The same when the answer would be no: it may be new word that is missing. */
const refusalAgeMsMax = 2 * secondMs
/** From news about trust to the question who may go on: what was told together is looked at once. */
const recheckSoonMs = 20
/** An asker that is not there is not waited for. */
const tellMsMax = 5 * secondMs

export interface ServedOptions {
  readonly host: Host
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly prekeys: PrekeyRing
  readonly replay: ReplayGuard
  readonly audit: Audit
  /** The whole store. */
  readonly store: Store
  readonly sandboxes: Sandboxes
  readonly workDir?: string | undefined
  readonly policy: Policy
  readonly chains: KeyChains
  readonly consult: Trust['consult']
  readonly mail: Pick<Mail, 'send'>
  readonly events: EventHub
  readonly bridgeFor?: ((order: BridgeOrder) => HostBridge | undefined) | undefined
  /** What the operator pinned. */
  readonly bundlePins?: BundlePins | undefined
  level(did: Did): Level
  /** Looks at each decision and passes it on. */
  watch<T>(from: Did, scope: string, decision: Decision<T>): Decision<T>
  /** What an asker leans on: the chains it shows, and what it was given here. @throws for a chain that does not verify */
  tokensOf(asker: Did, shown?: readonly Uint8Array[]): readonly HeldToken[]
  /** Why a key may say nothing. */
  standing(key: Did): Decision<never> | undefined
}

/** Tasks of others on this node. */
export interface Served {
  readonly doors: ServedTasks
  start(): Promise<void>
  stop(): Promise<void>
}

export async function createServed({
  chains,
  consult,
  mail,
  events,
  policy,
  level,
  watch,
  tokensOf,
  standing,
  bridgeFor,
  bundlePins,
  ...options
}: ServedOptions): Promise<Served> {
  const { host, clock, logger } = options
  const executor = await openExecutor({
    ...options,
    ...(bridgeFor === undefined ? {} : { bridgeFor }),
    checkBundle: bundleCheck(bundlePins),
    policyText: () => JSON.stringify(policy),
    subject: chains.subject,
    onEnd: ({ id, asker, outcome }) => events.emit({ event: 'task', id, asker: chains.subject(asker), outcome }),
    async tell(asker, notice) {
      await mail.send(
        chains.currentKnown(chains.subject(asker)),
        { type: 'task_result', encoding: 'json', body: JSON.stringify(notice) },
        { timeoutMs: tellMsMax },
      )
    },
    async decide(asker, question) {
      const refusal = standing(asker)
      if (refusal !== undefined) return refusal
      await consult(asker, taskScope, {
        levelMin: levelMinOf(policy, taskScope) ?? policy.taskLevelMin,
        maxAgeMs: { yes: admissionAgeMsMax, no: refusalAgeMsMax },
      })
      const { grants, ...asked } = question
      const held = level(asker)
      // Whose level is too low is not worth a look at its tokens.
      const tokens = held < (levelMinOf(policy, taskScope) ?? held) ? [] : tokensOf(asker, grants)
      return watch(asker, taskScope, decideTask(policy, { ...asked, asker: chains.subject(asker), level: held, tokens }))
    },
  })
  serveTasks({ host, clock, logger, open: executor.open })
  let cancelCheck: (() => void) | undefined
  const stopListening = events.on(({ event }) => {
    if (event !== 'attestation' && event !== 'identity' && event !== 'config' && event !== 'grant') return
    cancelCheck ??= clock.after(recheckSoonMs, () => {
      cancelCheck = undefined
      executor.recheck().catch((error: unknown) => logger.warn('it was not asked whether tasks may go on', { code: toMeshError(error).code }))
    })
  })
  return {
    doors: executor.served,
    start: executor.start,
    async stop() {
      stopListening()
      cancelCheck?.()
      await executor.stop()
    },
  }
}

/** Messages of the type `task_result`: those of executors about tasks of ours are for the asker, the others for the inbox. Source: task/v1 section 7. */
export const taskResultTaker =
  (inbox: Pick<Inbox, 'keep'>, hint: (from: Did, requestHash: string) => void, onMessage: (message: Parameters<Taker>[0]) => void): Taker =>
  async (message) => {
    const request = readNotice(message.body)
    if (request !== undefined) return { ops: [], done: () => hint(message.from, request) }
    const { ops, release } = inbox.keep(message)
    return { ops, release, done: () => onMessage(message) }
  }
