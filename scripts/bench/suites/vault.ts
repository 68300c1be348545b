import { closeSync, fdatasyncSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { realClock, realRandom, utf8 } from '../../../src/base/index.ts'
import { createLocalBox, deriveFromPassphrase, passphraseParams } from '../../../src/crypto/index.ts'
import { createVault, openVault, type VaultKey } from '../../../src/vault/index.ts'
import { alternate, type Bench, row, type Row, usPerCall } from '../harness.ts'

const mib = 1 << 20
const secretsHeld = 100
const value = new Uint8Array(256).fill(7)
const key: VaultKey = { kind: 'passphrase', secret: utf8('correct horse battery staple') }
const perSecond = (us: number): number => 1_000_000 / us

/** What it costs to unseal a vault of 100 secrets at the default parameters, to read one and to change one. */
export async function* vault(bench: Bench): AsyncIterable<Row> {
  const home = bench.path('vault-home')
  mkdirSync(home)
  const options = { path: `${home}/vault`, clock: realClock, random: realRandom }
  const records = Array.from({ length: secretsHeld }, (_, index) => [`secret-${index}`, value] as const)
  const held = await createVault({ ...options, key, records })

  const salt = realRandom.bytes(32)
  const timed = async (act: () => Promise<unknown>): Promise<number> => {
    const start = performance.now()
    await act()
    return performance.now() - start
  }
  const unlock = await alternate(bench.rounds(7), {
    vault: () => timed(async () => await (await openVault(options)).unseal(key)),
    argon: () => timed(async () => await deriveFromPassphrase(key.secret, { ...passphraseParams, salt })),
  })
  yield row({
    id: 'vault-unlock',
    what: `open and unseal ${secretsHeld} secrets, 64 MiB, 3 iterations`,
    unit: 'ms',
    figures: unlock.vault,
    against: 'Argon2id alone, of the same library',
    others: unlock.argon,
    goal: 1.2,
  })

  const peak = async (command: string): Promise<number> => {
    const peer = bench.start(new URL('../peers/vault.ts', import.meta.url))
    try {
      return (await peer.ask<number>(command, options.path)) / mib
    } finally {
      await peer.stop()
    }
  }
  const memory = await alternate(bench.rounds(3), { vault: () => peak('unseal'), argon: () => peak('argon') })
  yield row({
    id: 'vault-unlock-memory',
    what: 'most resident memory while it unseals, above that before',
    unit: 'MiB',
    figures: memory.vault,
    against: 'Argon2id alone in its own process',
    others: memory.argon,
  })

  const box = createLocalBox(realRandom.bytes(32), realRandom)
  const sealed = box.seal(value, salt)
  const get = await alternate(bench.rounds(9), {
    vault: () => perSecond(usPerCall(bench.calls * 10, () => held.get('secret-50'))),
    gcm: () => perSecond(usPerCall(bench.calls * 10, () => box.open(sealed, salt))),
  })
  yield row({
    id: 'vault-get',
    what: 'read one of 256 bytes',
    unit: 'reads/s',
    figures: get.vault,
    against: 'AES-256-GCM of the same bytes under a key at hand',
    others: get.gcm,
  })

  const { bytes } = held.status()
  const whole = new Uint8Array(bytes)
  const writeWhole = (): void => {
    const file = openSync(`${home}/plain.next`, 'w', 0o600)
    writeSync(file, whole)
    fsyncSync(file)
    closeSync(file)
    renameSync(`${home}/plain.next`, `${home}/plain`)
    const folder = openSync(home, 'r')
    fdatasyncSync(folder)
    closeSync(folder)
  }
  const eachPerSecond = async (act: () => unknown): Promise<number> => {
    const start = performance.now()
    for (let call = 0; call < bench.calls; call++) await act()
    return (bench.calls * 1_000) / (performance.now() - start)
  }
  const put = await alternate(bench.rounds(7), {
    vault: () => eachPerSecond(() => held.set('secret-50', value)),
    file: () => eachPerSecond(writeWhole),
  })
  yield row({
    id: 'vault-put',
    what: `change one of ${secretsHeld}: a file of ${Math.round(bytes / 1_024)} KiB written anew`,
    unit: 'writes/s',
    figures: put.vault,
    against: 'the same bytes written, synced and renamed bare',
    others: put.file,
  })
}
