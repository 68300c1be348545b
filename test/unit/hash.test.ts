import { createHash, createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSeededRandom, hex } from '../../src/base/index.ts'
import { hmacSha256, sha256 } from '../../src/crypto/index.ts'

const random = createSeededRandom(1)

test('SHA-256 is that of node:crypto for every length around its blocks', () => {
  for (let length = 0; length < 300; length++) {
    const bytes = random.bytes(length)
    expect(hex(sha256(bytes)), String(length)).toBe(createHash('sha256').update(bytes).digest('hex'))
  }
})

test('HMAC is that of node:crypto for keys below, at and over a block, and messages in parts', () => {
  for (const keyLength of [0, 1, 32, 63, 64, 65, 131]) {
    for (const partLengths of [[], [0], [1], [32], [33, 1], [64, 0, 7], [200, 200]]) {
      const key = random.bytes(keyLength)
      const parts = partLengths.map((length) => random.bytes(length))
      const before = [key, ...parts].map(hex)
      expect(hex(hmacSha256(key, ...parts))).toBe(createHmac('sha256', key).update(Buffer.concat(parts)).digest('hex'))
      expect([key, ...parts].map(hex)).toEqual(before)
    }
  }
})
