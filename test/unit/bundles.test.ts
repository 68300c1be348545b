import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, didFromKey, fromHex, hex, utf8 } from '../../src/base/index.ts'
import { type Bundle, bundleBytesMax, checkBundle, createBundlePins, createCodeCache, openBundle, parsePin, signBundle } from '../../src/bundles/index.ts'
import { contentHash, createSigner } from '../../src/crypto/index.ts'
import { kindDidFromDid } from '../../src/identity/index.ts'
import { bundleCheck } from '../../src/node/bundles.ts'
import { signedJsonInput } from '../../src/identity/signed-json.ts'

const signer = createSigner(createSeededRandom(7).bytes(32))
const other = createSigner(createSeededRandom(8).bytes(32))
const code = 'return await memory.get("a")'
const publisher = didFromKey(signer.publicKey)
const bundle: Bundle = {
  name: 'reader',
  version: '1.2.3',
  codeHash: await contentHash(utf8(code)),
  engine: 'javascript',
  permissions: ['memory:read'],
  publisher,
}
const text = signBundle(bundle, (input) => signer.sign(input))
const coded = (error: string): Error => expect.objectContaining({ code: error }) as Error
const changed = (change: (document: Record<string, unknown>) => void): Uint8Array => {
  const document = JSON.parse(text) as Record<string, unknown>
  change(document)
  return utf8(JSON.stringify(document))
}
const altered = (field: string, value: unknown): Uint8Array => changed((document) => Object.assign(document['message'] as object, { [field]: value }))

describe('a bundle', () => {
  test('says what its publisher said', () => {
    expect(openBundle(utf8(text))).toEqual(bundle)
  })
  test('altered in any field is refused', () => {
    const changes: readonly Uint8Array[] = [
      altered('name', 'writer'),
      altered('version', '1.2.4'),
      altered('codeHash', '0'.repeat(64)),
      altered('engine', 'wasm'),
      altered('permissions', ['memory:read', 'memory:write']),
      altered('permissions', []),
      altered('publisher', kindDidFromDid(didFromKey(other.publicKey))),
      altered('more', 1),
      changed((document) => Object.assign(document, { did: kindDidFromDid(didFromKey(other.publicKey)) })),
      changed((document) => Object.assign(document, { audience: '' })),
      changed((document) =>
        Object.assign(document, { signature: (JSON.parse(signBundle(bundle, (input) => other.sign(input))) as { signature: string }).signature }),
      ),
      changed((document) => Object.assign(document, { schema: 'kindmesh.signed-json/2' })),
      utf8(text.slice(0, -1)),
      utf8(text.replace('"name":"reader"', '"name":"reader","name":"reader"')),
      Uint8Array.of(0xff, 0xfe),
      new Uint8Array(bundleBytesMax + 1),
    ]
    for (const bytes of changes) expect(() => openBundle(bytes)).toThrow(coded('ERR_BUNDLE_INVALID'))
  })
  test('is no other signed data of the same key, and a bundle is no other signed data', () => {
    const { message } = JSON.parse(text) as { message: unknown }
    const signature = Buffer.from(signer.sign(signedJsonInput(message, ''))).toString('base64')
    expect(() => openBundle(changed((document) => Object.assign(document, { signature })))).toThrow(coded('ERR_BUNDLE_INVALID'))
  })
  test('is good for its code, its engine and its permissions alone', async () => {
    const use = { codeHash: bundle.codeHash, engine: 'javascript', capabilities: ['memory:read'] } as const
    const other = { ...use, codeHash: await contentHash(utf8(`${code} `)) }
    checkBundle(bundle, use)
    checkBundle(bundle, { ...use, capabilities: [] })
    expect(() => checkBundle(bundle, other)).toThrow(coded('ERR_BUNDLE_INVALID'))
    expect(() => checkBundle(bundle, { ...use, engine: 'wasm' })).toThrow(coded('ERR_BUNDLE_INVALID'))
    expect(() => checkBundle(bundle, { ...use, capabilities: ['vault:access'] })).toThrow(coded('ERR_SANDBOX_PERMISSION'))
  })
})

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-bundles-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

