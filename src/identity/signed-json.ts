import { concat, type Did, didFromKey, fromBase64, keyBytesLength, keyFromDid, MeshError, utf8 } from '../base/index.ts'
import { sha256, signatureBytesLength, verify } from '../crypto/index.ts'
import { canonicalJson } from '../wire/index.ts'
import { isIdentityKey, parseDid } from './did.ts'

/** Largest signed message, as the canonical text of it and its audience. Source: signed-json/v1 section 1. */
export const signedJsonBytesMax = 256 * 1024
/** Longest audience. Source: signed-json/v1 section 2. */
export const audienceCharsMax = 256
/** No statement, checkpoint or handshake of ours or of libp2p begins like this. */
const domain = utf8('kindmesh/signed-json/1\0')

/** What is signed: the domain, then the hash of the canonical text of audience and message. @throws ERR_JSON_INVALID, ERR_WIRE_TOO_LARGE. Source: signed-json/v1 section 2. */
export function signedJsonInput(message: unknown, audience: string): Uint8Array {
  if (audience.length > audienceCharsMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `an audience of ${audience.length} characters exceeds ${audienceCharsMax}`)
  return concat(domain, sha256(canonicalJson({ audience, message }, signedJsonBytesMax)))
}

/** The key behind a bare base64 text (base64 or base64url) or any spelling of an identity. @throws ERR_IDENTITY_INVALID */
export function parsePublicKey(text: string): Did {
  const key = text.length <= 64 ? fromBase64(text) : undefined
  if (key?.length !== keyBytesLength) return parseDid(text)
  if (!isIdentityKey(key)) throw new MeshError('ERR_IDENTITY_INVALID', 'the key is no valid Ed25519 point')
  return didFromKey(key)
}

export interface SignatureClaim {
  readonly message: unknown
  /** Base64 or base64url of 64 bytes. */
  readonly signature: string
  /** The key in base64, or an identity in any spelling. */
  readonly publicKey: string
  /** Whom it must be addressed to; empty for a signature addressed to nobody in particular. */
  readonly audience: string
}

/** True when this key signed this message for this audience. A "no" is an answer: bad keys, signatures and messages give false. Source: signed-json/v1 section 3. */
export function verifySignedJson({ message, signature, publicKey, audience }: SignatureClaim): boolean {
  const bytes = signature.length <= 2 * signatureBytesLength ? fromBase64(signature) : undefined
  if (bytes?.length !== signatureBytesLength) return false
  try {
    return verify(keyFromDid(parsePublicKey(publicKey)), signedJsonInput(message, audience), bytes)
  } catch (error) {
    if (error instanceof MeshError) return false
    throw error
  }
}
