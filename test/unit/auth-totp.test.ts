import { expect, test } from 'vitest'
import { createSeededRandom, utf8 } from '../../src/base/index.ts'
import { matchTotp, newTotpSecret, totpCode, totpStepAt, totpUri } from '../../src/auth/totp.ts'

const rfcSecret = utf8('12345678901234567890')

test.each([
  [59, '94287082'],
  [1_111_111_109, '07081804'],
  [1_111_111_111, '14050471'],
  [1_234_567_890, '89005924'],
  [2_000_000_000, '69279037'],
  [20_000_000_000, '65353130'],
])('at %i s the code is that of RFC 6238 appendix B', (seconds, code) => {
  expect(totpCode(rfcSecret, totpStepAt(seconds * 1_000), 8)).toBe(code)
  expect(totpCode(rfcSecret, totpStepAt(seconds * 1_000))).toBe(code.slice(2))
})

test('a code holds one step before and after its own, and not two', () => {
  const now = 1_800_000_000_000
  const step = totpStepAt(now)
  const found = [-2, -1, 0, 1, 2].map((away) => matchTotp(rfcSecret, totpCode(rfcSecret, step + away), now, -1))
  expect(found).toEqual([undefined, step - 1, step, step + 1, undefined])
})

test('a code may be written with a gap, as apps show it', () => {
  const now = 1_800_000_000_000
  const code = totpCode(rfcSecret, totpStepAt(now))
  expect(matchTotp(rfcSecret, ` ${code.slice(0, 3)} ${code.slice(3)}\n`, now, -1)).toBe(totpStepAt(now))
})

test('a code of the last step taken, or of one before it, is no code', () => {
  const now = 1_800_000_000_000
  const step = totpStepAt(now)
  const taken = (away: number, last: number): boolean => matchTotp(rfcSecret, totpCode(rfcSecret, step + away), now, step + last) !== undefined
  expect([taken(0, -1), taken(0, 0), taken(-1, 0), taken(0, 1), taken(1, 0)]).toEqual([true, false, false, false, true])
})

test.each(['', '12345', '1234567', '１２３４５６', 'abcdef', '0'.repeat(100_000)])('%#: what is no code matches nothing and throws nothing', (text) => {
  expect(matchTotp(rfcSecret, text, 1_800_000_000_000, -1)).toBeUndefined()
})

test('the address for the QR code says what apps ask for', () => {
  const uri = new URL(totpUri(newTotpSecret(createSeededRandom(1)), { issuer: 'kindmesh', label: 'Änne & Söhne' }))
  expect([uri.protocol, uri.host, decodeURIComponent(uri.pathname)]).toEqual(['otpauth:', 'totp', '/kindmesh:Änne & Söhne'])
  expect(Object.fromEntries(uri.searchParams)).toMatchObject({ issuer: 'kindmesh', algorithm: 'SHA1', digits: '6', period: '30' })
  expect(uri.searchParams.get('secret')).toMatch(/^[A-Z2-7]{32}$/)
})
