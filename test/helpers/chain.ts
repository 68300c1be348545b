import { createSeededRandom } from '../../src/base/index.ts'
import { createSigner } from '../../src/crypto/index.ts'
import { type ChainStatement, commitmentOf, openChainStatement, type SeenStatement, signInception, signSuccession } from '../../src/identity/index.ts'

export const seedOf = (fill: number): Uint8Array => createSeededRandom(fill).bytes(32)
export const commit = (fill: number): Uint8Array => commitmentOf(createSigner(seedOf(fill)).publicKey)

let salt = 0

/** An inception by key `key`, committing to keys `next` and `recovery`. Seeds are numbers. */
export function inception(key: number, next: number, recovery: number, now = 1_000): ChainStatement {
  const random = createSeededRandom(++salt)
  return openChainStatement(signInception(seedOf(key), { nextHash: commit(next), recoveryHash: commit(recovery), now, random }).bytes)
}

/** A succession by key `key` after `tip`. */
export function succession(
  key: number,
  tip: ChainStatement,
  next: number,
  { recovery, now = 2_000 }: { readonly recovery?: number; readonly now?: number } = {},
): ChainStatement {
  const random = createSeededRandom(++salt)
  const recoveryHash = recovery === undefined ? undefined : commit(recovery)
  return openChainStatement(signSuccession(seedOf(key), { tip, nextHash: commit(next), recoveryHash, now, random }).bytes)
}

export const seen = (statement: ChainStatement, seenAt = 0): SeenStatement => ({ ...statement, seenAt })
