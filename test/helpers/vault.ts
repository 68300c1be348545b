import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSeededRandom, createVirtualClock, type Random, type VirtualClock } from '../../src/base/index.ts'
import type { Committed, NewSlot, VaultCommit, VaultOptions } from '../../src/vault/index.ts'

/** A log in memory, as the node hands one in. */
export interface VaultLog {
  readonly changes: VaultCommit[]
  readonly commit: (change: VaultCommit) => Promise<void>
  readonly expected: () => Promise<Committed | undefined>
}

export function createVaultLog(): VaultLog {
  const changes: VaultCommit[] = []
  return {
    changes,
    async commit(change) {
      changes.push(change)
    },
    expected: async () => changes.at(-1),
  }
}

export interface VaultPlace {
  readonly path: string
  readonly log: VaultLog
  readonly clock: VirtualClock
  readonly random: Random
  readonly options: VaultOptions
  [Symbol.asyncDispose](): Promise<void>
}

/** A folder for one vault, with its log, time and chance. */
export async function vaultPlace(seed = 1): Promise<VaultPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-vault-'))
  const log = createVaultLog()
  const path = join(folder, 'home', 'vault')
  const clock = createVirtualClock({ start: Date.UTC(2026, 0, 1) })
  const random = createSeededRandom(seed)
  return {
    path,
    log,
    clock,
    random,
    options: { path, clock, random, commit: log.commit, expected: log.expected },
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true }),
  }
}

/** A key that costs no Argon2id. */
export const passkey = (fill = 7): NewSlot => ({
  kind: 'prf',
  secret: new Uint8Array(32).fill(fill),
  credentialId: Uint8Array.of(1, fill),
  salt: new Uint8Array(32).fill(fill),
})
