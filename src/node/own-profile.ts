import type { Audit } from '../audit/index.ts'
import { equal, type ErrorCode, MeshError, profilePaths } from '../base/index.ts'
import {
  begun,
  createKeyring,
  encodeOwnKeys,
  type FileCalls,
  identityOf,
  type Keyring,
  newKeys,
  openKeyFile,
  openKeys,
  type OwnKeys,
  readIdentityFile,
  realFiles,
  recovered,
  rotateKeys,
  type SealedPlace,
  writeIdentityFile,
} from '../identity/index.ts'
import { createLevelStore, type Store } from '../store/index.ts'
import {
  createVault,
  type ImportReport,
  type NewSlot,
  openOsKeyring,
  openVault,
  type OsKeyring,
  type Secret,
  unsealByKeyring,
  type Vault,
} from '../vault/index.ts'
import { hasProfile, isThere, passphraseOf, type ProfileOptions } from './profile.ts'
import { moveSecretsIn } from './secret-files.ts'
import { markerOf } from './vault.ts'
import { createVaultJournal, type VaultJournal } from './vault-journal.ts'
import { ownKeysName, vaultPlace } from './vault-place.ts'

export interface OwnProfileOptions extends ProfileOptions {
  /** Holding it keeps every other process out. */
  readonly store: Store
  /** Makes the keys of a profile that has none. */
  readonly create?: (() => OwnKeys) | undefined
  /** Take a vault that was rolled back. */
  readonly accept?: boolean
  /** What a backup held: used where the vault is lost, rolled back or not there yet, and nowhere else. */
  readonly restore?: readonly Secret[] | undefined
  /** In place of the passphrase. */
  readonly key?: NewSlot | undefined
  readonly osKeyring?: () => Promise<OsKeyring>
  readonly files?: FileCalls
}

/** The vault of a profile, unsealed, and the identity that lies in it. */
export interface OwnProfile {
  readonly vault: Vault
  readonly place: SealedPlace
  readonly keyring: Keyring
  readonly isNew: boolean
  /** Of `restore`, where it was used. */
  readonly restored: ImportReport | undefined
  /** The vault writes into this log from here on; what profiles kept beside the vault moves in. */
  attach(audit: Audit, keyring: Keyring): Promise<void>
}

/**
 * Opens the vault of a profile, makes one, or moves the keys of a profile from before there were vaults into one. A crash at any point leaves a profile that opens:
 * what held the keys goes only after the vault that holds them is on the disk.
 * @throws ERR_PROFILE_MISSING, ERR_SEALED, ERR_AUTH_FAILED, ERR_VAULT_ROLLBACK, ERR_IDENTITY_SUPERSEDED for a vault from before a rotation
 */
export async function openOwnProfile(options: OwnProfileOptions): Promise<OwnProfile> {
  const { home, store, random, restore, files } = options
  const paths = profilePaths(home)
  const journal = createVaultJournal(store)
  const { vault, isNew, ...opened } = await openOrMake(options, journal)
  let { restored } = opened
  const place = vaultPlace({ vault, identityFile: paths.identity, random, ...(files === undefined ? {} : { files }) })
  const held = async (): Promise<OwnKeys> => {
    const keys = await place.read()
    if (keys === undefined) throw new MeshError('ERR_PROFILE_MISSING', 'the vault holds no identity', { hint: wayOut })
    return keys
  }
  await tellIdentity(paths.identity, await held(), options).catch(async (error: unknown) => {
    // Accepted once, an old vault is the newest the log knows; what is newer comes from a backup all the same.
    if (restore === undefined || !isCode(error, 'ERR_IDENTITY_SUPERSEDED')) throw error
    restored = await vault.import(restore, { reserved: true })
    await tellIdentity(paths.identity, await held(), options)
  })
  return {
    vault,
    place,
    keyring: createKeyring(await held(), random),
    isNew,
    restored,
    async attach(audit, keyring) {
      await journal.attach({ did: keyring.identity, vault: vault.id, audit, mark: markerOf(keyring) })
      await moveSecretsIn(vault, paths.secrets)
    },
  }
}

