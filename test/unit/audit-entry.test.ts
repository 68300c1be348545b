import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hex } from '../../src/base/index.ts'
import { entryCodec, firstPrevHash, readLinks } from '../../src/audit/entry.ts'
import { leafHash } from '../../src/audit/tree.ts'
import { slowTree } from '../helpers/audit.ts'

const seq = fc.oneof(fc.nat(300), fc.constantFrom(23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat())
const data = fc.dictionary(
  fc.string({ maxLength: 20 }),
  fc.oneof(fc.maxSafeInteger(), fc.string({ maxLength: 40 }), fc.boolean(), fc.uint8Array({ maxLength: 40 })),
  { maxKeys: 12 },
)
const entry = fc.record({
  seq,
  time: fc.maxSafeNat(),
  event: fc.string({ maxLength: 20 }),
  actor: fc.string({ maxLength: 60 }),
  subject: fc.option(fc.string({ maxLength: 60 }), { nil: undefined }),
  data,
  prevHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
})

test('the quick reading of number and previous hash agrees with the full one', () => {
  fc.assert(
    fc.property(entry, (value) => {
      const bytes = entryCodec.encode(value)
      const { seq: number, prevHash } = entryCodec.decode(bytes)
      const links = readLinks(bytes)
      expect([links?.seq, hex(links?.prevHash ?? new Uint8Array())]).toEqual([number, hex(prevHash)])
      expect(leafHash(bytes)).toEqual(slowTree.leaf(bytes))
    }),
    { seed: 3 },
  )
})

test('bytes that are no entry have no links', () => {
  const bytes = entryCodec.encode({ seq: 300, time: 0, event: 'noted', actor: 'a', subject: undefined, data: {}, prevHash: firstPrevHash })
  expect(readLinks(new Uint8Array())).toBeUndefined()
  expect(readLinks(bytes.subarray(1))).toBeUndefined()
  for (let length = 0; length < bytes.length; length++) expect(readLinks(bytes.subarray(0, length))).toBeUndefined()
  expect(readLinks(Uint8Array.of(0xa7, 0x63, 0x73, 0x65, 0x71, 0x1f))).toBeUndefined()
})

test('a leaf of any length is hashed whole', () => {
  for (const length of [0, 8_191, 8_192, 8_193, 20_000]) {
    const bytes = new Uint8Array(length).fill(5)
    expect(leafHash(bytes)).toEqual(slowTree.leaf(bytes))
  }
})
