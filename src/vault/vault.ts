import { equal, MeshError } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { realFiles } from '../identity/index.ts'
import { createVaultDisk, settle } from './disk.ts'
import { merged, withRecords } from './edits.ts'
import { FileVault } from './file-vault.ts'
import { decodeVault, encodeVault, type VaultFile } from './format.ts'
import { beginEpoch, type Secret, type VaultContext } from './records.ts'
import { makeSlot, type NewSlot } from './slots.ts'
import type { Vault, VaultOptions } from './types.ts'

/** A new vault, unsealed, whose file appears with all of `records`, and `secrets` of a backup with their versions. @throws ERR_PROFILE_EXISTS when there is one, which is left as it is */
export async function createVault(
  options: VaultOptions & { readonly key: NewSlot; readonly records?: Iterable<readonly [string, Uint8Array]>; readonly secrets?: readonly Secret[] },
): Promise<Vault> {
  const { path, clock, random, key, records = [], secrets = [], files = realFiles } = options
  const disk = createVaultDisk(path, files)
  if ((await disk.read()) !== undefined) throw new MeshError('ERR_PROFILE_EXISTS', `${path} exists already; nothing was changed`)
  const known = await options.expected?.()
  const now = clock.now()
  const root = random.bytes(32)
  const context: VaultContext = { vaultId: random.bytes(16), random }
  const { epoch, keys } = beginEpoch(root, { number: 1, createdAt: now }, context)
  const slot = await makeSlot(root, key, { ...context, now })
  const empty: VaultFile = { id: context.vaultId, createdAt: now, counter: (known?.counter ?? 0) + 1, floor: 0, slots: [slot], epoch, records: [] }
  const { file } = merged(withRecords(empty, keys, records, { context, now }), keys, secrets, { reserved: true, context })
  const bytes = encodeVault(file, keys.mac)
  await disk.writeNext(bytes)
  await options.commit?.({ counter: file.counter, digest: sha256(bytes), change: 'created' })
  await disk.begin()
  return new FileVault(options, { disk, bytes, keys, known: undefined, standing: 'held', accept: false })
}

/**
 * Reads the file; it stays sealed. `accept` takes a file that was rolled back.
 * @throws ERR_PROFILE_MISSING, ERR_AUTH_FAILED for an altered file, ERR_VAULT_ROLLBACK for a missing one
 */
export async function openVault(options: VaultOptions & { readonly accept?: boolean }): Promise<Vault> {
  const { path, expected, files = realFiles, accept = false } = options
  const disk = createVaultDisk(path, files)
  const known = await expected?.()
  const bytes = await settle(disk, known)
  const isHeld = expected === undefined || (known !== undefined && equal(sha256(bytes), known.digest))
  const standing = isHeld ? 'held' : known !== undefined && decodeVault(bytes).counter <= known.counter ? 'behind' : 'ahead'
  return new FileVault(options, { disk, bytes, keys: undefined, known, standing, accept })
}
