export { kindDidFromDid, parseDid, peerIdFromDid } from './did.ts'
export { createKeyFile, openKeyFile, readKeyFile } from './key-file.ts'
export { createKeyring, type Keyring } from './keyring.ts'
export { clockSkewMsMax, openStatement, partiesOf, type Signed, signedBytesMax, signStatement, type Statement, type StatementKind } from './statement.ts'
