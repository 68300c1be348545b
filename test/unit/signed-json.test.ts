import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { base64, base64url, createSeededRandom, fromUtf8, utf8 } from '../../src/base/index.ts'
import { createSigner } from '../../src/crypto/index.ts'
import { parseDid, peerIdFromDid, verifySignedJson } from '../../src/identity/index.ts'
import { signedJsonBytesMax, signedJsonInput } from '../../src/identity/signed-json.ts'
import { parseDocument, verifySignedDocument } from '../../src/node/index.ts'
import { canonicalJson, parseJsonText } from '../../src/wire/index.ts'

const signer = createSigner(createSeededRandom(1).bytes(32))
const publicKey = base64(signer.publicKey)
const sign = (message: unknown, audience = ''): string => base64(signer.sign(signedJsonInput(message, audience)))
const holds = (message: unknown, signature: string, audience = ''): boolean => verifySignedJson({ message, signature, publicKey, audience })
const canonical = (value: unknown): string => fromUtf8(canonicalJson(value, signedJsonBytesMax))
const invalid = expect.objectContaining({ code: 'ERR_JSON_INVALID' }) as Error
const tooLarge = expect.objectContaining({ code: 'ERR_WIRE_TOO_LARGE' }) as Error

const fcData = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' })

/** Every place in the data with a value that differs from what stands there. */
function* changes(value: unknown): Generator {
  if (Array.isArray(value)) {
    yield [...(value as unknown[]), null]
    for (const [index, item] of value.entries()) {
      yield value.toSpliced(index, 1)
      for (const other of changes(item)) yield value.with(index, other)
    }
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
    yield Object.fromEntries([...entries, ['\u0000new', 1]])
    for (const [index, [name, item]] of entries.entries()) {
      yield Object.fromEntries(entries.toSpliced(index, 1))
      yield Object.fromEntries(entries.with(index, [`${name}\u0000`, item]))
      for (const other of changes(item)) yield Object.fromEntries(entries.with(index, [name, other]))
    }
  } else if (typeof value === 'number') yield value === 1 ? 2 : 1
  else yield typeof value === 'string' ? `${value} ` : 'other'
}

