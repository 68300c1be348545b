import type { Duplex } from 'node:stream'
import { type AgentCapability, type Clock, type Logger, MeshError, type Random, toMeshError, utf8 } from '../base/index.ts'
import { createSigner, seedBytesLength } from '../crypto/index.ts'
import {
  type Grants,
  type HostAnswer,
  type HostBridge,
  type HostCallName,
  hostCallBytesMax,
  hostCallCapabilities,
  type IsolationLevel,
  isolationLevels,
  type SandboxLimits,
} from '../sandbox/index.ts'
import { createAllowance } from './allowance.ts'
import { askCharsMax, callArguments, type CallArguments } from './calls.ts'
import { createDestinations, isPrivateAllowed, type Resolver, systemResolver } from './destinations.ts'
import { createEgress } from './egress.ts'
import { createExchange } from './exchange.ts'
import { guestFetch } from './fetch.ts'
import { createFiles } from './files.ts'
import type { Memories, Memory } from './memories.ts'
import { callProvider, type ProviderKind } from './providers.ts'
import { Denied, guestText } from './refusal.ts'
import type { SecretSource } from './secrets.ts'

/** Calls of one run at a time. Source: sandbox/v1 section 5.1. */
export const callsInFlightMax = 32
/** How deep agents and tasks may ask each other. Source: sandbox/v1 section 5.8. */
export const askDepthMax = 4

/** What one run is, and what it may do. */
export interface BridgeConfiguration {
  /** Of the agent, or of the asker whose task it is: names its memory. */
  readonly agentId: string
  readonly level: IsolationLevel
  readonly limits: Pick<SandboxLimits, 'netKiBps' | 'fsOps'>
  readonly grants: Grants
  /** How many agents and tasks asked one another until this run, where that is known; 0 when none did. */
  readonly depth?: number
  /** Folder that is the root `work` of this run. Not removed at its end. */
  readonly work?: string | undefined
}

export interface AskOptions {
  readonly signal: AbortSignal
  /** For what is run by the asking: one more than here. */
  readonly depth: number
}

/** What a bridge uses of the node. What is missing is refused. */
export interface BridgeServices {
  readonly memories?: Memories | undefined
  readonly secrets?: SecretSource | undefined
  /** Asks an agent of the mesh; plain JSON both ways. */
  readonly ask?:
    | ((to: string, data: unknown, options: AskOptions & { readonly agent?: string | undefined; readonly timeoutMs?: number | undefined }) => Promise<unknown>)
    | undefined
  /** Gives a task to a peer; plain JSON both ways. */
  readonly delegate?: ((order: Readonly<Record<string, unknown>>, options: AskOptions) => Promise<unknown>) | undefined
  /** The system's when missing. */
  readonly resolve?: Resolver | undefined
  /** Certificates trusted instead of the system's, PEM. */
  readonly ca?: string | undefined
}

/** A call that was refused, for who watches. Never a secret. */
export interface Refusal {
  readonly name: string
  readonly capability: AgentCapability | undefined
  readonly reason: string
}

export interface BridgeOptions {
  readonly configuration: BridgeConfiguration
  readonly services: BridgeServices
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly onRefused?: (refusal: Refusal) => void
}

/** The bridge of one run. */
export interface RunBridge extends HostBridge {
  /** A connection outward for a command in a container or machine; see `Egress`. @throws Denied, ERR_NET_UNREACHABLE */
  connect(host: string, port: number, signal: AbortSignal): Promise<Duplex>
  /** Ends connections, removes the scratch root. Call it when the run has ended. */
  close(): Promise<void>
}

type Handlers = { readonly [N in HostCallName]: (given: CallArguments<N>, signal: AbortSignal) => Promise<unknown> }

