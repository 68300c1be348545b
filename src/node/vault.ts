import { type Audit, vaultExported, vaultRead, vaultSealed, vaultUnsealed, vaultUnsealRefused } from '../audit/index.ts'
import { type Clock, type Did, hex, MeshError, type Random, toMeshError, utf8 } from '../base/index.ts'
import type { SecretSource } from '../bridge/index.ts'
import type { Keyring } from '../identity/index.ts'
import { sha256 } from '../crypto/index.ts'
import {
  addKeyringSlot,
  type ImportReport,
  type MergePolicy,
  newRecoveryCode,
  type NewSlot,
  openBackup,
  openOldVault,
  openOsKeyring,
  type Secret,
  type SecretInfo,
  type SlotView,
  type Vault,
  type VaultKey,
  type VaultStatus,
} from '../vault/index.ts'

/** Longest secret that goes through a door, bytes of UTF-8. Source: sandbox/v1 section 5.5. */
export const secretBytesMax = 64 << 10
/** Secrets of one profile that go through the doors. */
export const secretsMax = 1_000

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

/** What may be told of a secret. */
export interface SecretView extends SecretInfo {
  /** What stands for its name in the audit log, hexadecimal. */
  readonly mark: string
}

/** The vault of a profile as its owner and, by `get`, its agents and tasks see it. Each read is in the audit log before it is answered. */
export interface VaultDoors extends SecretSource {
  status(): VaultStatus
  /** @throws ERR_AUTH_FAILED, ERR_NOT_FOUND when there is no slot of that kind */
  unseal(key: VaultKey): Promise<void>
  /** Wipes the keys of the vault; what the identity signs with stays as long as the node runs. */
  seal(): Promise<void>
  /** `reader` is whoever reads, for the audit log. @throws ERR_SEALED, ERR_USAGE */
  get(name: string, reader: string): Promise<string | undefined>
  /** In order of their names. @throws ERR_SEALED */
  list(): readonly SecretView[]
  /** @throws ERR_SEALED, ERR_USAGE, ERR_WIRE_TOO_LARGE, ERR_OVERLOADED */
  set(name: string, value: string): Promise<SecretView>
  /** False when there was none. */
  remove(name: string): Promise<boolean>
  /** Another passphrase in the place of `current`. @throws ERR_AUTH_FAILED */
  passphrase(change: { readonly current: Uint8Array; readonly next: Uint8Array }): Promise<void>
  /** One more way to open it. */
  addSlot(slot: NewSlot): Promise<SlotView>
  /** A slot that a code opens, which is shown this once. */
  addRecoveryCode(label?: string): Promise<{ readonly slot: SlotView; readonly code: string }>
  /** A slot that whoever is logged in to this machine opens at the start. @throws ERR_VAULT_KEYRING */
  addOsKeyring(label?: string): Promise<SlotView>
  /** @throws ERR_NOT_FOUND, ERR_USAGE for the last one */
  removeSlot(id: string): Promise<void>
  /** A fresh data key. */
  rotate(): Promise<void>
  /** All of it in one file under a passphrase of its own. @throws ERR_SEALED, ERR_USAGE */
  export(passphrase: Uint8Array): Promise<Uint8Array>
  /** Takes secrets of a backup, or of an old vault, all or none; names of the node's own stay what they are. @throws ERR_AUTH_FAILED, ERR_SEALED, ERR_VAULT_* */
  import(file: Uint8Array, options: { readonly passphrase: Uint8Array; readonly policy?: MergePolicy | undefined }): Promise<ImportReport>
}

/** What stands for names of secrets in the log: only who has the identity can tell which. */
export function markerOf(keyring: Keyring): (name: string) => Uint8Array {
  const mark = keyring.marker('names in the log')
  return (name) => mark(utf8(name)).subarray(0, 16)
}

export interface VaultDoorsOptions {
  readonly vault: Vault
  readonly did: Did
  audit(): Pick<Audit, 'record'>
  mark(name: string): Uint8Array
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}

