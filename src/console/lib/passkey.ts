import {
  type AuthenticationResponseJSON,
  base64URLStringToBuffer,
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
  return await asking(() => startRegistration({ optionsJSON: withPrfBytes(options as PublicKeyCredentialCreationOptionsJSON) }))
}

/** Has a passkey sign that its owner is here. @throws ERR_ABORTED when the user would rather not, ERR_AUTH_FAILED */
export async function askPasskey(options: unknown): Promise<AuthenticationResponseJSON> {
  return await asking(() => startAuthentication({ optionsJSON: withPrfBytes(options as PublicKeyCredentialRequestOptionsJSON) }))
}

/** The salt of the `prf` extension as browsers take it: WebAuthn's JSON has it as base64url. */
function withPrfBytes<T extends { readonly extensions?: object }>(options: T): T {
  const { prf, ...extensions } = (options.extensions ?? {}) as { readonly prf?: { readonly eval: { readonly first: string } } }
  if (prf === undefined) return options
  const first = base64URLStringToBuffer(prf.eval.first)
  return { ...options, extensions: { ...extensions, prf: { eval: { first } } } }
}

async function asking<T extends { readonly clientExtensionResults: object }>(act: () => Promise<T>): Promise<T> {
  try {
    const answer = await act()
    // What the authenticator made of the salt is a key: it stays in the browser.
    const { prf: _key, ...clientExtensionResults } = answer.clientExtensionResults as { readonly prf?: unknown }
    return { ...answer, clientExtensionResults }
  } catch (cause) {
    throw told(cause)
  }
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
