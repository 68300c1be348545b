import { MeshError, type Random } from '../base/index.ts'
import type { SlotView } from './slots.ts'
import type { Vault } from './types.ts'

/** Where the operating system keeps a secret of ours for who is logged in. */
export interface OsKeyring {
  get(account: string): Promise<Uint8Array | undefined>
  set(account: string, secret: Uint8Array): Promise<void>
  remove(account: string): Promise<void>
}

const service = 'kindmesh vault'

/** The keyring of this machine: Keychain, Credential Manager, or Secret Service; never the kernel's, which forgets. @throws ERR_VAULT_KEYRING where there is none */
export async function openOsKeyring(): Promise<OsKeyring> {
  const { AsyncEntry } = await import('@napi-rs/keyring').catch((cause: unknown) => {
    throw unavailable(cause)
  })
  const at = async <T>(account: string, act: (entry: InstanceType<typeof AsyncEntry>) => Promise<T>): Promise<T> => {
    try {
      return await act(new AsyncEntry(service, account, { linux: { store: 'secret-service' } }))
    } catch (cause) {
      throw unavailable(cause)
    }
  }
  return {
    get: async (account) =>
      await at(account, async (entry) => Uint8Array.from((await entry.getSecret()) ?? [])).then((secret) => (secret.length === 0 ? undefined : secret)),
    set: async (account, secret) => await at(account, (entry) => entry.setSecret(secret)),
    remove: async (account) => void (await at(account, (entry) => entry.deleteCredential())),
  }
}

const unavailable = (cause: unknown): MeshError => new MeshError('ERR_VAULT_KEYRING', 'no keyring of the operating system answers', { cause })

/** Lets whoever is logged in unseal without a passphrase. The secret is in the keyring before the slot is in the file. */
export async function addKeyringSlot(
  vault: Vault,
  keyring: OsKeyring,
  { random, label = '' }: { readonly random: Random; readonly label?: string },
): Promise<SlotView> {
  const secret = (await keyring.get(vault.id)) ?? random.bytes(32)
  await keyring.set(vault.id, secret)
  try {
    return await vault.addSlot({ kind: 'keyring', secret, label })
  } finally {
    secret.fill(0)
  }
}

/** @throws ERR_VAULT_KEYRING also when it holds nothing for this vault, ERR_AUTH_FAILED, ERR_VAULT_ROLLBACK, ERR_NOT_FOUND */
export async function unsealByKeyring(vault: Vault, keyring: OsKeyring): Promise<void> {
  const secret = await keyring.get(vault.id)
  if (secret === undefined) throw new MeshError('ERR_VAULT_KEYRING', 'the keyring of the operating system holds nothing for this vault')
  try {
    await vault.unseal({ kind: 'keyring', secret })
  } finally {
    secret.fill(0)
  }
}

/** Removes the slots first, then the secret behind them. */
export async function removeKeyringSlots(vault: Vault, keyring: OsKeyring): Promise<void> {
  for (const { id, kind } of vault.status().slots) if (kind === 'keyring') await vault.removeSlot(id)
  await keyring.remove(vault.id)
}
