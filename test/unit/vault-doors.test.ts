import { copyFile, mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Audit, createAudit } from '../../src/audit/index.ts'
import { createSeededRandom, createVirtualClock, type Did, hex, profilePaths, silentLogger, utf8 } from '../../src/base/index.ts'
import { newKeys, readIdentityFile, rotateKeys } from '../../src/identity/index.ts'
import { createBridges } from '../../src/node/bridges.ts'
import { openOwnProfile, type OwnProfile, type OwnProfileOptions } from '../../src/node/own-profile.ts'
import { createVaultDoors, markerOf, openImport, secretBytesMax, secretsMax, type VaultDoors } from '../../src/node/vault.ts'
import { grantsSchema, parsePolicy, sandboxLimitsDefault } from '../../src/sandbox/index.ts'
import { createMemoryStore, type Store } from '../../src/store/index.ts'
import { TrustLevel } from '../../src/trust/index.ts'
import { passkey } from '../helpers/vault.ts'

const clock = createVirtualClock({ start: Date.UTC(2026, 0, 1) })
const random = createSeededRandom(61)
const never = new AbortController().signal
let home: string
let store: Store
let open: Audit[]

beforeEach(async () => {
  home = join(await mkdtemp(join(tmpdir(), 'kindmesh-doors-')), 'home')
  store = createMemoryStore()
  open = []
})
afterEach(async () => {
  for (const audit of open) await audit.close()
  await rm(join(home, '..'), { recursive: true })
})

const profile = (more: Partial<OwnProfileOptions> = {}): Promise<OwnProfile> =>
  openOwnProfile({ home, store, clock, random, key: passkey(), create: () => newKeys({ clock, random }), ...more })

interface World {
  readonly own: OwnProfile
  readonly doors: VaultDoors
  readonly audit: Audit
}

/** A profile with its log, as a node has them. */
async function start(more: Partial<OwnProfileOptions> = {}): Promise<World> {
  const own = await profile(more)
  const { identity: did, keys, sign } = own.keyring
  const audit = await createAudit({ store, did, keys, sign, clock, logger: silentLogger })
  open.push(audit)
  await own.attach(audit, own.keyring)
  return { own, audit, doors: createVaultDoors({ vault: own.vault, did, audit: () => audit, mark: markerOf(own.keyring), clock, random }) }
}
const events = async ({ audit }: World): Promise<readonly (readonly [string, Readonly<Record<string, unknown>>])[]> =>
  (await audit.tail({ limit: 100 })).map(({ event, data }) => [event, data as Readonly<Record<string, unknown>>] as const)

describe('secrets through the doors', () => {
  test('are kept, listed without their values, replaced, forgotten; each change and each reading is in the log, with a mark in place of the name', async () => {
    const world = await start()
    const { doors } = world
    expect(doors.list()).toEqual([])
    expect(await doors.get('key', 'cli')).toBeUndefined()
    await doors.set('key', 'grüße\n"')
    expect(await doors.set('key', 'second')).toMatchObject({ name: 'key', version: 2, bytes: 6 })
    expect(await doors.get('key', 'cli')).toBe('second')
    const mark = doors.list()[0]?.mark
    expect(await doors.remove('key')).toBe(true)
    expect(await doors.remove('key')).toBe(false)
    const said = await events(world)
    expect(said.map(([event, { change, reader, found }]) => [event, change ?? reader, found])).toEqual([
      ['vault_written', 'created', undefined],
      ['vault_read', 'cli', false],
      ['vault_written', 'set', undefined],
      ['vault_written', 'set', undefined],
      ['vault_read', 'cli', true],
      ['vault_written', 'removed', undefined],
    ])
    for (const [, data] of said.slice(1)) expect(hex(data['mark'] as Uint8Array)).toBe(mark)
    expect(JSON.stringify(said)).not.toMatch(/"key"|second/)
  })

  test.each(['', '.', '..', '../identity.json', 'a/b', 'kindmesh/identity', 'a\0b', '.hidden', 'x'.repeat(65)])('are not named %j', async (name) => {
    const { doors } = await start()
    await expect(doors.set(name, 'x')).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(doors.remove(name)).rejects.toMatchObject({ code: 'ERR_USAGE' })
    expect(await doors.get(name, 'cli')).toBeUndefined()
    expect(doors.list()).toEqual([])
  })

  test('are neither empty nor large nor without number', async () => {
    const { doors, own } = await start()
    await expect(doors.set('a', '')).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(doors.set('a', 'x'.repeat(secretBytesMax + 1))).rejects.toMatchObject({ code: 'ERR_WIRE_TOO_LARGE' })
    await own.vault.setMany(Array.from({ length: secretsMax }, (_, index) => [`n${index}`, utf8('x')] as const))
    await expect(doors.set('a', 'x')).rejects.toMatchObject({ code: 'ERR_OVERLOADED' })
    expect(await doors.set('n1', 'y')).toMatchObject({ version: 2 })
  })

  test('of a log that cannot be written are neither changed nor read', async () => {
    const world = await start()
    await world.doors.set('key', 'old')
    await world.audit.close()
    await expect(world.doors.set('key', 'new')).rejects.toMatchObject({ code: 'ERR_STOPPED' })
    await expect(world.doors.get('key', 'cli')).rejects.toMatchObject({ code: 'ERR_STOPPED' })
    expect(await (await start()).doors.get('key', 'cli')).toBe('old')
  })
})

