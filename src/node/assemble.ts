import {
  type Agent,
  type Agents,
  builtInAgents,
  createAgents,
  createTopics,
  type Groups,
  type HolderLimits,
  type Inbox,
  openInbox,
  openMail,
  type OutboxEntry,
  type Outgoing,
  type ProgramDraft,
  type SendOptions,
  type Sent,
  type Taker,
  type Topics,
} from '../agents/index.ts'
import { type Audit, peerConnected, peerDisconnected } from '../audit/index.ts'
import type { SecretSource } from '../bridge/index.ts'
import {
  type Clock,
  type Did,
  type Logger,
  MeshError,
  type Random,
  secondMs,
  type SignalOption,
  toMeshError,
  utf8,
  createTally,
  minuteMs,
  createTurns,
} from '../base/index.ts'
import type { Sandbox, SandboxConfigurationGiven } from '../boxes/index.ts'
import type { BundlePins } from '../bundles/index.ts'
import type { Config } from '../config/index.ts'
import { openPrekeys, openReplayGuard, openSequences, openSessions, type PrekeyBundle, prekeyRecordRule } from '../envelope/index.ts'
import {
  agentRecordRule,
  chainBytesMax,
  chainLengthMax,
  type ChainStatement,
  chainRecordRule,
  kindDidFromDid,
  type Keyring,
  peerIdFromDid,
} from '../identity/index.ts'
import type { Host, PeerInfo, RecordRule } from '../net/index.ts'
import { decideFile, decideMessage, fileScope, messageScope, type Policy, roleCommands, taskScope } from '../policy/index.ts'
import { createPlane, creditBytes, evidenceBytesMax, evidenceMax, type Hello, klpVersion, type Link, type Plane, type Role } from '../protocols/klp/index.ts'
import { type Sandboxes } from '../sandbox/index.ts'
import { del, put, type Store } from '../store/index.ts'
import type { ServedTasks } from '../tasks/index.ts'
import { headRecordRule, type Level, type TrustBook, type TrustItem, TrustLevel } from '../trust/index.ts'
import { type AgentPrograms, openAgentPrograms } from './agent-programs.ts'
import { agentNamespace, type AgentKey, type AgentKeys, openAgentKeys } from './agent-keys.ts'
import { createAskHere } from './ask-here.ts'
import { createBridges } from './bridges.ts'
import { type ApiTokens, openApiTokens } from './api-tokens.ts'
import { chainNamespace, type KeyChains } from './key-chains.ts'
import { type Capabilities, createCapabilities } from './capabilities.ts'
import { type CompareDoors, createCompare } from './compare.ts'
import { createDirectory, type Directory, prekeyNamespace, prekeyRepublishMs } from './directory.ts'
import { createGroups } from './groups.ts'
import { createEventHub, type EventHub, type NodeEvent } from './events.ts'
import { createLocalExperience } from './experience.ts'
import { type Identities, openIdentities } from './identities.ts'
import { createFinder, type Description, type Finder, type FindOptions, type FoundPeer } from './find.ts'
import { createFiles, type Files } from './files.ts'
import { createMailboxes, type MailboxDoors, type Mailboxes } from './mailboxes.ts'
import { type JoinDoors, openJoins } from './join.ts'
import { resolveName } from './names.ts'
import { negotiate } from './negotiate.ts'
import { type Grants, openGrants } from './grants.ts'
import { noOperatorGrants, type OperatorGrants, policyWith } from './operator-grants.ts'
import { createSettings, type SettingsDoors } from './settings.ts'
import { openPins, type PinDoors } from './pins.ts'
import { createDomainSources, type DomainSources } from './domain-proof.ts'
import { introductionType } from './introduce.ts'
import { openProofs, type ProofDoors } from './proofs.ts'
import { openPeople, type People, type PeopleDoors } from './people.ts'
import { policyDefault } from './policy-default.ts'
import { type AwayPeer, createPresenceBook } from './presence.ts'
import { openRecentPeers } from './recent-peers.ts'
import { createOwnSandboxes } from './own-sandboxes.ts'
import { createServed, taskResultTaker } from './served-tasks.ts'
import { createTasks, type Tasks } from './tasks.ts'
import { decodeTicket, encodeTicket, isTicket } from './ticket.ts'
import { openTrust, type TrustDoors } from './trust.ts'
import { type FactorSecrets, sealedFactorSecrets } from '../auth/index.ts'
import { openUsers, type ServedPlace, type UserDoors } from './users.ts'
import { headNamespace } from './trust-reach.ts'
import type { TrustSync } from './trust-sync.ts'

