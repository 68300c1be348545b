import { decode as decodeWithLibrary, encode as encodeWithLibrary } from 'cborg'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex, hex, type MeshError } from '../../src/base/index.ts'
import { bytesOf, codec, decode, encode, listOf, map, nullable, oneOf, type Plain, row, textUpTo, uintUpTo } from '../../src/wire/index.ts'

const malformed: unknown = expect.objectContaining({ code: 'ERR_WIRE_MALFORMED' })
const read = (text: string): unknown => decode(fromHex(text), 1 << 16)

describe('deterministic CBOR', () => {
  // RFC 8949 appendix A, the rows inside our profile.
  test.each<readonly [string, Plain]>([
    ['00', 0],
    ['01', 1],
    ['0a', 10],
    ['17', 23],
    ['1818', 24],
    ['1864', 100],
    ['1903e8', 1_000],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['20', -1],
    ['29', -10],
    ['3863', -100],
    ['3903e7', -1_000],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['60', ''],
    ['6161', 'a'],
    ['6449455446', 'IETF'],
    ['62225c', '"\\'],
    ['62c3bc', 'ü'],
    ['63e6b0b4', '水'],
    ['64f0908591', '\u{10151}'],
    ['80', []],
    ['83010203', [1, 2, 3]],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    ['a0', {}],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['826161a161626163', ['a', { b: 'c' }]],
    ['1b001fffffffffffff', 2 ** 53 - 1],
    ['3b001ffffffffffffe', -(2 ** 53 - 1)],
  ])('%s is %j both ways', (text, value) => {
    expect(read(text)).toEqual(value)
    expect(hex(encode(value))).toBe(text)
  })

  test.each([
    ['an integer longer than needed', '1817'],
    ['a 16-bit integer longer than needed', '190018'],
    ['a 32-bit integer longer than needed', '1a00000100'],
    ['a 64-bit integer longer than needed', '1b00000000ffffffff'],
    ['an integer beyond 2^53-1', '1b0020000000000000'],
    ['a negative integer below -(2^53-1)', '3b001fffffffffffff'],
    ['a length longer than needed', '580101'],
    ['half floats', 'f93c00'],
    ['single floats', 'fa3f800000'],
    ['double floats', 'fb3ff0000000000000'],
    ['NaN', 'f97e00'],
    ['undefined', 'f7'],
    ['other simple values', 'f0'],
    ['simple values in two bytes', 'f820'],
    ['tags', 'c000'],
    ['bignums', 'c249010000000000000000'],
    ['byte strings of indefinite length', '5f4101ff'],
    ['texts of indefinite length', '7f6161ff'],
    ['lists of indefinite length', '9f01ff'],
    ['maps of indefinite length', 'bf616101ff'],
    ['a stray break', 'ff'],
    ['reserved heads', '1c'],
    ['map keys out of order', 'a2616201616101'],
    ['a longer key before a shorter', 'a262616101616201'],
    ['map keys twice', 'a2616101616102'],
    ['map keys that are no text', 'a10101'],
    ['the key __proto__', 'a1695f5f70726f746f5f5f01'],
    ['text that is not UTF-8', '62c328'],
    ['surrogates in UTF-8', '63eda080'],
    ['bytes after the item', '0000'],
    ['nothing', ''],
    ['a list that ends early', '8201'],
    ['a map without its last value', 'a16161'],
    ['a head that ends early', '19'],
    ['a text that ends early', '6261'],
  ])('refuses %s', (_what, text) => {
    expect(() => read(text)).toThrow(malformed)
  })

  test('takes depth 16 and refuses 17, takes 4,096 items and refuses 4,097', () => {
    const nested = (depth: number): Uint8Array => Uint8Array.from([...new Uint8Array(depth - 1).fill(0x81), 0x80])
    expect(decode(nested(16), 1 << 16)).toBeDefined()
    expect(() => decode(nested(17), 1 << 16)).toThrow(malformed)
    const many = (items: number): Uint8Array => encode(Array.from({ length: items - 1 }, () => 0))
    expect(decode(many(4_096), 1 << 16)).toHaveLength(4_095)
    expect(() => decode(many(4_097), 1 << 16)).toThrow(malformed)
  })

  test('a value goes through unchanged, and what is read is written again byte for byte', () => {
    const leaf = fc.oneof(fc.maxSafeInteger(), fc.boolean(), fc.constant(null), fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 64 }))
    const key = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => text !== '__proto__')
    const { tree } = fc.letrec<{ tree: Plain }>((tie) => ({
      tree: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('tree'), { maxLength: 5 }), fc.dictionary(key, tie('tree'), { maxKeys: 5, noNullPrototype: true })),
    }))
    fc.assert(
      fc.property(tree, (value) => {
        const bytes = encode(value)
        const back = decode(bytes, 1 << 20)
        expect(hex(encode(back as Plain))).toBe(hex(bytes))
        expect(back).toEqual(value === 0 ? 0 : value)
        // Written and read by another library, it is the same.
        expect(hex(encodeWithLibrary(value))).toBe(hex(bytes))
        expect(decodeWithLibrary(bytes)).toEqual(back)
      }),
      { seed: 1, numRuns: 2_000 },
    )
  })

  test('heads of every width, at both ends of each', () => {
    for (const length of [0, 23, 24, 255, 256, 65_535, 65_536, 100_000]) {
      for (const value of [new Uint8Array(length).fill(7), 'ä'.repeat(length), 'x'.repeat(length), Array.from({ length: Math.min(length, 4_095) }, () => 1)]) {
        const bytes = encode(value)
        expect(Buffer.compare(bytes, encodeWithLibrary(value))).toBe(0)
        expect(decode(bytes, 1 << 20)).toEqual(value)
      }
    }
    for (const power of [0, 8, 16, 32, 40, 52, 53]) {
      for (const value of [2 ** power - 2, 2 ** power - 1, 2 ** power, 2 ** power + 1].filter((number) => Number.isSafeInteger(number))) {
        for (const signed of value === 0 ? [0] : [value, -value]) {
          expect(hex(encode(signed))).toBe(hex(encodeWithLibrary(signed)))
          expect(decode(encode(signed), 16)).toBe(signed)
        }
      }
    }
  })

  test('what is read shares no memory with what it was read from, nor what is written with a pool', () => {
    const source = Buffer.from(encode([Uint8Array.of(1, 2, 3)]))
    const [inner] = decode(source, 64) as readonly [Uint8Array]
    source.fill(0)
    expect(inner).toEqual(Uint8Array.of(1, 2, 3))
    expect(Object.getPrototypeOf(inner)).toBe(Uint8Array.prototype)
    const bytes = encode({ a: 1 })
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    expect(bytes.buffer.byteLength).toBe(bytes.length)
  })

  test('half of a surrogate pair becomes the replacement character', () => {
    expect(decode(encode(['\ud800a', { '\udc00': 1 }]), 64)).toEqual(['\ufffda', { '\ufffd': 1 }])
  })

  test('writes only what the profile carries', () => {
    const circle: unknown[] = []
    circle.push(circle)
    for (const value of [
      1.5,
      -0,
      Number.NaN,
      2 ** 53,
      1n,
      undefined,
      { a: undefined },
      [Symbol('x')],
      () => 1,
      new Map(),
      new Date(0),
      circle,
      JSON.parse('{"__proto__":1}'),
    ]) {
      expect(() => encode(value as Plain)).toThrow(malformed)
    }
  })
})

