import { type Agent, isTopicChannel } from '../agents/index.ts'
import { type Audit, createAudit, identityCreated, nodeStarted, nodeStopped } from '../audit/index.ts'
import {
  type Clock,
  type Did,
  type Logger,
  MeshError,
  profilePaths,
  type Random,
  realClock,
  realRandom,
  secondMs,
  silentLogger,
  toMeshError,
} from '../base/index.ts'
import { createBundlePins } from '../bundles/index.ts'
import { type Config, configFiles, openConfig } from '../config/index.ts'
import { selfTest } from '../crypto/index.ts'
import { decodeRecoveryKey, encodeRecoveryKey, exportRecovery, type Keyring, newKeys, rotateKeys } from '../identity/index.ts'
import { createLibp2pHost } from '../net/index.ts'
import type { Policy } from '../policy/index.ts'
import type { Role } from '../protocols/klp/index.ts'
import { createSandboxes } from '../sandbox/index.ts'
import { createLevelStore } from '../store/index.ts'
import { assemble, type Assembled, type MeshRooms, recordRules } from './assemble.ts'
import { createCheckpointFile } from './checkpoint-file.ts'
import { createEventHub } from './events.ts'
import { chainTopic } from './key-chains.ts'
import { readOperatorGrants } from './operator-grants.ts'
import { openOwnProfile, recoverKeys } from './own-profile.ts'
import { hasProfile } from './profile.ts'
import { newsTopic } from './trust-news.ts'
import type { ServedPlace } from './users.ts'
import { vaultFactorSecrets } from './factor-secrets.ts'
import { createVaultDoors, markerOf, type VaultDoors } from './vault.ts'
import type { VaultKey } from '../vault/index.ts'

/** Time that holders of mail have before a rotation. */
export const collectBeforeRotationMsMax = 10 * secondMs

export interface NodeOptions {
  /** Folder of the profile: identity, store, API token. */
  readonly dataDir: string
  /** Without it the profile's own passphrase file is used, or made. */
  readonly passphrase?: Uint8Array | undefined
  /** Opens the vault in place of the passphrase. */
  readonly unsealBy?: VaultKey | undefined
  /** Create the identity when the folder holds none; true unless said otherwise. */
  readonly create?: boolean
  readonly listen?: readonly string[]
  readonly bootstrap?: readonly string[]
  readonly policy?: Policy
  /** Settings; those of the profile and of the machine unless given. */
  readonly config?: Config
  readonly mdns?: boolean
  readonly relayServer?: boolean
  /** Ask the router to let others in; true unless said otherwise. */
  readonly upnp?: boolean
  /** What the operator runs this node as; `peer` unless said otherwise. */
  readonly roles?: readonly Role[]
  /** Hold mail for others while they are off. */
  readonly serveMailbox?: boolean
  readonly version?: string
  readonly logger?: Logger
  readonly clock?: Clock
  readonly random?: Random
}

/** A running node. */
export interface MeshNode extends MeshRooms, NodeOwn {}

/** What stays when a rotation exchanges the rooms. */
interface NodeOwn extends AsyncDisposable {
  readonly vault: VaultDoors
  /** Checkpoint kept beside the store, which the log must still contain. */
  keptCheckpoint(): Promise<string | undefined>
  /** Puts the next key in force and starts again under it, same ports. The DID stays. @throws ERR_IDENTITY_*, ERR_WIRE_TOO_LARGE at the chain's end */
  rotate(how?: { readonly newRecovery?: boolean | undefined }): Promise<{ readonly did: Did; readonly peerId: string }>
  /** Takes the identity back from whoever has its keys and lives on under the recovery's. @throws ERR_IDENTITY_CHAIN, ERR_USAGE when it is no recovery key */
  recover(recovery: string): Promise<{ readonly did: Did; readonly peerId: string }>
  /** Hands over the recovery key, then erases it here. @throws ERR_NOT_FOUND when that was done before */
  exportRecovery(deliver: (recovery: string) => Promise<void>): Promise<void>
  stop(reason?: string): Promise<void>
}

