import { base64url, equal, fromUtf8, utf8 } from '../base/index.ts'
import { isValidPublicKey, sha256 } from '../crypto/index.ts'
import { publicKeyBytesMax } from './records.ts'
import type { AssertionForm, RegistrationForm } from './webauthn-forms.ts'

/** The relying party: passkeys of a node belong to this machine's browser. Source: auth/v1 section 3. */
export const rpId = 'localhost'
/** Ed25519, ECDSA over P-256, RSA with PKCS#1 1.5; each with SHA-256 where it hashes. Source: auth/v1 section 3. */
export const algorithms: readonly number[] = [-8, -7, -257]

/** Why an authenticator's answer is refused, for the audit log: whoever sent it is not told. */
export type Refusal =
  | 'malformed'
  | 'type'
  | 'challenge'
  | 'origin'
  | 'cross_origin'
  | 'rp_id'
  | 'user_presence'
  | 'user_verification'
  | 'credential_id'
  | 'attestation'
  | 'algorithm'
  | 'signature'
  | 'counter'
export type Verified<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly reason: Refusal }
const refused = (reason: Refusal): { readonly ok: false; readonly reason: Refusal } => ({ ok: false, reason })

export interface Expected {
  readonly challenge: Uint8Array
  /** Scheme, host and port of our own pages. */
  readonly origin: string
}

export interface NewPasskey {
  readonly id: Uint8Array
  /** COSE_Key, deterministic CBOR. */
  readonly publicKey: Uint8Array
  readonly algorithm: number
  readonly counter: number
  readonly backedUp: boolean
}

/** Takes a new passkey, or says why not; never throws. Source: WebAuthn level 3 section 7.1 */
export async function verifyRegistration({ id, rawId, response }: RegistrationForm, expected: Expected): Promise<Verified<{ passkey: NewPasskey }>> {
  const problem = clientDataProblem(response.clientDataJSON, 'webauthn.create', expected)
  if (problem !== undefined) return refused(problem)
  if (id !== base64url(rawId)) return refused('credential_id')
  try {
    const { verifyRegistrationResponse } = await import('@simplewebauthn/server')
    const { decodeAttestationObject, decodeCredentialPublicKey, parseAuthenticatorData } = await import('@simplewebauthn/server/helpers')
    const attestation = decodeAttestationObject(copy(response.attestationObject))
    const [authData, format, statement] = ['authData', 'fmt', 'attStmt'].map((name) => attestation.get(name))
    if (!(authData instanceof Uint8Array && statement instanceof Map)) return refused('malformed')
    const flagsProblem = authenticatorDataProblem(authData)
    if (flagsProblem !== undefined) return refused(flagsProblem)
    const { credentialID, credentialPublicKey } = parseAuthenticatorData(authData)
    if (credentialID === undefined || !equal(credentialID, rawId)) return refused('credential_id')
    // We ask for none. A certificate would have the library fetch lists of revoked ones: no request leaves the machine.
    if (format !== 'none' && (format !== 'packed' || statement.has('x5c'))) return refused('attestation')
    if (credentialPublicKey === undefined || credentialPublicKey.length > publicKeyBytesMax) return refused('algorithm')
    const key = decodeCredentialPublicKey(credentialPublicKey)
    const algorithm = algorithmOf(key)
    if (algorithm === undefined) return refused('algorithm')
    const verdict = await verifyRegistrationResponse({
      response: {
        id,
        rawId: id,
        type: 'public-key',
        clientExtensionResults: {},
        response: { clientDataJSON: base64url(response.clientDataJSON), attestationObject: base64url(response.attestationObject) },
      },
      expectedChallenge: base64url(expected.challenge),
      expectedOrigin: expected.origin,
      expectedRPID: rpId,
      requireUserVerification: true,
      supportedAlgorithmIDs: [...algorithms],
    })
    if (!verdict.verified) return refused('attestation')
    const { credential, credentialBackedUp } = verdict.registrationInfo
    return { ok: true, passkey: { id: rawId, publicKey: credential.publicKey, algorithm, counter: credential.counter, backedUp: credentialBackedUp } }
  } catch {
    // The library and the decoders below it throw for whatever they do not take.
    return refused('malformed')
  }
}

export interface KnownPasskey {
  readonly publicKey: Uint8Array
  readonly algorithm: number
  readonly counter: number
}

