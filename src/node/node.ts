import { type Agent, type Agents, builtInAgents, createAgents, createMail, type Message, openInbox, type Outgoing, type SendOptions } from '../agents/index.ts'
import {
  agentAdded,
  attestationAccepted,
  attestationIssued,
  attestationRevoked,
  type Audit,
  createAudit,
  identityCreated,
  nodeStarted,
  nodeStopped,
  peerConnected,
  peerDisconnected,
} from '../audit/index.ts'
import { type Clock, type Did, type Logger, MeshError, type Random, realClock, realRandom, secondMs, type SignalOption, silentLogger, toMeshError, utf8 } from '../base/index.ts'
import { selfTest } from '../crypto/index.ts'
import { openPrekeys, openReplayGuard, prekeyRecordRule } from '../envelope/index.ts'
import { kindDidFromDid, type Keyring, peerIdFromDid } from '../identity/index.ts'
import { createLibp2pHost, type Host, type PeerInfo } from '../net/index.ts'
import { decideMessage, decideTask, messageScope, type Policy, taskScope } from '../policy/index.ts'
import { serveStatements } from '../protocols/att/index.ts'
import { createPlane, creditBytes, evidenceBytesMax, evidenceMax, type Hello, klpVersion, type Link, type Plane, type Terms } from '../protocols/klp/index.ts'
import { serveTasks } from '../protocols/task/index.ts'
import { createSandboxes, type Sandboxes, sandboxLimitsMax } from '../sandbox/index.ts'
import { createLevelStore, put, type Store } from '../store/index.ts'
import { createAsker, createExecutor, type Tasks } from '../tasks/index.ts'
import { type AttestFields, type Explanation, headRecordRule, type Level, openTrustBook, type TrustBook, TrustLevel } from '../trust/index.ts'
import { createCheckpointFile } from './checkpoint-file.ts'
import { createDirectory, type Directory, prekeyNamespace, prekeyRepublishMs } from './directory.ts'
import { createEventHub, type EventHub, type NodeEvent } from './events.ts'
import { createProfile, openProfile, profilePaths } from './profile.ts'
import { decodeTicket, encodeTicket, isTicket } from './ticket.ts'
import { createTrustSync, headNamespace, headTopic, type TrustSync } from './trust-sync.ts'

/** News of an introducer older than this are asked for before its word decides on a task. */
const admissionAgeMsMax = 30 * secondMs
/** The same when the answer would be no: it may be new word that is missing. */
const refusalAgeMsMax = 2 * secondMs
/** Before a person is told why. */
const explainAgeMsMax = secondMs
const termsValidMs = 3_600 * secondMs

/** What a node allows when its operator says nothing else. */
export const policyDefault: Policy = {
  taskLevelMin: TrustLevel.VERIFIED,
  isolationFloor: { 2: 'sandboxed', 3: 'sandboxed', 4: 'sandboxed' },
  taskLimitsMax: sandboxLimitsMax,
  messageLevelMin: TrustLevel.UNKNOWN,
}

export interface NodeOptions {
  /** Folder of the profile: identity, store, API token. */
  readonly dataDir: string
  /** Without it the profile's own passphrase file is used, or made. */
  readonly passphrase?: Uint8Array | undefined
  /** Create the identity when the folder holds none; true unless said otherwise. */
  readonly create?: boolean
  readonly listen?: readonly string[]
  readonly bootstrap?: readonly string[]
  readonly policy?: Policy
  readonly mdns?: boolean
  readonly relayServer?: boolean
  readonly version?: string
  readonly logger?: Logger
  readonly clock?: Clock
  readonly random?: Random
}

