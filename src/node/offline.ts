import { type Audit, type AuditVerdict, createAudit, verifyAudit } from '../audit/index.ts'
import { type Did, MeshError, profilePaths, silentLogger } from '../base/index.ts'
import {
  type Chain,
  chainRecordKey,
  type ChainStatement,
  createKeyring,
  decodeRecoveryKey,
  encodeRecoveryKey,
  kindDidFromDid,
  exportRecovery,
  type OwnKeys,
  openChainRecord,
  openChainStatement,
  peerIdFromDid,
  readIdentityFile,
  recovered,
  rotateKeys,
} from '../identity/index.ts'
import { createLibp2pHost } from '../net/index.ts'
import { createLevelStore, createMemoryStore, type Store } from '../store/index.ts'
import { recordRules } from './assemble.ts'
import { readCheckpoint } from './checkpoint-file.ts'
import { chainNamespace, readKeptChain } from './key-chains.ts'
import { openOwnProfile, type OwnProfile, type OwnProfileOptions, recoverKeys } from './own-profile.ts'
import { isThere, type ProfileOptions } from './profile.ts'
import { type ImportReport, type MergePolicy, openVault, type VaultStatus } from '../vault/index.ts'
import { createVaultJournal } from './vault-journal.ts'
import { createVaultDoors, markerOf, openImport, type VaultDoors } from './vault.ts'

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
  const { did, createdAt, current, seq } = await readIdentityFile(profilePaths(home).identity)
  return { did, peerId: peerIdFromDid(current), kindDid: kindDidFromDid(did), createdAt, seq }
}

/** Verifies the audit log of a profile whose node does not run. @throws ERR_PROFILE_MISSING, ERR_PROFILE_LOCKED */
export async function verifyProfileAudit(home: string): Promise<AuditVerdict> {
  const paths = profilePaths(home)
  const file = await readIdentityFile(paths.identity)
  const keys = file.schema === 'kindmesh.key-file/1' ? [file.did] : file.chain.map((bytes) => openChainStatement(bytes).key)
  const expectedCheckpoint = await readCheckpoint(paths.checkpoint)
  return await withStore(home, (store) => verifyAudit({ store, did: file.did, keys, ...(expectedCheckpoint === undefined ? {} : { expectedCheckpoint }) }))
}

// The store is the profile's lock: while we hold it no node runs and nobody else writes to the vault.

/** Puts the next key in force while the node is down. @throws ERR_PROFILE_*, ERR_SEALED, ERR_AUTH_FAILED, ERR_IDENTITY_* when this node has seen a later key */
export async function rotateOffline(options: ProfileOptions, { newRecovery = false }: { readonly newRecovery?: boolean | undefined }): Promise<void> {
  await readIdentityFile(profilePaths(options.home).identity)
  await withProfile(options, async ({ place, keyring, store }) => {
    checkInForce(await readKeptChain(store.sub('key-chains'), keyring.identity), keyring.did)
    await rotateKeys({ ...options, place, newRecovery })
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
): Promise<void> {
  const key = decodeRecoveryKey(recovery)
  const published = bootstrap.length === 0 ? [] : await fetchChain(key.did, bootstrap, options)
  // A profile that has no identity begins with the one taken back.
  const create = (): OwnKeys => recovered(undefined, { ...options, recovery: key, known: published })
  await withProfile({ ...options, create }, async ({ place, isNew, store }) => {
    const chain = await readKeptChain(store.sub('key-chains'), key.did)
    const known = [...published, ...(chain === undefined ? [] : [...chain.path, ...chain.rivals, ...chain.beaten])]
    if (isNew) await rotateKeys({ ...options, place })
    else await recoverKeys({ place }, { ...options, recovery: key, known })
  })
}

/** Hands over the recovery key while the node is down. @throws ERR_NOT_FOUND when that was done before */
export async function exportRecoveryOffline(options: ProfileOptions, deliver: (recovery: string) => Promise<void>): Promise<void> {
  await readIdentityFile(profilePaths(options.home).identity)
  await withProfile(options, ({ place }) => exportRecovery({ ...options, place, deliver: (key) => deliver(encodeRecoveryKey(key)) }))
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

/** The vault of a profile whose node does not run, and its log, for as long as `act` takes. */
export async function withProfile<T>(
  options: Omit<OwnProfileOptions, 'store'>,
  act: (profile: OwnProfile & { readonly store: Store; readonly audit: Audit }) => Promise<T>,
): Promise<T> {
  return await withStore(options.home, async (store) => {
    const own = await openOwnProfile({ ...options, store })
    const { identity: did, keys, sign } = own.keyring
    try {
      const audit = await createAudit({ store, sign, did, keys, clock: options.clock, logger: silentLogger })
      try {
        await own.attach(audit, own.keyring)
        return await act({ ...own, store, audit })
      } finally {
        await audit.close()
      }
    } finally {
      own.vault.seal()
    }
  })
}

/** The doors of a vault whose node does not run. @throws ERR_PROFILE_*, ERR_SEALED, ERR_AUTH_FAILED, ERR_VAULT_ROLLBACK */
export const withVault = async <T>(options: Omit<OwnProfileOptions, 'store'>, act: (doors: VaultDoors) => Promise<T>): Promise<T> =>
  await withProfile(options, ({ vault, keyring, audit }) =>
    act(createVaultDoors({ ...options, vault, did: keyring.identity, audit: () => audit, mark: markerOf(keyring) })),
  )

/** Brings a backup in while the node is down; where the vault is lost, rolled back or was never there, with the identity. @throws as `withVault`, ERR_VAULT_IMPORT */
export async function importOffline(
  options: ProfileOptions,
  file: Uint8Array,
  { passphrase, policy }: { readonly passphrase: Uint8Array; readonly policy?: MergePolicy | undefined },
): Promise<ImportReport> {
  const restore = await openImport(file, { ...options, passphrase })
  return await withProfile(
    { ...options, restore },
    async ({ vault, restored }) => restored ?? (await vault.import(restore, policy === undefined ? {} : { policy })),
  )
}

/** Takes a vault that is older than the log says, by the word of whoever has its key. @throws as `withVault` */
export const acceptVault = async (options: ProfileOptions): Promise<VaultStatus> =>
  await withProfile({ ...options, accept: true }, async ({ vault }) => vault.status())

/** What may be told of a vault without its key, while no node runs. @throws ERR_PROFILE_* */
export async function readVaultStatus({ home, clock, random }: ProfileOptions): Promise<VaultStatus> {
  const { identity, vault: path } = profilePaths(home)
  if ((await readIdentityFile(identity)).schema !== 'kindmesh.identity/1' && !(await isThere(path))) {
    throw new MeshError('ERR_PROFILE_MISSING', 'this profile is from before there was a vault', {
      hint: 'start it once with `kindmesh up`: its keys move into one',
    })
  }
  return await withStore(home, async (store) => {
    const { expected } = createVaultJournal(store)
    return (await openVault({ path, clock, random, expected })).status()
  })
}

async function withStore<T>(home: string, act: (store: Store) => Promise<T>): Promise<T> {
  const store = await createLevelStore(profilePaths(home).store)
  try {
    return await act(store)
  } finally {
    await store.close()
  }
}
