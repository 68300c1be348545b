import { createCipheriv, pbkdf2Sync } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { base64, concat, createSeededRandom, utf8 } from '../../src/base/index.ts'
import { createVault, openBackup, openOldVault, openVault, reservedPrefix, type Secret } from '../../src/vault/index.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { passkey, vaultPlace } from '../helpers/vault.ts'

const passphrase = utf8('of the backup')
const random = createSeededRandom(4)
const secret = (name: string, value: string, version = 1, updatedAt = 5): Secret => ({ name, value: utf8(value), version, createdAt: 5, updatedAt })

describe('a backup', () => {
  let backup: Uint8Array = new Uint8Array()
  beforeAll(async () => {
    await using place = await vaultPlace()
    const vault = await createVault({
      ...place.options,
      key: passkey(),
      records: [
        ['kindmesh/identity', utf8('seed')],
        ['a', utf8('1')],
      ],
    })
    await vault.set('a', utf8('2'))
    backup = await vault.export(passphrase)
  })

  test('brings its secrets with their versions into a fresh vault; of the names of the node only when asked', async () => {
    await using place = await vaultPlace(2)
    const { secrets } = await openBackup(backup, { passphrase, random })
    expect(Object.fromEntries(secrets.map(({ name, version }) => [name, version]))).toEqual({ a: 2, [`${reservedPrefix}identity`]: 1 })
    const vault = await createVault({ ...place.options, key: passkey() })
    expect(await vault.import(secrets)).toEqual({ added: ['a'], replaced: [], kept: [], skipped: ['kindmesh/identity'] })
    expect(await vault.import(secrets, { reserved: true })).toMatchObject({ added: ['kindmesh/identity'], kept: ['a'] })
    expect(vault.get('a')).toMatchObject({ value: utf8('2'), version: 2 })
  })

  test('of wrong passphrase, altered in any part, or of parameters that are refused, gives nothing', async () => {
    const read = async (bytes: Uint8Array, given = passphrase): Promise<unknown> =>
      await openBackup(bytes, { passphrase: given, random }).catch((error: unknown) => error)
    expect(await read(backup, utf8('wrong'))).toMatchObject({ code: 'ERR_AUTH_FAILED' })
    const head = decode(backup, 1 << 20) as readonly Plain[]
    const withItem = (at: number, item: Plain): Uint8Array => encode(head.map((old, index) => (index === at ? item : old)))
    // Its time stands in the clear, and is bound.
    expect(await read(withItem(2, 1))).toMatchObject({ code: 'ERR_AUTH_FAILED' })
    for (const kdf of [
      [1_024, 3, 1],
      [65_536, 1, 1],
      [1 << 22, 3, 1],
      [65_536, 1_000_000, 1],
      [65_536, 3, 64],
    ]) {
      expect(await read(withItem(3, kdf))).toMatchObject({ code: 'ERR_VAULT_IMPORT' })
    }
    expect(await read(concat(backup, Uint8Array.of(0)))).toMatchObject({ code: 'ERR_VAULT_IMPORT' })
    expect(await read(backup.subarray(0, -1))).toMatchObject({ code: 'ERR_VAULT_IMPORT' })
  })
})

test('of two secrets of one name the newer one stays; told to refuse, nothing at all is imported', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({
    ...place.options,
    key: passkey(),
    secrets: [secret('old', 'x', 1), secret('new', 'x', 7), secret('same', 'x', 3), secret('tie', 'x', 2, 5)],
  })
  const incoming = [secret('old', 'y', 4), secret('new', 'y', 6), secret('same', 'x', 9), secret('tie', 'y', 2, 6), secret('more', 'y', 3)]
  await expect(vault.import(incoming, { policy: 'refuse' })).rejects.toMatchObject({ code: 'ERR_VAULT_IMPORT', details: { names: ['old', 'new', 'tie'] } })
  expect(vault.get('more')).toBeUndefined()
  expect(await vault.import(incoming)).toEqual({ added: ['more'], replaced: ['old', 'tie'], kept: ['new', 'same'], skipped: [] })
  const held = vault.list().map(({ name, version }) => [name, version, String(vault.get(name)?.value)])
  expect(held).toEqual([
    ['more', 3, String(utf8('y'))],
    ['new', 7, String(utf8('x'))],
    ['old', 4, String(utf8('y'))],
    ['same', 3, String(utf8('x'))],
    ['tie', 3, String(utf8('y'))],
  ])
  const counter = vault.counter
  await vault.import(incoming)
  expect(vault.counter).toBe(counter)
  const again = await openVault(place.options)
  await again.unseal(passkey())
  expect(again.list()).toEqual(vault.list())
})

