import { type Clock, createSeededRandom } from '../base/index.ts'
import { createSigner } from '../crypto/index.ts'
import { commitmentOf, createKeyring, type Keyring, openChainStatement, signInception, signSuccession } from '../identity/index.ts'

/** Keys of test nodes and their chains, all from one seed. */
export interface KeyMaker {
  current(index: number): Keyring
  /** Puts the next key of a node in force. */
  rotate(index: number): Keyring
}

export function createKeyMaker({ seed, clock }: { readonly seed: number; readonly clock: Pick<Clock, 'now'> }): KeyMaker {
  const chains = new Map<number, readonly Uint8Array[]>()
  const bytes = (place: number): Uint8Array => createSeededRandom(seed * 1_000 + place).bytes(32)
  const keySeed = (index: number, number: number): Uint8Array => bytes(index + 1_000_000 * number)
  const commitment = (secret: Uint8Array): Uint8Array => commitmentOf(createSigner(secret).publicKey)
  const drawn = (index: number, number: number) => createSeededRandom(seed + 31 * index + 7 * number)

  function chainOf(index: number): readonly Uint8Array[] {
    const known = chains.get(index)
    if (known !== undefined) return known
    const hashes = { nextHash: commitment(keySeed(index, 1)), recoveryHash: commitment(bytes(index + 700)) }
    const chain = [signInception(keySeed(index, 0), { ...hashes, now: clock.now(), random: drawn(index, 0) }).bytes]
    chains.set(index, chain)
    return chain
  }
  const current = (index: number): Keyring => {
    const chain = chainOf(index)
    return createKeyring({ seed: keySeed(index, chain.length - 1), rootKey: bytes(index + 500), chain }, createSeededRandom(index))
  }
  return {
    current,
    rotate(index) {
      const chain = chainOf(index)
      const number = chain.length
      const tip = openChainStatement(chain[number - 1] as Uint8Array)
      const nextHash = commitment(keySeed(index, number + 1))
      const { bytes: next } = signSuccession(keySeed(index, number), { tip, nextHash, recoveryHash: undefined, now: clock.now(), random: drawn(index, number) })
      chains.set(index, [...chain, next])
      return current(index)
    },
  }
}
