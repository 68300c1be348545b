import { base58btc } from 'multiformats/bases/base58'
import { MeshError } from './errors.ts'

declare const brand: unique symbol

/** A `did:key:z6Mk…` of an Ed25519 key, the one spelling used inside. Made by `didFromKey` or by `identity.parseDid` only. */
export type Did = string & { readonly [brand]: 'Did' }

export const keyBytesLength = 32

const multicodecEd25519 = [0xed, 0x01] as const
const prefix = 'did:key:'
const cacheMax = 4_096
const keys = createCache<Did, Uint8Array>()
/** By the key as Latin-1 text: base58 of a key takes longer than the rest of reading a statement. */
const dids = createCache<string, Did>()

interface Cache<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): V
}

/** Two generations, the older one dropped whole: taking the oldest out of a full Map one by one costs more than what is kept in it. */
function createCache<K, V>(): Cache<K, V> {
  let young = new Map<K, V>()
  let old = new Map<K, V>()
  function set(key: K, value: V): V {
    if (young.size >= cacheMax / 2) {
      old = young
      young = new Map()
    }
    young.set(key, value)
    return value
  }
  return {
    get(key) {
      const known = young.get(key)
      if (known !== undefined) return known
      const aged = old.get(key)
      return aged === undefined ? undefined : set(key, aged)
    },
    set,
  }
}

/** Spells a raw key as did:key. Does not look whether the key is a point: `identity.parseDid` and the statement check do. Source: did:key method, multicodec 0xed. */
export function didFromKey(key: Uint8Array): Did {
  if (key.length !== keyBytesLength) throw new MeshError('ERR_IDENTITY_INVALID', `an Ed25519 key has ${keyBytesLength} bytes, not ${key.length}`)
  const latin1 = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
  return dids.get(latin1) ?? dids.set(latin1, (prefix + spell(key)) as Did)
}

const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** Five digits at a time: what is below 58^5 times 2^16 is exact in a double. */
const digitsPerLimb = 5
const limbBase = 58 ** digitsPerLimb
const pairs = Array.from({ length: 58 * 58 }, (_, at) => `${alphabet[Math.floor(at / 58)] ?? ''}${alphabet[at % 58] ?? ''}`)

/** Multibase base58btc of a key with its multicodec: as any library spells it, some twenty times as quick. With 0xed in front it has no leading zeros and always 47 digits. */
function spell(key: Uint8Array): string {
  const limbs = new Float64Array(10)
  let used = 0
  for (let at = -1; at < keyBytesLength / 2; at++) {
    let carry = at < 0 ? multicodecEd25519[0] * 256 + multicodecEd25519[1] : (key[2 * at] ?? 0) * 256 + (key[2 * at + 1] ?? 0)
    for (let limb = 0; limb < used; limb++) {
      const value = (limbs[limb] ?? 0) * 65_536 + carry
      carry = Math.floor(value / limbBase)
      limbs[limb] = value - carry * limbBase
    }
    if (carry > 0) limbs[used++] = carry
  }
  let text = ''
  for (let limb = used - 1; limb >= 0; limb--) {
    const value = limbs[limb] ?? 0
    const high = Math.floor(value / 58 ** 3)
    const low = value - high * 58 ** 3
    text += `${pairs[high] ?? ''}${alphabet[Math.floor(low / 3_364)] ?? ''}${pairs[low % 3_364] ?? ''}`
  }
  return `z${text.replace(/^1+/, '')}`
}

/** The raw 32 bytes behind a DID. The array is shared: do not write to it. */
export function keyFromDid(did: Did): Uint8Array {
  const known = keys.get(did)
  if (known !== undefined) return known
  return keys.set(did, parseDidKey(did))
}

/** Decodes the text of a did:key of an Ed25519 key. @throws ERR_IDENTITY_INVALID */
export function parseDidKey(text: string): Uint8Array {
  // A did:key of a 32-byte key has 48 characters after the prefix; anything much longer is not worth decoding.
  if (!text.startsWith(prefix) || text.length > 64) throw new MeshError('ERR_IDENTITY_INVALID', 'not a did:key of an Ed25519 key')
  let bytes: Uint8Array
  try {
    bytes = base58btc.decode(text.slice(prefix.length))
  } catch (cause) {
    throw new MeshError('ERR_IDENTITY_INVALID', 'not base58 in did:key', { cause })
  }
  const isEd25519 = bytes.length === keyBytesLength + 2 && bytes[0] === multicodecEd25519[0] && bytes[1] === multicodecEd25519[1]
  if (!isEd25519) throw new MeshError('ERR_IDENTITY_INVALID', 'not a did:key of an Ed25519 key')
  return bytes.slice(2)
}
