import { readFile, stat, writeFile } from 'node:fs/promises'
import { base64url, type Clock, MeshError, profilePaths, type Random, trimLineEnd, utf8 } from '../base/index.ts'
import { createKeyFile, type Keyring, openKeyFile, readKeyFile } from '../identity/index.ts'

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
export async function openProfile({ home, passphrase, random }: ProfileOptions): Promise<Keyring> {
  const paths = profilePaths(home)
  await readKeyFile(paths.keyFile)
  const found = passphrase ?? (await readIfThere(paths.passphraseFile))
  if (found === undefined) throw new MeshError('ERR_SEALED', 'the identity is protected by a passphrase')
  return await openKeyFile({ path: paths.keyFile, passphrase: passphrase ?? trimLineEnd(found), random })
}
