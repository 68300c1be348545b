import { ed25519 } from '@noble/curves/ed25519.js'
import { equal, fromHex, MeshError, utf8 } from '../base/index.ts'
import { createSigner, isValidPublicKey, verify } from './sign.ts'

// RFC 8032 section 7.1, TEST 2.
const rfc8032 = {
  seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
  publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  message: '72',
  signature: '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
}
const groupOrder = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')
const identityPoint = fromHex('01'.padEnd(64, '0'))

/** S + L: the same signature to a verifier that does not reduce-check S. */
function malleate(signature: Uint8Array): Uint8Array {
  const altered = signature.slice()
  let carry = 0
  for (let index = 0; index < 32; index++) {
    const sum = (altered[32 + index] ?? 0) + (groupOrder[index] ?? 0) + carry
    altered[32 + index] = sum & 0xff
    carry = sum >> 8
  }
  return altered
}

/**
 * Proves at start that the library in use signs and verifies under our profile, with a second implementation as witness.
 * @throws ERR_CRYPTO_SELF_TEST naming the check that failed
 */
export function selfTest(): void {
  const publicKey = fromHex(rfc8032.publicKey)
  const message = fromHex(rfc8032.message)
  const signature = fromHex(rfc8032.signature)
  const signer = createSigner(fromHex(rfc8032.seed))
  const checks: Readonly<Record<string, boolean>> = {
    'derives the public key of RFC 8032': equal(signer.publicKey, publicKey),
    'signs as RFC 8032 does': equal(signer.sign(message), signature),
    'verifies its own signature': verify(publicKey, message, signature),
    'agrees with the second implementation': ed25519.verify(signature, message, publicKey, { zip215: false }),
    'refuses another message': !verify(publicKey, utf8('other'), signature),
    'refuses a signature with bytes after it': !verify(publicKey, message, Uint8Array.from([...signature, 0])),
    'refuses S of L or more': !verify(publicKey, message, malleate(signature)),
    'refuses a key of small order':
      !verify(identityPoint, message, Uint8Array.from([...identityPoint, ...new Uint8Array(32)])) && !isValidPublicKey(identityPoint),
  }
  for (const [check, passed] of Object.entries(checks)) {
    if (!passed) throw new MeshError('ERR_CRYPTO_SELF_TEST', `Ed25519 self-test failed: ${check}`)
  }
}
