import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64, base64url, createSeededRandom, didFromKey, fromHex, keyFromDid, type MeshError, realClock, utf8 } from '../../src/base/index.ts'
import { createLocalBox, createSigner, deriveFromPassphrase, deriveKey, passphraseParams } from '../../src/crypto/index.ts'
import { begun, createKeyring, kindDidFromDid, newKeys, parseDid, peerIdFromDid, readIdentityFile } from '../../src/identity/index.ts'
import { oldKeyFile, openOld, openOldKeys } from '../helpers/key-files.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const invalid = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID' }) as Error

describe('three spellings of one key', () => {
  test('each is read back to the same DID without loss', () => {
    for (let seed = 0; seed < 200; seed++) {
      const { did, publicKey } = keyringOf(seed)
      expect(keyFromDid(did)).toEqual(publicKey)
      const urlSpelling = `kind:agent:${base64url(publicKey)}#ed25519`
      for (const text of [did, peerIdFromDid(did), kindDidFromDid(did), urlSpelling, `kind:agent:${base64(publicKey).replace('=', '=')}#ed25519`]) {
        expect(parseDid(text)).toBe(did)
      }
    }
  })

  test('a base64 text that decodes to the key but is not how the key is written is refused', () => {
    const { publicKey } = keyringOf(1)
    const text = base64(publicKey)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    // The last digit of 43 carries two bits that no byte needs: four texts, one key.
    const last = alphabet.indexOf(text[42] ?? '')
    const twins = [1, 2, 3].map((bits) => `${text.slice(0, 42)}${alphabet[last ^ bits] ?? ''}=`)
    for (const twin of [...twins, ` ${text}`, `${text}=`, `${text.slice(0, -1)}==`, `${text.slice(0, 20)}\n${text.slice(20)}`]) {
      expect(() => parseDid(`kind:agent:${twin}#ed25519`)).toThrow(invalid)
    }
  })

  test.each([
    ['the identity point', '0100000000000000000000000000000000000000000000000000000000000000'],
    ['zero', '0000000000000000000000000000000000000000000000000000000000000000'],
    ['a point of order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['p itself, not canonical', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['no point at all', '0200000000000000000000000000000000000000000000000000000000000000'],
  ])('%s is no identity in any spelling', (_what, key) => {
    const did = didFromKey(fromHex(key))
    for (const text of [did, peerIdFromDid(did), kindDidFromDid(did)]) expect(() => parseDid(text)).toThrow(invalid)
  })

  test.each([
    '',
    'did:key:',
    'did:key:z6Mk',
    'did:web:example.org',
    'kind:agent:#ed25519',
    'kind:agent:AAAA',
    '12D3KooW',
    'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKXvvm',
    'x'.repeat(10_000),
    `did:key:z${'1'.repeat(60)}`,
  ])('refuses %s', (text) => {
    expect(() => parseDid(text)).toThrow(invalid)
  })
})

describe('a key file from before there was a vault', () => {
  let folder: string
  let path: string
  const passphrase = utf8('correct horse')
  const random = createSeededRandom(1)
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kindmesh-key-'))
    path = join(folder, 'identity.json')
    await writeFile(path, await oldKeyFile(newKeys({ clock: realClock, random }), { passphrase, random }))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('opens with its passphrase to an identity that signs', async () => {
    const keyring = await openOld(path, { passphrase, random })
    expect((await readIdentityFile(path)).did).toBe(keyring.did)
    expect(Object.values(keyring).some((value) => value instanceof Uint8Array && value.length === 64)).toBe(false)
  })

  test('made before there were chains opens as it was, and gets its inception once', async () => {
    const random = createSeededRandom(21)
    const [seed, rootKey, salt] = [random.bytes(32), random.bytes(32), random.bytes(16)]
    const did = didFromKey(createSigner(seed).publicKey)
    const params = { ...passphraseParams, salt }
    const slot = utf8(`kindmesh.key-file/1 slot ${did} argon2id ${params.memoryKiB} ${params.iterations} ${params.parallelism} ${base64(salt)}`)
    const sealedRoot = createLocalBox(await deriveFromPassphrase(passphrase, params), random).seal(rootKey, slot)
    const sealedSeed = createLocalBox(deriveKey(rootKey, 'identity'), random).seal(seed, utf8(`kindmesh.key-file/1 seed ${did}`))
    const slots = [{ kind: 'passphrase', ...params, salt: base64(salt), rootKey: base64(sealedRoot) }]
    const old = join(folder, 'old.json')
    await writeFile(old, JSON.stringify({ schema: 'kindmesh.key-file/1', did, createdAt: 5, slots, seed: base64(sealedSeed) }), { mode: 0o600 })
    const found = await openOldKeys(old, { passphrase, random })
    expect(createKeyring(found, random)).toMatchObject({ did, identity: did, chain: [] })
    const chained = begun(found, { random, clock: realClock })
    expect(createKeyring(chained, random)).toMatchObject({ did, identity: did, keys: [did] })
    expect([chained.chain.length, chained.createdAt]).toEqual([1, 5])
    expect(begun(chained, { random, clock: realClock })).toBe(chained)
    // What rests under the root key still opens.
    expect(
      createKeyring(chained, random)
        .box('x')
        .open(createKeyring(found, random).box('x').seal(utf8('kept'), utf8('here')), utf8('here')),
    ).toEqual(utf8('kept'))
  }, 60_000)

  test('a wrong passphrase and an altered file look alike, and neither says anything secret', async () => {
    const file = JSON.parse(await readFile(path, 'utf8')) as {
      did: string
      seed: string
      slots: { rootKey: string; salt: string; memoryKiB: number; iterations: number }[]
    }
    const flip = (text: string): string => (text.startsWith('A') ? `B${text.slice(1)}` : `A${text.slice(1)}`)
    const [slot] = file.slots
    const altered = [
      { ...file, seed: flip(file.seed) },
      { ...file, did: keyringOf(9).did },
      { ...file, slots: [{ ...slot, rootKey: flip(slot?.rootKey ?? '') }] },
      { ...file, slots: [{ ...slot, salt: flip(slot?.salt ?? '') }] },
      { ...file, slots: [{ ...slot, iterations: 4 }] },
      // Weaker than we write: refused before any work is done.
      { ...file, slots: [{ ...slot, memoryKiB: 1_024 }] },
      { ...file, slots: [{ ...slot, iterations: 1 }] },
    ]
    const messages: string[] = []
    for (const content of altered) {
      const other = join(folder, 'altered.json')
      await writeFile(other, JSON.stringify(content))
      await openOld(other, { passphrase, random }).catch((error: MeshError) => messages.push(`${error.code}: ${error.message}`))
    }
    await openOld(path, { passphrase: utf8('battery staple'), random }).catch((error: MeshError) => messages.push(`${error.code}: ${error.message}`))
    expect(messages).toHaveLength(8)
    expect(new Set(messages)).toEqual(new Set(['ERR_AUTH_FAILED: wrong passphrase, or the key file was altered']))
  }, 120_000)

  test('what is no key file is said to be damaged, what is not there to be missing', async () => {
    for (const text of ['', '{}', 'null', '{"schema":"kindmesh.key-file/2"}', 'x'.repeat(100_000)]) {
      const other = join(folder, 'damaged.json')
      await writeFile(other, text)
      await expect(openOld(other, { passphrase, random })).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' })
    }
    await expect(openOld(join(folder, 'nowhere'), { passphrase, random })).rejects.toMatchObject({ code: 'ERR_PROFILE_MISSING' })
  })
})
