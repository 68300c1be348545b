interface Descriptor {
  /** base64url */
  readonly id: string
  readonly type: 'public-key'
  readonly transports: readonly string[]
}

/** The salt of this node's vault for the `prf` extension, base64url. Its output stays in the browser. Source: auth/v1 section 3.4 */
interface Extensions {
  readonly credProps?: boolean
  readonly prf?: { readonly eval: { readonly first: string } }
}

/** PublicKeyCredentialCreationOptionsJSON. Source: WebAuthn level 3 section 5.1.8 */
export interface CreationOptions {
  readonly rp: { readonly name: string; readonly id: string }
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string }
  readonly challenge: string
  readonly pubKeyCredParams: readonly { readonly alg: number; readonly type: 'public-key' }[]
  readonly timeout: number
  readonly attestation: 'none'
  readonly excludeCredentials: readonly Descriptor[]
  readonly authenticatorSelection: { readonly residentKey: 'required'; readonly requireResidentKey: true; readonly userVerification: 'required' }
  readonly extensions: Extensions
}

/** PublicKeyCredentialRequestOptionsJSON. Source: WebAuthn level 3 section 5.1.8 */
export interface RequestOptions {
  readonly rpId: string
  readonly challenge: string
  /** Empty for a login: the authenticator knows whom it holds. */
  readonly allowCredentials: readonly Descriptor[]
  readonly timeout: number
  readonly userVerification: 'required'
  readonly extensions: Extensions
}
