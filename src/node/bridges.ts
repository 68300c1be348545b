import { z } from 'zod'
import { type AgentCapability, type Clock, type Did, type Logger, MeshError, type Random } from '../base/index.ts'
import { type AskOptions, type BridgeServices, createHostBridge, createMemories, type RunBridge, type SecretSource } from '../bridge/index.ts'
import { engines, type Grants, type IsolationLevel, isolationLevels, noGrants, type SandboxLimits } from '../sandbox/index.ts'
import { taskArtefactBytesMax } from '../protocols/task/index.ts'
import type { Store } from '../store/index.ts'
import type { Tasks } from './tasks.ts'
import { narrowedGrants } from './narrowed-grants.ts'
import type { Reach } from '../policy/index.ts'
import { type Level, TrustLevel } from '../trust/index.ts'
import type { OperatorGrants } from './operator-grants.ts'

export interface BridgesOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Of what agents and askers remember. */
  readonly store: Store
  readonly secrets?: SecretSource | undefined
  readonly grants: OperatorGrants
  /** How far an asker is trusted to run tasks here. */
  level(did: Did): Level
  /** Who a text names. @throws ERR_IDENTITY_INVALID */
  resolve(text: string): Did
  ask(
    to: Did,
    data: unknown,
    options: { readonly signal: AbortSignal; readonly agent?: string; readonly timeoutMs?: number },
  ): Promise<{ readonly reply: unknown }>
  readonly tasks: Pick<Tasks, 'run'>
}

/** One run of a task of a peer. */
export interface TaskRunOrder {
  /** The identity that asked. */
  readonly asker: Did
  /** As policy granted them. */
  readonly capabilities: readonly AgentCapability[]
  readonly limits: SandboxLimits
  readonly isolation: IsolationLevel
  /** How far it reaches under its tokens, and what it was granted by a token alone. */
  readonly reach?: Reach | undefined
  readonly byToken?: readonly AgentCapability[] | undefined
  /** Folder that is the root `work` of the run. */
  readonly work?: string | undefined
}

/** One life of an agent of this node. */
export interface AgentRunOrder {
  readonly did: Did
  readonly grants: Grants
  readonly limits: SandboxLimits
  readonly isolation: IsolationLevel
  /** Told of each refused call, in one line. */
  readonly onRefused?: (detail: string) => void
}

/** What tasks and agents on this node reach outside of their sandboxes. Source: sandbox/v1 section 5. */
export interface Bridges {
  readonly services: BridgeServices
  forTask(order: TaskRunOrder): RunBridge
  forAgent(order: AgentRunOrder): RunBridge
  /** Deletes what an agent remembers. */
  forgetAgent(did: Did): Promise<void>
}

export function createBridges({ clock, random, logger, store, secrets, grants, level, resolve, ask, tasks }: BridgesOptions): Bridges {
  const memories = createMemories({ store, clock })
  const services: BridgeServices = {
    memories,
    secrets,
    async ask(to, data, { signal, agent, timeoutMs }) {
      const { reply } = await ask(resolve(to), data, { signal, ...(agent === undefined ? {} : { agent }), ...(timeoutMs === undefined ? {} : { timeoutMs }) })
      return reply
    },
    delegate: async (order, options) => await delegate(order, options, { resolve, tasks }),
  }
  return {
    services,
    forTask({ asker, capabilities, limits, isolation, work, reach = {}, byToken = [] }) {
      const held = level(asker)
      const granted = narrowedGrants(grants.tasks[held] ?? taskGrantsDefault, { reach, byToken, isReader: held <= TrustLevel.VERIFIED })
      return createHostBridge({
        // Askers and agents are of one kind of name: what a task of an asker remembers is not an agent's.
        configuration: { agentId: `task ${asker}`, level: isolation, limits, grants: { ...granted, capabilities }, work },
        services,
        clock,
        random,
        logger,
      })
    },
    forAgent({ did, grants: granted, limits, isolation, onRefused }) {
      return createHostBridge({
        configuration: { agentId: partitionOf(did), level: isolation, limits, grants: granted },
        services,
        clock,
        random,
        logger,
        ...(onRefused === undefined ? {} : { onRefused: ({ name, reason }) => onRefused(`${name}: ${reason}`) }),
      })
    },
    async forgetAgent(did) {
      const memory = memories.open(partitionOf(did), noGrants.memory)
      try {
        for (let keys = await memory.list('', undefined); keys.length > 0; keys = await memory.list('', undefined)) {
          for (const key of keys) await memory.delete(key)
        }
      } finally {
        memory.close()
      }
    },
  }
}

/** Where the operator says nothing a task reaches its own folder alone, with all that may come back from it. */
const taskGrantsDefault: Grants = { ...noGrants, files: { ...noGrants.files, maxBytes: taskArtefactBytesMax } }

const partitionOf = (agent: Did): string => `agent ${agent}`

/** What a guest may order of others: neither files nor capabilities, which are not its to give. Source: sandbox/v1 section 5.8. */
const orderSchema = z.strictObject({
  on: z.string().max(512),
  code: z.string(),
  input: z.unknown().optional(),
  engine: z.enum(engines).optional(),
  isolation: z.enum(isolationLevels).optional(),
  strict: z.boolean().optional(),
  limits: z.record(z.string(), z.int().min(0)).optional(),
  deadlineMs: z.int().min(1).optional(),
  idempotent: z.boolean().optional(),
  retries: z.int().min(0).max(10).optional(),
})

async function delegate(given: unknown, { signal }: AskOptions, { resolve, tasks }: Pick<BridgesOptions, 'resolve' | 'tasks'>): Promise<unknown> {
  const read = orderSchema.safeParse(given)
  if (!read.success) {
    const [issue] = read.error.issues
    throw new MeshError('ERR_HOST_ARGUMENTS', `delegate: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not an order'}`)
  }
  const { on, input, ...rest } = read.data
  const order = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const run = tasks.run(
    { ...(order as typeof rest & { code: string }), input: input ?? null, on: on === 'any' ? on : resolve(on) } as Parameters<Tasks['run']>[0],
    { signal },
  )
  for await (const event of run) {
    if (event.type !== 'result') continue
    const { ok, result, error, usage, receipt } = event
    return { ok, result: result ?? null, error: error ?? null, usage, receipt }
  }
  throw new MeshError('ERR_HOST_FAILED', 'the task ended without a result')
}
