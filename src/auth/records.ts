import { dayMs } from '../base/index.ts'
import { bool, bytesOf, bytesUpTo, codec, type Decoded, instant, intWithin, listOf, literal, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'
import { factorTypes } from './factors.ts'
import { roleNames } from './types.ts'

/** Longest name of a user, in UTF-16 units. Source: auth/v1 section 2. */
export const userNameCharsMax = 48
/** Users of one node. Source: auth/v1 section 2. */
export const usersMax = 256
/** Passkeys of one user. Source: auth/v1 section 2. */
export const credentialsMax = 16
/** Longest id of a passkey, in bytes. Source: WebAuthn level 3 section 4. */
export const credentialIdBytesMax = 1_023
/** Longest public key of a passkey, as COSE: RSA of 4,096 bits. Source: auth/v1 section 3. */
export const publicKeyBytesMax = 560
/** Longest name of a passkey, in UTF-16 units. */
export const credentialLabelCharsMax = 48
/** Life of a one-time link. Source: auth/v1 section 4. */
export const inviteLifeMs = dayMs

export const transportNames = ['usb', 'nfc', 'ble', 'smart-card', 'hybrid', 'internal', 'cable'] as const

const idText = textUpTo(64)
const credentialShape = row({
  id: bytesUpTo(credentialIdBytesMax),
  publicKey: bytesUpTo(publicKeyBytesMax),
  algorithm: intWithin(-65_536, -1),
  counter: uintUpTo(0xffff_ffff),
  label: textUpTo(credentialLabelCharsMax),
  transports: listOf(oneOf(transportNames), transportNames.length),
  backedUp: bool,
  createdAt: instant,
  lastUsedAt: nullable(instant),
  disabled: bool,
})
export type StoredCredential = Decoded<typeof credentialShape>

const userShape = row({
  version: literal(1),
  name: textUpTo(userNameCharsMax),
  role: oneOf(roleNames),
  createdAt: instant,
  lastLoginAt: nullable(instant),
  credentials: listOf(credentialShape, credentialsMax),
})
/** Under `users/<id>`: a user with all passkeys, so that each change is one write. */
export const userCodec = codec('user', userShape, 32 << 10)
export type StoredUser = Omit<Decoded<typeof userShape>, 'version'>

const sessionShape = row({
  version: literal(1),
  userId: idText,
  /** SHA-256 of the token. */
  tokenHash: bytesOf(32),
  createdAt: instant,
  lastSeenAt: instant,
  steppedUpAt: nullable(instant),
  factors: listOf(oneOf(factorTypes), factorTypes.length),
  /** The passkey it was opened with: it ends with it. */
  credential: nullable(bytesUpTo(credentialIdBytesMax)),
  device: textUpTo(64),
})
/** Under `user-sessions/<id>`. */
export const sessionCodec = codec('session', sessionShape, 2_048)

const inviteShape = row({
  version: literal(1),
  /** SHA-256 of the token. */
  tokenHash: bytesOf(32),
  role: oneOf(roleNames),
  name: nullable(textUpTo(userNameCharsMax)),
  createdAt: instant,
  by: idText,
  /** Made while there is no owner. */
  first: bool,
})
/** Under `user-invites/<id>`. */
export const inviteCodec = codec('invite of a user', inviteShape, 512)
export type StoredInvite = Omit<Decoded<typeof inviteShape>, 'version'>
