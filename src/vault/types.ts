import type { Clock, Random } from '../base/index.ts'
import type { FileCalls } from '../identity/index.ts'
import type { Committed } from './disk.ts'
import type { ImportOptions, ImportReport } from './edits.ts'
import type { Secret } from './records.ts'
import type { NewSlot, SlotView, VaultKey } from './slots.ts'

export const vaultChanges = [
  'created',
  'set',
  'removed',
  'slot_added',
  'slot_replaced',
  'slot_removed',
  'rotated',
  'imported',
  'adopted',
  'rollback_accepted',
] as const

/** What the log is told before a change holds. */
export interface VaultCommit extends Committed {
  readonly change: (typeof vaultChanges)[number]
  /** Of the secret or the id of the slot, where it is about one. */
  readonly name?: string
}

export type SecretInfo = Omit<Secret, 'value'> & { readonly bytes: number }

export interface VaultStatus {
  readonly sealed: boolean
  readonly id: string
  readonly counter: number
  readonly epoch: number
  readonly createdAt: number
  readonly slots: readonly SlotView[]
  readonly secrets: number
  readonly bytes: number
  /** The log knows a newer file, or another one of the same age. */
  readonly rolledBack: boolean
}

/** Secrets at rest in one file, in one state at a time, old or new. Changes happen one after the other. Source: vault/v1. */
export interface Vault {
  readonly id: string
  readonly counter: number
  /** SHA-256 of the file. */
  readonly digest: Uint8Array
  status(): VaultStatus
  /**
   * Opens it. What differs from the file that was written is refused whole, and looks like a wrong key.
   * @throws ERR_AUTH_FAILED, ERR_VAULT_ROLLBACK, ERR_NOT_FOUND when there is no slot of that kind
   */
  unseal(key: VaultKey): Promise<void>
  /** Wipes the keys. What comes after throws ERR_SEALED. */
  seal(): void
  /** The slot that this key opens. @throws ERR_AUTH_FAILED, ERR_NOT_FOUND */
  verify(key: VaultKey): Promise<SlotView>
  /** @throws ERR_SEALED, ERR_USAGE for what is no name */
  get(name: string): Secret | undefined
  /** In order of their names. @throws ERR_SEALED */
  list(): readonly SecretInfo[]
  /** Durable when it returns. @throws ERR_SEALED, ERR_USAGE, ERR_VAULT_FULL, and whatever the log throws: then nothing has changed */
  set(name: string, value: Uint8Array): Promise<SecretInfo>
  /** All of them in one change. */
  setMany(records: Iterable<readonly [name: string, value: Uint8Array]>): Promise<readonly SecretInfo[]>
  /** False when there was none. */
  remove(name: string): Promise<boolean>
  addSlot(slot: NewSlot): Promise<SlotView>
  /** Another key for the same slot: only the root key is wrapped anew. @throws ERR_NOT_FOUND */
  replaceSlot(id: string, slot: NewSlot): Promise<SlotView>
  /** @throws ERR_NOT_FOUND, ERR_USAGE for the last one */
  removeSlot(id: string): Promise<void>
  /** A fresh data key; every record is sealed anew. */
  rotate(): Promise<void>
  /** Every secret in one file under a passphrase of its own. @throws ERR_SEALED, ERR_USAGE */
  export(passphrase: Uint8Array): Promise<Uint8Array>
  /** Takes secrets of a backup or an old vault, all or none of them. @throws ERR_SEALED, ERR_USAGE, ERR_VAULT_FULL, ERR_VAULT_IMPORT */
  import(secrets: readonly Secret[], options?: ImportOptions): Promise<ImportReport>
  /** 32 bytes for one purpose, the same as long as the vault lives. @throws ERR_SEALED */
  keyFor(purpose: string): Uint8Array
}

export interface VaultOptions {
  readonly path: string
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
  /** Writes the state down durably before it takes the place of the old one. */
  commit?(change: VaultCommit): Promise<void>
  /** The newest state that was written down. Asked at the start, and again after a commit that failed. */
  expected?(): Promise<Committed | undefined>
  readonly files?: FileCalls
}
