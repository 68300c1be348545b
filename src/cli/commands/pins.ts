import type { Command } from 'commander'
import type { AddCommand } from '../program.ts'

export function addPinCommands(program: Command, add: AddCommand): void {
  const pin = program.command('pin').description('whom addresses without a peer ID led to when they were first dialled')
  add(
    pin,
    'list',
    'all pins, and who answers there now when it is somebody else',
    (command) => command,
    async ({ client, print, signal }) => {
      print(
        'pin-list',
        await (await client()).pins({ signal }),
        ({ pins }) =>
          pins
            .map(
              ({ source, did, since, offered }) =>
                `${source}  ${did}  since ${new Date(since).toISOString().slice(0, 10)}${offered === null ? '' : `  REFUSED ${offered}`}`,
            )
            .join('\n') || 'no pins',
      )
    },
  )
  const changes = [
    ['approve', 'it is somebody else from now on: whoever answered there last'],
    ['rm', 'forget it: the next contact pins anew'],
  ] as const
  for (const [action, description] of changes) {
    add<readonly [string]>(
      pin,
      `${action} <source>`,
      description,
      (command) => command,
      async ({ client, print, signal }, [source]) => {
        const node = await client()
        const answer = action === 'approve' ? await node.approvePin(source, { signal }) : await node.removePin(source, { signal })
        print('pin', answer, ({ did }) => `${source}  ${did}${action === 'rm' ? '  forgotten' : ''}`)
      },
    )
  }
}
