import { profilePaths, type Random } from '../base/index.ts'
import { type BundlePins, createBundlePins } from '../bundles/index.ts'

/** What the operator of a profile pinned; no node needs to run. */
export const profileBundlePins = (home: string, random: Random): BundlePins => createBundlePins(profilePaths(home).bundlePins, random)