/** News of an introducer older than this are asked for before its word decides on a task. */
const admissionAgeMsMax = 30 * secondMs
/** What every node does for others; one with a sandbox also runs tasks. */
const offersAlways: readonly string[] = ['message', 'ask', 'stream']
/** Connections and disconnections written down per minute; a crowd must not fill the log. */
export const peerEventsNotedMax = 600
const termsValidMs = 3_600 * secondMs
/** What this node wants of a peer: without messages there is nothing to talk about. */
const ownWants: Hello['wants'] = [
  { name: 'message', need: 'required' },
  { name: 'ask', need: 'preferred' },
  { name: 'task', need: 'optional' },
]
/** Time a rotation waits for the peers of before. */
const announceMsMax = 5 * secondMs

/** A peer in the mesh and everything that lives there, over any host. */
export interface MeshRooms extends PeopleDoors, ProofDoors {
  /** The first key: stays through every rotation. */
  readonly did: Did
  /** Of the key in force. */
  readonly peerId: string
  /** `kind:agent:…#ed25519` */
  readonly kindDid: string
  /** The chain of this node's keys. */
  identity(): {
    readonly did: Did
    readonly peerId: string
    readonly kindDid: string
    readonly seq: number
    readonly status: 'active' | 'frozen'
    /** All of them, the one in force last. */
    readonly keys: readonly Did[]
  }
  addresses(): readonly string[]
  /** Text that lets others dial this node. */
  ticket(): string
  /** Connected peers: how far we trust them, and what those on a link say of themselves. */
  peers(): readonly (PeerInfo & { readonly level: Level; readonly name?: string } & Description)[]
  /** Peers that were connected since the start and are not now, the last to go first. */
  away(): readonly AwayPeer[]
  /** Peers that offer a capability, or host an agent of that name. @throws ERR_USAGE */
  find(capability: string, options?: FindOptions): Promise<readonly (FoundPeer & { readonly level: Level })[]>
  /** What this node offers and how it says it is. */
  readonly capabilities: Pick<Capabilities, 'list' | 'manifest' | 'offer' | 'setPresence'>
  /** The identity a text names: a DID in any spelling, a ticket, or the beginning of one known here. @throws ERR_IDENTITY_INVALID, ERR_USAGE when several fit */
  resolve(text: string): Did
  /** Connects by multiaddr, DID or ticket, and agrees on KLP. @throws ERR_NET_*, ERR_USAGE, ERR_CAPABILITY_DENIED */
  dial(target: Did | string, options?: SignalOption): Promise<PeerInfo & { readonly rttMs: number }>
  ping(peer: Did, options?: SignalOption): Promise<{ readonly rttMs: number; readonly route: string }>
  /** Sends to a peer, up or off: what is not acknowledged at once is tried until its time is over. @throws ERR_USAGE, ERR_OVERLOADED, coded refusals */
  send(
    to: Did,
    message: Partial<Outgoing> & Pick<Outgoing, 'body'>,
    options?: SendOptions,
  ): Promise<Sent & { readonly route: 'direct' | 'relayed' | 'mailbox' | undefined }>
  /** What waits to be delivered, and what was given up of late. */
  outbox(): readonly OutboxEntry[]
  /** Asks an agent there; `data` is plain JSON. */
  ask(to: Did, data: unknown, options?: SendOptions & { readonly agent?: string }): Promise<{ readonly id: string; readonly reply: unknown }>
  readonly agents: Pick<Agents, 'list'> & {
    register(agent: Agent): void
    /** Registers a built-in agent for good, or a program of the operator's. @throws ERR_AGENT_UNKNOWN, ERR_SANDBOX_* */
    add(name: string, program?: ProgramDraft): Promise<AgentKey>
    /** Agents that are programs of the operator's, and how they do. */
    readonly programs: Pick<AgentPrograms, 'list' | 'get' | 'update' | 'start' | 'stop' | 'logs'>
    /** Agents that have a key of their own. */
    keys(): readonly AgentKey[]
    /** Puts an agent's next key in force; its DID stays. @throws ERR_AGENT_UNKNOWN */
    rotate(name: string): Promise<AgentKey>
    /** @throws ERR_AGENT_UNKNOWN */
    remove(name: string): Promise<void>
  }
  /** A place for code of yours, walled in as it says. Starts nothing yet. @throws ERR_SANDBOX_CONFIG */
  createSandbox(configuration: SandboxConfigurationGiven): Sandbox
  readonly inbox: Pick<Inbox, 'list'>
  readonly trust: TrustDoors
  readonly invites: JoinDoors
  readonly compare: CompareDoors
  readonly pins: PinDoors
  /** Capability tokens this node gives and was given. */
  readonly grants: Grants
  /** People with a right to this node. */
  readonly users: UserDoors
  /** What this node allows others. */
  policy(): Policy
  /** Keys of agents, and what they sign. */
  readonly identities: Identities
  readonly settings: SettingsDoors
  readonly topics: Topics
  readonly groups: Groups
  readonly tasks: Tasks & {
    /** Tasks of others on this node. */
    readonly served: ServedTasks
  }
  readonly files: Files
  readonly mailboxes: MailboxDoors
  readonly audit: Audit
  /** Tokens of programs that use the local API. */
  readonly tokens: ApiTokens
  readonly sandboxes: Pick<Sandboxes, 'available'>
  onEvent(listener: (event: NodeEvent) => void): () => void
}