/** What can be run: a peer in the mesh, and everything that lives there. */
export interface MeshNode extends AsyncDisposable {
  readonly did: Did
  readonly peerId: string
  /** `kind:agent:…#ed25519` */
  readonly kindDid: string
  addresses(): readonly string[]
  /** Text that lets others dial this node. */
  ticket(): string
  peers(): readonly (PeerInfo & { readonly level: Level })[]
  /** Connects by multiaddr, DID or ticket, and agrees on KLP. @throws ERR_NET_*, ERR_USAGE, ERR_CAPABILITY_DENIED */
  dial(target: Did | string, options?: SignalOption): Promise<PeerInfo & { readonly rttMs: number }>
  ping(peer: Did, options?: SignalOption): Promise<{ readonly rttMs: number; readonly route: string }>
  /** Sends to a peer that is up. @throws ERR_NET_*, coded refusals */
  send(to: Did, message: Partial<Outgoing> & Pick<Outgoing, 'body'>, options?: SendOptions): Promise<{ readonly id: string; readonly status: 'acknowledged' }>
  /** Asks an agent there; `data` is plain JSON. */
  ask(to: Did, data: unknown, options?: SendOptions & { readonly agent?: string }): Promise<{ readonly id: string; readonly reply: unknown }>
  readonly agents: Pick<Agents, 'list'> & {
    register(agent: Agent): void
    /** Registers a built-in agent for good. @throws ERR_AGENT_UNKNOWN */
    add(name: string): Promise<void>
  }
  readonly inbox: { list(page: { readonly limit: number }): Promise<readonly Message[]> }
  readonly trust: Pick<TrustBook, 'show' | 'snapshot'> & {
    attest(fields: AttestFields): Promise<{ readonly id: string; readonly seq: number }>
    revoke(id: string, kind?: 'soft' | 'hard'): Promise<{ readonly id: string }>
    /** Asks the introducers for news, then says how far `subject` is trusted and why. */
    explain(subject: Did, options?: SignalOption & { readonly scope?: string; readonly name?: (did: Did) => string }): Promise<Explanation>
  }
  readonly tasks: Tasks
  readonly audit: Audit
  readonly sandboxes: Pick<Sandboxes, 'available'>
  /** Checkpoint kept beside the store, which the log must still contain. */
  keptCheckpoint(): Promise<string | undefined>
  onEvent(listener: (event: NodeEvent) => void): () => void
  stop(reason?: string): Promise<void>
}

/**
 * Starts a node: opens the profile, the store and the network, and serves KLP, tasks and statements.
 * @throws ERR_PROFILE_*, ERR_SEALED, ERR_AUTH_FAILED, ERR_NET_ADDRESS, ERR_STORE_FAILED, ERR_CRYPTO_SELF_TEST
 */
export async function createNode(options: NodeOptions): Promise<MeshNode> {
  const { dataDir, logger = silentLogger, clock = realClock, random = realRandom } = options
  selfTest()
  await using undo = new AsyncDisposableStack()
  const { keyring, isNew } = await unlock({ ...options, clock, random })
  const paths = profilePaths(dataDir)
  const store = await createLevelStore(paths.store)
  undo.defer(() => store.close())
  const sandboxes = await createSandboxes({ clock, logger })
  undo.defer(() => sandboxes.stop())
  const checkpointFile = createCheckpointFile({ path: paths.checkpoint, clock, logger })
  undo.defer(() => checkpointFile.flush())
  const audit = await createAudit({ store, sign: keyring.sign, did: keyring.did, clock, logger, onCheckpoint: checkpointFile.keep })
  undo.defer(() => audit.close())
  if (isNew) await audit.record(identityCreated({ did: keyring.did }))

  const host = await createLibp2pHost({
    signer: keyring,
    listen: options.listen ?? ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: options.bootstrap ?? [],
    store: store.sub('dht'),
    datastorePath: paths.peerStore,
    clock,
    random,
    logger,
    rules: { [prekeyNamespace]: prekeyRecordRule(clock), [headNamespace]: headRecordRule(clock) },
    topics: [headTopic],
    mdns: options.mdns ?? false,
    relayServer: options.relayServer ?? false,
  })
  undo.defer(() => host.stop())
  const assembled = await assemble({ ...options, store, keyring, sandboxes, audit, host, clock, random, logger })
  undo.defer(() => assembled.stop())
  await audit.record(nodeStarted({ did: keyring.did, version: options.version ?? 'unknown', listen: host.addresses() }))

  const running = undo.move()
  let stopping: Promise<void> | undefined
  const stop = (reason = 'asked to'): Promise<void> => {
    stopping ??= audit
      .record(nodeStopped({ did: keyring.did, reason }))
      .catch((error: unknown) => logger.error('the stop is not in the audit log', { code: toMeshError(error).code }))
      .then(() => running.disposeAsync())
    return stopping
  }
  return { ...assembled.node, keptCheckpoint: checkpointFile.read, stop, [Symbol.asyncDispose]: () => stop('disposed') }
}

async function unlock({ dataDir, passphrase, create = true, clock, random }: NodeOptions & { readonly clock: Clock; readonly random: Random }): Promise<{ readonly keyring: Keyring; readonly isNew: boolean }> {
  const profile = { home: dataDir, passphrase, clock, random }
  try {
    return { keyring: await openProfile(profile), isNew: false }
  } catch (error) {
    if (!create || toMeshError(error).code !== 'ERR_PROFILE_MISSING') throw error
    return { keyring: await createProfile(profile), isNew: true }
  }
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
}

type Assembled = Omit<MeshNode, 'stop' | 'keptCheckpoint' | typeof Symbol.asyncDispose>

