import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  base64,
  base64url,
  compare,
  concat,
  createLogger,
  createSeededRandom,
  createVirtualClock,
  didFromKey,
  equal,
  errorTable,
  exitCodes,
  fromBase64,
  fromHex,
  fromUtf8,
  hex,
  isErrorCode,
  keyFromDid,
  MeshError,
  parseDidKey,
  randomInt,
  realClock,
  realRandom,
  toMeshError,
  utf8,
  within,
} from '../../src/base/index.ts'

const fail = (error: Error): never => {
  throw error
}
const invalid = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID' }) as Error

describe('the virtual clock', () => {
  test('stands still until told to move, then runs timers in order of time, and of setting where times are equal', async () => {
    const clock = createVirtualClock({ start: 1_000 })
    const ran: string[] = []
    clock.after(20, () => ran.push(`c ${clock.now()}`))
    clock.after(10, () => ran.push(`a ${clock.now()}`))
    clock.after(10, () => ran.push(`b ${clock.now()}`))
    clock.after(-5, () => ran.push(`at once ${clock.now()}`))
    await new Promise((resolve) => setImmediate(resolve))
    expect(ran).toEqual([])
    await clock.advance(15)
    expect(ran).toEqual(['at once 1000', 'a 1010', 'b 1010'])
    expect([clock.now(), clock.monotonic()]).toEqual([1_015, 15])
    await clock.advance(5)
    expect(ran.at(-1)).toBe('c 1020')
  })

  test('runs timers that timers set, and what was awaited in between', async () => {
    const clock = createVirtualClock()
    const slept: number[] = []
    const walk = async (): Promise<void> => {
      for (let step = 0; step < 5; step++) {
        await clock.sleep(10)
        slept.push(clock.monotonic())
      }
    }
    void walk()
    await clock.advance(100)
    expect(slept).toEqual([10, 20, 30, 40, 50])
  })

  test('does not run what was cancelled, also by a timer due at the same time', async () => {
    const clock = createVirtualClock()
    const ran: string[] = []
    clock.after(5, () => cancel())
    const cancel = clock.after(5, () => ran.push('cancelled'))
    const twice = clock.after(6, () => ran.push('kept'))
    await clock.advance(10)
    twice()
    twice()
    expect(ran).toEqual(['kept'])
  })

  test('a jump moves the time of day and neither durations nor timers', async () => {
    const clock = createVirtualClock({ start: 1_000_000 })
    let ran = 0
    clock.after(50, () => ran++)
    clock.jump(-500_000)
    expect([clock.now(), clock.monotonic()]).toEqual([500_000, 0])
    clock.jump(10_000_000)
    await clock.advance(49)
    expect(ran).toBe(0)
    await clock.advance(1)
    expect(ran).toBe(1)
  })

  test('tells whole milliseconds, whatever fractions timers are set for', async () => {
    const clock = createVirtualClock({ start: 10 })
    await clock.advance(0.4)
    expect(clock.now()).toBe(10)
    await clock.advance(0.7)
    expect(clock.now()).toBe(11)
  })

  test('a sleep ends with the reason of its signal, before or while it sleeps, and leaves no timer behind', async () => {
    const clock = createVirtualClock()
    const reason = new MeshError('ERR_ABORTED', 'enough')
    await expect(clock.sleep(10, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const sleeping = clock.sleep(10, { signal: controller.signal })
    controller.abort(reason)
    await expect(sleeping).rejects.toBe(reason)
    expect(await clock.step()).toBe(false)
  })

  test('a timeout aborts with ERR_TIMEOUT and says what took too long; joined with a signal the first of both counts', async () => {
    const clock = createVirtualClock()
    const timeout = clock.timeout(10, 'the weather')
    const controller = new AbortController()
    const joined = within(clock, 10, controller.signal)
    const early = within(clock, 10, AbortSignal.abort(new MeshError('ERR_ABORTED', 'x')))
    await clock.advance(10)
    expect(timeout.reason).toMatchObject({ code: 'ERR_TIMEOUT', message: 'the weather took longer than 10 ms' })
    expect(joined.reason).toMatchObject({ code: 'ERR_TIMEOUT' })
    expect(early.reason).toMatchObject({ code: 'ERR_ABORTED' })
  })

  test('run lets time pass until a promise settles, and gives its failure as its own', async () => {
    const clock = createVirtualClock()
    expect(await clock.run(clock.sleep(86_400_000).then(() => 'slept'))).toBe('slept')
    await expect(clock.run(clock.sleep(5).then(() => fail(new RangeError('no'))))).rejects.toThrow(RangeError)
  })
})

test('the real clock goes forward and runs a timer once', async () => {
  const before = realClock.monotonic()
  await realClock.sleep(1)
  expect(realClock.monotonic()).toBeGreaterThan(before)
  expect(Number.isSafeInteger(realClock.now())).toBe(true)
})

describe('chance', () => {
  test('from one seed is the same, from another is not', () => {
    const draw = (seed: number): string => hex(createSeededRandom(seed).bytes(64))
    expect(draw(1)).toBe(draw(1))
    expect(new Set(Array.from({ length: 200 }, (_, seed) => draw(seed))).size).toBe(200)
  })

  test('is spread evenly and within bounds', () => {
    for (const random of [createSeededRandom(3), realRandom]) {
      const counts = new Uint32Array(16)
      for (let draw = 0; draw < 16_000; draw++) {
        const value = randomInt(random, 16)
        counts[value] = (counts[value] ?? 0) + 1
      }
      expect(counts.reduce((sum, count) => sum + count)).toBe(16_000)
      expect(Math.min(...counts)).toBeGreaterThan(800)
      expect(Math.max(...counts)).toBeLessThan(1_200)
    }
    expect(realRandom.bytes(0)).toHaveLength(0)
    expect(hex(realRandom.bytes(32))).not.toBe(hex(realRandom.bytes(32)))
  })
})

describe('bytes', () => {
  test('go through hexadecimal, both base64 alphabets and UTF-8 without loss', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.string({ unit: 'grapheme' }), (bytes, text) => {
        expect(equal(fromHex(hex(bytes)), bytes)).toBe(true)
        expect(fromBase64(base64(bytes))).toEqual(bytes)
        expect(fromBase64(base64url(bytes))).toEqual(bytes)
        expect(fromUtf8(utf8(text))).toBe(text)
      }),
      { seed: 2 },
    )
  })

  test('a text is base64 only in the spelling that the bytes have', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from('ABab01+/-_= \n')), maxLength: 12 }), (text) => {
        const bytes = fromBase64(text)
        if (bytes !== undefined) expect([base64(bytes), base64url(bytes)]).toContain(text)
      }),
      { seed: 3, numRuns: 5_000 },
    )
    for (const text of ['YQ', 'YQ==']) expect(fromBase64(text)).toEqual(utf8('a'))
    for (const text of ['YR==', 'YQ=', 'YQ===', ' YQ==', 'Y', 'YQ==YQ==', '*', 'Y\u0000Q']) expect(fromBase64(text)).toBeUndefined()
  })

  test('what is no hexadecimal or no UTF-8 is refused, and a byte order mark is kept', () => {
    for (const text of ['0', 'zz', '0x', ' 00', '00 ']) expect(() => fromHex(text)).toThrow(RangeError)
    for (const bytes of ['ff', 'c328', 'eda080', 'f0288cbc']) expect(() => fromUtf8(fromHex(bytes))).toThrow(TypeError)
    expect(fromUtf8(fromHex('efbbbf61'))).toBe('\ufeffa')
  })

  test('parts are joined in order and compared by value, wherever they lie in their buffers', () => {
    const whole = Uint8Array.of(9, 1, 2, 3, 9)
    expect(equal(whole.subarray(1, 4), concat(Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2, 3)))).toBe(true)
    expect(equal(whole.subarray(1, 4), Uint8Array.of(1, 2))).toBe(false)
    expect([Uint8Array.of(2), Uint8Array.of(1, 5), Uint8Array.of(1)].sort(compare)).toEqual([Uint8Array.of(1), Uint8Array.of(1, 5), Uint8Array.of(2)])
  })
})

