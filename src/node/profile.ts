import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { base64url, type Clock, MeshError, profilePaths, type Random, trimLineEnd, utf8 } from '../base/index.ts'
import {
  beginChain,
  type ChainStatement,
  createKeyFile,
  exportRecovery,
  type Keyring,
  openKeyFile,
  readKeyFile,
  recoverKeyFile,
  type RecoveryKey,
  rotateKeyFile,
} from '../identity/index.ts'

export const passphraseBytesMax = 4_096

export interface ProfileOptions {
  readonly home: string
  /** Without it the passphrase file of the profile is used. */
  readonly passphrase?: Uint8Array | undefined
  readonly clock: Clock
  readonly random: Random
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    if ((await stat(path)).size > passphraseBytesMax) throw new MeshError('ERR_USAGE', `${path} is too large for a passphrase`)
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Creates an identity. @throws ERR_PROFILE_EXISTS, and nothing is changed */
export async function createProfile({ home, passphrase, clock, random }: ProfileOptions): Promise<Keyring> {
  const paths = profilePaths(home)
  if (passphrase !== undefined) return await createKeyFile({ path: paths.keyFile, passphrase, clock, random })
  const made = (await readIfThere(paths.passphraseFile)) ?? utf8(`${base64url(random.bytes(24))}\n`)
  // The key file goes first: it alone decides which of two `init` at the same time wins.
  const keyring = await createKeyFile({ path: paths.keyFile, passphrase: trimLineEnd(made), clock, random })
  await writeFile(paths.passphraseFile, made, { mode: 0o600 })
  return keyring
}

/** Unlocks the identity. @throws ERR_PROFILE_MISSING, ERR_SEALED, ERR_AUTH_FAILED */
export const openProfile = async (options: ProfileOptions): Promise<Keyring> => await openKeyFile(await unlocking(options))

// What follows changes the key file: only whoever holds the profile's store may call it.

/** Gives a profile made before there were chains its inception. */
export const beginProfileChain = async (options: ProfileOptions): Promise<Keyring> => await beginChain(await unlocking(options))

/** Puts the next key in force. @throws ERR_IDENTITY_CHAIN, ERR_WIRE_TOO_LARGE at the chain's end */
export const rotateProfile = async (options: ProfileOptions, { newRecovery = false } = {}): Promise<Keyring> =>
  await rotateKeyFile({ ...(await unlocking(options)), newRecovery })

/** Hands over the recovery key, then erases it here. @throws ERR_NOT_FOUND when that was done before */
export const exportProfileRecovery = async (options: ProfileOptions, deliver: (key: RecoveryKey) => Promise<void>): Promise<void> =>
  await exportRecovery({ ...(await unlocking(options)), deliver })

/** Takes the identity back: the recovery key comes in force and is replaced at once by one that no copy holds. @throws ERR_IDENTITY_CHAIN */
export async function recoverProfile(options: ProfileOptions, recovery: RecoveryKey, known: readonly ChainStatement[]): Promise<Keyring> {
  const unlocked = await unlocking(options, { orNew: true })
  await recoverKeyFile({ ...unlocked, recovery, known })
  return await rotateKeyFile(unlocked)
}

async function unlocking(
  { home, passphrase, clock, random }: ProfileOptions,
  { orNew = false } = {},
): Promise<{ readonly path: string; readonly passphrase: Uint8Array; readonly clock: Clock; readonly random: Random }> {
  const { keyFile: path, passphraseFile } = profilePaths(home)
  const isNew = orNew && !(await isThere(path))
  if (!isNew) await readKeyFile(path)
  let found = passphrase ?? (await readIfThere(passphraseFile))
  if (found === undefined && isNew) {
    found = utf8(`${base64url(random.bytes(24))}\n`)
    await mkdir(home, { recursive: true, mode: 0o700 })
    await writeFile(passphraseFile, found, { mode: 0o600 })
  }
  if (found === undefined) throw new MeshError('ERR_SEALED', 'the identity is protected by a passphrase')
  return { path, passphrase: passphrase ?? trimLineEnd(found), clock, random }
}

const isThere = async (path: string): Promise<boolean> =>
  await stat(path).then(
    () => true,
    () => false,
  )
