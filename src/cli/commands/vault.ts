import type { Command } from 'commander'
import { MeshError, utf8 } from '../../base/index.ts'
import { atNodeOr, profileOf, vaultOf } from '../at-node.ts'
import type { AddCommand } from '../program.ts'
import { fromStdin, passphraseIn, textOf } from '../secret-input.ts'
import { addBackupCommands } from './vault-backup.ts'
import { addSlotCommands } from './vault-slots.ts'

export function addVaultCommands(program: Command, add: AddCommand): void {
  const vault = program.command('vault').description('secrets of this node, sealed: for yourself, and for agents, tasks and providers you grant them to')
  add(
    vault,
    'status',
    'whether it is sealed, and what opens it',
    (command) => command,
    async (context) => {
      const status = await atNodeOr(
        context,
        (client) => client.vault({ signal: context.signal }),
        async () => {
          const { readVaultStatus } = await import('../../node/index.ts')
          const { slots, secrets, ...rest } = await readVaultStatus(await profileOf(context))
          return { ...rest, records: secrets, slots: slots.map(({ id, kind, label, createdAt }) => ({ id, kind, label, createdAt })) }
        },
      )
      context.print('vault-status', status, ({ sealed, slots, records, counter, rolledBack }) =>
        [
          `vault    ${sealed ? 'sealed' : 'open'}, ${records} records, change number ${counter}`,
          ...slots.map(({ id, kind, label }) => `opened by ${kind}${label === '' ? '' : ` (${label})`}, slot ${id}`),
          ...(rolledBack ? ['the file is older than the audit log says: kindmesh vault import FILE, or kindmesh vault accept'] : []),
        ].join('\n'),
      )
    },
  )
  add(
    vault,
    'list',
    'the names; values are not shown',
    (command) => command,
    async (context) => {
      const within = await vaultOf(context)
      const { secrets } = await atNodeOr(
        context,
        (client) => client.secrets({ signal: context.signal }),
        () => within(async (doors) => ({ secrets: doors.list() })),
      )
      context.print(
        'vault-list',
        { names: secrets.map(({ name }) => name), secrets },
        ({ names }) => names.join('\n') || 'no secrets: `kindmesh vault set NAME < file`',
      )
    },
  )
  add<readonly [string]>(
    vault,
    'get <name>',
    'print a secret; the reading is in the audit log',
    (command) => command,
    async (context, [name]) => {
      const within = await vaultOf(context)
      const { value } = await atNodeOr(
        context,
        (client) => client.readSecret(name, { signal: context.signal }),
        () => within(async (doors) => ({ value: await doors.get(name, 'cli') })),
      )
      if (value === undefined) throw noSecret(name)
      context.print('vault-get', { name, value }, () => value)
    },
  )
  add<readonly [string]>(
    vault,
    'set <name>',
    'keep what comes on stdin under a name, without the line end',
    (command) => command,
    async (context, [name]) => {
      const value = await fromStdin()
      const within = await vaultOf(context)
      const { version } = await atNodeOr(
        context,
        (client) => client.setSecret({ name, value }, { signal: context.signal }),
        () => within((doors) => doors.set(name, value)),
      )
      context.print('vault-set', { name, version }, () => `${name} is kept`)
    },
  )
  add<readonly [string]>(
    vault,
    'rm <name>',
    'forget a secret',
    (command) => command,
    async (context, [name]) => {
      const within = await vaultOf(context)
      await atNodeOr(
        context,
        (client) => client.removeSecret(name, { signal: context.signal }),
        () =>
          within(async (doors) => {
            if (!(await doors.remove(name))) throw noSecret(name)
            return { name }
          }),
      )
      context.print('vault-rm', { name }, () => `${name} is forgotten`)
    },
  )
  add<readonly [], { readonly newPassphraseFile: string }>(
    vault,
    'passphrase',
    'another passphrase in the place of the current one, which --passphrase-file names or the profile keeps',
    (command) => command.requiredOption('--new-passphrase-file <file>', 'the new passphrase'),
    async (context, _args, { newPassphraseFile }) => {
      const { changePassphraseFile, currentPassphrase } = await import('../../node/index.ts')
      const next = await passphraseIn(newPassphraseFile)
      const profile = await profileOf(context)
      const current = await currentPassphrase(profile)
      const within = await vaultOf(context)
      await atNodeOr<unknown>(
        context,
        (client) => client.changeVaultPassphrase({ current: textOf(current, 'the current passphrase'), next }, { signal: context.signal }),
        () => within((doors) => doors.passphrase({ current, next: utf8(next) })),
      )
      const dropped = await changePassphraseFile(profile)
      context.print('vault-passphrase', { removed: dropped ?? null }, () => 'the passphrase is changed')
      if (dropped !== undefined) context.say(`${dropped} held the old passphrase and is gone: name the new one by --passphrase-file`)
    },
  )
  addBackupCommands(vault, add)
  addSlotCommands(vault, add)
  add(
    vault,
    'seal',
    'wipe the keys of the running node’s vault: secrets are refused until it is unsealed, the node runs on',
    (command) => command,
    async (context) => {
      const client = await context.client()
      const { sealed } = await client.sealVault({ signal: context.signal })
      context.print('vault-seal', { sealed }, () => 'the vault is sealed')
    },
  )
  add<readonly [], { readonly recoveryCode?: boolean }>(
    vault,
    'unseal',
    'open the vault of the running node with its passphrase',
    (command) => command.option('--recovery-code', 'with a recovery code, which comes on stdin'),
    async (context, _args, { recoveryCode = false }) => {
      const { currentPassphrase } = await import('../../node/index.ts')
      const client = await context.client()
      const key = recoveryCode
        ? ({ kind: 'recovery', code: (await fromStdin()).trim() } as const)
        : ({ kind: 'passphrase', passphrase: textOf(await currentPassphrase(await profileOf(context)), 'the passphrase') } as const)
      const { sealed } = await client.unsealVault(key, { signal: context.signal })
      context.print('vault-unseal', { sealed }, () => 'the vault is open')
    },
  )
}

const noSecret = (name: string): MeshError => new MeshError('ERR_NOT_FOUND', `no secret ${name}`, { hint: '`kindmesh vault list` names them' })
