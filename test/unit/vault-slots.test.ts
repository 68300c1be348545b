import { afterEach, expect, test, vi } from 'vitest'
import { createSeededRandom, utf8 } from '../../src/base/index.ts'
import {
  addKeyringSlot,
  createVault,
  decodeRecoveryCode,
  encodeRecoveryCode,
  newRecoveryCode,
  openOsKeyring,
  openVault,
  type OsKeyring,
  removeKeyringSlots,
  unsealByKeyring,
} from '../../src/vault/index.ts'
import { passkey, vaultPlace } from '../helpers/vault.ts'

afterEach(() => void vi.unstubAllEnvs())

function memoryKeyring(): OsKeyring & { readonly held: Map<string, Uint8Array> } {
  const held = new Map<string, Uint8Array>()
  return {
    held,
    get: async (account) => held.get(account)?.slice(),
    set: async (account, secret) => void held.set(account, secret.slice()),
    remove: async (account) => void held.delete(account),
  }
}

test('a recovery code opens the vault however it is typed, and one mistyped letter is told without a vault', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  const { secret, code } = newRecoveryCode(place.random)
  expect(code).toMatch(/^(?:[0-9A-HJKMNP-TV-Z]{4}-){8}[0-9A-HJKMNP-TV-Z]{4}$/)
  await vault.addSlot({ kind: 'recovery', secret })
  const typed = ` ${code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l')}\n`
  const again = await openVault(place.options)
  await again.unseal({ kind: 'recovery', secret: decodeRecoveryCode(typed) })
  expect(again.status().sealed).toBe(false)

  const other = (letter: string): string => (letter === 'Z' ? 'Y' : 'Z')
  for (let at = 0; at < code.length; at++) {
    if (code[at] === '-') continue
    const wrong = `${code.slice(0, at)}${other(code[at] ?? '')}${code.slice(at + 1)}`
    expect(() => decodeRecoveryCode(wrong)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  }
  for (const wrong of ['', code.slice(1), `${code}A`, code.repeat(100), 'ü'.repeat(36)]) {
    expect(() => decodeRecoveryCode(wrong)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  }
})

test('1,000 recovery codes read back as they were written', () => {
  const random = createSeededRandom(6)
  for (let times = 0; times < 1_000; times++) {
    const { secret, code } = newRecoveryCode(random)
    expect(decodeRecoveryCode(code)).toEqual(secret)
    expect(encodeRecoveryCode(secret)).toBe(code)
  }
})

test('a keyring slot unseals while the keyring holds its secret, and goes with it', async () => {
  await using place = await vaultPlace()
  const keyring = memoryKeyring()
  const vault = await createVault({ ...place.options, key: passkey() })
  await addKeyringSlot(vault, keyring, { random: place.random, label: 'this machine' })
  const again = await openVault(place.options)
  await unsealByKeyring(again, keyring)
  expect(again.status().slots.map(({ kind }) => kind)).toEqual(['prf', 'keyring'])

  keyring.held.set(vault.id, new Uint8Array(32))
  await expect(unsealByKeyring(await openVault(place.options), keyring)).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
  await removeKeyringSlots(again, keyring)
  expect(keyring.held.size).toBe(0)
  expect(again.status().slots.map(({ kind }) => kind)).toEqual(['prf'])
  await expect(unsealByKeyring(again, keyring)).rejects.toMatchObject({ code: 'ERR_VAULT_KEYRING' })
})

test('where no keyring of the operating system answers, that is said', async () => {
  vi.stubEnv('DBUS_SESSION_BUS_ADDRESS', 'unix:path=/nonexistent/bus')
  const keyring = await openOsKeyring()
  await expect(keyring.get('nobody')).rejects.toMatchObject({ code: 'ERR_VAULT_KEYRING' })
  await expect(keyring.set('nobody', Uint8Array.of(1))).rejects.toMatchObject({ code: 'ERR_VAULT_KEYRING' })
})

test('a slot is what its kind asks for: lengths, labels, at most 8 in all', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  const bad = [
    { kind: 'passphrase', secret: new Uint8Array() },
    { kind: 'passphrase', secret: new Uint8Array(1_025) },
    { kind: 'recovery', secret: new Uint8Array(19) },
    { kind: 'keyring', secret: new Uint8Array(33) },
    { kind: 'keyring', secret: new Uint8Array(32), label: 'x'.repeat(65) },
    { kind: 'prf', secret: new Uint8Array(32) },
    { ...passkey(), salt: new Uint8Array(31) },
  ] as const
  for (const slot of bad) await expect(vault.addSlot(slot)).rejects.toMatchObject({ code: 'ERR_USAGE' })
  for (let fill = 1; fill < 8; fill++) await vault.addSlot(passkey(fill + 20))
  await expect(vault.addSlot(passkey(9))).rejects.toMatchObject({ code: 'ERR_VAULT_FULL' })
  await expect(vault.replaceSlot('00', passkey())).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  await expect(vault.replaceSlot(vault.status().slots[0]?.id ?? '', { kind: 'recovery', secret: new Uint8Array(20) })).rejects.toMatchObject({
    code: 'ERR_USAGE',
  })
  expect(vault.status().slots[0]).toMatchObject({ kind: 'prf', credentialId: Uint8Array.of(1, 7), salt: new Uint8Array(32).fill(7) })
  expect(vault.counter).toBe(8)
})

test('sealing wipes the root key and the data key, and a change under way then writes nothing', async () => {
  await using place = await vaultPlace()
  const drawn: Uint8Array[] = []
  const random = { ...place.random, bytes: (length: number) => drawn[drawn.push(place.random.bytes(length)) - 1] ?? new Uint8Array() }
  const vault = await createVault({ ...place.options, random, key: passkey() })
  const [root, , data] = drawn
  expect(root?.some((byte) => byte !== 0) === true && data?.length === 32).toBe(true)
  const adding = vault.addSlot({ kind: 'passphrase', secret: utf8('late') })
  // The derivation has begun by then.
  await new Promise((resolve) => void setImmediate(resolve))
  vault.seal()
  await expect(adding).rejects.toMatchObject({ code: 'ERR_SEALED' })
  expect(root).toEqual(new Uint8Array(32))
  expect(data).toEqual(new Uint8Array(32))
  const again = await openVault(place.options)
  expect(again.status().slots).toHaveLength(1)
  await again.unseal(passkey())
})
