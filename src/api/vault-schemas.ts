import { z } from 'zod'

/** The vault as the local API shows it. Values and keys travel in bodies only, never in addresses. */
const name = z.string().min(1).max(64)
const base64 = z.string().max(4_096)
/** As people type it. */
const passphrase = z.string().min(1).max(1_024)

export const vaultSlot = z.object({
  id: z.string(),
  kind: z.enum(['passphrase', 'recovery', 'prf', 'keyring']),
  label: z.string(),
  createdAt: z.int(),
  /** Of a passkey: its credential, and what its PRF is asked with; base64. */
  credentialId: z.string().optional(),
  salt: z.string().optional(),
})
export const vaultStatus = z.object({
  sealed: z.boolean(),
  id: z.string(),
  counter: z.int(),
  epoch: z.int(),
  createdAt: z.int(),
  slots: z.array(vaultSlot),
  /** Records, those of the node itself among them. */
  records: z.int(),
  bytes: z.int(),
  /** The file is older than, or another than, the audit log says. */
  rolledBack: z.boolean(),
})
export const vaultSecret = z.object({
  name: z.string(),
  version: z.int(),
  createdAt: z.int(),
  updatedAt: z.int(),
  bytes: z.int(),
  /** What stands for the name in the audit log. */
  mark: z.string(),
})
export const vaultSecrets = z.object({ secrets: z.array(vaultSecret) })
export const vaultEmpty = z.object({})
export const vaultNamed = z.object({ name })
export const vaultValue = z.object({ name: z.string(), value: z.string() })
export const vaultSetBody = z.object({ name, value: z.string().max(64 * 1024) })
export const vaultPassphraseBody = z.object({ current: passphrase, next: passphrase })
/** One way to open it. */
export const vaultKeyBody = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('passphrase'), passphrase }),
  z.object({ kind: z.literal('recovery'), code: z.string().min(1).max(128) }),
  z.object({ kind: z.literal('prf'), secret: base64 }),
])
const label = z.string().max(64).optional()
export const vaultSlotBody = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('passphrase'), passphrase, label }),
  z.object({ kind: z.literal('recovery'), label }),
  z.object({ kind: z.literal('prf'), secret: base64, credentialId: base64, salt: base64, label }),
  z.object({ kind: z.literal('keyring'), label }),
])
/** `code` of a recovery slot, shown this once. */
export const vaultSlotAdded = z.object({ slot: vaultSlot, code: z.string().optional() })
export const vaultSlotNamed = z.object({ id: z.string().min(1).max(64) })

export const vaultExportBody = z.object({ passphrase })
/** The backup file, base64. */
export const vaultBackup = z.object({ backup: z.string() })
/** What does not fit in a request is brought in while the node is down. */
export const vaultImportBody = z.object({ backup: z.string().max(1_000_000), passphrase, policy: z.enum(['newer', 'refuse']).default('newer') })
const names = z.array(z.string())
/** Names by what became of them; `skipped` are the node's own. */
export const vaultImported = z.object({ added: names, replaced: names, kept: names, skipped: names })
