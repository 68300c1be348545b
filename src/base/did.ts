import { base58btc } from 'multiformats/bases/base58'
import { MeshError } from './errors.ts'

declare const brand: unique symbol

/** A `did:key:z6Mk…` of an Ed25519 key, the one spelling used inside. Made by `didFromKey` or by `identity.parseDid` only. */
export type Did = string & { readonly [brand]: 'Did' }

export const keyBytesLength = 32

const multicodecEd25519 = [0xed, 0x01] as const
const prefix = 'did:key:'
const cacheMax = 4_096
const keys = new Map<Did, Uint8Array>()
/** By the key as Latin-1 text: base58 of a key takes longer than the rest of reading a statement. */
const dids = new Map<string, Did>()

function remember<K, V>(cache: Map<K, V>, key: K, value: V): V {
  if (cache.size >= cacheMax) {
    const oldest = cache.keys().next()
    if (oldest.done !== true) cache.delete(oldest.value)
  }
  cache.set(key, value)
  return value
}

/** Spells a raw key as did:key. Does not look whether the key is a point: `identity.parseDid` and the statement check do. Source: did:key method, multicodec 0xed. */
export function didFromKey(key: Uint8Array): Did {
  if (key.length !== keyBytesLength) throw new MeshError('ERR_IDENTITY_INVALID', `an Ed25519 key has ${keyBytesLength} bytes, not ${key.length}`)
  const latin1 = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
  return dids.get(latin1) ?? remember(dids, latin1, (prefix + base58btc.encode(Uint8Array.from([...multicodecEd25519, ...key]))) as Did)
}

/** The raw 32 bytes behind a DID. The array is shared: do not write to it. */
export function keyFromDid(did: Did): Uint8Array {
  const known = keys.get(did)
  if (known !== undefined) return known
  return remember(keys, did, parseDidKey(did))
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
