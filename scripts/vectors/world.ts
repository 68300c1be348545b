import { ml_kem768_x25519 as xWing } from '@noble/post-quantum/hybrid.js'
import { type Clock, createSeededRandom, createVirtualClock, hex, type Random } from '../../src/base/index.ts'
import { hpkeSenderShared } from '../../src/crypto/index.ts'
import { openPrekeys, type PrekeyBundle } from '../../src/envelope/index.ts'
import { pad } from '../../src/envelope/padding.ts'
import { createKeyring, type Keyring } from '../../src/identity/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { encode } from '../../src/wire/index.ts'

/** One scenario: what it shows, the rule it belongs to, what a reader must say, and its data in hexadecimal. */
export interface Vector {
  readonly comment: string
  readonly spec: string
  readonly expect: string
  readonly kind: string
  readonly [field: string]: unknown
}

/** Scenarios by file name, without the ending. */
export type Vectors = Readonly<Record<string, Vector>>

/** 2026-01-01T00:00:00Z, the instant of all vectors. */
export const now = Date.UTC(2026, 0, 1)
export const clock: Clock = createVirtualClock({ start: now })

const seedOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)

/** Fixed keys: seeds of 32 equal bytes. */
export const keyringOf = (fill: number): Keyring => createKeyring({ seed: seedOf(fill), rootKey: seedOf(fill + 100) }, createSeededRandom(fill))
export const [anna, ben, cleo] = [keyringOf(1), keyringOf(2), keyringOf(3)]

/** A fresh run of fixed chance, so that one vector does not move when another is added. */
export const chance = (seed: number): Random => createSeededRandom(seed)

export interface FixedPrekeys {
  readonly bundle: PrekeyBundle
  readonly kemSeed: Uint8Array
}

/** The bundle of an identity whose private half is known. */
export async function fixedPrekeys(keyring: Keyring, seed: number): Promise<FixedPrekeys> {
  const { bundle } = await (await openPrekeys({ store: createMemoryStore(), keyring, clock, random: chance(seed) })).current()
  // The first thing drawn.
  return { bundle, kemSeed: chance(seed).bytes(32) }
}

export interface FixedBox {
  readonly box: Uint8Array
  readonly encapsulationSeed: Uint8Array
}

/** A box with a fixed encapsulation, by another library than the one the node uses. */
export function fixedBox(
  content: Uint8Array,
  {
    bundle,
    seed,
    suite = 1,
    padding = pad,
  }: { readonly bundle: PrekeyBundle; readonly seed: number; readonly suite?: 1 | 2; readonly padding?: (content: Uint8Array) => Uint8Array },
): FixedBox {
  const encapsulationSeed = chance(seed).bytes(64)
  const { cipherText: enc, sharedSecret } = xWing.encapsulate(bundle.kem.bytes, encapsulationSeed)
  const ciphertext = hpkeSenderShared({ suite, sharedSecret, info: bundle.sealInfo }).seal(encode([1, suite, 2, bundle.kid, enc]), padding(content))
  return { box: encode([1, suite, 2, bundle.kid, enc, ciphertext]), encapsulationSeed }
}

/** Bytes as hexadecimal, at any depth. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
  return value
}

/** The same bytes with one bit turned. */
export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const altered = bytes.slice()
  const place = at < 0 ? altered.length + at : at
  altered[place] = (altered[place] ?? 0) ^ 1
  return altered
}