/** The same data with the names of every object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, item]) => [name, reversed(item)] as const)
      .toReversed(),
  )
}

describe('a signature of JSON data', () => {
  test('holds for the same data in any order of names, also after a trip through text', () => {
    fc.assert(
      fc.property(fcData, fc.string({ maxLength: 20 }), (message, audience) => {
        const signature = sign(message, audience)
        expect(holds(message, signature, audience)).toBe(true)
        expect(holds(reversed(message), signature, audience)).toBe(true)
        expect(holds(parseJsonText(JSON.stringify(message, undefined, 1), 1 << 20), signature, audience)).toBe(true)
      }),
      { numRuns: 200, seed: 1 },
    )
  })

  test('breaks with any change at any depth: a value, a name, something more, something less', () => {
    let changed = 0
    fc.assert(
      fc.property(fcData, (message) => {
        const before = canonical(message)
        const signature = sign(message)
        for (const other of changes(message)) {
          if (canonical(other) === before) continue
          changed++
          expect(holds(other, signature)).toBe(false)
        }
      }),
      { numRuns: 150, seed: 2 },
    )
    expect(changed).toBeGreaterThan(500)
  })

  test('covers what is nested: the filter of top-level names that JSON.stringify takes would sign this away', () => {
    const signature = sign({ id: 1, payload: { cmd: 'ls' } })
    expect(holds({ id: 1, payload: { cmd: 'ls' } }, signature)).toBe(true)
    expect(holds({ id: 1, payload: { cmd: 'rm' } }, signature)).toBe(false)
    expect(holds({ id: 1, payload: {} }, signature)).toBe(false)
  })

  test('is for one audience and one purpose', () => {
    const signature = sign({ a: 1 }, 'ben')
    expect(holds({ a: 1 }, signature, 'ben')).toBe(true)
    for (const audience of ['', 'Ben', 'ben ', 'cleo']) expect(holds({ a: 1 }, signature, audience)).toBe(false)
    // Neither the bare text nor a message that looks like the wrapped one is what was signed.
    expect(holds({ a: 1 }, base64(signer.sign(utf8('{"a":1}'))))).toBe(false)
    expect(holds({ a: 1 }, base64(signer.sign(utf8('{"audience":"","message":{"a":1}}'))))).toBe(false)
    expect(holds({ audience: 'ben', message: { a: 1 } }, signature)).toBe(false)
  })

  test('is checked against the key in every spelling, and against no other', () => {
    const did = parseDid(`kind:agent:${publicKey}#ed25519`)
    const signature = sign([1])
    const claim = { message: [1], signature, audience: '' }
    const spellings = [
      publicKey,
      base64url(signer.publicKey),
      did,
      peerIdFromDid(did),
      `kind:agent:${publicKey}#ed25519`,
      `kind:agent:${base64url(signer.publicKey)}#ed25519`,
    ]
    for (const spelling of spellings) expect(verifySignedJson({ ...claim, publicKey: spelling })).toBe(true)
    const other = base64(createSigner(new Uint8Array(32).fill(9)).publicKey)
    const neutral = base64(Uint8Array.of(1, ...new Uint8Array(31)))
    for (const wrong of [other, neutral, '', 'x', `${publicKey}=`, ` ${publicKey}`, publicKey.slice(1), 'x'.repeat(1 << 20)]) {
      expect(verifySignedJson({ ...claim, publicKey: wrong })).toBe(false)
    }
    for (const wrong of ['', 'x', `${signature}\n`, signature.slice(4), `${signature.slice(0, -4)}AAAA${signature.slice(-4)}`, 'A'.repeat(1 << 20)]) {
      expect(verifySignedJson({ ...claim, publicKey, signature: wrong })).toBe(false)
    }
  })
})

describe('data without one canonical text', () => {
  class Money {
    readonly amount = 5
  }
  const circle: unknown[] = []
  circle.push(circle)
  const sparse: unknown[] = []
  sparse[3] = 1
  test.each<readonly [string, unknown]>([
    ['NaN', Number.NaN],
    ['an infinity', { a: [Number.NEGATIVE_INFINITY] }],
    ['nothing', undefined],
    ['a member that is nothing', { a: undefined }],
    ['a bigint', [1n]],
    ['a function', { a: () => 1 }],
    ['a symbol', [Symbol('x')]],
    ['a name that is a symbol', { [Symbol('x')]: 1 }],
    ['an array with holes', sparse],
    ['a date', { at: new Date(0) }],
    ['an object of a class', new Money()],
    ['bytes', new Uint8Array(3)],
    ['a map', new Map([['a', 1]])],
    ['something that spells itself', { toJSON: () => 'safe' }],
    ['half of a surrogate pair', { text: 'a\ud800b' }],
    ['half of a surrogate pair as a name', { '\udc00': 1 }],
    ['a circle', circle],
  ])('is refused: %s', (_what, value) => {
    expect(() => canonical(value)).toThrow(invalid)
    expect(() => sign(value)).toThrow(invalid)
    expect(holds(value, sign({}))).toBe(false)
  })

  test('is refused over its limits, before it is spelled out', () => {
    const nested = (depth: number): unknown => {
      let value: unknown = 1
      for (let level = 0; level < depth; level++) value = [value]
      return value
    }
    expect(canonical(nested(64))).toHaveLength(129)
    expect(() => canonical(nested(65))).toThrow(invalid)
    expect(() => canonical(nested(100_000))).toThrow(invalid)
    // Each level holds the one below twice: 2^40 values in 40 objects.
    let shared: unknown = 1
    for (let level = 0; level < 40; level++) shared = [shared, shared]
    expect(() => canonical(shared)).toThrow(invalid)
    expect(() => canonical(Array.from({ length: 70_000 }, () => 0))).toThrow(invalid)
    expect(() => canonical({ length: 'x'.repeat(signedJsonBytesMax) })).toThrow(tooLarge)
    expect(() => canonical(['\u20ac'.repeat(signedJsonBytesMax / 2)])).toThrow(tooLarge)
    expect(() => sign({}, 'x'.repeat(257))).toThrow(tooLarge)
  })
})

describe('a JSON text', () => {
  test('is read as JSON.parse reads it, and its canonical text reads back to itself', () => {
    fc.assert(
      fc.property(fcData, (value) => {
        const text = JSON.stringify(value)
        const read = parseJsonText(text, 1 << 20)
        expect(read).toEqual(JSON.parse(text))
        expect(canonical(parseJsonText(canonical(read), 1 << 20))).toBe(canonical(read))
      }),
      { numRuns: 300, seed: 3 },
    )
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Object.is(parseJsonText(canonical(value), 64), value === 0 ? 0 : value)).toBe(true)
      }),
      { numRuns: 2_000, seed: 4 },
    )
  })

  test.each([
    ['a name twice', '{"a":1,"b":2,"a":1}'],
    ['a name twice, once escaped', '{"a" : 1, "\\u0061":2}'],
    ['a name twice in depth', '[{"x":[{"y":{"a":1,"c":{},"a":2}}]}]'],
    ['the prototype, twice', '{"__proto__":1,"__proto__":2}'],
    ['half of a pair', '"\\ud83d"'],
    ['a pair the wrong way round', '"\\ude00\\ud83d"'],
    ['a rounded number', '{"amount":12345678901234567891}'],
    ['too large a number', '[-1e309]'],
    ['too small a number', '5e-325'],
    ['too deep', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`],
    ['far too deep', '['.repeat(200_000)],
    ['nothing', ''],
    ['two values', '1 2'],
    ['a comment', '{}// x'],
    ['no JSON number', '[NaN]'],
    ['a byte order mark', '\ufeff{}'],
    ['single quotes', "{'a':1}"],
  ])('is refused for %s', (_what, text) => {
    expect(() => parseJsonText(text, 1 << 20)).toThrow(invalid)
  })

  test.each([
    ['brackets and colons within texts', '{"a:":"{\\"b\\":[:,","b":"\\\\","c\\\\":":"}'],
    ['the same name in two objects', '[{"a":{"a":1}},{"a":2}]'],
    ['a whole pair', '"\\ud83d\\ude00"'],
    ['zeros in any clothes', '[0.000,-0.0,0e99,0E-999]'],
    ['a large number that is exact', '[18446744073709551616,1e22,100000000000000000000]'],
  ])('is taken with %s', (_what, text) => {
    expect(parseJsonText(text, 1_000)).toEqual(JSON.parse(text))
  })

  test('is refused over its size before it is read', () => {
    expect(() => parseJsonText(`"${'x'.repeat(100)}"`, 100)).toThrow(tooLarge)
  })
})

describe('a signed document', () => {
  const did = `kind:agent:${publicKey}#ed25519`
  const document = { schema: 'kindmesh.signed-json/1', did, audience: 'ben', message: { a: [1] }, signature: sign({ a: [1] }, 'ben') }
  const read = (change: object) => parseDocument(JSON.stringify({ ...document, ...change }))

  test('tells who signed it and for whom, and holds to whom one expects', () => {
    expect(verifySignedDocument(read({}), {})).toEqual({ valid: true, signer: did, didKey: parseDid(did), audience: 'ben' })
    expect(verifySignedDocument(read({}), { key: parseDid(did), audience: 'ben' }).valid).toBe(true)
    const other = createSigner(new Uint8Array(32).fill(9)).publicKey
    expect(verifySignedDocument(read({}), { key: `kind:agent:${base64(other)}#ed25519` })).toMatchObject({ valid: false, reason: 'signed by somebody else' })
    expect(verifySignedDocument(read({}), { audience: 'cleo' })).toMatchObject({ valid: false, reason: 'signed for somebody else' })
    for (const change of [
      { message: { a: [2] } },
      { audience: 'cleo' },
      { publicKey: base64(other) },
      { didKey: base64(other) },
      { did: `kind:agent:${base64(other)}#ed25519` },
    ]) {
      expect(verifySignedDocument(read(change), {}), JSON.stringify(change)).toMatchObject({ valid: false, reason: 'the signature does not match' })
    }
  })

  test('of another form is refused with a code', () => {
    for (const change of [{ schema: 'x' }, { signature: 1 }, { did: 5 }, { audience: null }]) expect(() => read(change)).toThrow(invalid)
    expect(() => parseDocument('[]')).toThrow(invalid)
    expect(() => verifySignedDocument(read({ did: 'nobody' }), {})).toThrow(expect.objectContaining({ code: 'ERR_IDENTITY_INVALID' }) as Error)
  })
})
