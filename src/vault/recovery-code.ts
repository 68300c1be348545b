import { concat, MeshError, type Random, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { base32, fromBase32 } from './base32.ts'

/** 160 bits: nothing to stretch. Source: vault/v1 section 3. */
const secretBytes = 20
const checkDigits = 4
const codeLengthMax = 128

export interface RecoveryCode {
  /** What the slot takes. */
  readonly secret: Uint8Array
  /** What is printed, once: 9 groups of 4, the last a checksum. */
  readonly code: string
}

export function newRecoveryCode(random: Random): RecoveryCode {
  const secret = random.bytes(secretBytes)
  return { secret, code: encodeRecoveryCode(secret) }
}

export const encodeRecoveryCode = (secret: Uint8Array): string => `${base32(secret)}${checksum(secret)}`.replaceAll(/.{4}(?=.)/g, '$&-')

/** @throws ERR_USAGE when it was mistyped, which is told without a vault */
export function decodeRecoveryCode(code: string): Uint8Array {
  const text = code.length > codeLengthMax ? '' : code.replaceAll(/[\s-]/g, '').toUpperCase().replaceAll('O', '0').replaceAll(/[IL]/g, '1')
  const secret = fromBase32(text.slice(0, -checkDigits))
  if (secret?.length === secretBytes && checksum(secret) === text.slice(-checkDigits)) return secret
  throw new MeshError('ERR_USAGE', 'that is no recovery code', { hint: 'it has 9 groups of 4 letters and digits; look for one that was mistyped' })
}

const checksum = (secret: Uint8Array): string => base32(sha256(concat(utf8('kindmesh.vault/1 recovery'), secret))).slice(0, checkDigits)
