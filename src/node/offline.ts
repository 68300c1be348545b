import { type AuditVerdict, verifyAudit } from '../audit/index.ts'
import { type Did, MeshError, profilePaths, silentLogger } from '../base/index.ts'
import {
  type Chain,
  chainRecordKey,
  type ChainStatement,
  createKeyring,
  decodeRecoveryKey,
  encodeRecoveryKey,
  kindDidFromDid,
  type Keyring,
  openChainRecord,
  openChainStatement,
  peerIdFromDid,
  readKeyFile,
} from '../identity/index.ts'
import { createLibp2pHost } from '../net/index.ts'
import { createLevelStore, createMemoryStore, type Store } from '../store/index.ts'
import { recordRules } from './assemble.ts'
import { readCheckpoint } from './checkpoint-file.ts'
import { chainNamespace, readKeptChain } from './key-chains.ts'
import { exportProfileRecovery, type ProfileOptions, recoverProfile, rotateProfile } from './profile.ts'

export interface IdentityView {
  readonly did: Did
  /** Of the key in force. */
  readonly peerId: string
  readonly kindDid: string
  readonly createdAt: number
  /** How often the key was replaced. */
  readonly seq: number
}

/** Who a profile is, without unlocking it. @throws ERR_PROFILE_MISSING */
export async function readIdentity(home: string): Promise<IdentityView> {
  const { did, createdAt, current, seq } = await readKeyFile(profilePaths(home).keyFile)
  return { did, peerId: peerIdFromDid(current), kindDid: kindDidFromDid(did), createdAt, seq }
}

/** Verifies the audit log of a profile whose node does not run. @throws ERR_PROFILE_MISSING, ERR_PROFILE_LOCKED */
export async function verifyProfileAudit(home: string): Promise<AuditVerdict> {
  const paths = profilePaths(home)
  const file = await readKeyFile(paths.keyFile)
  const keys = file.schema === 'kindmesh.key-file/1' ? [file.did] : file.chain.map((bytes) => openChainStatement(bytes).key)
  const expectedCheckpoint = await readCheckpoint(paths.checkpoint)
  return await withStore(home, (store) => verifyAudit({ store, did: file.did, keys, ...(expectedCheckpoint === undefined ? {} : { expectedCheckpoint }) }))
}

// The store is the profile's lock: while we hold it no node runs and nobody else writes the key file.

/** Puts the next key in force while the node is down. @throws ERR_PROFILE_*, ERR_SEALED, ERR_AUTH_FAILED, ERR_IDENTITY_* when this node has seen a later key */
export async function rotateOffline(options: ProfileOptions, how: { readonly newRecovery?: boolean | undefined }): Promise<void> {
  const { did, current } = await readKeyFile(profilePaths(options.home).keyFile)
  await withStore(options.home, async (store) => {
    checkInForce(await readKeptChain(store.sub('key-chains'), did), current)
    await rotateProfile(options, how)
  })
}

/**
 * Takes the identity back while the node is down, from all that this profile knows of its chain and, through `bootstrap`, what the DHT does.
 * @throws as `rotateOffline`, ERR_IDENTITY_CHAIN, ERR_USAGE when it is no recovery key, ERR_NET_* when no bootstrap peer answers
 */
export async function recoverOffline(
  options: ProfileOptions,
  recovery: string,
  { bootstrap = [] }: { readonly bootstrap?: readonly string[] } = {},
): Promise<Keyring> {
  const key = decodeRecoveryKey(recovery)
  const published = bootstrap.length === 0 ? [] : await fetchChain(key.did, bootstrap, options)
  return await withStore(options.home, async (store) => {
    const known = await readKeptChain(store.sub('key-chains'), key.did)
    return await recoverProfile(options, key, [...published, ...(known === undefined ? [] : [...known.path, ...known.rivals, ...known.beaten])])
  })
}

/** Hands over the recovery key while the node is down. @throws ERR_NOT_FOUND when that was done before */
export async function exportRecoveryOffline(options: ProfileOptions, deliver: (recovery: string) => Promise<void>): Promise<void> {
  await readKeyFile(profilePaths(options.home).keyFile)
  await withStore(options.home, () => exportProfileRecovery(options, (key) => deliver(encodeRecoveryKey(key))))
}

/** The chain of an identity as the DHT has it, asked under a key made for it alone. */
async function fetchChain(did: Did, bootstrap: readonly string[], { clock, random }: ProfileOptions): Promise<readonly ChainStatement[]> {
  const host = await createLibp2pHost({
    signer: createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random),
    listen: [],
    bootstrap: [],
    store: createMemoryStore(),
    clock,
    random,
    logger: silentLogger,
    rules: recordRules(clock),
  })
  try {
    await host.dial({ addresses: bootstrap })
    const record = await host.lookup(chainNamespace, chainRecordKey(did))
    return record === undefined ? [] : openChainRecord(record)
  } finally {
    await host.stop()
  }
}

function checkInForce(chain: Chain | undefined, current: Did): void {
  if (chain === undefined) return
  if (chain.status === 'frozen') throw new MeshError('ERR_IDENTITY_FROZEN', `two successions number ${chain.seq} of this identity are known`)
  const isReplaced = chain.keys.some(({ key, until }) => key === current && until !== undefined)
  if (isReplaced) throw new MeshError('ERR_IDENTITY_SUPERSEDED', 'a later key of this identity was seen: an old copy of the key file, or a thief')
}

async function withStore<T>(home: string, act: (store: Store) => Promise<T>): Promise<T> {
  const store = await createLevelStore(profilePaths(home).store)
  try {
    return await act(store)
  } finally {
    await store.close()
  }
}
