import { type Random } from '../base/index.ts'
import { decodeOwnKeys, encodeOwnKeys, type FileCalls, type SealedPlace, writeIdentityFile } from '../identity/index.ts'
import type { Vault } from '../vault/index.ts'

/** The name under which the vault holds the keys of the identity; no door takes names with a slash. Source: identity/v1 section 3. */
export const ownKeysName = 'kindmesh/identity'

interface VaultPlaceOptions {
  readonly vault: Pick<Vault, 'get' | 'set'>
  /** The public part, for whoever has no key. */
  readonly identityFile: string
  readonly random: Random
  readonly files?: FileCalls
}

/** The keys of the identity in the vault, and beside it what all may know. The vault counts: a public part left behind by a crash is written anew at the next start. */
export const vaultPlace = ({ vault, identityFile, random, files }: VaultPlaceOptions): SealedPlace => ({
  read: async () => {
    const record = vault.get(ownKeysName)
    return record === undefined ? undefined : decodeOwnKeys(record.value)
  },
  async write(keys) {
    await vault.set(ownKeysName, encodeOwnKeys(keys))
    await writeIdentityFile(identityFile, keys, { random, ...(files === undefined ? {} : { files }) })
  },
})
