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

const aeadIds: Readonly<Record<Suite, number>> = { 1: 0x0002, 2: 0x0003 }
const schedules: Readonly<Record<Suite, ReturnType<typeof createKeySchedule>>> = {
  1: createKeySchedule({ kem: kemXWing, aead: aeadIds[1], keyBytes: aeadKeyBytesLength }),
  2: createKeySchedule({ kem: kemXWing, aead: aeadIds[2], keyBytes: aeadKeyBytesLength }),
}

/** One side of an encapsulation: seals or opens once, and exports secrets that both sides share. */
interface HpkeContext {
  /** 32 bytes for one context text, RFC 9180 section 5.3. */
  exportSecret(context: Uint8Array): Uint8Array
}
export interface HpkeSender extends HpkeContext {
  /** The encapsulated key, 1,120 bytes. */
  readonly enc: Uint8Array
  /** Call at most once. */
  seal(aad: Uint8Array, plaintext: Uint8Array): Uint8Array
}
export interface HpkeRecipient extends HpkeContext {
  /** @throws ERR_CRYPTO_OPEN */
  open(aad: Uint8Array, ciphertext: Uint8Array): Uint8Array
}

interface Setup {
  readonly suite: Suite
  readonly info: Uint8Array
}

const exportOf =
  (suite: Suite, { exporterSecret }: KeySchedule) =>
  (context: Uint8Array): Uint8Array =>
    hkdfExpand(
      exporterSecret,
      concat(uint16(32), version, utf8('HPKE'), uint16(kemXWing), uint16(kdfHkdfSha256), uint16(aeadIds[suite]), utf8('sec'), context),
      32,
    )

/** HPKE base mode over X-Wing, sending side (RFC 9180 section 5.1.1). */
export function hpkeSender({ suite, to, info, random }: Setup & { readonly to: KemPublicKey; readonly random: Random }): HpkeSender {
  const { sharedSecret, ciphertext: enc } = kemEncapsulate(to, random)
  return { enc, ...hpkeSenderShared({ suite, sharedSecret, info }) }
}

/** The half of `hpkeSender` after the KEM, for test vectors with a fixed encapsulation. */
export function hpkeSenderShared({ suite, sharedSecret, info }: Setup & { readonly sharedSecret: Uint8Array }): Omit<HpkeSender, 'enc'> {
  const schedule = schedules[suite](sharedSecret, info)
  return {
    seal: (aad, plaintext) => aeadSeal(suite, importAeadKey(schedule.key), schedule.baseNonce, aad, plaintext),
    exportSecret: (context) => exportOf(suite, schedule)(context),
  }
}

/** HPKE base mode over X-Wing, receiving side. @throws ERR_CRYPTO_INPUT */
export function hpkeRecipient({ suite, key, info, enc }: Setup & { readonly key: KemPrivateKey; readonly enc: Uint8Array }): HpkeRecipient {
  const schedule = schedules[suite](key.decapsulate(enc), info)
  return {
    open: (aad, ciphertext) => aeadOpen(suite, importAeadKey(schedule.key), schedule.baseNonce, aad, ciphertext),
    exportSecret: (context) => exportOf(suite, schedule)(context),
  }
}
