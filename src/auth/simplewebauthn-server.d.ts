// What we use of @simplewebauthn/server and its helpers; tsconfig.json leads here. Its own types lead to those of browsers, which are not known here.
interface RegistrationResponse {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly clientExtensionResults: object
  readonly response: { readonly clientDataJSON: string; readonly attestationObject: string }
}
interface AuthenticationResponse extends Omit<RegistrationResponse, 'response'> {
  readonly response: { readonly clientDataJSON: string; readonly authenticatorData: string; readonly signature: string }
}
interface Expected {
  readonly expectedChallenge: string
  readonly expectedOrigin: string
  readonly expectedRPID: string
  readonly requireUserVerification: boolean
}
interface Credential {
  readonly id: string
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly counter: number
}
export function verifyRegistrationResponse(
  options: Expected & { readonly response: RegistrationResponse; readonly supportedAlgorithmIDs: number[] },
): Promise<
  | { readonly verified: false }
  | { readonly verified: true; readonly registrationInfo: { readonly credential: Credential; readonly credentialBackedUp: boolean } }
>
export function verifyAuthenticationResponse(
  options: Expected & { readonly response: AuthenticationResponse; readonly credential: Credential },
): Promise<{ readonly verified: boolean; readonly authenticationInfo: { readonly newCounter: number; readonly credentialBackedUp: boolean } }>

export function decodeAttestationObject(bytes: Uint8Array<ArrayBuffer>): ReadonlyMap<string, unknown>
export function decodeCredentialPublicKey(bytes: Uint8Array<ArrayBuffer>): ReadonlyMap<number, unknown>
export function parseAuthenticatorData(bytes: Uint8Array): {
  readonly credentialID?: Uint8Array<ArrayBuffer>
  readonly credentialPublicKey?: Uint8Array<ArrayBuffer>
}
export declare const isoCBOR: { encode(value: ReadonlyMap<number, unknown>): Uint8Array }