/**
 * Starts a node: opens the profile, the store and the network, and serves KLP, tasks and statements.
 * @throws ERR_PROFILE_*, ERR_SEALED, ERR_AUTH_FAILED, ERR_VAULT_ROLLBACK, ERR_NET_ADDRESS, ERR_STORE_FAILED, ERR_CRYPTO_SELF_TEST
 */
export async function createNode(options: NodeOptions): Promise<MeshNode> {
  const { dataDir, logger = silentLogger, clock = realClock, random = realRandom } = options
  selfTest()
  await using undo = new AsyncDisposableStack()
  const profile = { home: dataDir, passphrase: options.passphrase, clock, random }
  const mayCreate = options.create !== false
  if (!mayCreate && !(await hasProfile(dataDir))) throw new MeshError('ERR_PROFILE_MISSING', `no identity in ${dataDir}`)
  const paths = profilePaths(dataDir)
  const store = await createLevelStore(paths.store)
  undo.defer(() => store.close())
  // The store is ours alone from here on, and so is the vault.
  const own = await openOwnProfile({ ...profile, store, key: options.unsealBy, ...(mayCreate ? { create: () => newKeys({ clock, random }) } : {}) })
  const { vault, place, isNew } = own
  undo.defer(() => vault.seal())
  let { keyring } = own
  const config = options.config ?? (await openConfig({ files: configFiles(dataDir), random }))
  const grants = await readOperatorGrants(paths.grants)
  const bundlePins = createBundlePins(paths.bundlePins, random)
  const sandboxes = await createSandboxes({ clock, logger })
  undo.defer(() => sandboxes.stop())
  const checkpointFile = createCheckpointFile({ path: paths.checkpoint, clock, logger })
  undo.defer(() => checkpointFile.flush())
  const events = createEventHub(logger)
  const served: ServedPlace = {}
  const registered: Agent[] = []
  const vaultDoors = createVaultDoors({ vault, did: keyring.identity, audit: () => life.audit, mark: markerOf(keyring), clock, random })

  /** One life of the node, under one key. */
  async function live(addresses: readonly string[]): Promise<Life> {
    await using halfway = new AsyncDisposableStack()
    const { identity: did } = keyring
    const audit = await createAudit({ store, sign: keyring.sign, did, keys: keyring.keys, clock, logger, onCheckpoint: checkpointFile.keep })
    halfway.defer(() => audit.close())
    await own.attach(audit, keyring)
    const host = await createLibp2pHost({
      signer: keyring,
      listen: addresses,
      bootstrap: options.bootstrap ?? [],
      store,
      datastorePath: paths.peerStore,
      clock,
      random,
      logger,
      rules: recordRules(clock),
      mayExist: (topic) => topic === newsTopic || topic === chainTopic || isTopicChannel(topic),
      mdns: options.mdns ?? false,
      relayServer: options.relayServer ?? false,
      upnp: options.upnp ?? true,
    })
    halfway.defer(() => host.stop())
    const offers = options.relayServer === true ? ['relay'] : []
    const assembled = await assemble({
      ...options,
      config,
      grants,
      bundlePins,
      secrets: vaultDoors,
      factorSecrets: vaultFactorSecrets(vault),
      offers,
      workDir: paths.tasks,
      store,
      keyring,
      sandboxes,
      audit,
      host,
      clock,
      random,
      logger,
      events,
      served,
    })
    halfway.defer(() => assembled.stop())
    for (const agent of registered) assembled.node.agents.register(agent)
    const ending = halfway.move()
    return { ...assembled, audit, end: () => ending.disposeAsync() }
  }
  const listen = options.listen ?? ['/ip4/127.0.0.1/tcp/0']
  let life = await live(listen)
  undo.defer(() => life.end())
  if (isNew) await life.audit.record(identityCreated({ did: keyring.identity }))
  await life.audit.record(nodeStarted({ did: keyring.identity, version: options.version ?? 'unknown', listen: life.node.addresses() }))

  const running = undo.move()
  let stopping: Promise<void> | undefined
  let changing: Promise<unknown> = Promise.resolve()
  const stop = (reason = 'asked to'): Promise<void> => {
    stopping ??= changing
      .then(() => life.audit.record(nodeStopped({ did: keyring.identity, reason })))
      .catch((error: unknown) => logger.error('the stop is not in the audit log', { code: toMeshError(error).code }))
      .then(() => running.disposeAsync())
    return stopping
  }
  /** One change of the keys at a time, none while stopping. */
  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = changing.then(async () => {
      if (stopping !== undefined) throw new MeshError('ERR_STOPPED', 'the node is stopping')
      return await change()
    })
    changing = turn.catch(() => undefined)
    return turn
  }
  /** Changes the keys, then lives on under the key it names. */
  async function changeKey(change: () => Promise<Keyring>): Promise<{ readonly did: Did; readonly peerId: string }> {
    keyring = await change()
    const before = samePorts(listen, life.node.addresses())
    await life.end()
    life = await live(before).catch(async (error: unknown) => {
      logger.warn('not all ports were free again', { code: toMeshError(error).code })
      return await live(listen)
    })
    await life.announceKey()
    return { did: keyring.identity, peerId: life.node.peerId }
  }
  const doors: NodeOwn = {
    vault: vaultDoors,
    keptCheckpoint: checkpointFile.read,
    rotate: (how) =>
      inTurn(async () => {
        await life.confirmKey()
        // What lies with holders for the old key is fetched under it.
        await life.node.mailboxes.collect({ signal: clock.timeout(collectBeforeRotationMsMax, 'fetching mail') }).catch(() => undefined)
        return await changeKey(async () => await rotateKeys({ place, clock, random, newRecovery: how?.newRecovery === true }))
      }),
    recover: (recovery) =>
      inTurn(async () => {
        const key = decodeRecoveryKey(recovery)
        // What others know of our chain counts, a thief's statements most of all.
        await life.confirmKey().catch((error: unknown) => logger.info('the identity is to be recovered', { code: toMeshError(error).code }))
        return await changeKey(() => recoverKeys(own, { recovery: key, known: life.knownOfOwn(), clock, random }))
      }),
    exportRecovery: (deliver) => inTurn(() => exportRecovery({ place, clock, random, deliver: (key) => deliver(encodeRecoveryKey(key)) })),
    stop,
    [Symbol.asyncDispose]: () => stop('disposed'),
  }
  void life.announceKey().catch((error: unknown) => logger.info('the new key was not announced', { code: toMeshError(error).code }))
  return withRooms(doors, () => life.node, registered)
}