export interface Parts {
  readonly store: Store
  readonly keyring: Keyring
  readonly sandboxes: Sandboxes
  readonly audit: Audit
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly policy?: Policy
  /** How domains are asked whom they name; the web and DNS unless given. */
  readonly domainSources?: DomainSources
  /** Settings that narrow or change the policy while the node runs. */
  readonly config?: Config
  /** What tasks of others may do; nothing unless given. */
  readonly grants?: OperatorGrants
  /** Publishers and code whose bundles are trusted; none unless given. */
  readonly bundlePins?: BundlePins
  /** Secrets that agents and tasks may be granted. */
  readonly secrets?: SecretSource
  /** Offered besides what every node offers. */
  readonly offers?: readonly string[] | undefined
  readonly roles?: readonly Role[] | undefined
  /** Hold mail for others while they are off, under these limits. */
  readonly serveMailbox?: boolean | Partial<HolderLimits>
  /** Where files of tasks lie while they are here; a temporary folder unless given. */
  readonly workDir?: string
  /** Secrets of people's authenticator apps; sealed in the store unless given. */
  readonly factorSecrets?: FactorSecrets
  /** Where the pages of this node are served. */
  readonly served?: ServedPlace
  /** Where events go, when that outlives this assembly. */
  readonly events?: EventHub
}

/** What may be put into the DHT of this mesh. */
export const recordRules = (clock: Clock): Readonly<Record<string, RecordRule>> => ({
  [prekeyNamespace]: prekeyRecordRule(clock),
  [headNamespace]: headRecordRule(clock),
  [chainNamespace]: chainRecordRule(clock),
  [agentNamespace]: agentRecordRule(clock),
})

/** The rooms at work. */
export interface Assembled {
  readonly node: MeshRooms
  /** @throws ERR_IDENTITY_SUPERSEDED, ERR_IDENTITY_FROZEN when others know a later key of ours than we do */
  confirmKey(): Promise<void>
  /** Every statement known of our own chain, a thief's among them. */
  knownOfOwn(): readonly ChainStatement[]
  /** After a rotation: meets the last peers again, so that they see the new key, and publishes it. */
  announceKey(): Promise<void>
  stop(): Promise<void>
}

