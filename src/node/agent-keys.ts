import { agentAdded, agentRemoved, type Audit, keyRotated } from '../audit/index.ts'
import { type Clock, type Did, keyFromDid, type Logger, MeshError, type Random, secondMs, type SignalOption, toMeshError, utf8, within } from '../base/index.ts'
import { createSigner } from '../crypto/index.ts'
import {
  type AgentRecord,
  chainLengthMax,
  chainStatementBytesMax,
  commitmentOf,
  createKeyring,
  type Keyring,
  openAgentRecord,
  openChainStatement,
  readChain,
  signAgentRecord,
  signInception,
  signSuccession,
} from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, bytesUpTo, codec, listOf, row } from '../wire/index.ts'
import { chainAgeMsMax, type KeyChains } from './key-chains.ts'

export const agentNamespace = 'kindmesh-agent'
/** Time to ask the DHT where an agent lives. */
export const agentLookupMsMax = 2 * secondMs
/** Agents of others whose place is remembered, and DIDs known to be no agents. */
export const agentPlacesMax = 4_096

const secretsCodec = codec(
  'agent keys',
  row({ seed: bytesOf(32), next: bytesOf(32), chain: listOf(bytesUpTo(chainStatementBytesMax), chainLengthMax) }),
  32 * 1024,
)

/** An agent of this node that has a key of its own. */
export interface AgentKey {
  readonly name: string
  /** Its first key: its name among strangers. */
  readonly did: Did
  /** How often its key was replaced. */
  readonly seq: number
}

interface Held extends AgentKey {
  readonly keyring: Keyring
  readonly next: Uint8Array
}

/** Agents' own keys: made, kept sealed, replaced; and where agents of others live. Source: identity/v1 section 9. */
export interface AgentKeys {
  list(): readonly AgentKey[]
  /** Makes the key of an agent and keeps it together with `ops`; `codeHash` when it is a program. */
  add(name: string, ops: readonly StoreOp[], codeHash?: Uint8Array): Promise<AgentKey>
  /** Puts the agent's next key in force; its DID stays. @throws ERR_AGENT_UNKNOWN, ERR_WIRE_TOO_LARGE at its chain's end */
  rotate(name: string): Promise<AgentKey>
  /** Forgets the agent's keys for good. @throws ERR_AGENT_UNKNOWN */
  remove(name: string, ops: readonly StoreOp[]): Promise<void>
  /** The name of the agent a DID is of, else the text as it is. */
  nameOf(text: string): string
  /** Where the agent of a DID lives, undefined when that is none. @throws ERR_IDENTITY_SUPERSEDED, ERR_IDENTITY_FROZEN */
  find(agent: Did, options?: SignalOption): Promise<AgentRecord | undefined>
  /** The node that answers for a DID: its own for an agent, as far as is known here; else the DID itself. */
  controllerOf(did: Did): Did
  /** Puts the records of our agents into the DHT, delegated anew. */
  publish(): Promise<void>
}

export interface AgentKeysOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly chains: KeyChains
  /** Whose agent this is became known. */
  onPlace?(agent: Did): void
}