/** The way out of one sandbox: known name, capability, policy, limits, then the act; in this order. Source: sandbox/v1 section 5. */
export function createHostBridge({ configuration, services, clock, random, logger, onRefused }: BridgeOptions): RunBridge {
  const { agentId, limits, grants } = configuration
  const granted: ReadonlySet<string> = new Set(grants.capabilities)
  const net = createAllowance({ clock, perSecond: limits.netKiBps * 1_024, name: 'netKiBps' })
  const fs = createAllowance({ clock, perSecond: limits.fsOps, name: 'fsOps' })
  const closing = new AbortController()
  const resolve = services.resolve ?? systemResolver
  const destinations = createDestinations({ policy: grants.network, resolve })
  const exchange = createExchange({ allowance: net, ca: services.ca })
  const egress = createEgress({
    destinations,
    allowance: net,
    clock,
    mustBeTls: (host, port) => grants.network.requireTLS && !isPrivateAllowed(grants.network, host, port),
  })
  const files = createFiles(grants.files, configuration.work)
  const signer = createSigner(random.bytes(seedBytesLength))
  let opened: Memory | undefined
  let inFlight = 0

  function refused(name: string, capability: AgentCapability | undefined, reason: string): HostAnswer {
    logger.debug('host call refused', { name: name.slice(0, 64), reason })
    onRefused?.({ name, capability, reason })
    return { ok: false, code: 'ERR_POLICY_DENIED', message: reason, denied: `capability ${capability ?? 'none'}: ${name}: ${reason}` }
  }

  async function call(name: string, text: string, given: AbortSignal): Promise<HostAnswer> {
    if (!isCallName(name)) return refused(JSON.stringify(name.slice(0, 64)), undefined, 'there is no such host call')
    const capability = hostCallCapabilities[name]
    if (capability !== undefined && !granted.has(capability)) return refused(name, capability, `the capability ${capability} is not granted`)
    if (inFlight >= callsInFlightMax) return { ok: false, code: 'ERR_OVERLOADED', message: `more than ${callsInFlightMax} host calls at a time` }
    const signal = AbortSignal.any([given, closing.signal])
    inFlight++
    try {
      signal.throwIfAborted()
      const value = await endedBy(signal, act(name, text, signal))
      return { ok: true, value }
    } catch (error) {
      if (error instanceof Denied) return refused(name, capability, error.message)
      return { ok: false, ...guestText(signal.aborted ? toMeshError(signal.reason) : error) }
    } finally {
      inFlight--
    }
  }

  async function act<N extends HostCallName>(name: N, text: string, signal: AbortSignal): Promise<string> {
    const value = await handlers[name](readArguments(name, text), signal)
    const answer = JSON.stringify(value ?? null)
    if (Buffer.byteLength(answer) > hostCallBytesMax) throw new MeshError('ERR_HOST_QUOTA', `the answer exceeds ${hostCallBytesMax} bytes`)
    return answer
  }

  const memory = (): Memory => (opened ??= needed(services.memories, 'memory').open(grants.memory.partition || agentId, grants.memory))
  const depth = (configuration.depth ?? 0) + 1
  const secret = async (name: string): Promise<string | undefined> => await needed(services.secrets, 'secrets').get(name, agentId)

  async function provider(kind: ProviderKind, request: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<unknown> {
    const policy = kind === 'model' ? grants.llm : grants.vectordb
    return await callProvider(request, { kind, policy, secret, exchange, resolve, clock }, signal)
  }
  function checkAsking(data: unknown): void {
    if (depth > askDepthMax) throw new Denied(`agents and tasks ask one another more than ${askDepthMax} deep`)
    if ((JSON.stringify(data) ?? '').length > askCharsMax) throw new MeshError('ERR_HOST_QUOTA', `what is asked exceeds ${askCharsMax} characters`)
  }

  const handlers: Handlers = {
    fetch: (given, signal) => guestFetch(given, { destinations, exchange, clock }, signal),
    'memory.get': async ([key]) => {
      const value = await memory().get(key)
      return value === undefined ? null : (JSON.parse(value) as unknown)
    },
    'memory.list': async ([prefix, { after }]) => await memory().list(prefix ?? '', after),
    'memory.set': async ([key, value, { ttlMs }]) => await memory().set(key, JSON.stringify(value), ttlMs),
    'memory.delete': async ([key]) => await memory().delete(key),
    'vault.get': async ([name]) => {
      // The same answer whether there is such a secret or not.
      if (!grants.vault.includes(name)) throw new Denied(`the secret ${JSON.stringify(name)} is not granted`)
      const value = await secret(name)
      if (value === undefined) throw new MeshError('ERR_NOT_FOUND', `the secret ${name} is not set`)
      return value
    },
    readFile: async ([path, { encoding, offset, length }], signal) => {
      await fs.take(1, signal)
      const bytes = await files.read(path, { offset, length })
      if (encoding === 'base64') return bytes.toString('base64')
      try {
        return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
      } catch {
        throw new MeshError('ERR_HOST_ARGUMENTS', 'the file is not UTF-8; take it as base64')
      }
    },
    list: async ([path], signal) => {
      await fs.take(1, signal)
      return await files.list(path ?? '')
    },
    writeFile: async ([path, text, { encoding, append, exclusive }], signal) => {
      const bytes = Buffer.from(text, encoding)
      if (encoding === 'base64' && bytes.toString('base64') !== text) throw new MeshError('ERR_HOST_ARGUMENTS', 'not base64')
      await fs.take(1, signal)
      return await files.write(path, bytes, { append, exclusive })
    },
    spawn: async ([program, args, { stdin }]) => {
      const argv = [program, ...(args ?? [])]
      if (isolationLevels.indexOf(configuration.level) < isolationLevels.indexOf('containerized')) {
        throw new Denied(`no program is started at level ${configuration.level}`)
      }
      if (!grants.spawn.includes(program)) throw new Denied(`the program ${JSON.stringify(program.slice(0, 64))} is not allowed`)
      if (argv.some((arg) => arg.includes('\0'))) throw new MeshError('ERR_HOST_ARGUMENTS', 'an argument holds a NUL')
      return { argv, stdin: stdin ?? '' }
    },
    'mesh.ask': async ([to, data, { agent, timeoutMs }], signal) => {
      checkAsking(data)
      return await needed(services.ask, 'the mesh')(to, data, { signal, depth, agent, timeoutMs })
    },
    delegate: async ([order], signal) => {
      checkAsking(order)
      return await needed(services.delegate, 'the mesh')(order, { signal, depth })
    },
    llm: async ([request], signal) => await provider('model', request, signal),
    vectordb: async ([request], signal) => await provider('collection', request, signal),
    'crypto.sign': async ([text]) => Buffer.from(signer.sign(utf8(text))).toString('base64'),
    'crypto.publicKey': async () => Buffer.from(signer.publicKey).toString('base64'),
  }

  async function connect(host: string, port: number, given: AbortSignal): Promise<Duplex> {
    const capability = 'network:outbound'
    try {
      if (!granted.has(capability)) throw new Denied(`the capability ${capability} is not granted`)
      return await egress.connect(host, port, AbortSignal.any([given, closing.signal]))
    } catch (error) {
      if (error instanceof Denied) refused('connect', capability, error.message)
      const { code, message } = guestText(given.aborted ? toMeshError(given.reason) : error)
      throw new MeshError(code, message, { cause: error })
    }
  }

  return {
    call,
    usage: () => ({ netBytes: net.used(), fsOps: fs.used() }),
    connect,
    async close() {
      closing.abort(new MeshError('ERR_STOPPED', 'the run has ended'))
      exchange.close()
      egress.close()
      opened?.close()
      await files.close().catch((error: unknown) => logger.warn('the folder of a run was not removed', { code: toMeshError(error).code }))
    },
  }
}

const isCallName = (name: string): name is HostCallName => Object.hasOwn(hostCallCapabilities, name)

function needed<T>(service: T | undefined, what: string): T {
  if (service === undefined) throw new Denied(`${what}: not to be had here`)
  return service
}

/** What a guest says: the size first, then the form. @throws ERR_HOST_ARGUMENTS, ERR_HOST_QUOTA */
function readArguments<N extends HostCallName>(name: N, text: string): CallArguments<N> {
  if (text.length > hostCallBytesMax) throw new MeshError('ERR_HOST_QUOTA', `a host call takes at most ${hostCallBytesMax} characters`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new MeshError('ERR_HOST_ARGUMENTS', `${name}: the arguments are not JSON`)
  }
  const read = callArguments[name].safeParse(value)
  if (read.success) return read.data as CallArguments<N>
  const [issue] = read.error.issues
  throw new MeshError('ERR_HOST_ARGUMENTS', `${name}: argument ${(issue?.path ?? []).join('.') || 'list'}: ${issue?.message}`)
}

/** Settles with the promise, or with the signal when that comes first. */
async function endedBy<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
