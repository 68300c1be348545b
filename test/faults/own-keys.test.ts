import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createSeededRandom, profilePaths, realClock, utf8 } from '../../src/base/index.ts'
import { identityOf, newKeys, readIdentityFile, rotateKeys } from '../../src/identity/index.ts'
import { openOwnProfile, type OwnProfile, type OwnProfileOptions } from '../../src/node/own-profile.ts'
import { createMemoryStore, type StoreOp } from '../../src/store/index.ts'
import { cutFiles } from '../helpers/cut-files.ts'
import { oldKeyFile } from '../helpers/key-files.ts'
import { passkey } from '../helpers/vault.ts'

const passphrase = utf8('canary')
const random = createSeededRandom(5)
const clock = realClock

async function playground(): Promise<AsyncDisposable & { readonly home: string; readonly options: OwnProfileOptions }> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-keys-cut-'))
  const home = join(folder, 'home')
  const options = { home, passphrase, key: passkey(), clock, random, store: createMemoryStore(), create: () => newKeys({ clock, random }) }
  return { home, options, [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true }) }
}

test('a rotation that is cut at any step leaves the old key or the new one, whole, and the next rotation works', async () => {
  await using ground = await playground()
  const { home, options } = ground
  const { identity } = (await openOwnProfile(options)).keyring
  const outcomes = new Set<string>()
  for (const when of ['before', 'after'] as const) {
    for (let at = 1, isCut = true; isCut; at++) {
      const before = await openOwnProfile(options)
      const { files, steps } = cutFiles(at, when)
      const own = await openOwnProfile({ ...options, files })
      isCut = await rotateKeys({ place: own.place, clock, random }).then(
        () => false,
        () => true,
      )
      expect(isCut).toBe(steps() >= at)
      const after = await openOwnProfile(options)
      expect(after.keyring.identity).toBe(identity)
      const made = after.keyring.chain.length - before.keyring.chain.length
      expect([0, 1]).toContain(made)
      outcomes.add(made === 0 ? 'old' : 'new')
      // Whoever has no key is told the same.
      expect((await readIdentityFile(profilePaths(home).identity)).current).toBe(after.keyring.did)
      // One key file, no second copy of an old seed that anybody reads.
      expect((await readdir(home)).filter((name) => name === 'vault' || name === 'vault.next')).toEqual(['vault'])
      if (!isCut) expect(at).toBeGreaterThan(6)
    }
  }
  expect(outcomes).toEqual(new Set(['old', 'new']))
}, 120_000)

test('the keys of a profile from before there was a vault are in the old file or in the vault at every step of their way, and the old file goes last', async () => {
  await using ground = await playground()
  const { home, options } = ground
  const paths = profilePaths(home)
  const keys = newKeys({ clock, random })
  const text = await oldKeyFile(keys, { passphrase, random })
  const states = new Set<string>()
  for (let at = 1, isCut = true; isCut; at++) {
    await rm(home, { recursive: true, force: true })
    await mkdir(home, { mode: 0o700 })
    await writeFile(paths.identity, text)
    const store = createMemoryStore()
    const { create: _, ...old } = options
    isCut = await openOwnProfile({ ...old, store, files: cutFiles(at, 'before').files }).then(
      () => false,
      () => true,
    )
    const isOld = (await readFile(paths.identity, 'utf8')) === text
    const hasVault = (await readdir(home)).includes('vault')
    expect(isOld || hasVault).toBe(true)
    states.add(`${isOld ? 'old file' : ''}${isOld && hasVault ? ' and ' : ''}${hasVault ? 'vault' : ''}`)
    if (isOld && !hasVault && at % 3 !== 0) continue
    const again = await openOwnProfile({ ...old, store })
    expect([again.keyring.identity, again.isNew]).toEqual([identityOf(keys), false])
    // What rests under the root key still opens.
    expect((await again.place.read())?.rootKey).toEqual(keys.rootKey)
    expect(await readFile(paths.identity, 'utf8')).not.toContain('slots')
  }
  expect([...states]).toEqual(['old file', 'old file and vault', 'vault'])
}, 120_000)

test('the secrets of such a profile move into the vault, and each file stays until the vault has it', async () => {
  await using ground = await playground()
  const { home, options } = ground
  const { secrets } = profilePaths(home)
  const audit = {
    record: async (_event: object, ops: readonly StoreOp[] = []) => {
      await options.store.durable(ops)
      return { seq: 0 }
    },
  } as unknown as Parameters<OwnProfile['attach']>[0]
  const refuses = { record: () => Promise.reject(new Error('no disk')) } as unknown as typeof audit
  const first = await openOwnProfile(options)
  await first.attach(audit, first.keyring)
  await mkdir(secrets, { recursive: true })
  for (const [name, value] of [
    ['a.b-c_1', 'first'],
    ['key', 'grüße\n"'],
    ['half.0123456789abcdef', 'cut'],
  ] as const) {
    await writeFile(join(secrets, name), value)
  }
  const cut = await openOwnProfile(options)
  await expect(cut.attach(refuses, cut.keyring)).rejects.toThrow('no disk')
  expect((await readdir(secrets)).length).toBe(3)
  const own = await openOwnProfile(options)
  await own.attach(audit, own.keyring)
  expect(new TextDecoder().decode(own.vault.get('key')?.value)).toBe('grüße\n"')
  expect(own.vault.list().map(({ name }) => name)).toEqual(['a.b-c_1', 'key', 'kindmesh/identity'])
  expect(await readdir(home)).not.toContain('secrets')
})
