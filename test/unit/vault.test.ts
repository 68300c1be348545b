import { stat } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { utf8 } from '../../src/base/index.ts'
import { createVault, openVault, type VaultKey } from '../../src/vault/index.ts'
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
  const { readFile, writeFile } = await import('node:fs/promises')
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