/** Wires the rooms over any host: the real one, or the simulator's. */
export async function assemble(parts: Parts): Promise<{ readonly node: Assembled; stop(): Promise<void> }> {
  const { store, keyring, sandboxes, audit, host, clock, random, logger, policy = policyDefault } = parts
  const events = createEventHub()
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
  const replay = await openReplayGuard({ store: store.sub('replay'), clock })
  const inbox = await openInbox(store.sub('inbox'))
  const book = await openBook(parts, events)
  const agents = await openAgents(store.sub('agents'))
  const directory = createDirectory({ host, clock, logger, prekeys })
  const sync = createTrustSync({ host, clock, logger, book, scopes: [taskScope, messageScope] })

  const level = (did: Did, scope: string): Level => book.snapshot(scope).level(did)
  const mail = createMail({
    keyring,
    clock,
    random,
    prekeys,
    replay,
    audit,
    agents,
    inbox,
    plane: () => plane,
    bundleOf: directory.bundleOf,
    decide: (from) => decideMessage(policy, level(from, messageScope)),
    onMessage: ({ id, from, type }) => events.emit({ event: 'message', id, from, type }),
  })
  const plane: Plane = createPlane({
    host,
    clock,
    logger,
    hello: async () => helloOf({ bundle: (await prekeys.current()).bundle.bytes, offers: ['message', 'ask', 'task'], book }),
    judge: async (peer, hello) => {
      directory.learn(peer, hello.bundle)
      return termsFor(hello, clock)
    },
    onRequest: (peer, sealed, signal) => mail.receive(peer, sealed, signal),
    onLink: (link) => void welcome(link),
  })
  async function welcome({ peer, hello }: Link): Promise<void> {
    await sync.take(peer, hello.evidence)
    await sync.pull(peer)
  }
  const bundleAfterHello = async (peer: Did, { signal }: SignalOption): Promise<ReturnType<Directory['bundleOf']> extends Promise<infer B> ? B : never> => {
    await plane.link(peer, { signal })
    return await directory.bundleOf(peer, { signal })
  }
  const executor = createExecutor({
    keyring,
    clock,
    random,
    prekeys,
    replay,
    audit,
    sandboxes,
    store: store.sub('tasks'),
    policyText: JSON.stringify(policy),
    onEnd: ({ id, asker, outcome }) => events.emit({ event: 'task', id, asker, outcome }),
    async decide(asker, question) {
      await sync.refresh(taskScope, { maxAgeMs: level(asker, taskScope) >= policy.taskLevelMin ? admissionAgeMsMax : refusalAgeMsMax })
      return decideTask(policy, { ...question, level: level(asker, taskScope) })
    },
  })
  serveTasks({ host, clock, logger, open: executor.open })
  serveStatements({ host, logger, list: book.list })
  const stopWatching = watchPeers({ host, audit, events, keyring, logger, onFirstPeer: () => publishAll({ directory, sync }) })
  const stopRepublishing = repeat(clock, prekeyRepublishMs, () => publishAll({ directory, sync }))

  async function dial(target: Did | string, { signal }: SignalOption = {}): Promise<PeerInfo & { readonly rttMs: number }> {
    const peer = await host.dial(await targetOf(target), { signal })
    const link = await plane.link(peer.did, { signal })
    return { ...peer, rttMs: await link.ping({ signal }) }
  }
  async function targetOf(target: string): Promise<Did | { readonly addresses: readonly string[] }> {
    if (!isTicket(target)) return target.startsWith('/') ? { addresses: [target] } : (target as Did)
    const { did, addresses } = decodeTicket(target)
    if (addresses.length > 0) await host.learn(did, addresses)
    return did
  }
  async function announceTo(subject: Did): Promise<void> {
    await sync.announce()
    // Somebody whom we now follow may have introduced others already.
    await sync.pull(subject)
  }

  const node: Assembled = {
    did: keyring.did,
    peerId: host.peerId,
    kindDid: kindDidFromDid(keyring.did),
    addresses: () => host.addresses(),
    ticket: () => encodeTicket({ did: keyring.did, addresses: host.addresses() }),
    peers: () => host.peers().map((peer) => ({ ...peer, level: level(peer.did, taskScope) })),
    dial,
    async ping(peer, { signal } = {}) {
      const link = await plane.link(peer, { signal })
      const rttMs = await link.ping({ signal })
      return { rttMs, route: host.peers().find(({ did }) => did === peer)?.route ?? 'direct' }
    },
    send: (to, message, sendOptions) => mail.send(to, { type: 'text', encoding: 'text', ...message }, sendOptions),
    ask: (to, data, { agent = 'echo', ...sendOptions } = {}) => mail.ask(to, { type: 'ask', agent, encoding: 'json', body: JSON.stringify(data ?? null) }, sendOptions),
    agents: {
      list: agents.list,
      register: agents.register,
      async add(name) {
        const agent = builtInAgents[name]
        if (agent === undefined) throw new MeshError('ERR_AGENT_UNKNOWN', `no built-in agent '${name}'`, { hint: `built in: ${Object.keys(builtInAgents).join(', ')}` })
        agents.register(agent)
        await audit.record(agentAdded({ did: keyring.did, agent: keyring.did, name }), store.sub('agents').qualify([put(name, utf8(name))]))
      },
    },
    inbox: { list: inbox.list },
    trust: {
      show: book.show,
      snapshot: book.snapshot,
      async attest(fields) {
        const signed = await book.attest(fields)
        await announceTo(fields.subject)
        return { id: signed.ref, seq: book.newestSeq(keyring.did) }
      },
      async revoke(id, kind = 'soft') {
        const signed = await book.revoke(id, kind)
        await sync.announce()
        return { id: signed.ref }
      },
      async explain(subject, { scope = taskScope, name, signal } = {}) {
        await sync.refresh(scope, { maxAgeMs: explainAgeMsMax, signal })
        return book.explain(subject, scope, { name })
      },
    },
    tasks: createAsker({ host, keyring, clock, random, audit, store: store.sub('tasks'), bundleOf: bundleAfterHello }),
    audit,
    sandboxes,
    onEvent: events.on,
  }
  return {
    node,
    async stop() {
      stopRepublishing()
      stopWatching()
      await plane.stop()
    },
  }
}

