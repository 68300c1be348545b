import { type Did, didFromKey, type Random } from '../base/index.ts'
import { createLocalBox, createSigner, deriveKey, hmacSha256, type LocalBox } from '../crypto/index.ts'
import { openChainStatement } from './chain-statements.ts'

/** Signs for one identity and seals what it keeps at rest. Never shows a key. */
export interface Keyring {
  /** The key in force. */
  readonly did: Did
  /** The first key: who this is, whatever key signs. */
  readonly identity: Did
  readonly publicKey: Uint8Array
  /** All keys of that identity, the one in force last. */
  readonly keys: readonly Did[]
  /** The signed statements that lead from the first key to this one; none for an identity without an inception. */
  readonly chain: readonly Uint8Array[]
  sign(message: Uint8Array): Uint8Array
  /** A box for data at rest of one purpose, under a key of its own. */
  box(purpose: string): LocalBox
  /** HMAC-SHA256 under a key of its own for one purpose: marks what this identity itself wrote down. */
  marker(purpose: string): (...parts: readonly Uint8Array[]) => Uint8Array
}

export interface KeyringSecrets {
  /** Ed25519 seed of the key in force. */
  readonly seed: Uint8Array
  /** Root of the keys for data at rest. */
  readonly rootKey: Uint8Array
  readonly chain?: readonly Uint8Array[]
}

export function createKeyring({ seed, rootKey, chain = [] }: KeyringSecrets, random: Random): Keyring {
  const signer = createSigner(seed)
  const storageRoot = deriveKey(rootKey, 'storage')
  const did = didFromKey(signer.publicKey)
  const keys = chain.length === 0 ? [did] : chain.map((bytes) => openChainStatement(bytes).key)
  return {
    did,
    identity: keys[0] ?? did,
    keys,
    publicKey: signer.publicKey,
    chain,
    sign: (message) => signer.sign(message),
    box: (purpose) => createLocalBox(deriveKey(storageRoot, purpose), random),
    marker(purpose) {
      const key = deriveKey(storageRoot, `marks of ${purpose}`)
      return (...parts) => hmacSha256(key, ...parts)
    },
  }
}