const wayOut = 'bring a backup in: `kindmesh vault import FILE`'
const isCode = (error: unknown, code: ErrorCode): boolean => error instanceof MeshError && error.code === code

interface Opened {
  readonly vault: Vault
  readonly isNew: boolean
  readonly restored?: ImportReport
}

async function openOrMake(options: OwnProfileOptions, journal: VaultJournal): Promise<Opened> {
  const { home, clock, random, accept = false, restore, files } = options
  const paths = profilePaths(home)
  const at = { path: paths.vault, clock, random, commit: journal.commit, expected: journal.expected, ...(files === undefined ? {} : { files }) }
  const isMade = (await isThere(paths.vault)) || (await journal.expected()) !== undefined
  const found = isMade ? await openVault({ ...at, accept: accept || restore !== undefined }).catch(unlessLost(restore)) : undefined
  if (found !== undefined) {
    const { rolledBack } = found.status()
    await unsealAtStart(found, options).catch(async (error: unknown) => {
      if (isCode(error, 'ERR_VAULT_ROLLBACK')) await journal.noteRollback(found.counter)
      throw error
    })
    const restored = rolledBack && restore !== undefined ? await found.import(restore, { reserved: true }) : undefined
    return { vault: found, isNew: false, ...(restored === undefined ? {} : { restored }) }
  }
  const isFresh = !isMade && !(await isThere(paths.identity))
  const key = options.key ?? {
    kind: 'passphrase',
    secret: await passphraseOf(options, { make: isFresh && (options.create !== undefined || restore !== undefined) }),
  }
  if (restore !== undefined && (isFresh || (await isPublic(paths.identity)))) {
    const vault = await createVault({ ...at, key, records: restore.map(({ name, value }) => [name, value]) })
    return { vault, isNew: false, restored: { added: restore.map(({ name }) => name), replaced: [], kept: [], skipped: [] } }
  }
  if (isMade) throw lost(paths.vault)
  const made = await keysToMoveIn(options)
  return { vault: await createVault({ ...at, key, records: [[ownKeysName, encodeOwnKeys(made.keys)]] }), isNew: made.isNew }
}

/** A vault file that is missing is made again where there is a backup. */
const unlessLost =
  (restore: readonly Secret[] | undefined) =>
  (error: unknown): undefined => {
    if (restore === undefined || !isCode(error, 'ERR_VAULT_ROLLBACK')) throw error
  }

const isPublic = async (path: string): Promise<boolean> => (await readIdentityFile(path)).schema === 'kindmesh.identity/1'

/** By what was given, by the passphrase file of the profile, or by the keyring of the operating system. @throws ERR_SEALED when there is none of them */
async function unsealAtStart(vault: Vault, options: OwnProfileOptions): Promise<void> {
  if (options.key !== undefined) return await vault.unseal(options.key)
  const secret = await passphraseOf(options).catch(async (error: unknown) => {
    if (!isCode(error, 'ERR_SEALED') || !vault.status().slots.some(({ kind }) => kind === 'keyring')) throw error
    await unsealByKeyring(vault, await (options.osKeyring ?? openOsKeyring)()).catch((cause: unknown) => {
      throw isCode(cause, 'ERR_VAULT_ROLLBACK') ? cause : error
    })
  })
  if (secret !== undefined) await vault.unseal({ kind: 'passphrase', secret })
}

/** Creates an identity in a vault of its own. @throws ERR_PROFILE_EXISTS, ERR_PROFILE_LOCKED, and nothing is changed */
export async function createProfile(options: ProfileOptions): Promise<Keyring> {
  const { home, clock, random } = options
  const exists = new MeshError('ERR_PROFILE_EXISTS', `${home} holds an identity; nothing was changed`)
  if (await hasProfile(home)) throw exists
  const store = await createLevelStore(profilePaths(home).store)
  try {
    const { vault, keyring, isNew } = await openOwnProfile({ ...options, store, create: () => newKeys({ clock, random }) })
    vault.seal()
    if (!isNew) throw exists
    return keyring
  } finally {
    await store.close()
  }
}

