import { createCipheriv, pbkdf2Sync } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { base64, concat, type Random, utf8 } from '../../src/base/index.ts'
import { deriveFromPassphrase } from '../../src/crypto/index.ts'
import { decodeVault, encodeVault, type Slot, type VaultFile } from '../../src/vault/format.ts'
import { createVault, encodeRecoveryCode, type NewSlot, type Secret } from '../../src/vault/index.ts'
import { macKeyOf } from '../../src/vault/records.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { chance, clock, flipped, now, type Vector, type Vectors } from './world.ts'

const passphrase = utf8('correct horse battery staple')
const recovery = Uint8Array.from({ length: 20 }, (_, index) => index * 13)
const passkey = {
  kind: 'prf',
  secret: new Uint8Array(32).fill(0x41),
  credentialId: Uint8Array.of(1, 2, 3, 4),
  salt: new Uint8Array(32).fill(0x42),
  label: 'passkey',
} as const
const keyring = new Uint8Array(32).fill(0x43)

export async function vaultVectors(): Promise<Vectors> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-vault-vectors-'))
  try {
    return { ...(await files(join(folder, 'vault'))), ...recoveryCodes(), ...(await backups(join(folder, 'other'))), ...oldVaults() }
  } finally {
    await rm(folder, { recursive: true })
  }
}

const wrappingKeyOf = async (slot: Pick<Slot, 'kdf' | 'salt'>): Promise<Uint8Array> =>
  slot.kdf === undefined ? new Uint8Array() : await deriveFromPassphrase(passphrase, { kdf: 'argon2id', ...slot.kdf, salt: slot.salt })

const shown = ({ name, version, createdAt, updatedAt, value }: Secret): readonly unknown[] => [name, version, createdAt, updatedAt, value]