async function openBook({ store, keyring, clock, random, audit }: Parts, events: EventHub): Promise<TrustBook> {
  const entries = { issued: attestationIssued, accepted: attestationAccepted } as const
  return await openTrustBook({
    store: store.sub('trust'),
    keyring,
    clock,
    random,
    async commit(change, ops) {
      const { event, ...facts } = change
      const entry = event === 'revoked' ? attestationRevoked({ did: keyring.did, ...facts, reason: '' }) : entries[event]({ did: keyring.did, ...facts })
      await audit.record(entry, ops)
      events.emit({ event: 'attestation', id: Buffer.from(change.id).toString('hex'), issuer: change.issuer, subject: change.subject, change: event })
    },
  })
}

async function openAgents(store: Store): Promise<Agents> {
  const agents = createAgents()
  for await (const [name] of store.range({})) {
    const agent = builtInAgents[name]
    if (agent !== undefined) agents.register(agent)
  }
  return agents
}

function helloOf({ bundle, offers, book }: { readonly bundle: Uint8Array; readonly offers: readonly string[]; readonly book: TrustBook }): Hello {
  const evidence = book.evidence({ itemsMax: evidenceMax, bytesMax: evidenceBytesMax })
  return { versions: [klpVersion], offers, wants: [{ name: 'message', need: 'required' }], roles: ['peer'], credit: creditBytes, bundle, evidence }
}

/** Grants what we offer, names what we offer instead of the rest. Source: klp/v1 section 7. */
function termsFor(hello: Hello, clock: Clock): Terms {
  const offered = new Set(['message', 'ask', 'task'])
  return {
    answers: hello.wants.map(({ name }) =>
      offered.has(name) ? { name, answer: 'granted', reason: '', alternative: '' } : { name, answer: 'denied', reason: 'not offered here', alternative: 'message' },
    ),
    validUntil: clock.now() + termsValidMs,
  }
}

async function publishAll({ directory, sync }: { readonly directory: Directory; readonly sync: TrustSync }): Promise<void> {
  await Promise.allSettled([directory.publish(), sync.announce()])
}

function repeat(clock: Clock, everyMs: number, act: () => Promise<void>): () => void {
  let cancel: () => void = () => undefined
  const next = (): void => {
    cancel = clock.after(everyMs, () => void act().finally(next))
  }
  next()
  return () => cancel()
}

function watchPeers({ host, audit, events, keyring, logger, onFirstPeer }: Pick<Parts, 'host' | 'audit' | 'keyring' | 'logger'> & { readonly events: EventHub; onFirstPeer(): Promise<void> }): () => void {
  let isFirst = true
  return host.onPeer(({ event, peer }) => {
    const facts = { did: keyring.did, peer: peer.did, route: peer.route, direction: peer.direction }
    audit.record(event === 'connected' ? peerConnected(facts) : peerDisconnected(facts)).catch((error: unknown) => logger.error('peer event not logged', { code: toMeshError(error).code }))
    events.emit({ event, did: peer.did, peerId: peerIdFromDid(peer.did), route: peer.route })
    if (!isFirst || event !== 'connected') return
    isFirst = false
    void onFirstPeer()
  })
}

