import { type Did, didFromKey, type Random } from '../base/index.ts'
import { createLocalBox, createSigner, deriveKey, type LocalBox } from '../crypto/index.ts'

/** Signs for one identity and seals what it keeps at rest. Never shows a key. */
export interface Keyring {
  readonly did: Did
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
  /** A box for data at rest of one purpose, under a key of its own. */
  box(purpose: string): LocalBox
}

export interface KeyringSecrets {
  /** Ed25519 seed of the identity. */
  readonly seed: Uint8Array
  /** Root of the keys for data at rest. */
  readonly rootKey: Uint8Array
}

export function createKeyring({ seed, rootKey }: KeyringSecrets, random: Random): Keyring {
  const signer = createSigner(seed)
  const storageRoot = deriveKey(rootKey, 'storage')
  return {
    did: didFromKey(signer.publicKey),
    publicKey: signer.publicKey,
    sign: (message) => signer.sign(message),
    box: (purpose) => createLocalBox(deriveKey(storageRoot, purpose), random),
  }
}