/** Wires the rooms over any host: the real one, or the simulator's. */
export async function assemble(parts: Parts): Promise<Assembled> {
  const { store, keyring, sandboxes, audit, host, clock, random, logger, grants = noOperatorGrants } = parts
  const { events = createEventHub(parts.logger) } = parts
  const settings = createSettings({
    ...{ config: parts.config, did: keyring.identity, audit, events, logger },
    policy: parts.policy ?? policyDefault,
    complete: (policy) => policyWith(policy, grants),
  })
  const { policy } = settings
  // `native` isolates nothing and is always there: it makes no offer to others.
  const canRun = sandboxes.available().some(({ level, backend }) => backend !== undefined && level !== 'native')
  const hasMailbox = parts.serveMailbox !== undefined && parts.serveMailbox !== false
  const capabilities: Capabilities = createCapabilities({
    offers: [...offersAlways, ...(canRun ? ['task'] : []), ...(hasMailbox ? ['mailbox'] : []), ...(parts.offers ?? [])],
    roles: parts.roles,
    agents: (): readonly string[] => agents.list(),
  })
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
  const replay = await openReplayGuard({ store: store.sub('replay'), clock })
  const inbox = await openInbox(store.sub('inbox'))
  const late: { agentKeys?: AgentKeys } = {}
  const controllerOf = (did: Did): Did => late.agentKeys?.controllerOf(did) ?? did
  const trust = await openTrust({ ...parts, events, nameOf: (did) => people.nameOf(did), policy: settings.trustPolicy, controllerOf })
  const people: People = await openPeople({ ...parts, events, trust })
  const { book, chains, sync, level, standing } = trust
  const self = keyring.identity
  const agents = await openAgents(store.sub('agents'), () => capabilities.changed())
  const directory = createDirectory({ host, clock, logger, prekeys })
  const rights = await openGrants({
    ...parts,
    store: store.sub('grants'),
    keys: chains,
    withdrawals: { withdraw: trust.withdraw, revokedAt: book.revokedAt },
    policy: () => policy,
    level,
    onChange: (id, audience, change) => events.emit({ event: 'grant', id, audience, change }),
  })
  const leaning = (from: Did): { readonly asker: Did; readonly tokens: ReturnType<Grants['tokensOf']> } => ({
    asker: chains.subject(from),
    tokens: rights.tokensOf(from),
  })
  const identities = await openIdentities({ store: store.sub('identities'), keyring, clock, random, audit, level: (did) => level(did, taskScope) })
  const agentKeys = await openAgentKeys({ ...parts, store: store.sub('agent-keys'), chains, onPlace: (agent) => book.rekey([agent]) })
  late.agentKeys = agentKeys
  for (const name of agents.list()) await settings.load(name)
  // Agents that moved in before agents had keys.
  for (const name of agents.list()) if (!agentKeys.list().some((agent) => agent.name === name)) await agentKeys.add(name, [])
  /** An agent is told who asks, not by which key; a stranger names it by its DID. */
  const known = (agent: Agent): Agent => ({
    ...agent,
    receive: (message, given) => agent.receive({ ...message, from: chains.subject(message.from) }, given),
  })
  const here: Agents = { ...agents, get: (name) => known(agents.get(agentKeys.nameOf(name))) }
  const programs = await openAgentPrograms({
    ...parts,
    did: self,
    agents,
    agentKeys,
    inbox,
    subject: chains.subject,
    bridgeFor: (life) => bridges.forAgent(life),
    forget: (agent) => bridges.forgetAgent(agent),
  })
  const takers = new Map<string, Taker>()
  const mail = await openMail({
    store,
    keyring,
    clock,
    random,
    logger,
    sessions: await openSessions({ store: store.sub('sessions'), keyring, prekeys, clock, random }),
    replay,
    sequences: await openSequences({ store: store.sub('sequences'), clock }),
    audit,
    agents: here,
    inbox,
    takers,
    plane: () => plane,
    bundleOf: directory.bundleOf,
    keys: chains,
    decide: (from, agent) =>
      standing(from) ??
      people.watch(from, messageScope, decideMessage(agent === undefined ? policy : settings.policyFor(agent), level(from, messageScope), leaning(from))),
    deposit: (item) => mailboxes.deposit(item),
    onMessage({ id, from, type }) {
      events.emit({ event: 'message', id, from: chains.subject(from), type })
      programs.onMessage()
    },
    onDelivered: ({ id, to }) => events.emit({ event: 'delivered', id, to: chains.subject(to) }),
    onUndelivered: ({ id, to, status, code }) => events.emit({ event: 'undelivered', id, to: chains.subject(to), status, code: code ?? '' }),
  })
  const groups = await createGroups({
    ...parts,
    inbox,
    mail,
    takers,
    chains,
    events,
    isKnown: (did) => level(did, messageScope) >= TrustLevel.BASIC,
  })
  const plane: Plane = createPlane({
    host,
    clock,
    logger,
    hello: async () => helloOf({ bundle: (await prekeys.current()).bundle.bytes, capabilities, book, chain: chains.own() }),
    judge: async (peer, hello) => {
      await chains.meet(
        peer,
        hello.evidence.filter(isOfChain).map(({ bytes }) => bytes),
      )
      directory.learn(peer, hello.bundle)
      const answers = negotiate({
        wants: hello.wants,
        offers: capabilities.list(),
        policy,
        taskLevel: level(peer, taskScope),
        messageLevel: level(peer, messageScope),
        limitsUsual: policyDefault.taskLimitsMax,
      })
      return { answers, validUntil: clock.now() + termsValidMs }
    },
    onRequest: mail.receive,
    sealAnswers: mail.sealAnswers,
    onLink: (link) => void welcome(link),
  })
  const presence = createPresenceBook({ host, clock })
  const finder: Finder = createFinder({ host, plane: () => plane, clock, logger, capabilities })
  const mailboxes: Mailboxes = await createMailboxes({
    ...parts,
    store: store.sub('mailbox'),
    prekeys,
    serve: parts.serveMailbox,
    publish: directory.publish,
    learnBundle: directory.learn,
    newestBundle: directory.newestBundle,
    currentKey: chains.current,
    isKnown: (peer) => level(peer, messageScope) >= TrustLevel.BASIC,
    receiveStored: mail.receiveStored,
  })
  async function welcome({ peer, hello }: Link): Promise<void> {
    mailboxes.met(peer)
    mail.kick(peer)
    await sync.meet(peer, hello.evidence.filter(isAboutTrust))
  }
  const topics = createTopics({
    host,
    keyring,
    clock,
    random,
    logger,
    audit,
    store,
    subject: chains.subject,
    decide: (from) => standing(from) ?? decideMessage(policy, level(from, messageScope), leaning(from)),
  })
  const bundleAfterHello = async (peer: Did, { signal }: SignalOption): Promise<PrekeyBundle> => {
    await plane.link(peer, { signal })
    return await directory.bundleOf(peer, { signal })
  }
  const served = await createServed({
    ...parts,
    prekeys,
    replay,
    policy,
    chains,
    consult: trust.consult,
    mail,
    events,
    watch: people.watch,
    standing,
    level: (did) => level(did, taskScope),
    tokensOf: rights.tokensOf,
    bridgeFor: (order) => bridges.forTask(order),
  })
  const files = await createFiles({
    ...parts,
    prekeys,
    replay,
    events,
    keys: chains,
    bundleOf: bundleAfterHello,
    async decide(from) {
      const refusal = standing(from)
      if (refusal !== undefined) return refusal
      await sync.refresh(fileScope, { maxAgeMs: admissionAgeMsMax })
      return people.watch(from, fileScope, decideFile(policy, level(from, fileScope), leaning(from)))
    },
  })
  const stopWatching = watchPeers({
    host,
    audit,
    events,
    keyring,
    clock,
    logger,
    chains,
    onFirstPeer: () => publishAll({ directory, sync, chains, agentKeys, finder }),
  })
  const stopRepublishing = repeat(clock, prekeyRepublishMs, () => publishAll({ directory, sync, chains, agentKeys }))

  const pins = await openPins({ ...parts, events, store: store.sub('pins'), self, subject: chains.subject })
  async function dial(target: Did | string, { signal }: SignalOption = {}): Promise<PeerInfo & { readonly rttMs: number }> {
    const { to, expected } = await targetOf(target, signal)
    const peer = await host.dial(to, { signal })
    const link = await plane.link(peer.did, { signal })
    const did = chains.subject(peer.did)
    if (expected !== undefined && did !== expected) {
      await host.disconnect(peer.did)
      await pins.alarm('ticket', expected, did)
      throw new MeshError('ERR_NET_IDENTITY', `${did} answers at the address of ${expected}`)
    }
    // An address that names nobody leads to whom it led the first time.
    if (target.startsWith('/') && !target.includes('/p2p/')) {
      await pins.meet(target, did).catch(async (error: unknown) => {
        await host.disconnect(peer.did)
        throw error
      })
    }
    return { ...peer, did, rttMs: await link.ping({ signal }) }
  }
  const resolve = (text: string): Did =>
    chains.subject(
      resolveName(text, {
        petname: people.find,
        known: [self, ...host.peers().map(({ did }) => chains.subject(did)), ...book.show().flatMap(({ issuer, subject }) => [issuer, subject])],
      }),
    )
  /** Whom to dial, and who it must turn out to be. */
  async function targetOf(
    target: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly to: Did | { readonly addresses: readonly string[] }; readonly expected?: Did }> {
    if (target.startsWith('/')) return { to: { addresses: [target] } }
    if (!isTicket(target)) return { to: await chains.current(resolve(target), { signal }) }
    const { did, key, addresses } = decodeTicket(target)
    if (addresses.length > 0) await host.learn(key, addresses)
    // The key of a ticket may be out of date by now, the identity is not.
    const current = await chains.current(did, { signal })
    return { to: current === did ? key : current, expected: chains.subject(did) }
  }

  const invites = await openJoins({
    ...parts,
    events,
    trust,
    dial,
    ticketOf: (invite) => encodeTicket({ did: self, key: keyring.did, addresses: host.addresses(), invite }),
  })
  const users = await openUsers({
    ...parts,
    did: self,
    served: parts.served ?? {},
    grants: rights,
    secrets: parts.factorSecrets ?? sealedFactorSecrets({ store: store.sub('factor-secrets'), box: keyring.box('totp') }),
  })
  const recent = await openRecentPeers({ store: store.sub('peers'), host, clock, logger })
  const experience = createLocalExperience({ ...parts, keys: chains, book })
  const asked = await createTasks({
    ...parts,
    ended: experience.take,
    keys: chains,
    finder,
    level: (peer) => level(peer, taskScope),
    known: (peer) => book.snapshot(taskScope).rank([chains.subject(peer)])[0]?.score ?? 0,
    bundleOf: bundleAfterHello,
  })
  takers.set(
    'task_result',
    taskResultTaker(inbox, asked.hint, ({ id, from, type }) => events.emit({ event: 'message', id, from: chains.subject(from), type })),
  )

  const proofs = await openProofs({
    ...parts,
    events,
    inbox,
    trust,
    sources: parts.domainSources ?? createDomainSources({ nameServers: parts.config?.setting('trust.name_servers').value as readonly string[] | undefined }),
    send: (to, message) => node.send(to, message),
  })
  takers.set(introductionType, proofs.taker)

  const bridges = createBridges({
    ...parts,
    store: store.sub('memories'),
    grants,
    level: (did) => level(did, taskScope),
    resolve,
    ask: (to, data, options) => node.ask(to, data, options),
    tasks: { run: (order, options) => node.tasks.run(order, options) },
  })

  const createSandbox = createOwnSandboxes({ ...parts, services: bridges.services, did: self, events })

  /** The key to reach: of a node, or of the node where an agent lives. */
  async function reach(to: Did, options: SignalOption = {}): Promise<{ readonly peer: Did; readonly agent?: Did }> {
    const isMet = chains.chain(to) !== undefined && host.peers().some(({ did }) => chains.subject(did) === chains.subject(to))
    if (isMet || chains.subject(to) === self) return { peer: await chains.current(to, options) }
    const [peer, place] = await Promise.all([chains.current(to, options), agentKeys.find(to, options)])
    return place === undefined ? { peer } : { peer: chains.currentKnown(place.node), agent: place.agent }
  }

  const inTurn = createTurns()
  const askHere = createAskHere({ ...parts, agents: here, self })
  const node: MeshRooms = {
    did: self,
    peerId: host.peerId,
    kindDid: kindDidFromDid(self),
    identity() {
      const { seq, status } = chains.chain(self) ?? { seq: 0, status: 'active' }
      return { did: self, peerId: host.peerId, kindDid: kindDidFromDid(self), seq, status, keys: keyring.keys }
    },
    addresses: () => host.addresses(),
    ticket: () => encodeTicket({ did: self, key: keyring.did, addresses: host.addresses() }),
    peers: () =>
      host.peers().map((peer) => {
        const name = people.nameOf(peer.did)
        return {
          ...peer,
          did: chains.subject(peer.did),
          ...(name === undefined ? {} : { name }),
          level: level(peer.did, taskScope),
          ...finder.describe(peer.did),
        }
      }),
    away: () => presence.away().map((peer) => ({ ...peer, did: chains.subject(peer.did) })),
    find: async (capability, findOptions) =>
      (await finder.find(capability, findOptions)).map((peer) => ({ ...peer, did: chains.subject(peer.did), level: level(peer.did, taskScope) })),
    capabilities,
    resolve,
    dial,
    async ping(to, { signal } = {}) {
      const peer = await chains.current(to, { signal })
      const link = await plane.link(peer, { signal })
      const rttMs = await link.ping({ signal })
      return { rttMs, route: link.route }
    },
    async send(to, message, sendOptions) {
      // None overtakes another whose receiver takes longer to find.
      const { peer, sending } = await inTurn(to, async () => {
        const place = await reach(to, sendOptions)
        const addressed = place.agent === undefined ? message : { ...message, agent: place.agent }
        return { peer: place.peer, sending: mail.send(place.peer, { type: 'text', encoding: 'text', ...addressed }, sendOptions) }
      })
      const sent = await sending
      const routes = { acknowledged: plane.find(peer)?.route ?? 'direct', deposited: 'mailbox', queued: undefined } as const
      return { ...sent, route: routes[sent.status] }
    },
    async ask(to, data, { agent = 'echo', ...sendOptions } = {}) {
      const own = chains.subject(to) === self ? agent : agentKeys.nameOf(chains.subject(to))
      if (chains.subject(to) === self || agents.list().includes(own)) return await askHere(own, data, sendOptions)
      const place = await reach(to, sendOptions)
      return await mail.ask(place.peer, { type: 'ask', agent: place.agent ?? agent, encoding: 'json', body: JSON.stringify(data ?? null) }, sendOptions)
    },
    outbox: () => mail.outbox().map((entry) => ({ ...entry, to: chains.subject(entry.to) })),
    agents: {
      list: agents.list,
      register: agents.register,
      async add(name, program) {
        await settings.load(name)
        if (program !== undefined) return await programs.add(name, program)
        const agent = builtInAgents[name]
        if (agent === undefined) {
          throw new MeshError('ERR_AGENT_UNKNOWN', `no built-in agent '${name}'`, { hint: `built in: ${Object.keys(builtInAgents).join(', ')}` })
        }
        agents.register(agent)
        return await agentKeys.add(name, store.sub('agents').qualify([put(name, utf8(name))]))
      },
      keys: agentKeys.list,
      rotate: agentKeys.rotate,
      programs,
      async remove(name) {
        if (programs.has(name)) return await programs.remove(name)
        await agentKeys.remove(name, store.sub('agents').qualify([del(name)]))
        agents.remove(name)
      },
    },
    inbox: { list: async (page) => (await inbox.list(page)).map((message) => ({ ...message, from: chains.subject(message.from) })) },
    grants: rights,
    users: users.doors,
    policy: () => policy,
    identities,
    trust: trust.doors,
    settings: settings.doors,
    invites,
    pins: pins.doors,
    compare: createCompare({ ...parts, events, trust, self, dial }),
    ...people.doors,
    ...proofs.doors,
    tasks: { ...asked.tasks, served: served.doors },
    topics,
    files: files.doors,
    groups: groups.groups,
    mailboxes: namedBySubject(mailboxes.doors, chains),
    audit,
    tokens: await openApiTokens({ ...parts, store: store.sub('api-tokens'), did: self, rightsOfUser: (id) => rightsOfUser(users.doors, id) }),
    sandboxes,
    createSandbox,
    onEvent: events.on,
  }
  await mailboxes.start()
  mail.start()
  groups.start()
  await served.start()
  programs.begin()
  return {
    node,
    confirmKey: chains.confirm,
    knownOfOwn: () => chains.held(self),
    async announceKey() {
      if (!chains.isNews()) return
      await recent.redial(announceMsMax)
      // Its agents are delegated anew, by the new key.
      await Promise.all([chains.publish(), agentKeys.publish()])
    },
    async stop() {
      await trust.leave()
      trust.meeting.stop()
      await programs.end()
      finder.stop()
      presence.stop()
      people.stop()
      users.stop()
      proofs.stop()
      recent.stop()
      chains.stop()
      settings.stop()
      stopRepublishing()
      mailboxes.stop()
      stopWatching()
      sync.stop()
      topics.stop()
      await served.stop()
      await files.stop()
      await asked.stop()
      await plane.stop()
      await mail.stop()
    },
  }
}