describe('shapes', () => {
  const shape = row({ id: bytesOf(2), kind: oneOf(['a', 'b']), name: nullable(textUpTo(3)), list: listOf(uintUpTo(9), 2), inner: map({ x: uintUpTo(1) }) })
  const example = codec('example', shape, 64)
  const good = { id: Uint8Array.of(1, 2), kind: 'a', name: undefined, list: [1, 9], inner: { x: 1 } } as const

  test('an object is written as a list of its fields and read again', () => {
    expect(hex(example.encode(good))).toBe('854201026161f6820109a1617801')
    expect(example.decode(example.encode(good))).toEqual(good)
  })

  test.each<readonly [string, Plain]>([
    ['example is not a list of 5', [1]],
    ['example.id is not 2 bytes', [Uint8Array.of(1), 'a', null, [], { x: 1 }]],
    ['example.kind is not one of a, b', [Uint8Array.of(1, 2), 'c', null, [], { x: 1 }]],
    ['example.name is not text of at most 3 characters', [Uint8Array.of(1, 2), 'a', 'long', [], { x: 1 }]],
    ['example.list is not a list of at most 2', [Uint8Array.of(1, 2), 'a', null, [1, 2, 3], { x: 1 }]],
    ['example.list[1] is not an integer from 0 to 9', [Uint8Array.of(1, 2), 'a', null, [1, 10], { x: 1 }]],
    ['example.inner is not a map of x', [Uint8Array.of(1, 2), 'a', null, [], { x: 1, y: 1 }]],
    ['example.inner.x is not an integer from 0 to 1', [Uint8Array.of(1, 2), 'a', null, [], { x: 2 }]],
    ['example.inner.x is not an integer from 0 to 1', [Uint8Array.of(1, 2), 'a', null, [], { toString: 1 }]],
  ])('says "%s"', (message, plain) => {
    try {
      example.decode(encode(plain))
      expect.unreachable()
    } catch (error) {
      expect([(error as MeshError).code, (error as MeshError).message]).toEqual(['ERR_WIRE_MALFORMED', message])
    }
  })

  test('is held to its size both ways', () => {
    const small = codec('small', textUpTo(100), 8)
    expect(() => small.encode('123456789')).toThrow(expect.objectContaining({ code: 'ERR_WIRE_TOO_LARGE' }))
    expect(() => small.decode(encode('123456789'))).toThrow(expect.objectContaining({ code: 'ERR_WIRE_TOO_LARGE' }))
  })
})