export function createVaultDoors({ vault, did, audit, mark, clock, random }: VaultDoorsOptions): VaultDoors {
  const own = { did, vault: vault.id }
  const view = (info: SecretInfo): SecretView => ({ ...info, mark: hex(mark(info.name)) })
  const list = (): readonly SecretView[] =>
    vault
      .list()
      .filter(({ name }) => namePattern.test(name))
      .map(view)
  return {
    status: () => vault.status(),
    async unseal(key) {
      try {
        await vault.unseal(key)
      } catch (error) {
        await audit().record(vaultUnsealRefused({ ...own, kind: key.kind }))
        throw toMeshError(error)
      }
      await audit().record(vaultUnsealed({ ...own, kind: key.kind, counter: vault.counter }))
    },
    async seal() {
      vault.seal()
      await audit().record(vaultSealed(own))
    },
    async get(name, reader) {
      if (!namePattern.test(name)) return undefined
      const found = vault.get(name)
      await audit().record(vaultRead({ ...own, mark: mark(name), reader, found: found !== undefined }))
      return found === undefined ? undefined : new TextDecoder('utf-8', { ignoreBOM: true }).decode(found.value)
    },
    list,
    async set(name, value) {
      checkSecret(name, value)
      const names = list().map((info) => info.name)
      if (names.length >= secretsMax && !names.includes(name)) throw new MeshError('ERR_OVERLOADED', `more than ${secretsMax} secrets`)
      return view(await vault.set(name, utf8(value)))
    },
    async remove(name) {
      checkName(name)
      return await vault.remove(name)
    },
    async passphrase({ current, next }) {
      const { id } = await vault.verify({ kind: 'passphrase', secret: current })
      await vault.replaceSlot(id, { kind: 'passphrase', secret: next })
      // Whoever hears that it is changed throws the old one away.
      await vault.verify({ kind: 'passphrase', secret: next })
    },
    addSlot: (slot) => vault.addSlot(slot),
    async addRecoveryCode(label = '') {
      const { secret, code } = newRecoveryCode(random)
      return { slot: await vault.addSlot({ kind: 'recovery', secret, label }), code }
    },
    addOsKeyring: async (label = '') => await addKeyringSlot(vault, await openOsKeyring(), { random, label }),
    async removeSlot(id) {
      const isLastOfKeyring = isOf(vault, id, 'keyring') && vault.status().slots.filter(({ kind }) => kind === 'keyring').length === 1
      await vault.removeSlot(id)
      // What it opened is nothing any more.
      if (isLastOfKeyring) {
        await openOsKeyring().then(
          (keyring) => keyring.remove(vault.id),
          () => undefined,
        )
      }
    },
    rotate: () => vault.rotate(),
    async export(passphrase) {
      const file = await vault.export(passphrase)
      await audit().record(vaultExported({ ...own, counter: vault.counter, digest: sha256(file) }))
      return file
    },
    async import(file, { passphrase, policy }) {
      const secrets = await openImport(file, { passphrase, clock, random })
      return await vault.import(secrets, policy === undefined ? {} : { policy })
    },
  }
}

const isOf = (vault: Vault, id: string, kind: SlotView['kind']): boolean => vault.status().slots.some((slot) => slot.id === id && slot.kind === kind)

/** The secrets of a backup or of an old vault, whichever the file is. @throws ERR_VAULT_IMPORT, ERR_AUTH_FAILED */
export async function openImport(
  file: Uint8Array,
  { passphrase, clock, random }: { readonly passphrase: Uint8Array; readonly clock: Pick<Clock, 'now'>; readonly random: Random },
): Promise<readonly Secret[]> {
  if (file[0] === 0x7b) return await openOldVault(file, { passphrase, now: clock.now() })
  return (await openBackup(file, { passphrase, random })).secrets
}

function checkName(name: string): void {
  if (namePattern.test(name)) return
  throw new MeshError('ERR_USAGE', `${JSON.stringify(name.slice(0, 80))} is no name of a secret`, {
    hint: 'use 1 to 64 letters, digits, dots, dashes and underscores',
  })
}

function checkSecret(name: string, value: string): void {
  checkName(name)
  if (value === '') throw new MeshError('ERR_USAGE', 'a secret is not empty')
  if (Buffer.byteLength(value) > secretBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a secret exceeds ${secretBytesMax} bytes`)
}
