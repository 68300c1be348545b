import { open } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError, trimLineEnd, utf8 } from '../../base/index.ts'
import { atNodeOr, profileOf } from '../at-node.ts'
import type { Context } from '../context.ts'
import type { AddCommand } from '../program.ts'

/** A secret is read from stdin: arguments are seen by every program of the machine. */
async function fromStdin(): Promise<string> {
  const { secretBytesMax } = await import('../../node/index.ts')
  if (process.stdin.isTTY) {
    throw new MeshError('ERR_USAGE', 'the value comes on stdin', { hint: 'write it to the command: `kindmesh vault set NAME < file`' })
  }
  const parts: Buffer[] = []
  let length = 0
  for await (const part of process.stdin as AsyncIterable<Buffer>) {
    length += part.length
    if (length > secretBytesMax + 2) throw new MeshError('ERR_WIRE_TOO_LARGE', `a secret takes at most ${secretBytesMax} bytes`)
    parts.push(part)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(trimLineEnd(Buffer.concat(parts)))
  } catch {
    throw new MeshError('ERR_USAGE', 'the value is not UTF-8')
  }
}

/** A passphrase, from a file: the new one of `vault passphrase`, that of a backup. */
async function passphraseIn(path: string): Promise<string> {
  const { vaultPassphraseBytesMax } = await import('../../node/index.ts')
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  })
  try {
    if ((await file.stat()).size > vaultPassphraseBytesMax + 2) throw new MeshError('ERR_USAGE', `${path} is too large for a passphrase`)
    return new TextDecoder().decode(trimLineEnd(await file.readFile()))
  } finally {
    await file.close()
  }
}

const vaultOf = async (context: Context) => {
  const { withVault } = await import('../../node/index.ts')
  const profile = await profileOf(context)
  return <T>(act: Parameters<typeof withVault<T>>[1]): Promise<T> => withVault(profile, act)
}

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
        (client) => client.changeVaultPassphrase({ current: new TextDecoder().decode(current), next }, { signal: context.signal }),
        () => within((doors) => doors.passphrase({ current, next: utf8(next) })),
      )
      const dropped = await changePassphraseFile(profile)
      context.print('vault-passphrase', { removed: dropped ?? null }, () => 'the passphrase is changed')
      if (dropped !== undefined) context.say(`${dropped} held the old passphrase and is gone: name the new one by --passphrase-file`)
    },
  )
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
  add(
    vault,
    'unseal',
    'open the vault of the running node with its passphrase',
    (command) => command,
    async (context) => {
      const { currentPassphrase } = await import('../../node/index.ts')
      const client = await context.client()
      const passphrase = new TextDecoder().decode(await currentPassphrase(await profileOf(context)))
      const { sealed } = await client.unsealVault({ kind: 'passphrase', passphrase }, { signal: context.signal })
      context.print('vault-unseal', { sealed }, () => 'the vault is open')
    },
  )
}

const noSecret = (name: string): MeshError => new MeshError('ERR_NOT_FOUND', `no secret ${name}`, { hint: '`kindmesh vault list` names them' })
