import { equal, MeshError, type Random, utf8 } from '../base/index.ts'
import { createLocalBox, deriveKey, hmacSha256, type LocalBox } from '../crypto/index.ts'
import { bytesUpTo, codec, encode, instant, row, textUpTo } from '../wire/index.ts'
import { type Epoch, type StoredRecord, vaultFormat, vaultNameBytesMax, vaultValueBytesMax } from './format.ts'

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?:\/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}){0,3}$/
const plainCodec = codec(
  'secret',
  row({ name: textUpTo(vaultNameBytesMax), createdAt: instant, updatedAt: instant, value: bytesUpTo(vaultValueBytesMax) }),
  vaultValueBytesMax + vaultNameBytesMax + 64,
)

/** A secret, opened. */
export interface Secret {
  readonly name: string
  /** Counts up with each change; of a name that comes again it goes on. */
  readonly version: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  readonly value: Uint8Array
}

/** The keys of an open vault, all made from its root key but the data key, which it wraps. */
export interface VaultKeys {
  readonly root: Uint8Array
  readonly mac: Uint8Array
  readonly names: Uint8Array
  readonly data: Uint8Array
}

/** @throws ERR_USAGE */
export function checkName(name: string): void {
  if (name.length <= vaultNameBytesMax && namePattern.test(name)) return
  throw new MeshError('ERR_USAGE', 'not a name of a secret', {
    hint: 'use 1 to 64 letters, digits, dots, dashes and underscores; up to four such parts with a slash between',
  })
}

export const macKeyOf = (root: Uint8Array): Uint8Array => deriveKey(root, 'vault file')

const epochBox = (root: Uint8Array, random: Random): LocalBox => {
  const key = deriveKey(root, 'vault epoch')
  const box = createLocalBox(key, random)
  key.fill(0)
  return box
}
const epochContext = (vaultId: Uint8Array, { number, createdAt }: Omit<Epoch, 'dataKey'>): Uint8Array =>
  encode([`${vaultFormat} epoch`, vaultId, number, createdAt])

export interface VaultContext {
  readonly vaultId: Uint8Array
  readonly random: Random
}

/** A fresh data key, also as the header holds it. */
export function beginEpoch(
  root: Uint8Array,
  { number, createdAt }: Omit<Epoch, 'dataKey'>,
  { vaultId, random }: VaultContext,
): { readonly epoch: Epoch; readonly keys: VaultKeys } {
  const data = random.bytes(32)
  const epoch = { number, createdAt, dataKey: epochBox(root, random).seal(data, epochContext(vaultId, { number, createdAt })) }
  return { epoch, keys: keysOf(root, data) }
}

/** @throws ERR_CRYPTO_OPEN */
export const openEpoch = (root: Uint8Array, epoch: Epoch, { vaultId, random }: VaultContext): VaultKeys =>
  keysOf(root, epochBox(root, random).open(epoch.dataKey, epochContext(vaultId, epoch)))

const keysOf = (root: Uint8Array, data: Uint8Array): VaultKeys => ({ root, mac: macKeyOf(root), names: deriveKey(root, 'vault names'), data })

/** What stands for a name on the disk. */
export const blind = ({ names }: Pick<VaultKeys, 'names'>, name: string): Uint8Array => hmacSha256(names, utf8(name))

/** Binds a record to its vault, epoch, version and name: none can be put in the place of another. */
const recordContext = (vaultId: Uint8Array, { blinded, epoch, version }: Omit<StoredRecord, 'sealed'>): Uint8Array =>
  encode([`${vaultFormat} record`, vaultId, epoch, version, blinded])

/** Each version of a record has a key of its own, so that a nonce drawn twice does no harm. */
function recordBox({ data }: Pick<VaultKeys, 'data'>, { blinded, version }: Pick<StoredRecord, 'blinded' | 'version'>, random: Random): LocalBox {
  const key = hmacSha256(data, encode([blinded, version]))
  const box = createLocalBox(key, random)
  key.fill(0)
  return box
}

export function sealRecord(keys: VaultKeys, epoch: number, { version, ...plain }: Secret, { vaultId, random }: VaultContext): StoredRecord {
  const head = { blinded: blind(keys, plain.name), epoch, version }
  const bytes = plainCodec.encode(plain)
  try {
    return { ...head, sealed: recordBox(keys, head, random).seal(bytes, recordContext(vaultId, head)) }
  } finally {
    bytes.fill(0)
  }
}

/** @throws ERR_CRYPTO_OPEN, ERR_WIRE_MALFORMED */
export function openRecord(keys: VaultKeys, record: StoredRecord, { vaultId, random }: VaultContext): Secret {
  const bytes = recordBox(keys, record, random).open(record.sealed, recordContext(vaultId, record))
  try {
    const plain = plainCodec.decode(bytes)
    if (!equal(blind(keys, plain.name), record.blinded)) throw new MeshError('ERR_CRYPTO_OPEN', 'a record stands under another name')
    return { ...plain, version: record.version }
  } finally {
    bytes.fill(0)
  }
}

export function wipe(keys: VaultKeys): void {
  for (const key of Object.values(keys) as Uint8Array[]) key.fill(0)
}