/** A vault with every kind of slot that went through every kind of change. */
async function files(path: string): Promise<Vectors> {
  let root: Uint8Array | undefined
  const source = chance(61)
  const random: Random = {
    ...source,
    bytes(length) {
      const bytes = source.bytes(length)
      root ??= bytes.slice()
      return bytes
    },
  }
  const vault = await createVault({
    path,
    clock,
    random,
    key: { kind: 'passphrase', secret: passphrase, label: 'by heart' },
    records: [
      ['kindmesh/identity', utf8('seed')],
      ['gone', utf8('soon')],
    ],
  })
  const slots: readonly NewSlot[] = [{ kind: 'recovery', secret: recovery, label: 'on paper' }, passkey, { kind: 'keyring', secret: keyring }]
  for (const slot of slots) await vault.addSlot(slot)
  await vault.set('api/key', utf8('hunter2'))
  await vault.set('api/key', utf8('hunter3'))
  await vault.remove('gone')
  await vault.rotate()
  await vault.set('empty', new Uint8Array())
  const file = new Uint8Array(await readFile(path))
  const secrets = vault.list().flatMap(({ name }) => vault.get(name) ?? [])
  vault.seal()
  const parts = decodeVault(file)
  const [words, paper] = parts.slots
  if (root === undefined || words === undefined || paper === undefined) throw new Error('a vault without slots')

  const macKey = macKeyOf(root)
  const signed = (change: Partial<VaultFile>): Uint8Array => encodeVault({ ...parts, ...change }, macKey)
  const items = decode(file, 1 << 20) as readonly Plain[]
  const slotItems = items[5] as readonly (readonly Plain[])[]
  const recordItems = items[7] as readonly Plain[]
  const withSlots = (...changed: readonly Plain[]): Uint8Array => encode(items.with(5, changed))
  const withParameters = (...parameters: readonly number[]): Uint8Array => withSlots(...slotItems.with(0, (slotItems[0] ?? []).with(4, parameters)))

  const opened = (comment: string, spec: string, key: Readonly<Record<string, unknown>>): Vector => ({
    comment,
    spec,
    expect: 'ok',
    kind: 'vault',
    file,
    key,
    counter: vault.counter,
    floor: parts.floor,
    epoch: parts.epoch.number,
    rootKey: root,
    secrets: secrets.map(shown),
  })
  const refused = (
    comment: string,
    spec: string,
    altered: Uint8Array,
    key: Readonly<Record<string, unknown>> = { kind: 'prf', secret: passkey.secret },
  ): Vector => ({
    comment,
    spec,
    expect: 'ERR_AUTH_FAILED',
    kind: 'vault',
    file: altered,
    key,
  })
  return {
    'file-passphrase': opened('opened by its passphrase, which Argon2id makes `wrappingKey` of', '3.1', {
      kind: 'passphrase',
      secret: passphrase,
      wrappingKey: await wrappingKeyOf(words),
    }),
    'file-recovery': opened('the same, opened by its recovery code', '3.4', { kind: 'recovery', secret: recovery }),
    'file-prf': opened('the same, opened by a passkey', '4.2', { kind: 'prf', secret: passkey.secret }),
    'file-keyring': opened('the same, opened by the keyring of the operating system', '1.1', { kind: 'keyring', secret: keyring }),
    'file-wrong-key': refused('a key of the right kind, another one', '6.1', file, { kind: 'prf', secret: keyring }),
    'file-mac-altered': refused('one bit of the MAC turned', '6.2', flipped(file, -1)),
    'file-record-altered': refused('one bit of a record turned', '6.2', flipped(file, -60)),
    'file-counter-altered': refused('another counter', '6.2', encode(items.with(3, vault.counter + 1))),
    'file-cut': refused('the last byte is missing', '6.2', file.subarray(0, -1)),
    'file-longer': refused('a byte behind', '6.2', concat(file, Uint8Array.of(0))),
    'file-no-slots': refused('no slot', '1.3', withSlots()),
    'file-slot-twice': refused('a slot twice', '1.3', withSlots(...slotItems, slotItems[2] ?? [])),
    'file-slot-dropped': refused('a slot is missing', '6.2', withSlots(...slotItems.slice(1))),
    'file-records-exchanged': refused('records out of order', '1.3', encode(items.with(7, recordItems.toReversed()))),
    'file-record-of-other-epoch': refused('a record of another epoch', '1.3', encode(items.with(6, (items[6] as readonly Plain[]).with(0, 3)))),
    'file-memory-weak': refused('32 MiB', '3.1', withParameters(32_768, 3, 1)),
    'file-memory-strong': refused('1 GiB', '3.1', withParameters(1 << 20, 3, 1)),
    'file-iterations-weak': refused('2 iterations', '3.1', withParameters(65_536, 2, 1)),
    'file-iterations-strong': refused('13 iterations', '3.1', withParameters(65_536, 13, 1)),
    'file-lanes': refused('2 lanes', '3.1', withParameters(65_536, 3, 2)),
    'file-work': refused(
      'two slots that cost too much together',
      '3.1',
      withSlots(...[0, 9].map((id) => (slotItems[0] ?? []).with(0, new Uint8Array(8).fill(id)).with(4, [262_144, 4, 1])), slotItems[2] ?? []),
    ),
    'slot-relabelled': refused(
      'a slot under another label, with a MAC by who has the root key',
      '3.2',
      signed({ slots: parts.slots.map((slot) => (slot.kind === 'prf' ? { ...slot, label: 'other' } : slot)) }),
    ),
    'slot-of-other-vault': refused('slots of another vault id, with a MAC by who has the root key', '3.2', signed({ id: new Uint8Array(16) })),
    'record-other-version': refused(
      'a record as another version, with a MAC by who has the root key',
      '4.3',
      signed({ records: parts.records.map((record) => ({ ...record, version: record.version + 1 })) }),
    ),
    'record-other-name': refused(
      'two records exchanged, with a MAC by who has the root key',
      '4.3',
      signed({ records: parts.records.map((record, index, all) => ({ ...record, sealed: all[(index + 1) % all.length]?.sealed ?? record.sealed })) }),
    ),
    'epoch-other-time': refused('an epoch of another time, with a MAC by who has the root key', '2.1', signed({ epoch: { ...parts.epoch, createdAt: 1 } })),
  }
}