describe('a vault that is sealed while the node runs', () => {
  test('gives nothing and takes nothing until it is unsealed; wrong keys are in the log', async () => {
    const world = await start()
    const { doors } = world
    await doors.set('key', 'value')
    await doors.seal()
    expect(doors.status()).toMatchObject({ sealed: true })
    for (const act of [
      () => doors.get('key', 'cli'),
      () => doors.set('key', 'x'),
      () => doors.remove('key'),
      () => doors.export(utf8('p')),
      async () => doors.list(),
    ]) {
      await expect(act()).rejects.toMatchObject({ code: 'ERR_SEALED' })
    }
    await expect(doors.unseal(passkey(8))).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
    await expect(doors.get('key', 'cli')).rejects.toMatchObject({ code: 'ERR_SEALED' })
    await doors.unseal(passkey())
    expect(await doors.get('key', 'cli')).toBe('value')
    expect((await events(world)).map(([event]) => event).slice(-4)).toEqual(['vault_sealed', 'vault_unseal_refused', 'vault_unsealed', 'vault_read'])
  })

  test('opens by a code that was shown once, and by no code after its slot is gone', async () => {
    const { doors, own } = await start()
    const { slot, code } = await doors.addRecoveryCode('paper')
    expect(slot).toMatchObject({ kind: 'recovery', label: 'paper' })
    const { decodeRecoveryCode } = await import('../../src/vault/index.ts')
    const key = { kind: 'recovery', secret: decodeRecoveryCode(code) } as const
    await doors.seal()
    await doors.unseal(key)
    await doors.removeSlot(slot.id)
    await doors.seal()
    await expect(doors.unseal(key)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    await doors.unseal(passkey())
    expect(own.vault.get('kindmesh/identity')).toBeDefined()
  })
})

describe('tasks and agents', () => {
  const anna = 'did:key:anna' as Did
  const order = { limits: { ...sandboxLimitsDefault, fsOps: 100 }, isolation: 'sandboxed' } as const

  test('read the secrets that were named to them and no other, by vault:access alone, while the vault is open; each reading says who', async () => {
    const world = await start()
    const { doors } = world
    await doors.set('key', 'hunter2')
    await doors.set('other', 'hunter3')
    const grants = parsePolicy(grantsSchema, { capabilities: ['vault:access'], vault: ['key', 'missing'] })
    const { forTask, forAgent } = createBridges({
      clock,
      random,
      logger: silentLogger,
      store,
      secrets: doors,
      grants: { tasks: { [TrustLevel.TRUSTED]: grants }, native: [] },
      level: () => TrustLevel.TRUSTED,
      resolve: (text) => text as Did,
      ask: async () => ({ reply: null }),
      tasks: {
        run: () => {
          throw new Error('no task')
        },
      },
    })
    const bridge = (capabilities: readonly 'vault:access'[]) => forTask({ ...order, asker: anna, capabilities })
    const before = (await events(world)).length
    expect(await bridge([]).call('vault.get', '["key"]', never)).toMatchObject({ denied: expect.any(String) as string })
    const [other, nothing] = await Promise.all([
      bridge(['vault:access']).call('vault.get', '["other"]', never),
      bridge(['vault:access']).call('vault.get', '["nowhere"]', never),
    ])
    // The same answer whether there is such a secret or not.
    expect(JSON.stringify(other).replaceAll('other', 'nowhere')).toBe(JSON.stringify(nothing))
    expect(other).toMatchObject({ denied: expect.any(String) as string })
    // What was refused read nothing.
    expect((await events(world)).length).toBe(before)

    expect(await bridge(['vault:access']).call('vault.get', '["key"]', never)).toMatchObject({ ok: true, value: '"hunter2"' })
    expect(await bridge(['vault:access']).call('vault.get', '["missing"]', never)).toMatchObject({ ok: false, code: 'ERR_NOT_FOUND' })
    expect(await forAgent({ ...order, did: anna, grants }).call('vault.get', '["key"]', never)).toMatchObject({ ok: true, value: '"hunter2"' })
    expect((await events(world)).slice(before).map(([event, { reader, found }]) => [event, reader, found])).toEqual([
      ['vault_read', `task ${anna}`, true],
      ['vault_read', `task ${anna}`, false],
      ['vault_read', `agent ${anna}`, true],
    ])
    await doors.seal()
    expect(await bridge(['vault:access']).call('vault.get', '["key"]', never)).toMatchObject({ ok: false, code: 'ERR_SEALED' })
  })
})

describe('a vault file put back to an older state', () => {
  /** The vault as it was before `key` had its second value. */
  async function rolledBack(): Promise<{ readonly kept: string }> {
    const { vault } = profilePaths(home)
    const kept = join(home, '..', 'older')
    const { doors } = await start()
    await doors.set('key', 'first')
    await copyFile(vault, kept)
    await doors.set('key', 'second')
    await copyFile(kept, vault)
    return { kept }
  }

  test('is refused until its owner accepts it, and both are in the log', async () => {
    await rolledBack()
    await expect(profile()).rejects.toMatchObject({ code: 'ERR_VAULT_ROLLBACK' })
    await expect(profile()).rejects.toMatchObject({ code: 'ERR_VAULT_ROLLBACK' })
    const world = await start({ accept: true })
    expect(await world.doors.get('key', 'cli')).toBe('first')
    expect((await events(world)).slice(-3).map(([event, { change, found, expected }]) => [event, change, found, expected])).toEqual([
      ['vault_rolled_back', undefined, 2, 3],
      ['vault_written', 'rollback_accepted', undefined, undefined],
      ['vault_read', undefined, true, undefined],
    ])
    expect(await (await start()).doors.get('key', 'cli')).toBe('first')
  })

  test('and one that is gone are made good by a newer backup, with the identity of before', async () => {
    const paths = profilePaths(home)
    const first = await start()
    await first.doors.set('key', 'second')
    const passphrase = utf8('of the backup')
    const backup = await first.doors.export(passphrase)
    const restore = await openImport(backup, { passphrase, clock, random })
    await expect(openImport(backup, { passphrase: utf8('another'), clock, random })).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })

    await unlink(paths.vault)
    await expect(profile()).rejects.toMatchObject({ code: 'ERR_VAULT_ROLLBACK' })
    const second = await start({ restore })
    expect(second.own.restored?.added).toEqual(['key', 'kindmesh/identity'])
    expect(second.own.keyring.did).toBe(first.own.keyring.did)
    expect(await second.doors.get('key', 'cli')).toBe('second')

    // Another machine, which has nothing.
    home = join(home, '..', 'elsewhere')
    store = createMemoryStore()
    const third = await start({ restore })
    expect([third.own.keyring.did, third.own.isNew]).toEqual([first.own.keyring.did, false])
    expect((await readIdentityFile(profilePaths(home).identity)).did).toBe(first.own.keyring.identity)
  })

  test('from before a rotation is not accepted with the key that was replaced', async () => {
    const { vault } = profilePaths(home)
    const kept = join(home, '..', 'older')
    const { own, doors } = await start()
    await copyFile(vault, kept)
    const { did } = await rotateKeys({ place: own.place, clock, random })
    const restore = await openImport(await doors.export(utf8('p')), { passphrase: utf8('p'), clock, random })
    await copyFile(kept, vault)
    await expect(profile({ accept: true })).rejects.toMatchObject({ code: 'ERR_IDENTITY_SUPERSEDED' })
    await expect(profile()).rejects.toMatchObject({ code: 'ERR_IDENTITY_SUPERSEDED' })
    expect((await start({ restore })).own.keyring.did).toBe(did)
  })
})

