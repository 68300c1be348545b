import { concat, type Random, utf8 } from '../base/index.ts'
import { equalSecret, sha256 } from '../crypto/index.ts'

/** Codes made at a time. Source: auth/v1 section 12. */
export const recoveryCodesCount = 10
/** Characters of a code, 5 bits each. */
export const recoveryCodeChars = 20
const groupChars = 5
/** Crockford's base 32: nothing in it looks like another. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** `k7m2q-9qxd0-…`, 100 bits by chance. */
export function newRecoveryCode(random: Random): string {
  const text = Array.from(random.bytes(recoveryCodeChars), (byte) => alphabet[byte & 31]).join('')
  return text.match(new RegExp(`.{${groupChars}}`, 'g'))?.join('-') ?? text
}

export const newRecoveryCodes = (random: Random): readonly string[] => Array.from({ length: recoveryCodesCount }, () => newRecoveryCode(random))

/** A code however a person writes it down: case, spaces, hyphens, and letters taken for digits do not matter. */
const plainCode = (text: string): string =>
  text
    .slice(0, 4 * recoveryCodeChars)
    .toLowerCase()
    .replaceAll(/[\s-]/g, '')
    .replaceAll('o', '0')
    .replaceAll(/[il]/g, '1')

/**
 * What is kept of a code. A slow hash makes weak secrets dear to guess; this one has 100 bits of chance, and 2^96 hashes for one of ten
 * are out of reach at any speed, so plain SHA-256 does. Bound to the account, so that no table serves two.
 */
export const recoveryHash = (code: string, account: string): Uint8Array => sha256(concat(utf8(`kindmesh/1/recovery\0${account}\0`), utf8(plainCode(code))))

/** The place of the code among those kept; -1 when it is none of them. Compares with all of them. */
export function findRecoveryHash(kept: readonly Uint8Array[], given: Uint8Array): number {
  let found = -1
  kept.forEach((hash, index) => {
    if (equalSecret(hash, given)) found = index
  })
  return found
}
