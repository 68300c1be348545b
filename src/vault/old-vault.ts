import { z } from 'zod'
import { fromBase64, fromUtf8, MeshError } from '../base/index.ts'
import { aeadOpen, deriveFromOldPassphrase, importAeadKey, tagBytesLength } from '../crypto/index.ts'
import { parseJsonText } from '../wire/index.ts'
import { vaultRecordsMax, vaultValueBytesMax } from './format.ts'
import { checkName, type Secret } from './records.ts'
import { checkPassphrase } from './slots.ts'

/** Source: vault/v1 section 8. */
export const oldVaultBytesMax = 16 << 20
/** Of PBKDF2; fewer are no protection, more would hold the reader up. Source: vault/v1 section 8. */
export const oldIterationsMin = 10_000
export const oldIterationsMax = 5_000_000

const base64Bytes = (least: number, most: number) =>
  z
    .string()
    .max(Math.ceil(most / 3) * 4)
    .transform((text, context) => {
      const bytes = fromBase64(text)
      if (bytes !== undefined && bytes.length >= least && bytes.length <= most) return bytes
      context.addIssue('not base64 of that length')
      return z.NEVER
    })
const itemSchema = z.strictObject({ iv: base64Bytes(12, 12), data: base64Bytes(tagBytesLength, vaultValueBytesMax + tagBytesLength) })
const fileSchema = z.strictObject({
  version: z.literal(1),
  kdf: z.strictObject({
    name: z.literal('PBKDF2'),
    hash: z.literal('SHA-256'),
    iterations: z.int().min(oldIterationsMin).max(oldIterationsMax),
    salt: base64Bytes(8, 64),
  }),
  cipher: z.literal('AES-256-GCM'),
  items: z.record(z.string(), itemSchema).refine((items) => Object.keys(items).length <= vaultRecordsMax),
})

/**
 * The secrets of a vault whose key came of PBKDF2, each of version 0, older than any, and of `now`.
 * @throws ERR_VAULT_IMPORT for another form or refused parameters, before anything is derived; ERR_AUTH_FAILED when an item does not open
 */
export async function openOldVault(
  bytes: Uint8Array,
  { passphrase, now }: { readonly passphrase: Uint8Array; readonly now: number },
): Promise<readonly Secret[]> {
  checkPassphrase(passphrase)
  const { kdf, items } = decodeOldVault(bytes)
  const key = await deriveFromOldPassphrase(passphrase, kdf.salt, kdf.iterations, 32)
  const imported = importAeadKey(key)
  key.fill(0)
  try {
    return Object.entries(items).map(([name, { iv, data }]) => ({
      name,
      version: 0,
      createdAt: now,
      updatedAt: now,
      value: aeadOpen(1, imported, iv, new Uint8Array(), data),
    }))
  } catch (cause) {
    throw new MeshError('ERR_AUTH_FAILED', 'wrong passphrase, or the old vault was altered', { cause, hint: 'the passphrase is that of the old vault' })
  }
}

/** @throws ERR_VAULT_IMPORT */
export function decodeOldVault(bytes: Uint8Array): z.infer<typeof fileSchema> {
  try {
    if (bytes.length > oldVaultBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `an old vault exceeds ${oldVaultBytesMax} bytes`)
    const file = fileSchema.parse(parseJsonText(fromUtf8(bytes), oldVaultBytesMax))
    for (const name of Object.keys(file.items)) checkName(name)
    return file
  } catch (cause) {
    throw new MeshError('ERR_VAULT_IMPORT', 'that is no old vault, or one with parameters that are refused', { cause })
  }
}
