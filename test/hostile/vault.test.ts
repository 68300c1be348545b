import { readFile, writeFile } from 'node:fs/promises'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { concat, createSeededRandom, hex, utf8 } from '../../src/base/index.ts'
import { hmacSha256 } from '../../src/crypto/index.ts'
import { decodeVault, encodeVault, type VaultFile } from '../../src/vault/format.ts'
import { createVault, openVault, type VaultKey } from '../../src/vault/index.ts'
import { macKeyOf } from '../../src/vault/records.ts'
import { openSlot } from '../../src/vault/slots.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { passkey, vaultPlace } from '../helpers/vault.ts'

const work = vi.hoisted(() => ({ derivations: 0, macBytes: 0 }))
// Counts the work, and spares Argon2id: what is asked here is how often it is called.
vi.mock('../../src/crypto/index.ts', async (actual) => {
  const crypto = await actual<typeof import('../../src/crypto/index.ts')>()
  return {
    ...crypto,
    deriveFromPassphrase: async (passphrase: Uint8Array, { salt }: { readonly salt: Uint8Array }) => {
      work.derivations++
      return crypto.hmacSha256(salt, passphrase)
    },
    hmacSha256: (key: Uint8Array, ...parts: readonly Uint8Array[]) => {
      work.macBytes += parts.reduce((sum, { length }) => sum + length, 0)
      return crypto.hmacSha256(key, ...parts)
    },
  }
})
beforeEach(() => void Object.assign(work, { derivations: 0, macBytes: 0 }))

const passphrase: VaultKey = { kind: 'passphrase', secret: utf8('correct horse') }

/** A vault file with all there can be in one, opened by `passkey()`; nobody keeps a log. */
async function smallVault(seed = 1) {
  const place = await vaultPlace(seed)
  const { path, clock, random } = place
  const options = { path, clock, random }
  const vault = await createVault({ ...options, key: passphrase, records: [['a', utf8('1')]] })
  await vault.addSlot(passkey())
  await vault.set('b', utf8('2'))
  const bytes = new Uint8Array(await readFile(path))
  /** How unsealing a file of these bytes ends. */
  const end = async (altered: Uint8Array, key: VaultKey = passkey()): Promise<string> => {
    await writeFile(path, altered)
    try {
      const opened = await openVault(options)
      await opened.unseal(key)
      return 'open'
    } catch (error) {
      return (error as { readonly code: string }).code
    }
  }
  return { bytes, end, [Symbol.asyncDispose]: () => place[Symbol.asyncDispose]() }
}

