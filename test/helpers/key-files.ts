import { keyFileText, slotOf } from '../../scripts/vectors/key-file.ts'
import { createKeyring, type Keyring, openKeyFile, type OwnKeys, readIdentityFile } from '../../src/identity/index.ts'
import type { Random } from '../../src/base/index.ts'

interface Opening {
  readonly passphrase: Uint8Array
  readonly random: Random
}

/** What a key file holds, as profiles had it before there was a vault. */
export async function openOldKeys(path: string, opening: Opening): Promise<OwnKeys> {
  const file = await readIdentityFile(path)
  if (file.schema === 'kindmesh.identity/1') throw new Error(`${path} holds no keys`)
  return await openKeyFile(file, opening)
}

export const openOld = async (path: string, opening: Opening): Promise<Keyring> => createKeyring(await openOldKeys(path, opening), opening.random)

/** The text of a key file; of the first form when the keys have no chain. */
export const oldKeyFile = async (keys: OwnKeys, opening: Opening): Promise<string> =>
  keyFileText(keys, { slots: [await slotOf(keys, opening)], random: opening.random })
