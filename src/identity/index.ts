export { isIdentityKey, kindDidFromDid, parseDid, peerIdFromDid } from './did.ts'
export { createKeyFile, openKeyFile, readKeyFile } from './key-file.ts'
export { createKeyring, type Keyring } from './keyring.ts'
