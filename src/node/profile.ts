import { mkdir, readFile, stat, unlink } from 'node:fs/promises'
import { base64url, type Clock, MeshError, profilePaths, type Random, trimLineEnd } from '../base/index.ts'
import { createPrivateFile } from '../identity/index.ts'
import { vaultPassphraseBytesMax } from '../vault/index.ts'

export interface ProfileOptions {
  readonly home: string
  /** Without it the passphrase file of the profile is used. */
  readonly passphrase?: Uint8Array | undefined
  readonly clock: Clock
  readonly random: Random
}

/** Whether the folder holds an identity, sealed or not. */
export async function hasProfile(home: string): Promise<boolean> {
  const { identity, vault } = profilePaths(home)
  return (await isThere(identity)) || (await isThere(vault))
}

/** The passphrase given, or that of the profile's file; with `make` that file is made. @throws ERR_SEALED */
export async function passphraseOf(
  { home, passphrase, random }: Pick<ProfileOptions, 'home' | 'passphrase' | 'random'>,
  { make = false }: { readonly make?: boolean } = {},
): Promise<Uint8Array> {
  if (passphrase !== undefined) return passphrase
  const { passphraseFile } = profilePaths(home)
  if (make) await makePassphrase(passphraseFile, { home, random })
  const found = await readIfThere(passphraseFile)
  if (found === undefined) throw new MeshError('ERR_SEALED', 'the vault of this profile is sealed by a passphrase')
  return trimLineEnd(found)
}

/** On the disk before there is anything that only it opens. Of two that make one at the same time both use the first. */
async function makePassphrase(path: string, { home, random }: Pick<ProfileOptions, 'home' | 'random'>): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  if (await isThere(path)) return
  await createPrivateFile(path, `${base64url(random.bytes(24))}\n`, random).catch((error: unknown) => {
    if (!(error instanceof MeshError) || error.code !== 'ERR_PROFILE_EXISTS') throw error
  })
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    if ((await stat(path)).size > vaultPassphraseBytesMax + 2) throw new MeshError('ERR_USAGE', `${path} is too large for a passphrase`)
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export const isThere = async (path: string): Promise<boolean> =>
  await stat(path).then(
    () => true,
    () => false,
  )

/** After a change of the passphrase: the file that held the old one opens nothing any more, and goes. */
export async function changePassphraseFile({ home, passphrase }: ProfileOptions): Promise<string | undefined> {
  const { passphraseFile } = profilePaths(home)
  if (passphrase !== undefined || !(await isThere(passphraseFile))) return undefined
  await unlink(passphraseFile)
  return passphraseFile
}
