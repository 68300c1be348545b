import type { Command } from 'commander'
import { utf8 } from '../../base/index.ts'
import { atNodeOr, vaultOf } from '../at-node.ts'
import type { AddCommand } from '../program.ts'
import { passphraseIn } from '../secret-input.ts'

interface Added {
  readonly slot: { readonly id: string }
  readonly code?: string | undefined
}

/** What opens the vault, besides its first passphrase. */
export function addSlotCommands(vault: Command, add: AddCommand): void {
  const slots = vault.command('slots').description('what opens the vault; `vault status` lists it')
  add<readonly [], { readonly label?: string }>(
    slots,
    'add-recovery',
    'a code that opens the vault, printed this once: keep it on paper',
    (command) => command.option('--label <text>', 'for you to tell it apart'),
    async (context, _args, { label }) => {
      const within = await vaultOf(context)
      const named = label === undefined ? {} : { label }
      const { slot, code = '' } = await atNodeOr<Added>(
        context,
        (client) => client.addVaultSlot({ kind: 'recovery', ...named }, { signal: context.signal }),
        () => within((doors) => doors.addRecoveryCode(label)),
      )
      context.print('vault-slots-add', { id: slot.id, code }, () => code)
      context.say('whoever has this code opens the vault')
    },
  )
  add<readonly [string], { readonly label?: string }>(
    slots,
    'add-passphrase <file>',
    'one more passphrase, which the file holds',
    (command) => command.option('--label <text>', 'for you to tell it apart'),
    async (context, [file], { label }) => {
      const within = await vaultOf(context)
      const passphrase = await passphraseIn(file)
      const named = label === undefined ? {} : { label }
      const { slot } = await atNodeOr<Added>(
        context,
        (client) => client.addVaultSlot({ kind: 'passphrase', passphrase, ...named }, { signal: context.signal }),
        () => within(async (doors) => ({ slot: await doors.addSlot({ kind: 'passphrase', secret: utf8(passphrase), ...named }) })),
      )
      context.print('vault-slots-add', { id: slot.id }, () => `slot ${slot.id}`)
    },
  )
  add<readonly [], { readonly label?: string }>(
    slots,
    'add-keyring',
    'let the keyring of this machine open it for whoever is logged in',
    (command) => command.option('--label <text>', 'for you to tell it apart'),
    async (context, _args, { label }) => {
      const within = await vaultOf(context)
      const named = label === undefined ? {} : { label }
      const { slot } = await atNodeOr<Added>(
        context,
        (client) => client.addVaultSlot({ kind: 'keyring', ...named }, { signal: context.signal }),
        () => within(async (doors) => ({ slot: await doors.addOsKeyring(label) })),
      )
      context.print('vault-slots-add', { id: slot.id }, () => `slot ${slot.id}`)
    },
  )
  add<readonly [string]>(
    slots,
    'rm <id>',
    'take a way to open the vault away; never the last one',
    (command) => command,
    async (context, [id]) => {
      const within = await vaultOf(context)
      await atNodeOr<unknown>(
        context,
        (client) => client.removeVaultSlot(id, { signal: context.signal }),
        () => within((doors) => doors.removeSlot(id)),
      )
      context.print('vault-slots-rm', { id }, () => `slot ${id} is gone`)
    },
  )
}
