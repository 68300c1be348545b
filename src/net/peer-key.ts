import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey, PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { type Did, didFromKey, keyFromDid, MeshError } from '../base/index.ts'
import { createSigner, isValidPublicKey, type Signer } from '../crypto/index.ts'

/** Peers remembered with both their names: a new one costs a check of the point and a base58. */
const peersKnownMax = 4_096
const dids = new Map<string, Did>()
const peerIds = new Map<Did, PeerId>()

/** The DID behind a peer ID, or undefined when it is not that of a sound Ed25519 key: libp2p builds peer IDs from points of small order too, for which anybody can sign. Source: klp/v1 section 1. */
export function didOfPeer(peer: PeerId): Did | undefined {
  if (peer.type !== 'Ed25519') return undefined
  const text = peer.toString()
  const known = dids.get(text)
  if (known !== undefined) return known
  const key = peer.publicKey.raw
  if (!isValidPublicKey(key)) return undefined
  const did = didFromKey(key)
  if (dids.size >= peersKnownMax) dids.clear()
  dids.set(text, did)
  return did
}

/** @throws ERR_IDENTITY_INVALID for a key nobody honest has. */
export function peerOfDid(did: Did): PeerId {
  const known = peerIds.get(did)
  if (known !== undefined) return known
  const key = keyFromDid(did)
  if (!isValidPublicKey(key)) throw new MeshError('ERR_IDENTITY_INVALID', `${did} is not a sound Ed25519 key`)
  const peer = peerIdFromPublicKey(publicKeyFromRaw(key))
  if (peerIds.size >= peersKnownMax) peerIds.clear()
  peerIds.set(did, peer)
  return peer
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

/** The key libp2p signs with, without the key: it never asks for the raw bytes, and gets none. */
export function privateKeyOf({ publicKey, sign }: Signer): Ed25519PrivateKey {
  const shown = publicKeyFromRaw(publicKey)
  if (shown.type !== 'Ed25519') throw new MeshError('ERR_IDENTITY_INVALID', 'the identity key is no Ed25519 key')
  return {
    type: 'Ed25519',
    publicKey: shown,
    get raw(): Uint8Array {
      throw new MeshError('ERR_INTERNAL', 'the identity key is not shown')
    },
    equals: (other?: { readonly publicKey?: unknown }) => shown.equals(other?.publicKey),
    sign: (data) => sign(data instanceof Uint8Array ? data : data.subarray()),
  }
}

/** The DID an Ed25519 seed stands for. */
export const didFromSeed = (seed: Uint8Array): Did => didFromKey(createSigner(seed).publicKey)
