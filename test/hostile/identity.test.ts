import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { base64, base64url, createSeededRandom, didFromKey, hex, keyFromDid, MeshError, type Random, randomInt, realClock, utf8 } from '../../src/base/index.ts'
import { isValidPublicKey } from '../../src/crypto/index.ts'
import { kindDidFromDid, newKeys, parseDid, peerIdFromDid, readIdentityFile } from '../../src/identity/index.ts'
import { createProfile } from '../../src/node/index.ts'
import { oldKeyFile, openOld } from '../helpers/key-files.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 100_000 : 1_000_000
const invalid = expect.objectContaining({ code: 'ERR_IDENTITY_INVALID' }) as Error
const passphrase = utf8('canary passphrase 4711')

/** Chance that remembers what it gave: the secrets of the file are among it. */
function rememberingRandom(seed: number): { readonly random: Random; readonly given: readonly Uint8Array[] } {
  const inner = createSeededRandom(seed)
  const given: Uint8Array[] = []
  return {
    given,
    random: {
      ...inner,
      bytes(length) {
        const bytes = inner.bytes(length)
        given.push(bytes.slice())
        return bytes
      },
    },
  }
}

describe('a key file in the hands of somebody else', () => {
  let folder: string
  let path: string
  let text: string
  const { random, given } = rememberingRandom(8)
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kindmesh-hostile-key-'))
    path = join(folder, 'home', 'identity.json')
    text = await oldKeyFile(newKeys({ clock: realClock, random }), { passphrase, random })
    await mkdir(join(folder, 'home'))
    await writeFile(path, text)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** What opening an edited file gives: the same identity, or an error. */
  async function openEdited(edited: string): Promise<string | MeshError> {
    const other = join(folder, 'edited.json')
    await writeFile(other, edited)
    try {
      return (await openOld(other, { passphrase, random: createSeededRandom(1) })).did
    } catch (error) {
      return error as MeshError
    }
  }

  test('holds no secret in clear', () => {
    // Seed and root key are the first two things drawn.
    for (const secret of [passphrase, ...given.slice(0, 2)]) {
      for (const spelling of [base64(secret), base64url(secret), hex(secret), Buffer.from(secret).toString('latin1')]) expect(text).not.toContain(spelling)
    }
  })

  test('every edit of one byte is refused or harmless: it never opens as another identity, and no error tells a secret', async () => {
    const { did } = JSON.parse(text) as { readonly did: string }
    const chance = createSeededRandom(9)
    const bytes = utf8(text)
    let costly = 0
    let refused = 0
    for (let at = 0; at < bytes.length; at++) {
      const letter = 'A0{"} +\n-'.charCodeAt(randomInt(chance, 9))
      const edited = Buffer.from(bytes.with(at, letter === bytes[at] ? letter ^ 1 : letter)).toString('latin1')
      let parses = true
      try {
        await writeFile(join(folder, 'edited.json'), edited)
        await readIdentityFile(join(folder, 'edited.json'))
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(STORE|AUTH)_FAILED$/) as string })
        parses = false
        refused++
      }
      // One that parses costs an Argon2 each: a sample of them.
      if (!parses || costly++ % 12 !== 0) continue
      const outcome = await openEdited(edited)
      if (outcome === did) continue
      refused++
      expect(outcome).toMatchObject({ code: 'ERR_AUTH_FAILED' })
      const told = inspect(outcome, { depth: 9, showHidden: true })
      for (const secret of given.slice(0, 4)) for (const spelling of [base64(secret), hex(secret)]) expect(told).not.toContain(spelling)
      expect(told).not.toContain('canary passphrase')
    }
    expect(refused).toBeGreaterThan(bytes.length / 3)
  }, 120_000)

  test('slots swapped in from another file, or more of them, open nothing', async () => {
    const file = JSON.parse(text) as { slots: object[]; seed: string }
    const random = createSeededRandom(10)
    const other = JSON.parse(await oldKeyFile(newKeys({ clock: realClock, random }), { passphrase, random })) as typeof file
    for (const mixed of [
      { ...file, slots: other.slots },
      { ...file, seed: other.seed },
      { ...file, slots: other.slots, seed: other.seed },
    ]) {
      expect(await openEdited(JSON.stringify(mixed))).toMatchObject({ code: 'ERR_AUTH_FAILED' })
    }
    expect(await openEdited(JSON.stringify({ ...file, slots: [] }))).toMatchObject({ code: 'ERR_STORE_FAILED' })
    expect(await openEdited(JSON.stringify({ ...file, slots: Array.from({ length: 9 }, () => file.slots[0]) }))).toMatchObject({ code: 'ERR_STORE_FAILED' })
    // A foreign slot beside the right one takes nothing away.
    expect(await openEdited(JSON.stringify({ ...file, slots: [...other.slots, ...file.slots] }))).toBe((await readIdentityFile(path)).did)
  })

  test('parameters that would take all memory or all day are refused before any work', async () => {
    const file = JSON.parse(text) as { slots: readonly object[] }
    const [slot] = file.slots
    for (const changed of [
      { memoryKiB: 2 ** 31 },
      { memoryKiB: 2 ** 53 - 1 },
      { iterations: 2 ** 31 },
      { parallelism: 2 ** 24 },
      { parallelism: 0 },
      { salt: '' },
      { salt: 'AAAA' },
    ]) {
      expect(await openEdited(JSON.stringify({ ...file, slots: [{ ...slot, ...changed }] }))).toMatchObject({ code: 'ERR_AUTH_FAILED' })
    }
    for (const changed of [{ memoryKiB: 65_536.5 }, { memoryKiB: '65536' }, { iterations: null }, { kdf: 'scrypt' }, { kind: 'none' }]) {
      expect(await openEdited(JSON.stringify({ ...file, slots: [{ ...slot, ...changed }] }))).toMatchObject({ code: 'ERR_STORE_FAILED' })
    }
  })

  test('a folder, or nothing readable, in its place has a code', async () => {
    await mkdir(join(folder, 'a folder'))
    await expect(readIdentityFile(join(folder, 'a folder'))).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' })
    await expect(readIdentityFile(join(path, 'below a file'))).rejects.toBeInstanceOf(MeshError)
    await mkdir(join(folder, 'taken', 'identity.json'), { recursive: true })
    const taken = createProfile({ home: join(folder, 'taken'), passphrase, clock: realClock, random })
    await expect(taken).rejects.toMatchObject({ code: 'ERR_PROFILE_EXISTS' })
  })

  test('of two profiles that are created at one time in one folder one wins, whole, and nothing is left lying about', async () => {
    const home = join(folder, 'race')
    const made = await Promise.allSettled([11, 12].map((seed) => createProfile({ home, passphrase, clock: realClock, random: createSeededRandom(seed) })))
    const winners = made.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.did] : []))
    expect(winners).toEqual([(await readIdentityFile(join(home, 'identity.json'))).did])
    expect(made.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: expect.stringMatching(/^ERR_PROFILE_(EXISTS|LOCKED)$/) as string },
    })
    expect((await readdir(home)).toSorted()).toEqual(['identity.json', 'store', 'vault'])
    await expect(createProfile({ home, passphrase, clock: realClock, random })).rejects.toMatchObject({ code: 'ERR_PROFILE_EXISTS' })
    for (const file of ['identity.json', 'vault']) expect((await stat(join(home, file))).mode & 0o777).toBe(0o600)
    expect((await stat(home)).mode & 0o777).toBe(0o700)
  })

  test('files of noise and of mutated JSON are told from key files by a code', async () => {
    const chance = createSeededRandom(13)
    const other = join(folder, 'fuzzed.json')
    let refused = 0
    for (let round = 0; round < inputs / 50; round++) {
      const bytes = utf8(text)
      const kind = randomInt(chance, 3)
      const mutated =
        kind === 0
          ? chance.bytes(randomInt(chance, 400))
          : kind === 1
            ? bytes.subarray(0, randomInt(chance, bytes.length))
            : bytes.with(randomInt(chance, bytes.length), randomInt(chance, 256))
      await writeFile(other, mutated)
      try {
        await readIdentityFile(other)
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(STORE|AUTH)_FAILED$/) as string })
        refused++
      }
    }
    expect(refused).toBeGreaterThan(inputs / 100)
  }, 120_000)
})

