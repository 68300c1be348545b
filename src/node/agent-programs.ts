import {
  agentOf,
  type Agents,
  beginMail,
  createProgram,
  createProgramLog,
  createProgramMail,
  endMail,
  hashCode,
  type Inbox,
  type LogLine,
  type Message,
  messageText,
  openProgramRecords,
  type Program,
  programCodeBytesMax,
  type ProgramLog,
  type ProgramMail,
  type ProgramDraft,
  type ProgramRecord,
  type ProgramSpec,
  type ProgramState,
  specOf,
} from '../agents/index.ts'
import { agentUpdated, type Audit, codeExecutionFailed, sandboxCreated } from '../audit/index.ts'
import { type Clock, type Did, hex, type Logger, MeshError, type Random, secondMs, type SignalOption, toMeshError } from '../base/index.ts'
import {
  type Grants,
  type HostBridge,
  type IsolationLevel,
  limitsProblem,
  type SandboxLimits,
  type SandboxEvent,
  type Sandboxes,
  stripTypes,
} from '../sandbox/index.ts'
import type { Store } from '../store/index.ts'
import type { AgentKey, AgentKeys } from './agent-keys.ts'

/** Agent programs of one node; each has a process of its own. Source: sandbox/v1 section 9. */
export const agentProgramsMax = 64
/** Whoever adds an agent is told how its first start went, if it takes no longer. */
const firstLifeMsMax = 20 * secondMs

/** An agent program and how it does. */
export interface ProgramView extends ProgramState, Omit<ProgramRecord, 'codeHash' | 'isOn'> {
  readonly name: string
  readonly did: Did
  /** BLAKE3 of its code, hexadecimal. */
  readonly codeHash: string
  /** What really isolates it; undefined before its first start. */
  readonly backend: string | undefined
}

/** Agents as programs: kept, run each in a guest of its own, handed their messages. Source: sandbox/v1 section 9. */
export interface AgentPrograms {
  list(): readonly ProgramView[]
  /** @throws ERR_AGENT_UNKNOWN when no program of that name lives here */
  get(name: string): ProgramView
  has(name: string): boolean
  /** @throws ERR_SANDBOX_UNAVAILABLE, ERR_SANDBOX_CODE, ERR_USAGE, ERR_OVERLOADED */
  add(name: string, draft: ProgramDraft): Promise<AgentKey>
  /** Puts other code in the place of what runs; what it may do stays. @throws as `add` */
  update(name: string, code: Pick<ProgramSpec, 'code' | 'language'>): Promise<ProgramView>
  start(name: string): Promise<ProgramView>
  /** It stays stopped over restarts of the node. */
  stop(name: string): Promise<ProgramView>
  remove(name: string): Promise<void>
  logs(name: string, options?: SignalOption & { readonly follow?: boolean | undefined }): AsyncGenerator<LogLine>
  /** Something reached the inbox. */
  onMessage(): void
  /** Starts what is on. */
  begin(): void
  /** Ends what runs. */
  end(): Promise<void>
}

/** The way out of the sandbox of one life of an agent. */
export interface AgentBridge extends HostBridge {
  close(): Promise<void>
}

export interface AgentProgramsOptions {
  /** The whole store: what is written of an agent goes into one batch with its key and its audit entry. */
  readonly store: Store
  readonly sandboxes: Sandboxes
  readonly audit: Audit
  readonly did: Did
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly agents: Agents
  readonly agentKeys: AgentKeys
  readonly inbox: Inbox
  /** Who a key is of. */
  subject(key: Did): Did
  bridgeFor(life: {
    readonly did: Did
    readonly grants: Grants
    readonly limits: SandboxLimits
    readonly isolation: IsolationLevel
    readonly onRefused: (detail: string) => void
  }): AgentBridge
  /** Deletes what it remembers. */
  forget(agent: Did): Promise<void>
}

interface Held {
  record: ProgramRecord
  readonly did: Did
  readonly program: Program
  readonly log: ProgramLog
  readonly mail: ProgramMail
  backend: string | undefined
}

