import { compare, equal, MeshError } from '../base/index.ts'
import { hmacSha256 } from '../crypto/index.ts'
import {
  bytesOf,
  bytesUpTo,
  type Codec,
  codec,
  type Decoded,
  instant,
  intWithin,
  listOf,
  literal,
  nullable,
  oneOf,
  row,
  type Shape,
  textUpTo,
  uintUpTo,
} from '../wire/index.ts'

/** The whole file. Source: vault/v1 section 9. */
export const vaultBytesMax = 16 << 20
export const vaultRecordsMax = 1_024
/** Ways to unseal one vault, of all kinds. Source: vault/v1 section 9. */
export const vaultSlotsMax = 8
/** One secret. Source: vault/v1 section 9. */
export const vaultValueBytesMax = 64 << 10
/** Of a whole name, with its slashes. Source: vault/v1 section 4. */
export const vaultNameBytesMax = 256
/** Parameters of Argon2id that a slot may name; those written are the least. Source: vault/v1 section 3. */
export const vaultMemoryKiBMax = 256 << 10
export const vaultIterationsMax = 12
/** Of all slots together, KiB times iterations: what a wrong passphrase may cost. Source: vault/v1 section 3. */
export const vaultWorkMax = 8 * 64 * 1024 * 3
export const slotLabelLengthMax = 64
const credentialBytesMax = 1_024
const vaultMemoryKiBLeast = 64 << 10
const vaultIterationsLeast = 3

export const slotKinds = ['passphrase', 'recovery', 'prf', 'keyring'] as const
export type SlotKind = (typeof slotKinds)[number]

export const vaultFormat = 'kindmesh.vault/1'
const macBytes = 32
const count = uintUpTo(Number.MAX_SAFE_INTEGER)

/** Parameters within these bounds only: a reader never derives with others. Source: vault/v1 section 3. */
export const kdfShape = row({
  memoryKiB: intWithin(vaultMemoryKiBLeast, vaultMemoryKiBMax),
  iterations: intWithin(vaultIterationsLeast, vaultIterationsMax),
  parallelism: literal(1),
})
const slotShape = row({
  id: bytesOf(8),
  kind: oneOf(slotKinds),
  label: textUpTo(slotLabelLengthMax),
  createdAt: instant,
  /** Of a passphrase only. */
  kdf: nullable(kdfShape),
  /** Id of the passkey whose output this is. */
  credentialId: nullable(bytesUpTo(credentialBytesMax)),
  salt: bytesOf(32),
  rootKey: bytesOf(60),
})
export type Slot = Decoded<typeof slotShape>

const epochShape = row({ number: count, createdAt: instant, dataKey: bytesOf(60) })
export type Epoch = Decoded<typeof epochShape>

const storedShape = row({
  blinded: bytesOf(32),
  epoch: count,
  version: intWithin(1, Number.MAX_SAFE_INTEGER),
  sealed: bytesUpTo(vaultValueBytesMax + vaultNameBytesMax + 128),
})
/** One secret as the file holds it. */
export type StoredRecord = Decoded<typeof storedShape>

/** A record is a byte string of its own, so that the count of items stays within that of the CBOR profile. */
export const embedded = <T>(inner: Codec<T>): Shape<T> => ({
  encode: (value) => inner.encode(value),
  decode(plain, path) {
    if (!(plain instanceof Uint8Array)) throw new MeshError('ERR_WIRE_MALFORMED', `${path} is not a byte string`)
    return inner.decode(plain)
  },
})

const fileCodec = codec(
  'vault',
  row({
    format: literal(vaultFormat),
    id: bytesOf(16),
    createdAt: instant,
    counter: intWithin(1, Number.MAX_SAFE_INTEGER),
    /** Highest version of a record that was removed: those that come are above. */
    floor: count,
    slots: listOf(slotShape, vaultSlotsMax),
    epoch: epochShape,
    records: listOf(embedded(codec('record', storedShape, vaultValueBytesMax + 1_024)), vaultRecordsMax),
    mac: bytesOf(macBytes),
  }),
  vaultBytesMax,
)
export type VaultFile = Omit<Decoded<typeof fileCodec>, 'format' | 'mac'>

/** A wrong key and an altered file look alike. Source: vault/v1 section 6. */
export const wrongOrAltered = (cause?: unknown): MeshError =>
  new MeshError('ERR_AUTH_FAILED', 'wrong key, or the vault file was altered', {
    cause,
    hint: 'check the passphrase; if it is right, restore the file from a backup',
  })

/** The bytes of the file, their last 32 the MAC of all before. @throws ERR_VAULT_FULL */
export function encodeVault(file: VaultFile, macKey: Uint8Array): Uint8Array {
  const size = file.records.reduce((sum, { sealed }) => sum + sealed.length + 64, 16 << 10)
  if (size > vaultBytesMax || file.records.length > vaultRecordsMax) {
    throw new MeshError('ERR_VAULT_FULL', `a vault holds ${vaultRecordsMax} secrets and ${vaultBytesMax} bytes at most`)
  }
  if (file.slots.length > vaultSlotsMax) {
    throw new MeshError('ERR_VAULT_FULL', `a vault has ${vaultSlotsMax} slots at most`, { hint: 'remove one: `kindmesh vault slots`' })
  }
  const bytes = fileCodec.encode({ ...file, format: vaultFormat, mac: new Uint8Array(macBytes) })
  bytes.set(macOf(bytes, macKey), bytes.length - macBytes)
  return bytes
}

export const macOf = (bytes: Uint8Array, macKey: Uint8Array): Uint8Array => hmacSha256(macKey, bytes.subarray(0, bytes.length - macBytes))

/** The MAC that the file names. */
export const macIn = (bytes: Uint8Array): Uint8Array => bytes.subarray(bytes.length - macBytes)

/** Reads the file without a key: nothing in it counts before the MAC was checked. @throws ERR_AUTH_FAILED for what no writer writes */
export function decodeVault(bytes: Uint8Array): VaultFile {
  try {
    const file = fileCodec.decode(bytes)
    if (isSound(file)) return file
  } catch (cause) {
    throw wrongOrAltered(cause)
  }
  throw wrongOrAltered()
}

function isSound({ slots, epoch, records }: VaultFile): boolean {
  const work = slots.reduce((sum, { kdf }) => sum + (kdf === undefined ? 0 : kdf.memoryKiB * kdf.iterations), 0)
  return (
    slots.length > 0 &&
    work <= vaultWorkMax &&
    slots.every(({ kind, kdf, credentialId }) => (kind === 'passphrase') === (kdf !== undefined) && (kind === 'prf') === (credentialId !== undefined)) &&
    slots.every(({ id }, index) => slots.findIndex((other) => equal(other.id, id)) === index) &&
    records.every(
      (record, index) => record.epoch === epoch.number && (index === 0 || compare(records[index - 1]?.blinded ?? record.blinded, record.blinded) < 0),
    )
  )
}
