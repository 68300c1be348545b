import { open, readFile, unlink } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import { atNodeOr, profileOf } from '../at-node.ts'
import type { AddCommand } from '../program.ts'

interface Rotated {
  readonly did: string
  readonly peerId: string
}

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

/** Writes a secret, mode 0600, never over a file. */
async function writeSecret(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600)
    await file
      .writeFile(text)
      .then(() => file.sync())
      .finally(() => file.close())
      .catch(async (cause: unknown) => {
        await unlink(path)
        throw cause
      })
  } catch (cause) {
    throw new MeshError('ERR_USAGE', `${path} cannot be written`, { cause, hint: 'name a file that does not exist yet; the key was not erased' })
  }
}

export function addOwnKeyCommands(program: Command, add: AddCommand): void {
  const id = program.commands.find((command) => command.name() === 'id') ?? program.command('id')
  const text = ({ did, peerId }: Rotated): string => `${did}\npeer ID  ${peerId}`
  add<readonly [], { readonly newRecovery?: boolean }>(
    id,
    'rotate',
    'replace the key: the DID stays, the peer ID moves',
    (command) => command.option('--new-recovery', 'make a new recovery key too; export it afterwards'),
    async (context, _args, { newRecovery = false }) => {
      const node = await import('../../node/index.ts')
      const rotated = await atNodeOr<Rotated>(
        context,
        async (client) => await client.rotate({ newRecovery }, { signal: context.signal }),
        async () => {
          await node.rotateOffline(await profileOf(context), { newRecovery })
          return await node.readIdentity(context.home)
        },
      )
      context.print('id-rotate', { did: rotated.did, peerId: rotated.peerId }, text)
      if (newRecovery) context.say('next: kindmesh id export-recovery --out FILE')
    },
  )
  add<readonly [], { readonly out?: string }>(
    id,
    'export-recovery',
    'hand over the recovery key, once: it is erased here. Keep it away from this machine',
    (command) => command.option('--out <file>', 'write it there, mode 0600; else it is printed'),
    async (context, _args, { out }) => {
      const node = await import('../../node/index.ts')
      const deliver = async (recovery: string): Promise<void> => {
        if (out !== undefined) await writeSecret(out, recovery)
      }
      if (out !== undefined) await mustBeNew(out)
      let recovery = ''
      await atNodeOr(
        context,
        async (client) => {
          ;({ recovery } = await client.exportRecovery({ keep: true }, { signal: context.signal }))
          await deliver(recovery)
          await client.exportRecovery({ held: recovery }, { signal: context.signal })
        },
        async () =>
          await node.exportRecoveryOffline(await profileOf(context), async (given) => {
            recovery = given
            await deliver(recovery)
          }),
      )
      if (out !== undefined) context.print('id-export-recovery', { file: out }, () => `written to ${out}`)
      else context.print('id-export-recovery', { recovery: JSON.parse(recovery) as object }, () => recovery.trimEnd())
      context.say('this key takes the identity back from a thief; whoever finds it can do the same')
    },
  )
  add<readonly [string], { readonly bootstrap?: readonly string[] }>(
    id,
    'recover <file>',
    'take the identity back with its recovery key; within 72 h it also overrides what a thief did',
    (command) => command.option('--bootstrap <multiaddr>', 'peer to ask for the newest chain, repeatable; for a machine that has lost its own', collect),
    async (context, [file], { bootstrap = [] }) => {
      const node = await import('../../node/index.ts')
      const recovery = await readFile(file, 'utf8').catch((cause: unknown) => {
        throw new MeshError('ERR_USAGE', `${file} cannot be read`, { cause })
      })
      const recovered = await atNodeOr<Rotated>(
        context,
        async (client) => await client.recover({ recovery }, { signal: context.signal }),
        async () => {
          await node.recoverOffline(await profileOf(context), recovery, { bootstrap })
          return await node.readIdentity(context.home)
        },
      )
      context.print('id-recover', { did: recovered.did, peerId: recovered.peerId }, text)
      context.say('a new recovery key was made: kindmesh id export-recovery --out FILE')
    },
  )
}

async function mustBeNew(path: string): Promise<void> {
  const isThere = await readFile(path).then(
    () => true,
    () => false,
  )
  if (isThere) throw new MeshError('ERR_USAGE', `${path} exists already`, { hint: 'name another file; nothing was changed' })
}
