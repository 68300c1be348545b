import { isTopicChannel } from '../agents/index.ts'
import { createAudit, identityCreated, nodeStarted, nodeStopped } from '../audit/index.ts'
import { type Clock, type Logger, profilePaths, type Random, realClock, realRandom, silentLogger, toMeshError } from '../base/index.ts'
import { selfTest } from '../crypto/index.ts'
import type { Keyring } from '../identity/index.ts'
import { createLibp2pHost } from '../net/index.ts'
import type { Policy } from '../policy/index.ts'
import type { Role } from '../protocols/klp/index.ts'
import { createSandboxes } from '../sandbox/index.ts'
import { createLevelStore } from '../store/index.ts'
import { assemble, type MeshRooms, recordRules } from './assemble.ts'
import { createCheckpointFile } from './checkpoint-file.ts'
import { createProfile, openProfile } from './profile.ts'
import { headTopic } from './trust-sync.ts'

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
export interface MeshNode extends MeshRooms, AsyncDisposable {
  /** Checkpoint kept beside the store, which the log must still contain. */
  keptCheckpoint(): Promise<string | undefined>
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
    store,
    datastorePath: paths.peerStore,
    clock,
    random,
    logger,
    rules: recordRules(clock),
    mayExist: (topic) => topic === headTopic || isTopicChannel(topic),
    mdns: options.mdns ?? false,
    relayServer: options.relayServer ?? false,
  })
  undo.defer(() => host.stop())
  const assembled = await assemble({
    ...options,
    offers: options.relayServer === true ? ['relay'] : [],
    store,
    keyring,
    sandboxes,
    audit,
    host,
    clock,
    random,
    logger,
  })
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

async function unlock({
  dataDir,
  passphrase,
  create = true,
  clock,
  random,
}: NodeOptions & { readonly clock: Clock; readonly random: Random }): Promise<{ readonly keyring: Keyring; readonly isNew: boolean }> {
  const profile = { home: dataDir, passphrase, clock, random }
  try {
    return { keyring: await openProfile(profile), isNew: false }
  } catch (error) {
    if (!create || toMeshError(error).code !== 'ERR_PROFILE_MISSING') throw error
    return { keyring: await createProfile(profile), isNew: true }
  }
}