describe('texts that claim to be identities', () => {
  test('whatever is taken is one of the spellings of its key, and its key is sound', () => {
    const chance = createSeededRandom(14)
    const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl+/=-_#: '
    const honest = [1, 2, 3].map((seed) => keyringOf(seed).did)
    let taken = 0
    for (let round = 0; round < inputs; round++) {
      const did = honest[round % 3] ?? didFromKey(new Uint8Array(32))
      const key = keyFromDid(did)
      const spellings: readonly string[] = [did, peerIdFromDid(did), kindDidFromDid(did), `kind:agent:${base64url(key)}#ed25519`]
      const spelling = spellings[randomInt(chance, 4)] ?? did
      const at = randomInt(chance, spelling.length)
      const letter = alphabet.charAt(randomInt(chance, alphabet.length))
      const text =
        [
          spelling.slice(0, at) + letter + spelling.slice(at + 1),
          spelling.slice(0, at) + letter + spelling.slice(at),
          spelling.slice(0, at) + spelling.slice(at + 1),
        ][randomInt(chance, 3)] ?? ''
      try {
        const read = parseDid(text)
        const raw = keyFromDid(read)
        expect(isValidPublicKey(raw)).toBe(true)
        expect([read, peerIdFromDid(read), kindDidFromDid(read), `kind:agent:${base64url(raw)}#ed25519`]).toContain(text)
        taken++
      } catch (error) {
        if (!(error instanceof MeshError) || error.code !== 'ERR_IDENTITY_INVALID') throw error
      }
    }
    // A changed letter sometimes changes nothing, and some changed keys are points of the group.
    expect(taken).toBeGreaterThan(inputs / 200)
  })

  test('honest keys moved off the prime-order group are refused in every spelling', async () => {
    const { ed25519 } = await import('@noble/curves/ed25519.js')
    const torsion = ed25519.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
    for (let seed = 1; seed <= 20; seed++) {
      let point = ed25519.Point.fromBytes(keyringOf(seed).publicKey)
      for (let multiple = 1; multiple < 8; multiple++) {
        point = point.add(torsion)
        const did = didFromKey(point.toBytes())
        for (const text of [did, peerIdFromDid(did), kindDidFromDid(did)]) expect(() => parseDid(text)).toThrow(invalid)
      }
    }
  })
})
