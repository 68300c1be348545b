import { copyFile, readdir, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { fromUtf8, utf8 } from '../../src/base/index.ts'
import { createVault, openVault, type Vault, type VaultOptions } from '../../src/vault/index.ts'
import { cutFiles } from '../helpers/cut-files.ts'
import { passkey, vaultPlace } from '../helpers/vault.ts'

/** What a vault holds, slots and epoch among it, as one text. */
function stateOf(vault: Vault): string {
  const { epoch, slots, counter } = vault.status()
  const secrets = vault.list().map(({ name, version }) => `${name}@${version}=${fromUtf8(vault.get(name)?.value ?? new Uint8Array())}`)
  return [`counter ${counter}`, `epoch ${epoch}`, ...slots.map(({ label }) => `slot ${label}`), ...secrets].join('\n')
}

async function reopened(options: VaultOptions): Promise<Vault> {
  const vault = await openVault(options)
  await vault.unseal(passkey())
  return vault
}

const changes: Readonly<Record<string, (vault: Vault) => Promise<unknown>>> = {
  set: (vault) => vault.set('b', utf8('new')),
  replace: (vault) => vault.set('a', utf8('new')),
  remove: (vault) => vault.remove('a'),
  slot: (vault) => vault.addSlot({ ...passkey(9), label: 'second' }),
  rotate: (vault) => vault.rotate(),
  import: (vault) => vault.import([{ name: 'c', version: 3, createdAt: 1, updatedAt: 1, value: utf8('new') }]),
}

describe.each(Object.keys(changes))('%s, cut at every step', (name) => {
  const change = changes[name] ?? (() => Promise.resolve())

  test('leaves the old state or the new one, and the new one wherever the log has it', async () => {
    await using place = await vaultPlace()
    const made = await createVault({ ...place.options, key: passkey(), records: [['a', utf8('old')]] })
    const before = stateOf(made)
    const saved = `${place.path}.saved`
    await copyFile(place.path, saved)
    const logged = place.log.changes.length
    const ends = new Set<string>()
    // Steps of one change: its files, and the log once.
    const uncut = cutFiles(Infinity, 'before')
    await change(await reopened({ ...place.options, files: uncut.files, commit: (entry) => uncut.cut('log', () => place.log.commit(entry)) }))
    const after = stateOf(await reopened(place.options))
    // On the disk before the log is told, and only then in its place.
    expect(uncut.names).toEqual(['unlink', 'open', 'write', 'sync', 'open', 'sync', 'log', 'rename', 'open', 'sync'])
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; at <= uncut.steps(); at++) {
        place.log.changes.length = logged
        await rm(`${place.path}.next`, { force: true })
        await copyFile(saved, place.path)
        const vault = await reopened(place.options)
        const { files, cut } = cutFiles(at, when)
        const faulty = await openVault({ ...place.options, files, commit: (entry) => cut('log', () => place.log.commit(entry)) }).catch(() => undefined)
        expect(stateOf(vault)).toBe(before)
        if (faulty === undefined) continue
        const end = await faulty
          .unseal(passkey())
          .then(() => change(faulty))
          .then(
            () => 'done',
            () => 'thrown',
          )
        const held = stateOf(await reopened(place.options))
        const isLogged = place.log.changes.length > logged
        expect([at, when, held]).toEqual([at, when, isLogged ? after : before])
        if (end === 'done') expect(isLogged).toBe(true)
        ends.add(`${end}, ${isLogged ? 'new' : 'old'}`)
        expect(await readdir(dirname(place.path))).toEqual(['vault', 'vault.saved'])
      }
    }
    expect(ends).toEqual(new Set(['thrown, old', 'thrown, new', 'done, new']))
  })

  test('in a node that lives on: the next change holds, and so does what the log has of the one that failed', async () => {
    await using place = await vaultPlace()
    await createVault({ ...place.options, key: passkey(), records: [['a', utf8('old')]] })
    const saved = `${place.path}.saved`
    await copyFile(place.path, saved)
    const logged = place.log.changes.length
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; at <= 9; at++) {
        place.log.changes.length = logged
        await copyFile(saved, place.path)
        const { files, cut } = cutFiles(at, when, { once: true })
        const vault = await openVault({ ...place.options, files, commit: (entry) => cut('log', () => place.log.commit(entry)) }).catch(() => undefined)
        if (vault === undefined) continue
        await vault.unseal(passkey())
        await change(vault).catch(() => undefined)
        const failedIsLogged = place.log.changes.length > logged
        await vault.set('later', utf8('there'))
        const held = await reopened(place.options)
        expect(stateOf(held)).toBe(stateOf(vault))
        expect(held.get('later')?.value).toEqual(utf8('there'))
        expect([at, when, held.counter]).toEqual([at, when, failedIsLogged ? 3 : 2])
      }
    }
  })
})

test('the making of a vault, cut at every step, leaves none or a whole one', async () => {
  await using place = await vaultPlace()
  const folder = dirname(place.path)
  const ends = new Set<string>()
  for (const when of ['before', 'after'] as const) {
    for (let at = 1; at <= 11; at++) {
      place.log.changes.length = 0
      await rm(folder, { recursive: true, force: true })
      const { files, cut } = cutFiles(at, when)
      const faulty = { ...place.options, files, commit: (entry: Parameters<typeof place.log.commit>[0]) => cut('log', () => place.log.commit(entry)) }
      await createVault({ ...faulty, key: passkey(), records: [['a', utf8('1')]] }).catch(() => undefined)
      const vault = await openVault(place.options).catch((error: unknown) => error as { readonly code: string })
      if ('code' in vault) {
        expect(vault.code).toBe('ERR_PROFILE_MISSING')
        await createVault({ ...place.options, key: passkey(), records: [['a', utf8('1')]] })
      }
      expect((await reopened(place.options)).get('a')?.value).toEqual(utf8('1'))
      expect(await readdir(folder)).toEqual(['vault'])
      ends.add('code' in vault ? 'none' : 'whole')
    }
  }
  expect(ends).toEqual(new Set(['none', 'whole']))
})

test('without a log, a change that is cut leaves the old state or the new one', async () => {
  await using place = await vaultPlace()
  const { path, clock, random } = place
  const bare = { path, clock, random }
  await createVault({ ...bare, key: passkey(), records: [['a', utf8('old')]] })
  const ends = new Set<string>()
  for (const when of ['before', 'after'] as const) {
    for (let at = 1; at <= 10; at++) {
      const before = (await reopened(bare)).counter
      const vault = await reopened({ ...bare, files: cutFiles(at, when).files })
      const end = await vault.set('a', utf8('new')).then(
        () => 'done',
        () => 'thrown',
      )
      const after = (await reopened(bare)).counter
      expect([before, before + 1]).toContain(after)
      if (end === 'done') expect(after).toBe(before + 1)
      ends.add(`${end}, ${after === before ? 'old' : 'new'}`)
    }
  }
  expect(ends).toEqual(new Set(['thrown, old', 'thrown, new', 'done, new']))
})

test('a log that refuses a change: it has not happened', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey(), records: [['a', utf8('old')]] })
  const refusing = await reopened({ ...place.options, commit: () => Promise.reject(new Error('the log is full')) })
  await expect(refusing.set('a', utf8('new'))).rejects.toThrow('the log is full')
  await expect(refusing.remove('a')).rejects.toThrow('the log is full')
  expect(refusing.get('a')?.value).toEqual(utf8('old'))
  expect((await reopened(place.options)).digest).toEqual(vault.digest)
})