describe('a vault file that was altered', () => {
  test('in any one byte, by any of three masks, is refused as a wrong key is', async () => {
    await using vault = await smallVault()
    const { bytes, end } = vault
    expect(await end(bytes)).toBe('open')
    expect(bytes.length).toBeLessThan(1_000)
    const masks = process.env['KINDMESH_TEST_LONG'] === '1' ? Array.from({ length: 255 }, (_, index) => index + 1) : [0x01, 0x80, 0xff]
    const ends = new Map<string, number>()
    for (let at = 0; at < bytes.length; at++) {
      for (const mask of masks) {
        const altered = bytes.slice()
        altered[at] = (altered[at] ?? 0) ^ mask
        const answer = await end(altered)
        ends.set(answer, (ends.get(answer) ?? 0) + 1)
      }
    }
    expect(ends).toEqual(new Map([['ERR_AUTH_FAILED', bytes.length * masks.length]]))
  })

  test('by cutting it short anywhere, or by bytes behind or before it, is refused', async () => {
    await using vault = await smallVault()
    const { bytes, end } = vault
    const ends = new Set<string>()
    for (let length = 0; length < bytes.length; length++) ends.add(await end(bytes.subarray(0, length)))
    for (let byte = 0; byte < 256; byte++) ends.add(await end(concat(bytes, Uint8Array.of(byte))))
    for (const more of [bytes.subarray(-32), bytes, new Uint8Array(1_000)]) ends.add(await end(concat(bytes, more)))
    ends.add(await end(concat(Uint8Array.of(0), bytes)))
    ends.add(await end(new Uint8Array((16 << 20) + 1)))
    expect(ends).toEqual(new Set(['ERR_AUTH_FAILED']))
  })

  test('so that it is well formed all the same is refused: records and slots dropped, exchanged, doubled, of another vault', async () => {
    await using vault = await smallVault()
    await using other = await smallVault(2)
    const { bytes, end } = vault
    const items = decode(bytes, 1 << 20) as readonly Plain[]
    const theirs = decode(other.bytes, 1 << 20) as readonly Plain[]
    const list = (from: readonly Plain[], at: number): readonly Plain[] => from[at] as readonly Plain[]
    const withItem = (at: number, item: Plain): Uint8Array => encode(items.map((old, index) => (index === at ? item : old)))
    const [first, second] = list(items, 7)
    const record = (bytes: Plain | undefined): readonly Plain[] => decode(bytes as Uint8Array, 1 << 20) as readonly Plain[]
    const exchanged = [encode(record(first).with(3, record(second)[3] ?? null)), encode(record(second).with(3, record(first)[3] ?? null))]
    const altered = [
      withItem(7, []),
      withItem(7, [first ?? null]),
      withItem(7, [second ?? null, first ?? null]),
      withItem(7, [first ?? null, first ?? null]),
      withItem(7, exchanged),
      withItem(7, list(theirs, 7)),
      withItem(7, [encode(record(first).with(2, 5)), second ?? null]),
      withItem(7, [encode(record(first).with(1, 2)), second ?? null]),
      withItem(5, list(items, 5).toReversed()),
      withItem(5, list(items, 5).slice(1)),
      withItem(5, []),
      withItem(5, [...list(items, 5), list(items, 5)[0] ?? null]),
      withItem(5, list(theirs, 5)),
      withItem(6, list(theirs, 6)),
      withItem(3, 1_000),
      withItem(4, 9),
      withItem(1, theirs[1] ?? null),
      withItem(8, new Uint8Array(32)),
      encode({ vault: items }),
      encode(items.slice(0, 8)),
      encode([...items, 1]),
    ]
    for (const [index, bytes] of altered.entries()) expect([index, await end(bytes)]).toEqual([index, 'ERR_AUTH_FAILED'])
  })
})

test('whoever has the root key itself cannot turn a slot or a record into another: each is bound to what it says', async () => {
  await using vault = await smallVault()
  const { bytes, end } = vault
  const file = decodeVault(bytes)
  const [, slot] = file.slots
  if (slot === undefined) throw new Error('no slot')
  const root = await openSlot(slot, passkey(), { vaultId: file.id, random: createSeededRandom(1) })
  if (root === undefined) throw new Error('the slot does not open')
  const signed = (change: Partial<VaultFile>): Uint8Array => encodeVault({ ...file, ...change }, macKeyOf(root))
  expect(await end(signed({ createdAt: 1 }))).toBe('open')
  const slots = (change: object): Partial<VaultFile> => ({ slots: [file.slots[0] ?? slot, { ...slot, ...change }] })
  const [first, second] = file.records
  if (first === undefined || second === undefined) throw new Error('no records')
  for (const change of [
    slots({ label: 'other' }),
    slots({ createdAt: 1 }),
    slots({ credentialId: Uint8Array.of(9) }),
    slots({ salt: new Uint8Array(32) }),
    slots({ id: new Uint8Array(8) }),
    { id: new Uint8Array(16) },
    { epoch: { ...file.epoch, createdAt: 1 } },
    { epoch: { ...file.epoch, number: 2 }, records: file.records.map((record) => ({ ...record, epoch: 2 })) },
    { records: [{ ...first, version: 2 }, second] },
    {
      records: [
        { ...first, sealed: second.sealed },
        { ...second, sealed: first.sealed },
      ],
    },
    { records: [{ ...first, blinded: new Uint8Array(32) }, second] },
    // What no writer writes, whoever signs it.
    { slots: [] },
    { slots: [slot, slot] },
    { records: [second, first] },
    { records: [first, first, second] },
    { records: [{ ...first, epoch: 7 }, second] },
  ]) {
    expect(await end(signed(change))).toBe('ERR_AUTH_FAILED')
  }
  // Weaker or stronger parameters of a passphrase, within the bounds.
  const [words] = file.slots
  if (words?.kdf === undefined) throw new Error('no parameters')
  expect(await end(bytes, passphrase)).toBe('open')
  expect(await end(signed({ slots: [{ ...words, kdf: { ...words.kdf, iterations: 4 } }, slot] }), passphrase)).toBe('ERR_AUTH_FAILED')
})

