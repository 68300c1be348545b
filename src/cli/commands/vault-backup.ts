import { open, unlink } from 'node:fs/promises'
import type { Command } from 'commander'
import { base64, fromBase64, MeshError, utf8 } from '../../base/index.ts'
import { atNodeOr, profileOf, vaultOf } from '../at-node.ts'
import type { AddCommand } from '../program.ts'
import { passphraseIn } from '../secret-input.ts'

interface ImportFlags {
  readonly backupPassphraseFile: string
  readonly refuse?: boolean
}

/** One file of all secrets, and the way back. */
export function addBackupCommands(vault: Command, add: AddCommand): void {
  add<readonly [string], { readonly backupPassphraseFile: string }>(
    vault,
    'export <file>',
    'all secrets and the keys of the node in one sealed file, under a passphrase of its own',
    (command) => command.requiredOption('--backup-passphrase-file <file>', 'the passphrase of the backup'),
    async (context, [path], { backupPassphraseFile }) => {
      const passphrase = await passphraseIn(backupPassphraseFile)
      const within = await vaultOf(context)
      // Opened first: a backup that cannot be written is not made.
      const file = await open(path, 'wx', 0o600).catch((cause: unknown) => {
        throw new MeshError('ERR_USAGE', `${path} cannot be written`, { cause, hint: 'name a file that does not exist yet' })
      })
      try {
        const { backup } = await atNodeOr(
          context,
          (client) => client.exportVault(passphrase, { signal: context.signal }),
          () => within(async (doors) => ({ backup: base64(await doors.export(utf8(passphrase))) })),
        )
        const bytes = fromBase64(backup) ?? new Uint8Array()
        await file.writeFile(bytes)
        await file.sync()
        context.print('vault-export', { file: path, bytes: bytes.length }, () => `written to ${path}`)
      } catch (error) {
        await unlink(path)
        throw error
      } finally {
        await file.close()
      }
    },
  )
  add<readonly [string], ImportFlags>(
    vault,
    'import <file>',
    'take the secrets of a backup, or of an old vault; where the vault is lost, rolled back or was never there, the identity too',
    (command) =>
      command
        .requiredOption('--backup-passphrase-file <file>', 'the passphrase of the backup')
        .option('--refuse', 'change nothing when a name is there with another value; else the newer one stays'),
    async (context, [path], { backupPassphraseFile, refuse = false }) => {
      const { importOffline } = await import('../../node/index.ts')
      const passphrase = await passphraseIn(backupPassphraseFile)
      const backup = await backupIn(path)
      const policy = refuse ? 'refuse' : 'newer'
      const profile = await profileOf(context)
      const report = await atNodeOr(
        context,
        (client) => client.importVault({ backup: base64(backup), passphrase, policy }, { signal: context.signal }),
        () => importOffline(profile, backup, { passphrase: utf8(passphrase), policy }),
      )
      const { added, replaced, kept, skipped } = report
      context.print(
        'vault-import',
        { added, replaced, kept, skipped },
        () => `${added.length} added, ${replaced.length} replaced, ${kept.length} kept as they were, ${skipped.length} of the node's own left alone`,
      )
    },
  )
  add(
    vault,
    'accept',
    'take a vault file that is older than the audit log says, by your word; what was changed since is lost',
    (command) => command,
    async (context) => {
      const { acceptVault } = await import('../../node/index.ts')
      const { counter, secrets } = await acceptVault(await profileOf(context))
      context.print('vault-accept', { counter, records: secrets }, () => `accepted: ${secrets} records, change number ${counter}`)
    },
  )
}

async function backupIn(path: string): Promise<Uint8Array> {
  const { backupBytesMax } = await import('../../node/index.ts')
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  })
  try {
    if ((await file.stat()).size > backupBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${path} exceeds ${backupBytesMax} bytes`)
    return new Uint8Array(await file.readFile())
  } finally {
    await file.close()
  }
}
