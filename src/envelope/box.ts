import { MeshError, type Random } from '../base/index.ts'
import { hpkeOpen, hpkeSeal, isSuite, kemCiphertextBytesLength, type Suite } from '../crypto/index.ts'
import { signedBytesMax } from '../identity/index.ts'
import { bytesOf, bytesUpTo, codec, encode, literal, row, uintUpTo } from '../wire/index.ts'
import { padmeLength, pad, unpad } from './padding.ts'
import type { PrekeyBundle, PrekeyRing } from './prekeys.ts'

/** Seal modes in the third place of every sealed thing. Source: klp/v1 section 3. */
export const sealModes = { session: 1, box: 2, group: 3 } as const
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

function suiteFor(bundle: PrekeyBundle): Suite {
  const suite = suitesPreferred.find((offered) => bundle.suites.includes(offered) && offered >= bundle.minSuite)
  if (suite === undefined) throw new MeshError('ERR_SEAL_SUITE', `no common suite; the recipient takes ${bundle.suites.join(', ')}`)
  return suite
}

/**
 * Seals bytes for the owner of a bundle: HPKE base mode over X-Wing, single shot. The sender is nowhere outside. Source: klp/v1 section 3.1.
 * @throws ERR_SEAL_SUITE, ERR_STATEMENT_EXPIRED for a bundle past its time
 */
export function sealBox(
  content: Uint8Array,
  { bundle, now, random }: { readonly bundle: PrekeyBundle; readonly now: number; readonly random: Random },
): Uint8Array {
  if (bundle.expiresAt < now) {
    throw new MeshError('ERR_STATEMENT_EXPIRED', 'the prekey bundle of the recipient has expired', { hint: 'fetch its newest bundle' })
  }
  const suite = suiteFor(bundle)
  const { enc, ciphertext } = hpkeSeal(
    { suite, to: bundle.kem, info: bundle.sealInfo, aad: (encapsulated) => associated(suite, bundle.kid, encapsulated), random },
    pad(content),
  )
  return boxCodec.encode({ version: 1, suite, mode: sealModes.box, kid: bundle.kid, enc, ciphertext })
}

/** @throws ERR_WIRE_*, ERR_SEAL_PREKEY, ERR_SEAL_SUITE, ERR_CRYPTO_OPEN */
export function openBox(bytes: Uint8Array, prekeys: Pick<PrekeyRing, 'find'>): Uint8Array {
  const { suite, kid, enc, ciphertext } = boxCodec.decode(bytes)
  const own = prekeys.find(kid)
  if (own === undefined) throw new MeshError('ERR_SEAL_PREKEY', 'the box is for a prekey not held here')
  if (!isSuite(suite) || !own.bundle.suites.includes(suite) || suite < own.bundle.minSuite) {
    throw new MeshError('ERR_SEAL_SUITE', `suite ${suite} is not offered`)
  }
  return unpad(hpkeOpen({ suite, key: own.private, info: own.bundle.sealInfo, aad: associated(suite, kid, enc), enc }, ciphertext))
}
