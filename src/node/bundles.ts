import { type Bundle, signBundle } from '../bundles/index.ts'
import { openProfile, type ProfileOptions } from './profile.ts'

/** Signs a bundle with the key in force of a profile; no node needs to run. @throws ERR_PROFILE_MISSING, ERR_SEALED, ERR_AUTH_FAILED, ERR_BUNDLE_INVALID */
export async function signProfileBundle(options: ProfileOptions, bundle: Omit<Bundle, 'publisher'>): Promise<string> {
  const keyring = await openProfile(options)
  return signBundle({ ...bundle, publisher: keyring.did }, (input) => keyring.sign(input))
}
