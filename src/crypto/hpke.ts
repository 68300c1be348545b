import { concat, type Random, utf8 } from '../base/index.ts'
import { aeadKeyBytesLength, aeadOpen, aeadSeal, importAeadKey, nonceBytesLength, type Suite } from './aead.ts'
import { hkdfExpand, hkdfExtract } from './derive.ts'
import { type KemPrivateKey, type KemPublicKey, kemEncapsulate } from './kem.ts'

/** X-Wing in the HPKE registry. */
export const kemXWing = 0x647a
const kdfHkdfSha256 = 0x0001
const hpkeAead = { 1: 0x0002, 2: 0x0003 } as const
const empty = new Uint8Array()
const version = utf8('HPKE-v1')
const uint16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 0xff)

export interface HpkeIds {
  readonly kem: number
  readonly aead: number
  readonly keyBytes: number
}

/** RFC 9180 section 5.1, base mode, HKDF-SHA256: key, base nonce and exporter secret out of a KEM's shared secret. */
export function keySchedule(
  ids: HpkeIds,
  sharedSecret: Uint8Array,
  info: Uint8Array,
): { readonly key: Uint8Array; readonly baseNonce: Uint8Array; readonly exporterSecret: Uint8Array } {
  const suiteId = concat(utf8('HPKE'), uint16(ids.kem), uint16(kdfHkdfSha256), uint16(ids.aead))
  const extract = (salt: Uint8Array, name: string, ikm: Uint8Array): Uint8Array => hkdfExtract(salt, concat(version, suiteId, utf8(name), ikm))
  const expand = (secret: Uint8Array, name: string, context: Uint8Array, length: number): Uint8Array =>
    hkdfExpand(secret, concat(uint16(length), version, suiteId, utf8(name), context), length)
  const context = concat(Uint8Array.of(0), extract(empty, 'psk_id_hash', empty), extract(empty, 'info_hash', info))
  const secret = extract(sharedSecret, 'secret', empty)
  return {
    key: expand(secret, 'key', context, ids.keyBytes),
    baseNonce: expand(secret, 'base_nonce', context, nonceBytesLength),
    exporterSecret: expand(secret, 'exp', context, 32),
  }
}

const schedule = (suite: Suite, sharedSecret: Uint8Array, info: Uint8Array): ReturnType<typeof keySchedule> =>
  keySchedule({ kem: kemXWing, aead: hpkeAead[suite], keyBytes: aeadKeyBytesLength }, sharedSecret, info)

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
  const { key, baseNonce } = schedule(suite, sharedSecret, info)
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
  const { key, baseNonce } = schedule(suite, privateKey.decapsulate(enc), info)
  return aeadOpen(suite, importAeadKey(key), baseNonce, aad, ciphertext)
}
