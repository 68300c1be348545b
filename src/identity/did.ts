import { base58btc } from 'multiformats/bases/base58'
import { base64, type Did, didFromKey, equal, fromBase64, keyBytesLength, keyFromDid, MeshError, parseDidKey } from '../base/index.ts'
import { isValidPublicKey } from '../crypto/index.ts'

/** The libp2p peer ID of an Ed25519 key: identity multihash of the protobuf {Type: Ed25519, Data: key}. Source: libp2p peer-ids spec. */
const peerIdPrefix = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
const kindPrefix = 'kind:agent:'
const kindSuffix = '#ed25519'
const textLengthMax = 128

export const peerIdFromDid = (did: Did): string => base58btc.encode(Uint8Array.from([...peerIdPrefix, ...keyFromDid(did)])).slice(1)

/** The spelling of the customer's document: `kind:agent:<base64 key>#ed25519`. */
export const kindDidFromDid = (did: Did): string => `${kindPrefix}${base64(keyFromDid(did))}${kindSuffix}`

function keyOfPeerId(text: string): Uint8Array | undefined {
  try {
    const bytes = base58btc.decode(`z${text}`)
    const isEd25519 = bytes.length === peerIdPrefix.length + keyBytesLength && equal(bytes.subarray(0, peerIdPrefix.length), peerIdPrefix)
    return isEd25519 ? bytes.slice(peerIdPrefix.length) : undefined
  } catch {
    return undefined
  }
}

function keyOf(text: string): Uint8Array | undefined {
  if (text.startsWith('did:key:')) return parseDidKey(text)
  if (text.startsWith(kindPrefix) && text.endsWith(kindSuffix)) return fromBase64(text.slice(kindPrefix.length, -kindSuffix.length))
  return keyOfPeerId(text)
}

/** True for a key an honest identity can have. Kept per key: the check costs as much as half a signature check. */
export function isIdentityKey(key: Uint8Array): boolean {
  const text = base64(key)
  if (checkedKeys.has(text)) return true
  if (!isValidPublicKey(key)) return false
  if (checkedKeys.size >= checkedKeysMax) checkedKeys.clear()
  checkedKeys.add(text)
  return true
}

const checkedKeysMax = 8_192
const checkedKeys = new Set<string>()

/**
 * Reads a did:key, a libp2p peer ID or a kind:agent DID (base64 or base64url); three spellings of one key.
 * @throws ERR_IDENTITY_INVALID for anything else, and for a key that is no point of the prime-order group. Source: identity/v1 section 1.
 */
export function parseDid(text: string): Did {
  const key = text.length <= textLengthMax ? keyOf(text) : undefined
  if (key === undefined || key.length !== keyBytesLength) {
    throw new MeshError('ERR_IDENTITY_INVALID', `not an identity: ${JSON.stringify(text.slice(0, textLengthMax))}`)
  }
  if (!isIdentityKey(key)) throw new MeshError('ERR_IDENTITY_INVALID', 'the key is no valid Ed25519 point')
  return didFromKey(key)
}