describe('a did:key', () => {
  test('is the one spelling of its key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        const did = didFromKey(key)
        expect(parseDidKey(did)).toEqual(key)
        expect(keyFromDid(did)).toEqual(key)
        expect(did).toMatch(/^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$/)
      }),
      { seed: 4, numRuns: 300 },
    )
  })

  test('any text that is taken is the text its key has', () => {
    const random = createSeededRandom(5)
    const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl :#\n'
    let taken = 0
    for (let round = 0; round < 20_000; round++) {
      const did: string = didFromKey(random.bytes(32))
      const at = 8 + randomInt(random, did.length - 8)
      const letter = alphabet.charAt(randomInt(random, alphabet.length))
      const text = [did.slice(0, at) + letter + did.slice(at + 1), did.slice(0, at) + letter + did.slice(at), did.slice(0, at)][round % 3] ?? ''
      try {
        expect(didFromKey(parseDidKey(text))).toBe(text)
        taken++
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_IDENTITY_INVALID' })
      }
    }
    expect(taken).toBeGreaterThan(100)
  })

  test.each([
    '',
    'did:key:',
    'did:key:z',
    'did:key:f6Mk',
    'did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc',
    `did:key:z${'1'.repeat(48)}`,
    'DID:KEY:z6Mk',
    `did:key:z6Mk${'z'.repeat(100_000)}`,
  ])('is not %s', (text) => expect(() => parseDidKey(text)).toThrow(invalid))

  test('keys of any other length have none', () => {
    for (const length of [0, 31, 33, 64]) expect(() => didFromKey(new Uint8Array(length))).toThrow(invalid)
  })

  test('more keys than are kept are still read rightly', () => {
    const random = createSeededRandom(6)
    const keys = Array.from({ length: 5_000 }, () => random.bytes(32))
    const dids = keys.map(didFromKey)
    for (const [index, did] of [...dids.entries(), ...dids.entries()]) expect(equal(keyFromDid(did), keys[index] ?? new Uint8Array())).toBe(true)
  })
})

