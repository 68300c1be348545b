import type { Command } from 'commander'
import { realClock, realRandom } from '../../base/index.ts'
import type { AddCommand } from '../program.ts'

export function addIdentityCommands(program: Command, add: AddCommand): void {
  add(
    program,
    'init',
    'create an identity in the home folder',
    (command) => command,
    async (context) => {
      const { createProfile, readIdentity } = await import('../../node/index.ts')
      const passphrase = await context.passphrase()
      await createProfile({ home: context.home, passphrase, clock: realClock, random: realRandom })
      const { did, peerId, kindDid } = await readIdentity(context.home)
      context.print('init', { did, peerId, kindDid }, () => `${did}\npeer ID  ${peerId}\nkind DID ${kindDid}`)
      if (passphrase === undefined) context.say(`the key is protected by ${context.home}/passphrase alone: move that file, or use --passphrase-file`)
      context.say('next: kindmesh up')
    },
  )
  add(
    program,
    'id',
    'who this profile is, in all three spellings',
    (command) => command,
    async (context) => {
      const { readIdentity } = await import('../../node/index.ts')
      const { did, peerId, kindDid, createdAt, seq } = await readIdentity(context.home)
      // The file does not say whether somebody else continued the chain; a node that runs may know.
      const status = await context
        .client()
        .then(
          async (client) => await client.identity({ signal: context.signal }).then(({ status: found }) => found),
          () => 'active' as const,
        )
        .catch(() => 'active' as const)
      context.print(
        'id',
        { did, peerId, kindDid, createdAt, seq, status },
        () => `${did}\npeer ID  ${peerId}\nkind DID ${kindDid}\nkey      number ${seq}, ${status}`,
      )
    },
  )
}
