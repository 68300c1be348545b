export { isIdentityKey, kindDidFromDid, parseDid, peerIdFromDid } from './did.ts'
export { createKeyFile, openKeyFile, readKeyFile } from './key-file.ts'
export { createKeyring, type Keyring } from './keyring.ts'
export {
  clockSkewMsMax,
  openStatement,
  partiesOf,
  payloadBytesMax,
  type Signed,
  signedBytesMax,
  signStatement,
  type Statement,
  type StatementKind,
  taskPayloadBytesMax,
} from './statement.ts'