test('parameters of a derivation outside the bounds are refused before anything is derived, also those that are too much together', async () => {
  await using vault = await smallVault()
  const { bytes, end } = vault
  const items = decode(bytes, 1 << 20) as readonly Plain[]
  const [words, passkeySlot] = items[5] as readonly (readonly Plain[])[]
  if (words === undefined || passkeySlot === undefined) throw new Error('no slots')
  const withSlots = (...slots: readonly Plain[]): Uint8Array => encode(items.with(5, slots))
  const hostile: readonly Plain[] = [
    ...[
      [1, 3, 1],
      [65_535, 3, 1],
      [262_145, 3, 1],
      [2 ** 32, 3, 1],
      [2 ** 53 - 1, 3, 1],
    ],
    ...[
      [65_536, 0, 1],
      [65_536, 2, 1],
      [65_536, 13, 1],
      [65_536, 2 ** 32, 1],
    ],
    ...[[65_536, 3, 0], [65_536, 3, 2], [65_536, 3, 1, 1], [65_536, 3], 'argon2id', null],
  ]
  for (const kdf of hostile) expect(await end(withSlots(words.with(4, kdf), passkeySlot), passphrase)).toBe('ERR_AUTH_FAILED')
  expect(await end(withSlots(words.with(6, new Uint8Array(8)), passkeySlot), passphrase)).toBe('ERR_AUTH_FAILED')
  expect(await end(withSlots(words, passkeySlot.with(4, [65_536, 3, 1])), passphrase)).toBe('ERR_AUTH_FAILED')
  const many = Array.from({ length: 8 }, (_, index) => words.with(0, new Uint8Array(8).fill(index)).with(4, [262_144, 12, 1]))
  expect(await end(withSlots(...many), passphrase)).toBe('ERR_AUTH_FAILED')
  expect(await end(withSlots(...many, ...many.map((slot) => slot.with(4, [65_536, 3, 1]))), passphrase)).toBe('ERR_AUTH_FAILED')
  expect(work.derivations).toBe(1)
  // The most that is taken: 8 passphrases of the least parameters.
  const most = many.map((slot) => slot.with(4, [65_536, 3, 1]))
  expect(await end(withSlots(...most), passphrase)).toBe('ERR_AUTH_FAILED')
  expect(work.derivations).toBe(9)
})

test('a wrong passphrase costs the same work as a file altered anywhere', async () => {
  await using vault = await smallVault()
  const { bytes, end } = vault
  const costOf = async (altered: Uint8Array, key: VaultKey): Promise<readonly number[]> => {
    const before = { ...work }
    expect(await end(altered, key)).toBe('ERR_AUTH_FAILED')
    return [work.derivations - before.derivations, work.macBytes - before.macBytes]
  }
  const altered = (at: number): Uint8Array => bytes.with(at, (bytes.at(at) ?? 0) ^ 1)
  const cost = await costOf(bytes, { kind: 'passphrase', secret: utf8('wrong') })
  expect(cost).toEqual([1, bytes.length - 32])
  const file = decodeVault(bytes)
  const at = (part: Uint8Array): number => Buffer.from(bytes).indexOf(part) + part.length - 1
  const [words, passkeySlot] = file.slots
  const places = [words?.rootKey, words?.salt, words?.id, passkeySlot?.rootKey, file.epoch.dataKey, file.records[0]?.sealed, file.records[1]?.blinded]
  for (const place of places) expect(await costOf(altered(at(place ?? new Uint8Array())), passphrase)).toEqual(cost)
  expect(await costOf(altered(-1), passphrase)).toEqual(cost)
})

