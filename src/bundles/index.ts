export { type Bundle, bundleBytesMax, type BundleUse, checkBundle, openBundle, signBundle } from './bundle.ts'
export { contentHash } from '../crypto/index.ts'
export { type CodeCache, type CodeCacheOptions, createCodeCache } from './code-cache.ts'
export { type BundlePin, type BundlePins, createBundlePins, parsePin } from './pins.ts'