/**
 * Takes the identity of a profile back: the recovery key comes in force and is replaced at once by one that no copy holds.
 * @throws ERR_IDENTITY_CHAIN when the key is of another identity, ERR_SEALED
 */
export async function recoverKeys({ place }: Pick<OwnProfile, 'place'>, { clock, random, ...given }: Parameters<typeof recovered>[1]): Promise<Keyring> {
  await place.write(recovered(await place.read(), { clock, random, ...given }))
  return await rotateKeys({ place, clock, random })
}

/** The keys of a profile that has no vault yet. @throws ERR_PROFILE_MISSING, ERR_AUTH_FAILED, ERR_STORE_FAILED when its vault is lost */
async function keysToMoveIn(options: OwnProfileOptions): Promise<{ readonly keys: OwnKeys; readonly isNew: boolean }> {
  const { home, create, random } = options
  const { identity, vault } = profilePaths(home)
  if (!(await isThere(identity))) {
    if (create === undefined) throw new MeshError('ERR_PROFILE_MISSING', `no identity in ${home}`)
    return { keys: create(), isNew: true }
  }
  const file = await readIdentityFile(identity)
  if (file.schema === 'kindmesh.identity/1') throw lost(vault)
  const keys = await openKeyFile(file, { passphrase: await passphraseOf(options), random })
  return { keys: begun(keys, options), isNew: false }
}

/** The keyring of a profile whose node may be running: nothing is written. @throws ERR_PROFILE_MISSING, ERR_SEALED, ERR_AUTH_FAILED */
export async function peekKeyring(options: ProfileOptions): Promise<Keyring> {
  const { home, clock, random } = options
  const { identity, vault: path } = profilePaths(home)
  if (!(await isThere(path))) {
    const file = await readIdentityFile(identity)
    if (file.schema === 'kindmesh.identity/1') throw lost(path)
    return createKeyring(await openKeyFile(file, { passphrase: await passphraseOf(options), random }), random)
  }
  const secret = await passphraseOf(options)
  const still = (): Promise<void> => Promise.resolve()
  const vault = await openVault({ path, clock, random, files: { ...realFiles, rename: still, unlink: still, link: still } })
  await vault.unseal({ kind: 'passphrase', secret })
  try {
    return await openKeys({ place: vaultPlace({ vault, identityFile: identity, random }), random })
  } finally {
    vault.seal()
  }
}

const lost = (path: string): MeshError => new MeshError('ERR_STORE_FAILED', `${path} is missing`, { hint: wayOut })

/** Sees to it that the public part says what the vault does. @throws ERR_AUTH_FAILED when it is of somebody else, ERR_IDENTITY_SUPERSEDED when it knows a later key */
async function tellIdentity(path: string, keys: OwnKeys, { random, files }: OwnProfileOptions): Promise<void> {
  const told = (await isThere(path)) ? await readIdentityFile(path) : undefined
  if (told !== undefined) {
    if (told.did !== identityOf(keys)) {
      throw new MeshError('ERR_AUTH_FAILED', `${path} and the vault are of two identities`, { hint: 'put back the one that belongs here' })
    }
    const chain = told.schema === 'kindmesh.key-file/1' ? [] : told.chain
    const isSame =
      told.schema === 'kindmesh.identity/1' &&
      chain.length === keys.chain.length &&
      chain.every((bytes, index) => equal(bytes, keys.chain[index] ?? bytes.subarray(0, 0)))
    if (isSame) return
    // A recovery may go back behind what it overrides; a chain that only got shorter was rolled back.
    if (chain.length > keys.chain.length && keys.chain.every((bytes, index) => equal(bytes, chain[index] ?? bytes.subarray(0, 0)))) {
      throw new MeshError('ERR_IDENTITY_SUPERSEDED', 'the vault is from before the key was replaced', {
        hint: 'bring a newer backup in, or take the identity back: `kindmesh id recover FILE`',
      })
    }
  }
  await writeIdentityFile(path, keys, { random, ...(files === undefined ? {} : { files }) })
}
