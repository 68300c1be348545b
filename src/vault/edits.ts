import { compare, equal, hex, MeshError } from '../base/index.ts'
import { type StoredRecord, type VaultFile, vaultValueBytesMax } from './format.ts'
import { beginEpoch, blind, checkName, openRecord, sealRecord, type VaultContext, type VaultKeys } from './records.ts'

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

export function recordNamed(file: VaultFile, keys: VaultKeys, name: string): StoredRecord | undefined {
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