/** The node as its rooms are now: a rotation exchanges them all, and what somebody took out of the node before goes on working. */
function withRooms(own: NodeOwn, rooms: () => MeshRooms, registered: Agent[]): MeshNode {
  const node = Object.defineProperties(own, following(rooms)) as MeshNode
  const { agents } = node
  const register = (agent: Agent): void => {
    rooms().agents.register(agent)
    registered.push(agent)
  }
  return Object.defineProperty(node, 'agents', { enumerable: true, value: { ...agents, register } })
}

/** The members of what `now` gives: functions and objects lead to those of the moment of the call. */
function following(now: () => object): PropertyDescriptorMap {
  const member = (name: string): unknown => (now() as Readonly<Record<string, unknown>>)[name]
  const lead = (name: string): PropertyDescriptor => {
    const value = member(name)
    if (typeof value === 'function') {
      return { value: (...given: readonly unknown[]) => (member(name) as (...given: readonly unknown[]) => unknown)(...given) }
    }
    if (typeof value === 'object' && value !== null) {
      const members = following(() => member(name) as object)
      return { configurable: true, value: Object.defineProperties({}, members) }
    }
    return { get: () => member(name) }
  }
  return Object.fromEntries(Object.keys(now()).map((name) => [name, { enumerable: true, ...lead(name) }]))
}

/** The addresses asked for, with the ports they got where any would do: whoever knows our addresses finds the new key there. */
export function samePorts(listen: readonly string[], addresses: readonly string[]): readonly string[] {
  const isWebSocket = (address: string): boolean => address.includes('/ws')
  return listen.map((address) => {
    const got = addresses.find((other) => isWebSocket(other) === isWebSocket(address) && !other.includes('/p2p-circuit'))
    const port = /\/tcp\/(\d+)/.exec(got ?? '')?.[1]
    return port === undefined ? address : address.replace(/\/tcp\/0(?=\/|$)/, `/tcp/${port}`)
  })
}

interface Life extends Assembled {
  readonly audit: Audit
  end(): Promise<void>
}
