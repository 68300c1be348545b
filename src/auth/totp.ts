import { HOTP, Secret, TOTP } from 'otpauth'
import { type Random, secondMs, utf8 } from '../base/index.ts'
import { equalSecret } from '../crypto/index.ts'

/** What every authenticator app takes: HMAC-SHA-1, six digits, 30 s. Source: RFC 6238 section 4, auth/v1 section 11. */
export const totpStepMs = 30 * secondMs
export const totpDigits = 6
/** Steps that a phone's clock may be off, each way. Source: auth/v1 section 11. */
export const totpWindowSteps = 1
/** As long as the hash, as RFC 4226 section 4 R6 asks. */
export const totpSecretBytesLength = 20
const algorithm = 'SHA1'

export const newTotpSecret = (random: Random): Uint8Array => random.bytes(totpSecretBytesLength)

const secretOf = (bytes: Uint8Array): Secret => new Secret({ buffer: bytes.slice().buffer })

export const totpStepAt = (now: number): number => Math.floor(now / totpStepMs)

/** The code of one time step. */
export const totpCode = (secret: Uint8Array, step: number, digits: number = totpDigits): string =>
  HOTP.generate({ secret: secretOf(secret), algorithm, digits, counter: Math.max(0, step) })

/**
 * The newest time step after `lastStep` whose code this is; undefined when there is none. Does the same work for every code.
 * A step at or before `lastStep` is a code that was used, or could have been seen, before.
 */
export function matchTotp(secret: Uint8Array, code: string, now: number, lastStep: number): number | undefined {
  // Apps show a gap in the middle, and people type it.
  const given = utf8(code.replaceAll(/\s/g, ''))
  const present = totpStepAt(now)
  let found: number | undefined
  for (let step = present - totpWindowSteps; step <= present + totpWindowSteps; step++) {
    const isRight = equalSecret(utf8(totpCode(secret, step)), given)
    if (isRight && step >= 0 && step > lastStep) found = step
  }
  return found
}

/** The `otpauth://` address an app reads as a QR code. It holds the secret. */
export const totpUri = (secret: Uint8Array, { issuer, label }: { readonly issuer: string; readonly label: string }): string =>
  new TOTP({ issuer, label, secret: secretOf(secret), algorithm, digits: totpDigits, period: totpStepMs / secondMs }).toString()

/** The secret as a person types it into an app. */
export const totpSecretText = (secret: Uint8Array): string => secretOf(secret).base32
