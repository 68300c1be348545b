import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { utf8 } from '../../src/base/index.ts'
import { createVault, openVault, type VaultKey } from '../../src/vault/index.ts'
import { decodeVault } from '../../src/vault/format.ts'
import { openEpoch, openRecord } from '../../src/vault/records.ts'
import { passkey, vaultPlace } from '../helpers/vault.ts'

const passphrase: VaultKey = { kind: 'passphrase', secret: utf8('correct horse') }

test('a vault keeps secrets under a passphrase, starts sealed, and gives them back once unsealed', async () => {
  await using place = await vaultPlace()
  const made = await createVault({ ...place.options, key: passphrase, records: [['kindmesh/identity', utf8('seed')]] })
  await made.set('api-key', utf8('hunter2'))
  expect((await stat(place.path)).mode & 0o777).toBe(0o600)

  const vault = await openVault(place.options)
  expect(vault.status()).toMatchObject({ sealed: true, secrets: 2, counter: 2, rolledBack: false })
  expect(() => vault.get('api-key')).toThrow(expect.objectContaining({ code: 'ERR_SEALED' }))
  await expect(vault.unseal({ ...passphrase, secret: utf8('wrong') })).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
  await vault.unseal(passphrase)
  expect(vault.get('api-key')).toMatchObject({ value: utf8('hunter2'), version: 1 })
  expect(vault.list().map(({ name, bytes }) => [name, bytes])).toEqual([
    ['api-key', 7],
    ['kindmesh/identity', 4],
  ])
  expect(place.log.changes.map(({ change, counter }) => [change, counter])).toEqual([
    ['created', 1],
    ['set', 2],
  ])

  vault.seal()
  expect(() => vault.list()).toThrow(expect.objectContaining({ code: 'ERR_SEALED' }))
})

test('versions count up, also where a name comes again after it was removed', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  expect((await vault.set('a', utf8('1'))).version).toBe(1)
  expect((await vault.set('a', utf8('2'))).version).toBe(2)
  expect(await vault.remove('a')).toBe(true)
  expect(await vault.remove('a')).toBe(false)
  expect((await vault.set('a', utf8('3'))).version).toBe(3)
})

test('an older file is refused when the log knows a newer one, and taken when the operator says so', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  await vault.set('a', utf8('1'))
  const old = await readFile(place.path)
  await vault.set('a', utf8('2'))
  await writeFile(place.path, old)

  const refused = await openVault(place.options)
  expect(refused.status().rolledBack).toBe(true)
  await expect(refused.unseal(passkey())).rejects.toMatchObject({ code: 'ERR_VAULT_ROLLBACK' })
  expect(refused.status().sealed).toBe(true)

  const taken = await openVault({ ...place.options, accept: true })
  await taken.unseal(passkey())
  expect(taken.get('a')?.value).toEqual(utf8('1'))
  expect(place.log.changes.at(-1)).toMatchObject({ change: 'rollback_accepted', counter: 4 })
  const again = await openVault(place.options)
  await again.unseal(passkey())
  expect(again.counter).toBe(4)
})

test('slots: each opens the vault, one can be replaced, the last one stays', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey(1) })
  const second = await vault.addSlot({ kind: 'recovery', secret: new Uint8Array(20).fill(3), label: 'on paper' })
  await vault.replaceSlot(second.id, { kind: 'recovery', secret: new Uint8Array(20).fill(4) })
  await vault.rotate()
  await vault.set('a', utf8('1'))
  const [first] = vault.status().slots
  await vault.removeSlot(first?.id ?? '')
  await expect(vault.removeSlot(second.id)).rejects.toMatchObject({ code: 'ERR_USAGE' })

  const again = await openVault(place.options)
  await expect(again.unseal({ kind: 'recovery', secret: new Uint8Array(20).fill(3) })).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
  await expect(again.unseal(passkey(1))).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  await again.unseal({ kind: 'recovery', secret: new Uint8Array(20).fill(4) })
  expect(again.get('a')?.value).toEqual(utf8('1'))
  expect(again.status()).toMatchObject({ epoch: 2, slots: [{ kind: 'recovery', label: 'on paper' }] })
})

