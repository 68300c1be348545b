import {
  type AuthenticationResponseJSON,
  base64URLStringToBuffer,
  bufferToBase64URLString,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
  startAuthentication,
  startRegistration,
  WebAuthnError,
} from '@simplewebauthn/browser'
import { MeshError } from '../../base/index.ts'

/** Has the authenticator make a passkey. @throws ERR_ABORTED when the user would rather not, ERR_AUTH_FAILED */
export async function createPasskey(options: unknown): Promise<RegistrationResponseJSON> {
  return withoutKey(await asking(() => startRegistration({ optionsJSON: withPrfBytes(options as PublicKeyCredentialCreationOptionsJSON) })))
}

/** Has a passkey sign that its owner is here. @throws ERR_ABORTED when the user would rather not, ERR_AUTH_FAILED */
export async function askPasskey(options: unknown): Promise<AuthenticationResponseJSON> {
  return withoutKey(await asking(() => startAuthentication({ optionsJSON: withPrfBytes(options as PublicKeyCredentialRequestOptionsJSON) })))
}

/** The 32 bytes that one passkey, and no other, makes of a salt. */
interface PasskeyKey {
  /** base64url. */
  readonly credentialId: string
  readonly secret: Uint8Array
}

/**
 * Has one of these passkeys, by base64url of their ids, make a key of the salt that goes with it; which one, the user says. With the user verified:
 * authenticators make other keys without. @throws ERR_AUTH_FAILED, also for a passkey that makes no keys
 */
export async function keyOfPasskey(salts: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Promise<PasskeyKey> {
  const evalByCredential = Object.fromEntries([...salts].map(([id, first]) => [id, { first }]))
  const { id, clientExtensionResults } = await asking(() =>
    startAuthentication({
      optionsJSON: {
        // The node never sees the signature: what counts is the key.
        challenge: bufferToBase64URLString(crypto.getRandomValues(new Uint8Array(32)).buffer),
        allowCredentials: [...salts.keys()].map((each) => ({ id: each, type: 'public-key' })),
        userVerification: 'required',
        extensions: { prf: { evalByCredential } },
      },
    }),
  )
  const { prf } = clientExtensionResults as { readonly prf?: { readonly results?: { readonly first?: ArrayBuffer } } }
  if (prf?.results?.first === undefined) {
    throw new MeshError('ERR_AUTH_FAILED', 'this passkey makes no keys', { hint: 'its device or this browser cannot: use another passkey, or a recovery code' })
  }
  return { credentialId: id, secret: new Uint8Array(prf.results.first) }
}

/** The salt of the `prf` extension as browsers take it: WebAuthn's JSON has it as base64url. */
function withPrfBytes<T extends { readonly extensions?: object }>(options: T): T {
  const { prf, ...extensions } = (options.extensions ?? {}) as { readonly prf?: { readonly eval: { readonly first: string } } }
  if (prf === undefined) return options
  const first = base64URLStringToBuffer(prf.eval.first)
  return { ...options, extensions: { ...extensions, prf: { eval: { first } } } }
}

async function asking<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    throw told(cause)
  }
}

/** What the authenticator made of the salt is a key: it stays in the browser. */
function withoutKey<T extends { readonly clientExtensionResults: object }>(answer: T): T {
  const { prf: _key, ...clientExtensionResults } = answer.clientExtensionResults as { readonly prf?: unknown }
  return { ...answer, clientExtensionResults }
}

function told(cause: unknown): MeshError {
  const { name } = cause as Error
  if (cause instanceof WebAuthnError && cause.code === 'ERROR_AUTHENTICATOR_PREVIOUSLY_REGISTERED') {
    return new MeshError('ERR_AUTH_FAILED', 'this authenticator already holds a passkey of yours', {
      cause,
      hint: 'log in with it, or use another authenticator',
    })
  }
  // Also when none is found: browsers do not tell the two apart, so that a page cannot ask who has a passkey.
  if (name === 'NotAllowedError' || name === 'AbortError') {
    return new MeshError('ERR_AUTH_FAILED', 'no passkey was given', {
      cause,
      hint: 'try again; if this device holds none for this node, use another way or a new link',
    })
  }
  return new MeshError('ERR_AUTH_FAILED', 'the browser could not ask for a passkey', {
    cause,
    hint: `open the console as http://localhost:${location.port}/ in a current browser`,
  })
}