test('a public part of somebody else beside the vault is refused, one that is missing is written anew', async () => {
  const { identity } = profilePaths(home)
  const { keyring } = await profile()
  const text = await readFile(identity, 'utf8')
  await unlink(identity)
  expect((await profile()).keyring.did).toBe(keyring.did)
  expect(await readFile(identity, 'utf8')).toBe(text)
  expect((await stat(identity)).mode & 0o777).toBe(0o600)
  const elsewhere = await openOwnProfile({
    home: join(home, '..', 'b'),
    store: createMemoryStore(),
    clock,
    random,
    key: passkey(),
    create: () => newKeys({ clock, random }),
  })
  expect(elsewhere.keyring.did).not.toBe(keyring.did)
  await writeFile(identity, await readFile(profilePaths(join(home, '..', 'b')).identity))
  await expect(profile()).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
})

test('the keyring of the operating system opens the vault at the start when no passphrase is there, and only by its own secret', async () => {
  const held = new Map<string, Uint8Array>()
  const osKeyring = async () => ({
    get: async (account: string) => held.get(account)?.slice(),
    set: async (account: string, secret: Uint8Array) => void held.set(account, secret.slice()),
    remove: async (account: string) => void held.delete(account),
  })
  const { own } = await start()
  await expect(profile({ key: undefined, osKeyring })).rejects.toMatchObject({ code: 'ERR_SEALED' })
  const { addKeyringSlot } = await import('../../src/vault/index.ts')
  await addKeyringSlot(own.vault, await osKeyring(), { random })
  expect((await profile({ key: undefined, osKeyring })).keyring.did).toBe(own.keyring.did)
  held.set(own.vault.id, new Uint8Array(32))
  await expect(profile({ key: undefined, osKeyring })).rejects.toMatchObject({ code: 'ERR_SEALED' })
})