describe('pins', () => {
  const pinsIn = () => createBundlePins(join(folder, 'pins.json'), createSeededRandom(1))
  test('trust nothing until a publisher or a code is named, in any spelling, and nothing again when it is taken back', async () => {
    await expect(pinsIn().check(bundle)).rejects.toThrow(coded('ERR_BUNDLE_UNPINNED'))
    for (const name of [publisher, kindDidFromDid(publisher), hex(bundle.codeHash), hex(bundle.codeHash).toUpperCase()]) {
      const pin = parsePin(name, 'a friend')
      await pinsIn().add(pin)
      expect(await pinsIn().check(bundle)).toEqual(pin)
      await expect(pinsIn().check({ ...bundle, publisher: didFromKey(other.publicKey), codeHash: fromHex('0'.repeat(64)) })).rejects.toThrow(
        coded('ERR_BUNDLE_UNPINNED'),
      )
      await pinsIn().remove(pin.value)
      await expect(pinsIn().check(bundle)).rejects.toThrow(coded('ERR_BUNDLE_UNPINNED'))
    }
  })
  test('decide whether the bundle of a task counts', async () => {
    const task = { codeHash: bundle.codeHash, engine: 'javascript', capabilities: ['memory:read'] } as const
    const check = bundleCheck(pinsIn())
    await expect(check(utf8(text), task)).rejects.toThrow(coded('ERR_BUNDLE_UNPINNED'))
    await expect(bundleCheck(undefined)(utf8(text), task)).rejects.toThrow(coded('ERR_BUNDLE_UNPINNED'))
    await pinsIn().add(parsePin(publisher, ''))
    await check(utf8(text), task)
    await expect(check(altered('version', '2'), task)).rejects.toThrow(coded('ERR_BUNDLE_INVALID'))
    await expect(check(utf8(text), { ...task, codeHash: fromHex('0'.repeat(64)) })).rejects.toThrow(coded('ERR_BUNDLE_INVALID'))
    await expect(check(utf8(text), { ...task, capabilities: ['vault:access'] })).rejects.toThrow(coded('ERR_SANDBOX_PERMISSION'))
  })
  test('of a damaged file trust nothing', async () => {
    await pinsIn().add(parsePin(publisher, ''))
    await writeFile(join(folder, 'pins.json'), '{"schema":"kindmesh.bundle-pins/1","pins":[{')
    await expect(pinsIn().check(bundle)).rejects.toThrow(coded('ERR_STORE_FAILED'))
  })
  test('are publishers or hashes', () => {
    for (const name of ['', 'reader', 'a'.repeat(63), 'did:key:z6Mk']) expect(() => parsePin(name, '')).toThrow(coded('ERR_USAGE'))
  })
})

describe('the cache of code', () => {
  const clock = createVirtualClock()
  const cacheIn = (bytesMax: number, itemsMax = 8) => createCodeCache({ folder, clock, random: createSeededRandom(2), bytesMax, itemsMax })
  const named = async (content: string) => [await contentHash(utf8(content)), utf8(content)] as const

  test('gives back what a hash names, and takes nothing else under it', async () => {
    const [hash, bytes] = await named(code)
    const cache = cacheIn(1_000)
    expect(await cache.get(hash)).toBeUndefined()
    await expect(cache.put(hash, utf8('other'))).rejects.toThrow(coded('ERR_BUNDLE_INVALID'))
    expect(await readdir(folder)).toEqual([])
    await cache.put(hash, bytes)
    expect(await cache.get(hash)).toEqual(bytes)
  })
  test('does not give out what somebody put in the place of a code, and forgets it', async () => {
    const [hash, bytes] = await named(code)
    await cacheIn(1_000).put(hash, bytes)
    await writeFile(join(folder, hex(hash)), 'return "evil"')
    expect(await cacheIn(1_000).get(hash)).toBeUndefined()
    expect(await readdir(folder)).toEqual([])
  })
  test('stays within its bounds: what was not used the longest goes', async () => {
    const cache = cacheIn(300)
    const codes = await Promise.all(['a', 'b', 'c', 'd'].map((letter) => named(letter.repeat(100))))
    const [first, second, third, fourth] = codes as [(typeof codes)[0], (typeof codes)[0], (typeof codes)[0], (typeof codes)[0]]
    for (const entry of [first, second, third]) {
      await cache.put(...entry)
      await clock.advance(60_000)
      await cache.get(entry[0])
    }
    await clock.advance(60_000)
    await cache.get(first[0])
    await cache.put(...fourth)
    expect(await cache.get(second[0])).toBeUndefined()
    for (const [hash, bytes] of [first, third, fourth]) expect(await cache.get(hash)).toEqual(bytes)
    await expect(cache.put(...(await named('e'.repeat(301))))).rejects.toThrow(coded('ERR_WIRE_TOO_LARGE'))
    for (let index = 0; index < 12; index++) await cacheIn(10_000, 4).put(...(await named(String(index))))
    expect((await readdir(folder)).length).toBeLessThanOrEqual(4)
  })
})