test('a file of the same age as the one the log knows, and another one, is refused; one that is newer is taken and told', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  const first = await readFile(place.path)
  await vault.set('a', utf8('1'))
  const logged = place.log.changes.length
  await writeFile(place.path, first)
  const { path, clock, random } = place
  const fork = await openVault({ path, clock, random })
  await fork.unseal(passkey())
  await fork.set('a', utf8('other'))
  const forked = await openVault(place.options)
  expect([forked.counter, forked.status().rolledBack]).toEqual([2, true])
  await expect(forked.unseal(passkey())).rejects.toMatchObject({ code: 'ERR_VAULT_ROLLBACK', details: { counter: 2, expected: 2 } })

  await fork.set('a', utf8('newer'))
  const newer = await openVault(place.options)
  expect(newer.status().rolledBack).toBe(false)
  await newer.unseal(passkey())
  expect(place.log.changes.slice(logged)).toMatchObject([{ change: 'adopted', counter: 3, digest: newer.digest }])
})

test('a missing file is never replaced by an empty one while the log knows of it, and there is none to open where nobody knows one', async () => {
  await using place = await vaultPlace()
  await expect(openVault(place.options)).rejects.toMatchObject({ code: 'ERR_PROFILE_MISSING' })
  const { digest } = await createVault({ ...place.options, key: passkey() })
  await expect(createVault({ ...place.options, key: passkey(9) })).rejects.toMatchObject({ code: 'ERR_PROFILE_EXISTS' })
  expect((await openVault(place.options)).digest).toEqual(digest)
  await rm(place.path)
  await expect(openVault(place.options)).rejects.toMatchObject({ code: 'ERR_VAULT_ROLLBACK', details: { expected: 1 } })
  // Made anew by an operator, it stands above what the log knows.
  expect((await createVault({ ...place.options, key: passkey(9) })).counter).toBe(2)
})

test('after a change of epoch nothing in the file opens under the old data key', async () => {
  await using place = await vaultPlace()
  const drawn: Uint8Array[] = []
  const random = {
    ...place.random,
    bytes(length: number) {
      const bytes = place.random.bytes(length)
      drawn.push(bytes.slice())
      return bytes
    },
  }
  const vault = await createVault({ ...place.options, random, key: passkey(), records: [['a', utf8('1')]] })
  const [root = new Uint8Array(), vaultId = new Uint8Array(), data = new Uint8Array()] = drawn
  const context = { vaultId, random: place.random }
  const opens = async (): Promise<boolean> => {
    const { records, epoch } = decodeVault(new Uint8Array(await readFile(place.path)))
    const [record] = records
    if (record === undefined) throw new Error('no record')
    try {
      return openRecord({ ...openEpoch(root, epoch, context), data }, record, context).name === 'a'
    } catch {
      return false
    }
  }
  expect(await opens()).toBe(true)
  await vault.rotate()
  expect(await opens()).toBe(false)
  expect(vault.get('a')).toMatchObject({ version: 1, value: utf8('1') })
})

test('keys for other purposes are the same as long as the vault lives, one for each, and none while it is sealed', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  const key = vault.keyFor('storage')
  expect(key).toHaveLength(32)
  expect(vault.keyFor('other')).not.toEqual(key)
  await vault.rotate()
  const again = await openVault(place.options)
  expect(() => again.keyFor('storage')).toThrow(expect.objectContaining({ code: 'ERR_SEALED' }))
  await again.unseal(passkey())
  expect(again.keyFor('storage')).toEqual(key)
})

test('changes asked for at once happen one after the other, and what is handed out is a copy', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  await Promise.all(Array.from({ length: 10 }, (_, index) => vault.set('a', Uint8Array.of(index))))
  expect(vault.get('a')).toMatchObject({ version: 10, value: Uint8Array.of(9) })
  expect(place.log.changes.map(({ counter }) => counter)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1))
  vault.get('a')?.value.fill(0)
  const given = utf8('mine')
  await vault.set('b', given)
  given.fill(0)
  expect([vault.get('a')?.value, vault.get('b')?.value]).toEqual([Uint8Array.of(9), utf8('mine')])
})
