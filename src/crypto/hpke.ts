import { concat, type Random, utf8 } from '../base/index.ts'
import { aeadKeyBytesLength, aeadOpen, aeadSeal, importAeadKey, nonceBytesLength, type Suite } from './aead.ts'
import { hkdfExpand, hkdfExtract } from './derive.ts'
import { type KemPrivateKey, type KemPublicKey, kemEncapsulate } from './kem.ts'

/** X-Wing in the HPKE registry. */
export const kemXWing = 0x647a
const kdfHkdfSha256 = 0x0001
const empty = new Uint8Array()
const version = utf8('HPKE-v1')
const uint16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 0xff)

export interface HpkeIds {
  readonly kem: number
  readonly aead: number
  readonly keyBytes: number
}

/** Out of a KEM's shared secret, for one `info`. */
export interface KeySchedule {
  readonly key: Uint8Array
  readonly baseNonce: Uint8Array
  /** Made when asked for. */
  readonly exporterSecret: Uint8Array
}

/** RFC 9180 section 5.1, base mode, HKDF-SHA256. What depends on the ids or on `info` alone is computed once; nobody writes into an `info`. */
export function createKeySchedule({ kem, aead, keyBytes }: HpkeIds): (sharedSecret: Uint8Array, info: Uint8Array) => KeySchedule {
  const suiteId = concat(utf8('HPKE'), uint16(kem), uint16(kdfHkdfSha256), uint16(aead))
  const labelled = (name: string): Uint8Array => concat(version, suiteId, utf8(name))
  const sized = (length: number, name: string): Uint8Array => concat(uint16(length), labelled(name))
  const [infoHash, secretOf] = [labelled('info_hash'), labelled('secret')]
  const [keyOf, baseNonceOf, exporterOf] = [sized(keyBytes, 'key'), sized(nonceBytesLength, 'base_nonce'), sized(32, 'exp')]
  const modeAndPskIdHash = concat(Uint8Array.of(0), hkdfExtract(empty, labelled('psk_id_hash')))
  const contexts = new WeakMap<Uint8Array, Uint8Array>()
  function contextOf(info: Uint8Array): Uint8Array {
    const known = contexts.get(info)
    if (known !== undefined) return known
    const context = concat(modeAndPskIdHash, hkdfExtract(empty, concat(infoHash, info)))
    contexts.set(info, context)
    return context
  }
  return (sharedSecret, info) => {
    const context = contextOf(info)
    const secret = hkdfExtract(sharedSecret, secretOf)
    return {
      key: hkdfExpand(secret, concat(keyOf, context), keyBytes),
      baseNonce: hkdfExpand(secret, concat(baseNonceOf, context), nonceBytesLength),
      get exporterSecret() {
        return hkdfExpand(secret, concat(exporterOf, context), 32)
      },
    }
  }
}

const schedules: Readonly<Record<Suite, ReturnType<typeof createKeySchedule>>> = {
  1: createKeySchedule({ kem: kemXWing, aead: 0x0002, keyBytes: aeadKeyBytesLength }),
  2: createKeySchedule({ kem: kemXWing, aead: 0x0003, keyBytes: aeadKeyBytesLength }),
}

export interface HpkeSealed {
  /** The encapsulated key, 1,120 bytes. */
  readonly enc: Uint8Array
  readonly ciphertext: Uint8Array
}

/** Single-shot HPKE base mode over X-Wing (RFC 9180 section 6.1). */
export function hpkeSeal(
  {
    suite,
    to,
    info,
    aad,
    random,
  }: { readonly suite: Suite; readonly to: KemPublicKey; readonly info: Uint8Array; readonly aad: (enc: Uint8Array) => Uint8Array; readonly random: Random },
  plaintext: Uint8Array,
): HpkeSealed {
  const { sharedSecret, ciphertext: enc } = kemEncapsulate(to, random)
  return { enc, ciphertext: hpkeSealShared({ suite, sharedSecret, info, aad: aad(enc) }, plaintext) }
}

/** The half of `hpkeSeal` after the KEM, for test vectors with a fixed encapsulation. */
export function hpkeSealShared(
  { suite, sharedSecret, info, aad }: { readonly suite: Suite; readonly sharedSecret: Uint8Array; readonly info: Uint8Array; readonly aad: Uint8Array },
  plaintext: Uint8Array,
): Uint8Array {
  const { key, baseNonce } = schedules[suite](sharedSecret, info)
  return aeadSeal(suite, importAeadKey(key), baseNonce, aad, plaintext)
}

/** @throws ERR_CRYPTO_OPEN, ERR_CRYPTO_INPUT */
export function hpkeOpen(
  {
    suite,
    key: privateKey,
    info,
    aad,
    enc,
  }: { readonly suite: Suite; readonly key: KemPrivateKey; readonly info: Uint8Array; readonly aad: Uint8Array; readonly enc: Uint8Array },
  ciphertext: Uint8Array,
): Uint8Array {
  const { key, baseNonce } = schedules[suite](privateKey.decapsulate(enc), info)
  return aeadOpen(suite, importAeadKey(key), baseNonce, aad, ciphertext)
}
