import type { Did } from '../base/index.ts'
import type { AuditEvent } from './entry.ts'
import { brief, happened } from './events.ts'

// Entries about the vault. Names of secrets stand as marks only their owner can make: a log that is shown to others does not tell them.

interface VaultFacts {
  readonly did: Did
  /** The vault's id. */
  readonly vault: string
}
/** A state of the file, which the log holds it to from then on. */
export interface VaultState extends VaultFacts {
  readonly counter: number
  /** SHA-256 of the file. */
  readonly digest: Uint8Array
}

/** `change` in one word, such as set or slot_added; `mark` names the secret. */
export const vaultWritten = ({
  did,
  vault,
  counter,
  digest,
  change,
  mark,
}: VaultState & { readonly change: string; readonly mark?: Uint8Array | undefined }): AuditEvent =>
  happened('vault_written', did, did, { vault, counter, digest, change: brief(change), mark })

/** Whoever read: `cli` and the console as `user`, an agent, or a task of an asker. */
export const vaultRead = ({
  did,
  vault,
  mark,
  reader,
  found,
}: VaultFacts & { readonly mark: Uint8Array; readonly reader: string; readonly found: boolean }): AuditEvent =>
  happened('vault_read', did, did, { vault, mark, reader: brief(reader), found })

/** `kind` of the key that was used. */
export const vaultUnsealed = ({ did, vault, kind, counter }: VaultFacts & { readonly kind: string; readonly counter: number }): AuditEvent =>
  happened('vault_unsealed', did, did, { vault, kind: brief(kind), counter })

export const vaultUnsealRefused = ({ did, vault, kind }: VaultFacts & { readonly kind: string }): AuditEvent =>
  happened('vault_unseal_refused', did, did, { vault, kind: brief(kind) })

export const vaultSealed = ({ did, vault }: VaultFacts): AuditEvent => happened('vault_sealed', did, did, { vault })

/** A backup file was made; `digest` is its SHA-256. */
export const vaultExported = ({ did, vault, counter, digest }: VaultState): AuditEvent => happened('vault_exported', did, did, { vault, counter, digest })

/** The file is older than, or another than, what the log holds it to. */
export const vaultRolledBack = ({ did, vault, found, expected }: VaultFacts & { readonly found: number; readonly expected: number }): AuditEvent =>
  happened('vault_rolled_back', did, did, { vault, found, expected })
