import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Vector } from '../../scripts/vectors/world.ts'
import { createSeededRandom, fromHex, hex, realClock } from '../../src/base/index.ts'
import { decodeRecoveryCode, encodeRecoveryCode, openBackup, openOldVault, openVault, type Secret, type VaultKey } from '../../src/vault/index.ts'

const bytes = (text: unknown): Uint8Array => fromHex(String(text))
const shown = ({ name, version, createdAt, updatedAt, value }: Secret): readonly unknown[] => [name, version, createdAt, updatedAt, hex(value)]
const random = createSeededRandom(1)

/** What our code says to the vectors of vaults. */
export const vaultReaders: Readonly<Record<string, (vector: Vector) => void | Promise<void>>> = {
  async vault({ file, key, counter, epoch, secrets }) {
    const { kind, secret } = key as { readonly kind: VaultKey['kind']; readonly secret: string }
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-vault-'))
    const path = join(folder, 'vault')
    try {
      await writeFile(path, bytes(file))
      const vault = await openVault({ path, clock: realClock, random })
      await vault.unseal({ kind, secret: bytes(secret) })
      expect(vault.status()).toMatchObject({ counter, epoch })
      expect(vault.list().map(({ name }) => shown(vault.get(name) as Secret))).toEqual(secrets)
    } finally {
      await rm(folder, { recursive: true })
    }
  },
  'vault-recovery-code'({ code, secret, written }) {
    const read = decodeRecoveryCode(String(code))
    expect([hex(read), encodeRecoveryCode(read)]).toEqual([secret, written])
  },
  async 'vault-backup'({ file, passphrase, vaultId, createdAt, secrets }) {
    const backup = await openBackup(bytes(file), { passphrase: bytes(passphrase), random })
    expect([backup.vaultId, backup.createdAt]).toEqual([vaultId, createdAt])
    expect(Object.fromEntries(backup.secrets.map((secret) => [secret.name, shown(secret)]))).toEqual(
      Object.fromEntries((secrets as readonly (readonly unknown[])[]).map((secret) => [secret[0], secret])),
    )
  },
  async 'old-vault'({ file, passphrase, secrets }) {
    const read = await openOldVault(bytes(file), { passphrase: bytes(passphrase), now: 0 })
    expect(read.map(({ name, value }) => [name, hex(value)])).toEqual(secrets)
  },
}