describe('an old vault of PBKDF2', () => {
  const salt = new Uint8Array(16).fill(9)
  const old = (over: object = {}, kdf: object = {}, value = 'hunter2'): Uint8Array => {
    const cipher = createCipheriv('aes-256-gcm', pbkdf2Sync(passphrase, salt, 10_000, 32, 'sha256'), new Uint8Array(12).fill(1))
    const data = concat(cipher.update(utf8(value)), cipher.final(), cipher.getAuthTag())
    const items = { 'api-key': { iv: base64(new Uint8Array(12).fill(1)), data: base64(data) } }
    const derivation = { name: 'PBKDF2', hash: 'SHA-256', iterations: 10_000, salt: base64(salt), ...kdf }
    return utf8(JSON.stringify({ version: 1, kdf: derivation, cipher: 'AES-256-GCM', items, ...over }))
  }

  test('gives its values', async () => {
    expect(await openOldVault(old(), { passphrase, now: 5 })).toEqual([secret('api-key', 'hunter2', 0)])
    await expect(openOldVault(old(), { passphrase: utf8('wrong'), now: 5 })).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
  })

  test('never takes the place of a secret that is there', async () => {
    await using place = await vaultPlace()
    const vault = await createVault({ ...place.options, key: passkey(), records: [['api-key', utf8('mine')]] })
    const secrets = await openOldVault(old(), { passphrase, now: place.clock.now() + 1_000 })
    expect(await vault.import(secrets)).toMatchObject({ added: [], kept: ['api-key'] })
    expect(vault.get('api-key')?.value).toEqual(utf8('mine'))
    await vault.remove('api-key')
    expect(await vault.import(secrets)).toMatchObject({ added: ['api-key'] })
    expect(vault.get('api-key')).toMatchObject({ value: utf8('hunter2'), version: 2 })
  })

  test('is refused before anything is derived where its parameters or form are hostile', async () => {
    const hostile: readonly Uint8Array[] = [
      old({}, { iterations: 9_999 }),
      old({}, { iterations: 1 }),
      old({}, { iterations: 5_000_001 }),
      old({}, { iterations: 2 ** 53 }),
      old({}, { iterations: 1e5 + 0.5 }),
      old({}, { iterations: '10000' }),
      old({}, { hash: 'SHA-1' }),
      old({}, { name: 'scrypt' }),
      old({}, { salt: '' }),
      old({}, { salt: base64(new Uint8Array(65)) }),
      old({}, { more: 1 }),
      old({ cipher: 'AES-256-CBC' }),
      old({ version: 2 }),
      old({ items: { '../x': { iv: base64(new Uint8Array(12)), data: base64(new Uint8Array(16)) } } }),
      old({ items: { a: { iv: base64(new Uint8Array(11)), data: base64(new Uint8Array(16)) } } }),
      old({ items: { a: { iv: base64(new Uint8Array(12)), data: base64(new Uint8Array(15)) } } }),
      old({
        items: Object.fromEntries(
          Array.from({ length: 1_025 }, (_, index) => [`a${index}`, { iv: base64(new Uint8Array(12)), data: base64(new Uint8Array(16)) }]),
        ),
      }),
      utf8('{"version":1,"version":1}'),
      utf8('['.repeat(10_000)),
      Uint8Array.of(0xff, 0xfe),
    ]
    for (const bytes of hostile) await expect(openOldVault(bytes, { passphrase, now: 5 })).rejects.toMatchObject({ code: 'ERR_VAULT_IMPORT' })
  })
})