export async function openAgentKeys({ store, keyring, host, clock, random, logger, audit, chains, onPlace }: AgentKeysOptions): Promise<AgentKeys> {
  const box = keyring.box('agent-keys')
  const held = new Map<string, Held>()
  const places = new Map<Did, { readonly record: AgentRecord | undefined; readonly at: number }>()
  /** By agent, its node: both signed it. Outlives what is remembered of places, so that one owner never counts as two. */
  const controllers = new Map<Did, Did>()
  const context = (name: string): Uint8Array => utf8(`agent-keys ${name}`)
  const commitment = (seed: Uint8Array): Uint8Array => commitmentOf(createSigner(seed).publicKey)

  function hold(name: string, { seed, next, chain }: { readonly seed: Uint8Array; readonly next: Uint8Array; readonly chain: readonly Uint8Array[] }): Held {
    // No data rests under an agent's key: it needs no root.
    const own = createKeyring({ seed, rootKey: next, chain }, random)
    return { name, did: own.identity, seq: chain.length - 1, keyring: own, next }
  }
  const sealed = (name: string, seed: Uint8Array, { next, keyring: { chain } }: Held): StoreOp =>
    put(name, box.seal(secretsCodec.encode({ seed, next, chain }), context(name)))
  for await (const [name, bytes] of store.range({})) held.set(name, hold(name, secretsCodec.decode(box.open(bytes, context(name)))))

  function get(name: string): Held {
    const agent = held.get(name)
    if (agent === undefined) throw new MeshError('ERR_AGENT_UNKNOWN', `no agent '${name}' has a key here`)
    return agent
  }
  const view = ({ name, did, seq }: Held): AgentKey => ({ name, did, seq })

  async function publishOne({ name, did, keyring: agent }: Held): Promise<void> {
    const record = signAgentRecord({ node: keyring, agent, identity: keyring.identity, name, chain: agent.chain, now: clock.now(), random })
    const signal = clock.timeout(10 * secondMs, 'publishing where an agent lives')
    await host.publish(agentNamespace, keyFromDid(did), record, { signal }).catch((error: unknown) => {
      logger.info('agent not published', { name, code: toMeshError(error).code })
    })
  }
  async function lookUp(agent: Did, signal: AbortSignal | undefined): Promise<AgentRecord | undefined> {
    const limit = within(clock, agentLookupMsMax, signal, 'asking where an agent lives')
    try {
      const bytes = await host.lookup(agentNamespace, keyFromDid(agent), { signal: limit })
      if (bytes === undefined) return undefined
      const record = openAgentRecord(bytes, clock.now())
      await chains.learn(record.chain)
      return record
    } catch (error) {
      signal?.throwIfAborted()
      logger.info('no agent found', { agent, code: toMeshError(error).code })
      return undefined
    }
  }
  /** Whether the node that delegates is the one whose key signed, and both keys are in force. */
  async function confirm(record: AgentRecord, signal: AbortSignal | undefined): Promise<void> {
    await chains.current(record.node, { signal })
    if (chains.subject(record.nodeKey) !== record.node) throw new MeshError('ERR_IDENTITY_CHAIN', 'the key that delegates is not of the node it names')
    chains.check(record.nodeKey, record.delegatedAt)
    chains.check(record.key)
  }
  function control(agent: Did, node: Did): void {
    if (controllers.get(agent) === node) return
    if (controllers.size >= agentPlacesMax) controllers.delete(controllers.keys().next().value as Did)
    controllers.set(agent, node)
    onPlace?.(agent)
  }
  for (const { did } of held.values()) controllers.set(did, keyring.identity)
  return {
    list: () => [...held.values()].map(view),
    async add(name, ops, codeHash) {
      const [seed, next] = [random.bytes(32), random.bytes(32)]
      // Nobody has the key behind it: a lost agent is added anew.
      const recoveryHash = commitmentOf(random.bytes(32))
      const inception = signInception(seed, { nextHash: commitment(next), recoveryHash, now: clock.now(), random })
      const agent = hold(name, { seed, next, chain: [inception.bytes] })
      await audit.record(agentAdded({ did: keyring.identity, agent: agent.did, name, codeHash }), [...ops, ...store.qualify([sealed(name, seed, agent)])])
      held.set(name, agent)
      control(agent.did, keyring.identity)
      void publishOne(agent)
      return view(agent)
    },
    async rotate(name) {
      const { keyring: before, next: seed, did } = get(name)
      const statements = before.chain.map(openChainStatement)
      const tip = statements.at(-1)
      if (tip === undefined) throw new MeshError('ERR_INTERNAL', 'an agent without its inception')
      const next = random.bytes(32)
      const succession = signSuccession(seed, { tip, nextHash: commitment(next), recoveryHash: undefined, now: clock.now(), random })
      const chain = [...before.chain, succession.bytes]
      readChain(chain.map((bytes) => ({ ...openChainStatement(bytes), seenAt: 0 })))
      const agent = hold(name, { seed, next, chain })
      const facts = { did: keyring.identity, identity: did, key: agent.keyring.did, seq: agent.seq }
      await audit.record(keyRotated(facts), store.qualify([sealed(name, seed, agent)]))
      held.set(name, agent)
      await publishOne(agent)
      return view(agent)
    },
    async remove(name, ops) {
      const { did } = get(name)
      await audit.record(agentRemoved({ did: keyring.identity, agent: did, name }), [...ops, ...store.qualify([del(name)])])
      held.delete(name)
    },
    nameOf: (text) => [...held.values()].find(({ did }) => did === text)?.name ?? text,
    async find(agent, { signal } = {}) {
      const did = chains.subject(agent)
      let place = places.get(did)
      const isStale = place === undefined || place.at + chainAgeMsMax < clock.monotonic() || (place.record?.expiresAt ?? Infinity) < clock.now()
      if (place === undefined || isStale) {
        place = { record: await lookUp(did, signal), at: clock.monotonic() }
        if (places.size >= agentPlacesMax) places.clear()
        places.set(did, place)
      }
      if (place.record === undefined) return undefined
      await confirm(place.record, signal)
      control(did, place.record.node)
      return place.record
    },
    controllerOf: (did) => controllers.get(did) ?? did,
    async publish() {
      for (const agent of held.values()) await publishOne(agent)
    },
  }
}