/** What a person may do now; undefined when there is no such person. */
function rightsOfUser(users: Pick<UserDoors, 'users'>, id: string): readonly string[] | undefined {
  const user = users.users().find((one) => one.id === id)
  return user === undefined ? undefined : roleCommands[user.role]
}

/** The same doors for holders named by any of their keys. */
function namedBySubject(doors: MailboxDoors, chains: Pick<KeyChains, 'subject' | 'current'>): MailboxDoors {
  const named = <T extends { readonly did: Did }>(view: T): T => ({ ...view, did: chains.subject(view.did) })
  return {
    ...doors,
    add: async (holder, options) => named(await doors.add(await chains.current(holder, options), options)),
    list: async (options) => (await doors.list(options)).map(named),
    remove: async (holder, options) =>
      named(await doors.remove(doors.holders().find((key) => chains.subject(key) === chains.subject(holder)) ?? holder, options)),
    async check(receipt, options) {
      const verdict = await doors.check(receipt, options)
      return { ...verdict, holder: chains.subject(verdict.holder) }
    },
  }
}

async function openAgents(store: Store, onChange: () => void): Promise<Agents> {
  const agents = createAgents({ onChange })
  for await (const [name] of store.range({})) {
    const agent = builtInAgents[name]
    if (agent !== undefined) agents.register(agent)
  }
  return agents
}

