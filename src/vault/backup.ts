import { hex, MeshError, type Random } from '../base/index.ts'
import { createLocalBox, deriveFromPassphrase, type LocalBox, passphraseParams } from '../crypto/index.ts'
import { bytesOf, bytesUpTo, codec, type Decoded, encode, instant, intWithin, listOf, literal, row, textUpTo } from '../wire/index.ts'
import { embedded, kdfShape, vaultBytesMax, vaultNameBytesMax, vaultRecordsMax, vaultValueBytesMax } from './format.ts'
import { checkName, type Secret } from './records.ts'
import { checkPassphrase } from './slots.ts'

/** A backup as a whole: what fits in a vault fits in it. Source: vault/v1 section 9. */
export const backupBytesMax = 16 << 20

/** Far above what changes come to, and far below where counting ends. Source: vault/v1 section 7. */
export const backupVersionMax = 2 ** 40

const format = 'kindmesh.vault-backup/1'
const headShape = row({
  format: literal(format),
  vaultId: bytesOf(16),
  createdAt: instant,
  kdf: kdfShape,
  salt: bytesOf(32),
  sealed: bytesUpTo(backupBytesMax),
})
const fileCodec = codec('backup', headShape, backupBytesMax)
const secretShape = row({
  name: textUpTo(vaultNameBytesMax),
  version: intWithin(1, backupVersionMax),
  createdAt: instant,
  updatedAt: instant,
  value: bytesUpTo(vaultValueBytesMax),
})
const secretsCodec = codec('secrets', listOf(embedded(codec('secret', secretShape, vaultValueBytesMax + 1_024)), vaultRecordsMax), vaultBytesMax)

export interface Backup {
  /** The vault it was made of. */
  readonly vaultId: string
  readonly createdAt: number
  readonly secrets: readonly Secret[]
}

const contextOf = ({ vaultId, createdAt, kdf, salt }: Omit<Decoded<typeof headShape>, 'sealed' | 'format'>): Uint8Array =>
  encode([format, vaultId, createdAt, [kdf.memoryKiB, kdf.iterations, kdf.parallelism], salt])

async function boxFor(passphrase: Uint8Array, { kdf, salt }: Pick<Decoded<typeof headShape>, 'kdf' | 'salt'>, random: Random): Promise<LocalBox> {
  const key = await deriveFromPassphrase(passphrase, { kdf: 'argon2id', ...kdf, salt })
  const box = createLocalBox(key, random)
  key.fill(0)
  return box
}

/** Everything in one file under a passphrase of its own. Source: vault/v1 section 7. */
export async function sealBackup(
  secrets: readonly Secret[],
  { passphrase, vaultId, now, random }: { readonly passphrase: Uint8Array; readonly vaultId: Uint8Array; readonly now: number; readonly random: Random },
): Promise<Uint8Array> {
  checkPassphrase(passphrase)
  const { memoryKiB, iterations, parallelism } = passphraseParams
  const head = { vaultId, createdAt: now, kdf: { memoryKiB, iterations, parallelism }, salt: random.bytes(32) }
  // Before the derivation: sealed meanwhile, the values are zeros.
  const plain = secretsCodec.encode(secrets)
  try {
    const sealed = (await boxFor(passphrase, head, random)).seal(plain, contextOf(head))
    return fileCodec.encode({ format, ...head, sealed })
  } finally {
    plain.fill(0)
  }
}

/** @throws ERR_VAULT_IMPORT for what is no backup, before anything is derived; ERR_AUTH_FAILED for a wrong passphrase or an altered one */
export async function openBackup(bytes: Uint8Array, { passphrase, random }: { readonly passphrase: Uint8Array; readonly random: Random }): Promise<Backup> {
  checkPassphrase(passphrase)
  const file = decodeBackup(bytes)
  const box = await boxFor(passphrase, file, random)
  let plain: Uint8Array | undefined
  try {
    plain = box.open(file.sealed, contextOf(file))
    const secrets = secretsCodec.decode(plain)
    for (const { name } of secrets) checkName(name)
    if (new Set(secrets.map(({ name }) => name)).size < secrets.length) throw new MeshError('ERR_WIRE_MALFORMED', 'a name stands twice')
    return { vaultId: hex(file.vaultId), createdAt: file.createdAt, secrets }
  } catch (cause) {
    throw new MeshError('ERR_AUTH_FAILED', 'wrong passphrase, or the backup was altered', {
      cause,
      hint: 'the passphrase is the one given when the backup was made',
    })
  } finally {
    plain?.fill(0)
  }
}

/** @throws ERR_VAULT_IMPORT */
export function decodeBackup(bytes: Uint8Array): Decoded<typeof headShape> {
  try {
    return fileCodec.decode(bytes)
  } catch (cause) {
    throw new MeshError('ERR_VAULT_IMPORT', 'that is no backup of a vault, or one with parameters that are refused', { cause })
  }
}
