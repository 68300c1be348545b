import { MeshError, type Random } from '../base/index.ts'
import { hpkeRecipient, hpkeSender, isSuite, kemCiphertextBytesLength, type Suite } from '../crypto/index.ts'
import { signedBytesMax } from '../identity/index.ts'
import { bytesOf, bytesUpTo, codec, encode, literal, row, uintUpTo } from '../wire/index.ts'
import { sealModes } from './modes.ts'
import { padmeLength, pad, unpad } from './padding.ts'
import type { OwnPrekeys, PrekeyBundle, PrekeyRing } from './prekeys.ts'

/** The largest box: a signed task, padded. */
export const boxBytesMax = padmeLength(signedBytesMax('task') + 512) + kemCiphertextBytesLength + 256
/** Suites this node seals with, best first. */
const suitesPreferred: readonly Suite[] = [1, 2]

const boxCodec = codec(
  'box',
  row({
    version: literal(1),
    suite: uintUpTo(255),
    mode: literal(sealModes.box),
    kid: bytesOf(8),
    enc: bytesOf(kemCiphertextBytesLength),
    ciphertext: bytesUpTo(boxBytesMax),
  }),
  boxBytesMax,
)
/** Associated data: the first five fields, as they stand in the box. */
const associated = (suite: number, kid: Uint8Array, enc: Uint8Array): Uint8Array => encode([1, suite, sealModes.box, kid, enc])

export const takesSuite = (suite: number, { suites, minSuite }: Pick<PrekeyBundle, 'suites' | 'minSuite'>): suite is Suite =>
  isSuite(suite) && suites.includes(suite) && suite >= minSuite

/** The suite to seal with for the owner of a bundle. @throws ERR_SEAL_SUITE */
export function suiteFor(bundle: PrekeyBundle): Suite {
  const suite = suitesPreferred.find((offered) => takesSuite(offered, bundle))
  if (suite === undefined) throw new MeshError('ERR_SEAL_SUITE', `no common suite; the recipient takes ${bundle.suites.join(', ')}`)
  return suite
}

/** @throws ERR_SEAL_SUITE unless a bundle takes that suite */
export function checkSuite(suite: number, bundle: Pick<PrekeyBundle, 'suites' | 'minSuite'>): asserts suite is Suite {
  if (!takesSuite(suite, bundle)) throw new MeshError('ERR_SEAL_SUITE', `suite ${suite} is not offered`)
}

/** A box under way: what it exports is shared with whoever opens it. */
export interface BoxSender {
  /** Call once. */
  seal(content: Uint8Array): Uint8Array
  exportSecret(context: Uint8Array): Uint8Array
}

export interface BoxOptions {
  readonly bundle: PrekeyBundle
  readonly now: number
  readonly random: Random
}

/**
 * Begins a box for the owner of a bundle: HPKE base mode over X-Wing, single shot. The sender is nowhere outside. Source: klp/v1 section 3.1.
 * @throws ERR_SEAL_SUITE, ERR_STATEMENT_EXPIRED for a bundle past its time
 */
export function beginBox({ bundle, now, random }: BoxOptions): BoxSender {
  if (bundle.expiresAt < now) {
    throw new MeshError('ERR_STATEMENT_EXPIRED', 'the prekey bundle of the recipient has expired', { hint: 'fetch its newest bundle' })
  }
  const suite = suiteFor(bundle)
  const sender = hpkeSender({ suite, to: bundle.kem, info: bundle.sealInfo, random })
  return {
    seal(content) {
      const ciphertext = sender.seal(associated(suite, bundle.kid, sender.enc), pad(content))
      return boxCodec.encode({ version: 1, suite, mode: sealModes.box, kid: bundle.kid, enc: sender.enc, ciphertext })
    },
    exportSecret: sender.exportSecret,
  }
}

/** Seals bytes for the owner of a bundle. @throws what `beginBox` throws */
export const sealBox = (content: Uint8Array, options: BoxOptions): Uint8Array => beginBox(options).seal(content)

export interface OpenedBox {
  readonly content: Uint8Array
  /** The own prekeys it was sealed to. */
  readonly own: OwnPrekeys
  readonly suite: Suite
  exportSecret(context: Uint8Array): Uint8Array
}

/** @throws ERR_WIRE_*, ERR_SEAL_PREKEY, ERR_SEAL_SUITE, ERR_CRYPTO_OPEN */
export function unsealBox(bytes: Uint8Array, prekeys: Pick<PrekeyRing, 'find'>): OpenedBox {
  const { suite, kid, enc, ciphertext } = boxCodec.decode(bytes)
  const own = prekeys.find(kid)
  if (own === undefined) throw new MeshError('ERR_SEAL_PREKEY', 'the box is for a prekey not held here')
  checkSuite(suite, own.bundle)
  const recipient = hpkeRecipient({ suite, key: own.private, info: own.bundle.sealInfo, enc })
  return { content: unpad(recipient.open(associated(suite, kid, enc), ciphertext)), own, suite, exportSecret: recipient.exportSecret }
}

/** The content of a box alone. @throws what `unsealBox` throws */
export const openBox = (bytes: Uint8Array, prekeys: Pick<PrekeyRing, 'find'>): Uint8Array => unsealBox(bytes, prekeys).content