type Evidence = Hello['evidence'][number]
const isOfChain = ({ kind }: Evidence): boolean => kind === 'inception' || kind === 'succession'
const isAboutTrust = (item: Evidence): item is Evidence & TrustItem => !isOfChain(item)

interface HelloFacts {
  readonly bundle: Uint8Array
  readonly capabilities: Capabilities
  readonly book: TrustBook
  readonly chain: readonly Uint8Array[]
}

/** Shows our chain of keys first, then what others say of us. */
function helloOf({ bundle, capabilities, book, chain }: HelloFacts): Hello {
  const keys = chain.map((bytes, index) => ({ kind: index === 0 ? 'inception' : 'succession', bytes }) as const)
  const evidence = [...keys, ...book.evidence({ itemsMax: evidenceMax - chainLengthMax, bytesMax: evidenceBytesMax - chainBytesMax })]
  return { versions: [klpVersion], wants: ownWants, manifest: capabilities.manifest(), credit: creditBytes, bundle, evidence }
}

interface Announcers {
  readonly directory: Directory
  readonly sync: TrustSync
  readonly chains: KeyChains
  readonly agentKeys: AgentKeys
  readonly finder?: Finder
}

async function publishAll({ directory, sync, chains, agentKeys, finder }: Announcers): Promise<void> {
  await Promise.allSettled([directory.publish(), sync.announce(), chains.publish(), agentKeys.publish(), finder?.announce()])
}

