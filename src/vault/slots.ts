import { hex, MeshError, utf8 } from '../base/index.ts'
import { createLocalBox, deriveFromPassphrase, hkdfExpand, hkdfExtract, passphraseParams } from '../crypto/index.ts'
import { encode } from '../wire/index.ts'
import type { VaultContext } from './records.ts'
import { type Slot, slotLabelLengthMax, type SlotKind, vaultFormat } from './format.ts'

/** Bytes of what is derived from without stretching. Source: vault/v1 section 3. */
const secretBytes: Readonly<Record<Exclude<SlotKind, 'passphrase'>, number>> = { recovery: 20, prf: 32, keyring: 32 }
/** Source: vault/v1 section 3. */
export const vaultPassphraseBytesMax = 1_024

/** @throws ERR_USAGE */
export function checkPassphrase({ length }: Uint8Array): void {
  if (length === 0 || length > vaultPassphraseBytesMax) throw new MeshError('ERR_USAGE', `a passphrase has 1 to ${vaultPassphraseBytesMax} bytes`)
}

/** What opens a slot: a passphrase as it was typed, the bytes of a recovery code, the output of a passkey's PRF or what the OS keyring keeps. */
export interface VaultKey {
  readonly kind: SlotKind
  readonly secret: Uint8Array
}

export interface NewSlot extends VaultKey {
  /** For people; stands in the clear. */
  readonly label?: string
  /** Of the passkey, and the 32 bytes that were given to its PRF. */
  readonly credentialId?: Uint8Array
  readonly salt?: Uint8Array
}

/** What may be told of a slot while the vault is sealed. */
export interface SlotView {
  readonly id: string
  readonly kind: SlotKind
  readonly label: string
  readonly createdAt: number
  readonly credentialId?: Uint8Array
  /** What the passkey's PRF is asked with. */
  readonly salt?: Uint8Array
}

export const viewOf = ({ id, kind, label, createdAt, credentialId, salt }: Slot): SlotView => ({
  id: hex(id),
  kind,
  label,
  createdAt,
  ...(credentialId === undefined ? {} : { credentialId, salt }),
})

/** Binds a slot to the vault and to all it says of itself, the parameters of its derivation among it: nobody weakens them unseen. */
const contextOf = (vaultId: Uint8Array, { id, kind, label, createdAt, kdf, credentialId, salt }: Omit<Slot, 'rootKey'>): Uint8Array =>
  encode([
    `${vaultFormat} slot`,
    vaultId,
    id,
    kind,
    label,
    createdAt,
    kdf === undefined ? null : [kdf.memoryKiB, kdf.iterations, kdf.parallelism],
    credentialId ?? null,
    salt,
  ])

async function wrappingKey({ kind, secret }: VaultKey, { kdf, salt }: Pick<Slot, 'kdf' | 'salt'>): Promise<Uint8Array> {
  if (kind === 'passphrase' && kdf !== undefined) return await deriveFromPassphrase(secret, { kdf: 'argon2id', ...kdf, salt })
  const extracted = hkdfExtract(salt, secret)
  const key = hkdfExpand(extracted, utf8(`${vaultFormat} slot ${kind}`), 32)
  extracted.fill(0)
  return key
}

/** Wraps the root key. @throws ERR_USAGE when the secret or label has not the form of its kind */
export async function makeSlot(
  rootKey: Uint8Array,
  { kind, secret, label = '', credentialId, salt }: NewSlot,
  { vaultId, id, now, random }: VaultContext & { readonly id?: Uint8Array; readonly now: number },
): Promise<Slot> {
  if (kind === 'passphrase') checkPassphrase(secret)
  else if (secret.length !== secretBytes[kind]) throw new MeshError('ERR_USAGE', `a key of kind ${kind} has ${secretBytes[kind]} bytes`)
  if (label.length > slotLabelLengthMax) throw new MeshError('ERR_USAGE', `a label has at most ${slotLabelLengthMax} characters`)
  if (kind === 'prf' && (credentialId === undefined || salt?.length !== 32)) {
    throw new MeshError('ERR_USAGE', 'a passkey slot names its credential and 32 bytes of salt')
  }
  const open: Omit<Slot, 'rootKey'> = {
    id: id ?? random.bytes(8),
    kind,
    label,
    createdAt: now,
    kdf:
      kind === 'passphrase'
        ? { memoryKiB: passphraseParams.memoryKiB, iterations: passphraseParams.iterations, parallelism: passphraseParams.parallelism }
        : undefined,
    credentialId: kind === 'prf' ? credentialId : undefined,
    salt: kind === 'prf' && salt !== undefined ? salt : random.bytes(32),
  }
  const key = await wrappingKey({ kind, secret }, open)
  try {
    return { ...open, rootKey: createLocalBox(key, random).seal(rootKey, contextOf(vaultId, open)) }
  } finally {
    key.fill(0)
  }
}

/** The root key; undefined when this is not the key of the slot. Costs the same either way. */
export async function openSlot(slot: Slot, key: VaultKey, { vaultId, random }: VaultContext): Promise<Uint8Array | undefined> {
  const wrapping = await wrappingKey(key, slot)
  try {
    return createLocalBox(wrapping, random).open(slot.rootKey, contextOf(vaultId, slot))
  } catch (error) {
    if (error instanceof MeshError && error.code === 'ERR_CRYPTO_OPEN') return undefined
    throw error
  } finally {
    wrapping.fill(0)
  }
}