export async function openAgentPrograms(options: AgentProgramsOptions): Promise<AgentPrograms> {
  const { store, sandboxes, audit, did: own, clock, random, logger, agents, agentKeys, inbox, bridgeFor } = options
  const records = openProgramRecords(store.sub('agent-programs'))
  const places = store.sub('agent-places')
  const held = new Map<string, Held>()
  let lives = 0

  function get(name: string): Held {
    const found = held.get(name)
    if (found !== undefined) return found
    throw new MeshError('ERR_AGENT_UNKNOWN', `no agent program '${name}' lives here`, { hint: '`kindmesh agent list` names them' })
  }
  const didOf = (name: string): Did | undefined => agentKeys.list().find((key) => key.name === name)?.did

  /** One life of a program, from its start to its outcome. */
  async function* live(name: string, { signal, onControl }: Parameters<Parameters<typeof createProgram>[0]['live']>[0]): AsyncGenerator<SandboxEvent> {
    const one = get(name)
    const { record, did, log } = one
    const { level, strict, limits, grants, codeHash, language } = record
    const backend = await sandboxes.ready(level, { strict })
    one.backend = backend.name
    const code = runnable(await records.code(name, codeHash), language)
    const sandboxId = `${name}/${++lives}`
    const isolation = { isolationLevel: level, backend: backend.name, limits }
    await audit.record(sandboxCreated({ did: own, requester: did, sandboxId, ...isolation }))
    const bridge = bridgeFor({ did, grants, limits, isolation: level, onRefused: (detail) => log.add('node', `refused: ${detail}`) })
    try {
      for await (const event of backend.run(
        { code, input: 'null' },
        { limits, capabilities: grants.capabilities, agent: true, host: bridge, signal, onControl },
      )) {
        if (event.type === 'failed' && !signal.aborted) {
          const { code: reasonCode, message, usage, security } = event
          const inputHash = await hashCode('null')
          const facts = { did: own, requester: did, executionId: sandboxId, codeHash, inputHash, ...isolation, usage, securityEvents: security.length }
          await audit.record(codeExecutionFailed({ ...facts, code: reasonCode, reason: message }))
        }
        yield event
      }
    } finally {
      await bridge.close()
    }
  }
  function hold(name: string, did: Did, record: ProgramRecord): Held {
    const log = createProgramLog(clock)
    const late: { mail?: ProgramMail } = {}
    const program = createProgram({
      name,
      clock,
      random,
      live: (life) => live(name, life),
      onLine: log.add,
      onChange() {
        logger.info('agent', { name, status: program.state().status })
        late.mail?.wake()
      },
    })
    const isFor = (message: Message): boolean => message.agent !== '' && agentKeys.nameOf(message.agent) === name
    late.mail = createProgramMail({
      name,
      inbox,
      store: places,
      program,
      logger,
      onLine: log.add,
      read(message) {
        if (!isFor(message)) return undefined
        const from = options.subject(message.from)
        return { from, text: messageText({ ...message, from }, { data: dataOf(message), expectsReply: false }) }
      },
    })
    const one = { record, did, program, log, mail: late.mail, backend: undefined }
    held.set(name, one)
    return one
  }
  function viewOf(name: string, { record, did, program, backend }: Held): ProgramView {
    const { codeHash, isOn: _, ...rest } = record
    return { name, did, ...rest, codeHash: hex(codeHash), backend, ...program.state() }
  }
  async function keep(name: string, one: Held, change: Partial<ProgramRecord>): Promise<void> {
    const record = { ...one.record, ...change }
    await store.durable(records.keep(name, record))
    one.record = record
  }

  async function remove(name: string): Promise<void> {
    const one = get(name)
    await agentKeys.remove(name, [...records.forget(name, one.record.codeHash), ...endMail(places, name)])
    held.delete(name)
    agents.remove(name)
    await one.mail.stop()
    await one.program.stop()
    await options.forget(one.did)
  }
  /** Until a new program receives, or is known not to for now. @throws ERR_SANDBOX_CODE, ERR_SANDBOX_PERMISSION for one that never will */
  async function begun(name: string): Promise<void> {
    const { program } = get(name)
    await program.begun(clock.timeout(firstLifeMsMax, 'the first start of an agent')).catch(() => undefined)
    const { status, lastError } = program.state()
    if (status === 'failed' && lastError !== undefined) throw new MeshError(lastError.code, lastError.message)
  }

  for (const { name, record } of await records.list()) {
    const did = didOf(name)
    if (record instanceof MeshError || did === undefined) {
      logger.error('an agent cannot be taken up again', { name, reason: record instanceof MeshError ? record.message : 'it has no key' })
      continue
    }
    agents.register(agentOf(name, hold(name, did, record).program))
  }

  return {
    list: () => [...held].map(([name, one]) => viewOf(name, one)).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    get: (name) => viewOf(name, get(name)),
    has: (name) => held.has(name),
    async add(name, draft) {
      const { code, ...spec } = specOf(draft)
      if (held.size >= agentProgramsMax) throw new MeshError('ERR_OVERLOADED', `${agentProgramsMax} agent programs live here`)
      check({ code, ...spec })
      await sandboxes.ready(spec.level, { strict: spec.strict })
      const now = clock.now()
      const record: ProgramRecord = { ...spec, codeHash: await hashCode(code), isOn: true, addedAt: now, updatedAt: now }
      const late: { program?: Program } = {}
      // Takes the name before anything is written.
      agents.register(
        agentOf(name, {
          async deliver(handed, signal) {
            if (late.program === undefined) throw new MeshError('ERR_AGENT_DOWN', `agent ${name} moves in`)
            return await late.program.deliver(handed, signal)
          },
        }),
      )
      try {
        const ops = [...records.keep(name, record, { text: code }), ...beginMail(places, name, inbox.end())]
        const key = await agentKeys.add(name, ops, record.codeHash)
        const { program } = hold(name, key.did, record)
        late.program = program
        program.start()
        await begun(name)
        return key
      } catch (error) {
        if (held.has(name)) await remove(name)
        else agents.remove(name)
        throw error
      }
    },
    async update(name, { code, language }) {
      const one = get(name)
      check({ ...one.record, code, language })
      const { codeHash: before } = one.record
      const codeHash = await hashCode(code)
      const record = { ...one.record, codeHash, language, updatedAt: clock.now() }
      const ops = records.keep(name, record, { text: code, before })
      await audit.record(agentUpdated({ did: own, agent: one.did, name, codeHash }), ops)
      one.record = record
      await one.program.stop()
      if (record.isOn) one.program.start()
      return viewOf(name, one)
    },
    async start(name) {
      const one = get(name)
      await keep(name, one, { isOn: true })
      one.program.start()
      return viewOf(name, one)
    },
    async stop(name) {
      const one = get(name)
      await keep(name, one, { isOn: false })
      await one.program.stop()
      return viewOf(name, one)
    },
    remove,
    logs: (name, given) => get(name).log.read(given),
    onMessage() {
      for (const { mail } of held.values()) mail.wake()
    },
    begin() {
      for (const { program, record } of held.values()) if (record.isOn) program.start()
    },
    async end() {
      await Promise.all([...held.values()].map(({ mail }) => mail.stop()))
      await Promise.all([...held.values()].map(({ program }) => program.stop()))
    },
  }
}

/** Why a program is not taken. @throws ERR_USAGE, ERR_SANDBOX_CODE with line and column */
function check({ code, language, limits }: Pick<ProgramSpec, 'code' | 'language' | 'limits'>): void {
  if (Buffer.byteLength(code) > programCodeBytesMax) throw new MeshError('ERR_SANDBOX_CODE', `the code is over ${programCodeBytesMax} bytes`)
  const problem = limitsProblem(limits)
  if (problem !== undefined) throw new MeshError('ERR_USAGE', problem)
  runnable(code, language)
}

function runnable(code: string, language: ProgramSpec['language']): string {
  if (language === 'javascript') return code
  try {
    return stripTypes(code)
  } catch (cause) {
    throw new MeshError('ERR_SANDBOX_CODE', `no TypeScript: ${toMeshError(cause).message}`, { cause })
  }
}

/** JSON as data; what is no JSON in spite of its encoding, as text. */
function dataOf({ encoding, body }: Message): unknown {
  if (encoding !== 'json') return body
  try {
    return JSON.parse(body) as unknown
  } catch {
    return body
  }
}