/** Takes proof that a passkey is held and its holder was verified, or says why not; never throws. Source: WebAuthn level 3 section 7.2 */
export async function verifyAssertion(
  { id, rawId, response }: AssertionForm,
  { challenge, origin, passkey }: Expected & { readonly passkey: KnownPasskey },
): Promise<Verified<{ counter: number; backedUp: boolean }>> {
  const problem = clientDataProblem(response.clientDataJSON, 'webauthn.get', { challenge, origin }) ?? authenticatorDataProblem(response.authenticatorData)
  if (problem !== undefined) return refused(problem)
  if (id !== base64url(rawId)) return refused('credential_id')
  try {
    const { verifyAuthenticationResponse } = await import('@simplewebauthn/server')
    const { decodeCredentialPublicKey, isoCBOR } = await import('@simplewebauthn/server/helpers')
    const key = decodeCredentialPublicKey(copy(passkey.publicKey))
    // Its decoder takes some keys in several spellings; the hash of a key names one.
    if (algorithmOf(key) !== passkey.algorithm || !equal(isoCBOR.encode(key), passkey.publicKey)) return refused('algorithm')
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: {
        id,
        rawId: id,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: base64url(response.clientDataJSON),
          authenticatorData: base64url(response.authenticatorData),
          signature: base64url(response.signature),
        },
      },
      expectedChallenge: base64url(challenge),
      expectedOrigin: origin,
      expectedRPID: rpId,
      requireUserVerification: true,
      // The counter is compared below: the library does so before it looks at the signature, and a passkey is not put out of use by one who does not hold it.
      credential: { id, publicKey: copy(passkey.publicKey), counter: 0 },
    })
    if (!verified) return refused('signature')
    const { newCounter, credentialBackedUp } = authenticationInfo
    if ((newCounter !== 0 || passkey.counter !== 0) && newCounter <= passkey.counter) return refused('counter')
    return { ok: true, counter: newCounter, backedUp: credentialBackedUp }
  } catch {
    return refused('signature')
  }
}

/** WebAuthn level 3 section 5.8.1. Whatever is not named here may be in it. */
export function clientDataProblem(json: Uint8Array, type: string, { challenge, origin }: Expected): Refusal | undefined {
  let data: Readonly<Record<string, unknown>>
  try {
    const value: unknown = JSON.parse(fromUtf8(json))
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'malformed'
    data = value as Readonly<Record<string, unknown>>
  } catch {
    return 'malformed'
  }
  if (data['type'] !== type) return 'type'
  if (data['challenge'] !== base64url(challenge)) return 'challenge'
  if (data['origin'] !== origin) return 'origin'
  // Our pages are in no frame.
  if ((data['crossOrigin'] !== undefined && data['crossOrigin'] !== false) || data['topOrigin'] !== undefined) return 'cross_origin'
  return undefined
}

const rpIdHash = sha256(utf8(rpId))
const flagUserPresent = 0x01
const flagUserVerified = 0x04

/** WebAuthn level 3 section 6.1 */
export function authenticatorDataProblem(data: Uint8Array): Refusal | undefined {
  const flags = data[32] ?? 0
  if (data.length < 37) return 'malformed'
  if (!equal(data.subarray(0, 32), rpIdHash)) return 'rp_id'
  if ((flags & flagUserPresent) === 0) return 'user_presence'
  return (flags & flagUserVerified) === 0 ? 'user_verification' : undefined
}

/** The algorithm a COSE key is for, when its type, curve and size are what that algorithm takes. Source: RFC 9053 section 2, RFC 8812 section 2 */
function algorithmOf(key: ReadonlyMap<number, unknown>): number | undefined {
  const [kty, algorithm, first, second, third] = [1, 3, -1, -2, -3].map((label) => key.get(label))
  const isBytes = (value: unknown, least: number, most: number): value is Uint8Array =>
    value instanceof Uint8Array && value.length >= least && value.length <= most
  if (algorithm === -8 && kty === 1 && first === 6 && isBytes(second, 32, 32) && isValidPublicKey(second)) return algorithm
  if (algorithm === -7 && kty === 2 && first === 1 && isBytes(second, 32, 32) && isBytes(third, 32, 32)) return algorithm
  // A modulus of 2,048 to 4,096 bits; the exponent 65537, as every authenticator has it.
  if (algorithm === -257 && kty === 3 && isBytes(first, 256, 512) && isBytes(second, 3, 3) && equal(second, Uint8Array.of(1, 0, 1))) return algorithm
  return undefined
}

/** The library's own kind of bytes; it also writes into some for a moment. */
const copy = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(bytes)