function repeat(clock: Clock, everyMs: number, act: () => Promise<void>): () => void {
  let cancel: () => void = () => undefined
  const next = (): void => {
    cancel = clock.after(everyMs, () => void act().finally(next))
  }
  next()
  return () => cancel()
}

function watchPeers({
  host,
  audit,
  events,
  keyring,
  clock,
  logger,
  chains,
  onFirstPeer,
}: Pick<Parts, 'host' | 'audit' | 'keyring' | 'clock' | 'logger'> & {
  readonly events: EventHub
  readonly chains: KeyChains
  onFirstPeer(): Promise<void>
}): () => void {
  let isFirst = true
  const tally = createTally<'all'>({ clock, most: peerEventsNotedMax, windowMs: minuteMs })
  return host.onPeer(({ event, peer }) => {
    const facts = { did: keyring.identity, peer: chains.subject(peer.did), route: peer.route, direction: peer.direction }
    const entry = event === 'connected' ? peerConnected(facts) : peerDisconnected(facts)
    if (tally.count('all')) audit.record(entry).catch((error: unknown) => logger.error('peer event not logged', { code: toMeshError(error).code }))
    events.emit({ event, did: chains.subject(peer.did), peerId: peerIdFromDid(peer.did), route: peer.route })
    if (!isFirst || event !== 'connected') return
    isFirst = false
    void onFirstPeer()
  })
}