describe('errors', () => {
  test('every code says what it means and what to do next, and leaves with an exit code of the table', () => {
    for (const [code, { meaning, hint, exit }] of Object.entries(errorTable)) {
      expect(code).toMatch(/^ERR_[A-Z_]+$/)
      expect([meaning.length, hint.length].every((length) => length > 5)).toBe(true)
      expect(exitCodes).toHaveProperty(exit)
      expect(isErrorCode(code)).toBe(true)
    }
    for (const text of ['', 'ERR_', 'toString', '__proto__', 'constructor', undefined, 7]) expect(isErrorCode(text)).toBe(false)
  })

  test('an error of ours stays itself; an abort, a timeout and anything else get a code and keep their cause', () => {
    const ours = new MeshError('ERR_REPLAYED', 'again', { details: { a: 1 } })
    expect(toMeshError(ours)).toBe(ours)
    const abort = new DOMException('stop', 'AbortError')
    expect(toMeshError(abort)).toMatchObject({ code: 'ERR_ABORTED', cause: abort })
    expect(toMeshError(new DOMException('late', 'TimeoutError'))).toMatchObject({ code: 'ERR_TIMEOUT' })
    const wrapped = new Error('the read was aborted', { cause: ours })
    wrapped.name = 'AbortError'
    expect(toMeshError(wrapped)).toBe(ours)
    const fault = new TypeError('x is not a function')
    expect(toMeshError(fault)).toMatchObject({ code: 'ERR_INTERNAL', message: 'x is not a function', cause: fault })
    for (const thrown of ['text', 7, null, undefined, { code: 'ERR_REPLAYED' }]) expect(toMeshError(thrown).code).toBe('ERR_INTERNAL')
  })

  test('a better hint takes the place of the one in the table', () => {
    expect(new MeshError('ERR_USAGE', 'x').hint).toBe(errorTable.ERR_USAGE.hint)
    expect(new MeshError('ERR_USAGE', 'x', { hint: 'ask Ben' })).toMatchObject({ hint: 'ask Ben', exitCode: 2 })
  })
})

test('a logger writes what is at its level or above, one line each', () => {
  for (const [level, count] of [
    ['debug', 4],
    ['warn', 2],
    ['silent', 0],
  ] as const) {
    const lines: string[] = []
    const logger = createLogger({ level, write: (line) => lines.push(line) })
    logger.debug('a')
    logger.info('b', { n: 1 })
    logger.warn('c', { text: 'two\nlines' })
    logger.error('d')
    expect(lines).toHaveLength(count)
    for (const line of lines) expect(line).toMatch(/^(debug|info|warn|error) .*\n$/)
    expect(lines.join('').split('\n')).toHaveLength(count + 1)
  }
})

test('no two draws of real chance are alike, whatever their length, and one written to changes no other', () => {
  const seen = new Set<string>()
  for (let draw = 0; draw < 3_000; draw++) {
    const bytes = realRandom.bytes(12 + (draw % 60))
    expect(bytes.length).toBe(12 + (draw % 60))
    expect(bytes.some((byte) => byte !== 0)).toBe(true)
    seen.add(hex(bytes.subarray(0, 12)))
    bytes.fill(0)
  }
  expect(seen.size).toBe(3_000)
  expect(realRandom.bytes(0)).toHaveLength(0)
})