test('neither errors nor status nor the file say anything of what is in it', async () => {
  await using place = await vaultPlace()
  const canary = 'canary-7f3a91'
  const said: string[] = []
  const note = (error: unknown): void => {
    for (let at = error; at instanceof Error; at = at.cause) said.push(at.message, at.stack ?? '', JSON.stringify(at))
  }
  const noting = async (act: () => Promise<unknown>): Promise<void> => void (await act().catch(note))
  const vault = await createVault({ ...place.options, key: { ...passkey(), secret: utf8(canary.padEnd(32, '-')) } })
  await vault.set(`name-${canary}`, utf8(`value-${canary}`))
  await noting(() => vault.set(`bad name ${canary}`, utf8(canary)))
  await noting(() => vault.set('big', utf8(canary.repeat(6_000))))
  await noting(() => vault.addSlot({ kind: 'recovery', secret: utf8(canary) }))
  await noting(() => vault.addSlot({ kind: 'passphrase', secret: utf8(canary.repeat(100)) }))
  const again = await openVault(place.options)
  await noting(() => again.unseal({ kind: 'prf', secret: utf8(canary.padEnd(32, '+')) }))
  await noting(() => again.unseal({ kind: 'passphrase', secret: utf8(canary) }))
  await noting(() => again.set(canary, utf8(canary)))
  said.push(JSON.stringify(vault.status()), (await readFile(place.path)).toString('latin1'))
  const faulty = await openVault({ ...place.options, commit: () => Promise.reject(new Error('no')) })
  await faulty.unseal({ kind: 'prf', secret: utf8(canary.padEnd(32, '-')) })
  await noting(() => faulty.set(canary, utf8(canary)))
  expect(said.length).toBeGreaterThan(20)
  const found = said.filter((text) => text.includes(canary) || text.includes(hex(utf8(canary))))
  expect(found).toEqual([])
})

test('names, values, records and bytes have limits, and a change over one leaves all as it was', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  for (const name of [
    '',
    '.',
    '../a',
    '/a',
    'a/',
    'a//b',
    'a/b/c/d/e',
    'a b',
    'ä',
    '-a',
    'a\n',
    'x'.repeat(65),
    `${`${'x'.repeat(64)}/`.repeat(3)}${'x'.repeat(62)}`,
    '__proto__',
  ]) {
    await expect(vault.set(name, utf8('1'))).rejects.toMatchObject({ code: 'ERR_USAGE' })
    expect(vault.get(name)).toBeUndefined()
  }
  for (const name of ['a', 'A.b_c-1', `${'x'.repeat(64)}/${'y'.repeat(64)}/${'z'.repeat(64)}/${'0'.repeat(61)}`]) await vault.set(name, new Uint8Array())
  await expect(vault.set('a', new Uint8Array((64 << 10) + 1))).rejects.toMatchObject({ code: 'ERR_WIRE_TOO_LARGE' })
  await vault.set('a', new Uint8Array(64 << 10))
  const many = Array.from({ length: 1_021 }, (_, index) => [`s${index}`, utf8('1')] as const)
  await vault.setMany(many)
  expect(vault.status().secrets).toBe(1_024)
  const { counter } = vault
  await expect(vault.set('one-more', utf8('1'))).rejects.toMatchObject({ code: 'ERR_VAULT_FULL' })
  await expect(vault.setMany(many.slice(0, 300).map(([name]) => [name, new Uint8Array(64 << 10)] as const))).rejects.toMatchObject({ code: 'ERR_VAULT_FULL' })
  expect([vault.counter, vault.get('s0')?.value]).toEqual([counter, utf8('1')])
  const again = await openVault(place.options)
  await again.unseal(passkey())
  expect(again.status().secrets).toBe(1_024)
})

test('each seal is under a key or nonce of its own: nothing repeats over 2,000 seals, also where a snapshot was put back', async () => {
  await using place = await vaultPlace()
  const vault = await createVault({ ...place.options, key: passkey() })
  const seen = new Set<string>()
  const note = (bytes: Uint8Array): void => {
    for (const { blinded, version, epoch, sealed } of decodeVault(bytes).records) {
      const keyed = `${hex(hmacSha256(blinded, encode([epoch, version])))} ${hex(sealed.subarray(0, 12))}`
      const whole = `${keyed} ${hex(sealed)}`
      if (seen.has(whole)) continue
      expect(seen.has(keyed)).toBe(false)
      seen.add(whole).add(keyed)
    }
  }
  const records = Array.from({ length: 100 }, (_, index) => [`s${index}`, utf8('same')] as const)
  await vault.setMany(records)
  const snapshot = await readFile(place.path)
  for (let times = 0; times < 10; times++) {
    await (times % 5 === 4 ? vault.rotate() : vault.setMany(records))
    note(await readFile(place.path))
  }
  await writeFile(place.path, snapshot)
  const back = await openVault({ ...place.options, accept: true })
  await back.unseal(passkey())
  for (let times = 0; times < 10; times++) {
    await (times % 5 === 4 ? back.rotate() : back.setMany(records))
    note(await readFile(place.path))
  }
  expect(seen.size).toBe(4_000)
})
