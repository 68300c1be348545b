import { generateKeyPairFromSeed, publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey, PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { type Did, didFromKey, hex, keyFromDid, MeshError } from '../base/index.ts'

/** y coordinates, sign bit cleared, of all points of small order in every spelling. libp2p builds peer IDs from them; anybody can sign for them. Source: klp/v1 section 1. */
const smallOrder = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])

/** Whether anybody could sign for this Ed25519 key. */
export function isSmallOrder(key: Uint8Array): boolean {
  const y = Uint8Array.from(key)
  y[31] = (y[31] ?? 0) & 0x7f
  return smallOrder.has(hex(y))
}

/** The DID behind a peer ID, or undefined when the peer ID is not that of a sound Ed25519 identity. */
export function didOfPeer(peer: PeerId): Did | undefined {
  if (peer.type !== 'Ed25519') return undefined
  const key = peer.publicKey.raw
  return isSmallOrder(key) ? undefined : didFromKey(key)
}

/** @throws ERR_IDENTITY_INVALID for a key of small order. */
export function peerOfDid(did: Did): PeerId {
  const key = keyFromDid(did)
  if (isSmallOrder(key)) throw new MeshError('ERR_IDENTITY_INVALID', `${did} is a point of small order`)
  return peerIdFromPublicKey(publicKeyFromRaw(key))
}

/** The text of the peer ID of a DID, `12D3KooW…`. */
export const peerIdTextOfDid = (did: Did): string => peerOfDid(did).toString()

/** The DID behind the text of a peer ID. @throws ERR_IDENTITY_INVALID */
export function didOfPeerIdText(text: string): Did {
  let did: Did | undefined
  try {
    did = didOfPeer(peerIdFromString(text))
  } catch (cause) {
    throw new MeshError('ERR_IDENTITY_INVALID', 'not a peer ID', { cause })
  }
  if (did === undefined) throw new MeshError('ERR_IDENTITY_INVALID', 'the peer ID is not that of an Ed25519 identity')
  return did
}

export const keyPairFromSeed = (seed: Uint8Array): Promise<Ed25519PrivateKey> => generateKeyPairFromSeed('Ed25519', seed)

/** The DID an Ed25519 seed stands for. */
export const didFromSeed = async (seed: Uint8Array): Promise<Did> => didFromKey((await keyPairFromSeed(seed)).publicKey.raw)
