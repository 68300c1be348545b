import { type Bundle, type BundlePins, type BundleUse, checkBundle, openBundle, signBundle } from '../bundles/index.ts'
import { MeshError } from '../base/index.ts'
import { peekKeyring } from './own-profile.ts'
import type { ProfileOptions } from './profile.ts'

/** Signs a bundle with the key in force of a profile; no node needs to run. @throws ERR_PROFILE_MISSING, ERR_SEALED, ERR_AUTH_FAILED, ERR_BUNDLE_INVALID */
export async function signProfileBundle(options: ProfileOptions, bundle: Omit<Bundle, 'publisher'>): Promise<string> {
  const keyring = await peekKeyring(options)
  return signBundle({ ...bundle, publisher: keyring.did }, (input) => keyring.sign(input))
}

/** Refuses the bundle of a task unless it fits the task and its publisher or code is pinned here. Without pins nothing is trusted. */
export const bundleCheck =
  (pins: BundlePins | undefined) =>
  async (bytes: Uint8Array, task: BundleUse): Promise<void> => {
    const bundle = openBundle(bytes)
    checkBundle(bundle, task)
    await pins?.check(bundle)
    if (pins === undefined) throw new MeshError('ERR_BUNDLE_UNPINNED', 'nothing is pinned here')
  }
