import { compare, equal, hex, MeshError } from '../base/index.ts'
import { equalSecret } from '../crypto/index.ts'
import { type StoredRecord, type VaultFile, vaultValueBytesMax } from './format.ts'
import { beginEpoch, blind, checkName, openRecord, type Secret, sealRecord, type VaultContext, type VaultKeys } from './records.ts'

interface EditContext {
  readonly context: VaultContext
  readonly now: number
}

/** The file with these records added or put in the place of those of the same name. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE */
export function withRecords(file: VaultFile, keys: VaultKeys, records: Iterable<readonly [string, Uint8Array]>, { context, now }: EditContext): VaultFile {
  const stored = new Map(file.records.map((record) => [hex(record.blinded), record]))
  for (const [name, value] of records) {
    checkName(name)
    if (value.length > vaultValueBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a secret exceeds ${vaultValueBytesMax} bytes`)
    const id = hex(blind(keys, name))
    const before = stored.get(id)
    const { version, createdAt } = before === undefined ? { version: file.floor, createdAt: now } : openRecord(keys, before, context)
    stored.set(id, sealRecord(keys, file.epoch.number, { name, version: version + 1, createdAt, updatedAt: now, value }, context))
  }
  return { ...file, records: inOrder([...stored.values()]) }
}

const inOrder = (records: readonly StoredRecord[]): readonly StoredRecord[] => records.toSorted((a, b) => compare(a.blinded, b.blinded))

/** Undefined when there is no record of that name. */
export function withoutRecord(file: VaultFile, keys: VaultKeys, name: string): VaultFile | undefined {
  const removed = recordNamed(file, keys, name)
  if (removed === undefined) return undefined
  return { ...file, floor: Math.max(file.floor, removed.version), records: file.records.filter((record) => record !== removed) }
}

function recordNamed(file: VaultFile, keys: VaultKeys, name: string): StoredRecord | undefined {
  const blinded = blind(keys, name)
  return file.records.find((record) => equal(record.blinded, blinded))
}

/** The same secrets under a fresh data key. */
export function resealed(file: VaultFile, keys: VaultKeys, { context, now }: EditContext): { readonly file: VaultFile; readonly keys: VaultKeys } {
  const { epoch, keys: fresh } = beginEpoch(keys.root, { number: file.epoch.number + 1, createdAt: now }, context)
  const records = file.records.map((record) => {
    const secret = openRecord(keys, record, context)
    try {
      return sealRecord(fresh, epoch.number, secret, context)
    } finally {
      secret.value.fill(0)
    }
  })
  return { file: { ...file, epoch, records }, keys: fresh }
}

/** Which of two secrets of one name stays: the newer one, or neither, and then nothing is imported. */
export type MergePolicy = 'newer' | 'refuse'

/** What became of the names that were to be imported. */
export interface ImportReport {
  readonly added: readonly string[]
  readonly replaced: readonly string[]
  /** There is a newer one, or the same. */
  readonly kept: readonly string[]
  /** The node's own, which nobody asked for. */
  readonly skipped: readonly string[]
}

export interface ImportOptions {
  /** `newer` when nothing is said. */
  readonly policy?: MergePolicy
  /** Also names of the node's own, its identity among them. */
  readonly reserved?: boolean
}

/** The node's own names. Source: vault/v1 section 4. */
export const reservedPrefix = 'kindmesh/'

/** The file with secrets of elsewhere. @throws ERR_VAULT_IMPORT when other values are there and the policy is to refuse. Source: vault/v1 section 7 */
export function merged(
  file: VaultFile,
  keys: VaultKeys,
  secrets: readonly Secret[],
  { policy = 'newer', reserved = false, context }: ImportOptions & Pick<EditContext, 'context'>,
): { readonly file: VaultFile; readonly report: ImportReport } {
  const stored = new Map(file.records.map((record) => [hex(record.blinded), record]))
  const names = { added: [] as string[], replaced: [] as string[], kept: [] as string[], skipped: [] as string[], refused: [] as string[] }
  for (const secret of secrets) {
    checkName(secret.name)
    const id = hex(blind(keys, secret.name))
    const record = stored.get(id)
    const own = record === undefined ? undefined : openRecord(keys, record, context)
    const isSame = own !== undefined && equalSecret(own.value, secret.value)
    const isNewer = own === undefined || secret.version > own.version || (secret.version === own.version && secret.updatedAt > own.updatedAt)
    own?.value.fill(0)
    const end =
      !reserved && secret.name.startsWith(reservedPrefix)
        ? 'skipped'
        : own === undefined
          ? 'added'
          : isSame
            ? 'kept'
            : policy === 'refuse'
              ? 'refused'
              : isNewer
                ? 'replaced'
                : 'kept'
    names[end].push(secret.name)
    if (end !== 'added' && end !== 'replaced') continue
    const version = Math.max(secret.version, (own?.version ?? file.floor) + 1)
    stored.set(id, sealRecord(keys, file.epoch.number, { ...secret, version }, context))
  }
  const { refused, ...report } = names
  if (refused.length > 0) {
    throw new MeshError('ERR_VAULT_IMPORT', `${refused.length} secrets are here with other values; nothing was imported`, { details: { names: refused } })
  }
  return { file: { ...file, records: inOrder([...stored.values()]) }, report }
}
