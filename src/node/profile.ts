import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { base64url, type Clock, MeshError, type Random, utf8 } from '../base/index.ts'
import { createKeyFile, type Keyring, openKeyFile, readKeyFile } from '../identity/index.ts'

export const passphraseBytesMax = 4_096

/** Where a profile keeps its things. */
export const profilePaths = (home: string) => ({
  home,
  keyFile: join(home, 'identity.json'),
  /** Made when no passphrase is given at `init`: the identity is then protected by the file's mode alone. */
  passphraseFile: join(home, 'passphrase'),
  store: join(home, 'store'),
  peerStore: join(home, 'peers'),
  checkpoint: join(home, 'audit-checkpoint'),
  /** Address and token of the running node's API. */
  api: join(home, 'api.json'),
})

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

/** The passphrase as the file holds it, without the line end an editor leaves. */
export const trimLineEnd = (bytes: Uint8Array): Uint8Array => {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length
  return bytes.slice(0, end)
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