function recoveryCodes(): Vectors {
  const code = encodeRecoveryCode(recovery)
  const read = (comment: string, typed: string) => ({
    comment,
    spec: '3.5',
    expect: 'ok',
    kind: 'vault-recovery-code',
    code: typed,
    secret: recovery,
    written: code,
  })
  const refused = (comment: string, typed: string) => ({ comment, spec: '3.5', expect: 'ERR_USAGE', kind: 'vault-recovery-code', code: typed })
  return {
    'recovery-code': read('as it is printed', code),
    'recovery-code-typed': read(
      'in small letters, with spaces, o for 0 and l for 1',
      code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l'),
    ),
    'recovery-code-mistyped': refused('one digit changed', `${code.slice(0, -1)}${code.endsWith('Z') ? 'Y' : 'Z'}`),
    'recovery-code-short': refused('a group is missing', code.slice(5)),
    'recovery-code-letter': refused('U is no digit', `U${code.slice(1)}`),
  }
}

async function backups(path: string): Promise<Vectors> {
  const vault = await createVault({
    path,
    clock,
    random: chance(62),
    key: passkey,
    records: [
      ['a', utf8('1')],
      ['kindmesh/identity', utf8('seed')],
    ],
  })
  await vault.set('a', utf8('2'))
  const file = await vault.export(passphrase)
  const items = decode(file, 1 << 20) as readonly Plain[]
  const wrappingKey = await wrappingKeyOf({ kdf: { memoryKiB: 65_536, iterations: 3, parallelism: 1 }, salt: items[4] as Uint8Array })
  const common = { kind: 'vault-backup', passphrase, wrappingKey }
  const refused = (comment: string, altered: Uint8Array, expected: string) => ({ comment, spec: '7.1', expect: expected, ...common, file: altered })
  return {
    backup: {
      comment: 'a backup of two secrets',
      spec: '7.1',
      expect: 'ok',
      ...common,
      file,
      vaultId: vault.id,
      createdAt: now,
      secrets: vault.list().map(({ name }) => shown(vault.get(name) as Secret)),
    },
    'backup-altered': refused('one bit turned', flipped(file, -1), 'ERR_AUTH_FAILED'),
    'backup-weak': refused('1 iteration', encode(items.with(3, [65_536, 1, 1])), 'ERR_VAULT_IMPORT'),
    'backup-strong': refused('1 GiB', encode(items.with(3, [1 << 20, 3, 1])), 'ERR_VAULT_IMPORT'),
    'backup-longer': refused('a byte behind', concat(file, Uint8Array.of(0)), 'ERR_VAULT_IMPORT'),
  }
}

function oldVaults(): Vectors {
  const salt = new Uint8Array(16).fill(0x51)
  const iv = new Uint8Array(12).fill(0x52)
  const cipher = createCipheriv('aes-256-gcm', pbkdf2Sync(passphrase, salt, 10_000, 32, 'sha256'), iv)
  const data = concat(cipher.update(utf8('hunter2')), cipher.final(), cipher.getAuthTag())
  const vector = (comment: string, expected: string, kdf: object, sealed = data): Vector => ({
    comment,
    spec: expected === 'ERR_AUTH_FAILED' ? '8.2' : '8.1',
    expect: expected,
    kind: 'old-vault',
    passphrase,
    file: utf8(
      JSON.stringify({
        version: 1,
        kdf: { name: 'PBKDF2', hash: 'SHA-256', iterations: 10_000, salt: base64(salt), ...kdf },
        cipher: 'AES-256-GCM',
        items: { 'api-key': { iv: base64(iv), data: base64(sealed) } },
      }),
    ),
    ...(expected === 'ok' ? { secrets: [['api-key', utf8('hunter2')]] } : {}),
  })
  return {
    'old-vault': vector('PBKDF2 with 10,000 iterations', 'ok', {}),
    'old-vault-altered': vector('one bit turned', 'ERR_AUTH_FAILED', {}, flipped(data, 0)),
    'old-vault-few-iterations': vector('9,999 iterations', 'ERR_VAULT_IMPORT', { iterations: 9_999 }),
    'old-vault-many-iterations': vector('5,000,001 iterations', 'ERR_VAULT_IMPORT', { iterations: 5_000_001 }),
    'old-vault-short-salt': vector('7 bytes of salt', 'ERR_VAULT_IMPORT', { salt: base64(salt.subarray(0, 7)) }),
    'old-vault-sha1': vector('another hash', 'ERR_VAULT_IMPORT', { hash: 'SHA-1' }),
    'old-vault-field': vector('a field nobody knows', 'ERR_VAULT_IMPORT', { more: 1 }),
  }
}
