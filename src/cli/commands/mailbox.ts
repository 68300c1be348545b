import type { Command } from 'commander'
import type { AddCommand } from '../program.ts'

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

interface Row {
  readonly did: string
  readonly items: number
  readonly bytes: number
  readonly used: { readonly items: number; readonly bytes: number } | null
  readonly until: number
  readonly missed: number
  readonly status: string
  readonly problem: string | null
}

const line = ({ did, items, bytes, used, until, missed, status, problem }: Row): string => {
  const fill = used === null ? '?' : `${used.items} of ${items} items, ${mebibytes(used.bytes)} of ${mebibytes(bytes)}`
  return `${did}  ${status}  ${fill}  until ${new Date(until).toISOString().slice(0, 10)}${missed === 0 ? '' : `  ${missed} missed`}${problem === null ? '' : `  ${problem}`}`
}

export function addMailboxCommands(program: Command, add: AddCommand): void {
  const mailbox = program.command('mailbox').description('who holds your mail while you are off')
  add<readonly [string]>(
    mailbox,
    'add <peer>',
    'let a node hold your mail: its DID, multiaddr or ticket',
    (command) => command,
    async ({ client, print, signal, timeoutMs }, [target]) => {
      const made = await (await client()).addMailbox({ target, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, { signal })
      print('mailbox-add', made, ({ did }) => `${did} holds your mail now`)
    },
  )
  add(
    mailbox,
    'list',
    'the holders of your mail, with quota and use',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).mailboxes({ signal })
      print('mailbox-list', answer, ({ mailboxes }) => mailboxes.map(line).join('\n') || 'nobody holds your mail: `kindmesh mailbox add <did>`')
    },
  )
  add<readonly [string]>(
    mailbox,
    'remove <peer>',
    'fetch what lies with a holder and leave it',
    (command) => command,
    async ({ client, print, signal }, [holder]) => {
      const answer = await (await client()).removeMailbox(holder, { signal })
      print('mailbox-remove', answer, ({ did, left }) =>
        left ? `${did} holds your mail no more` : `${did} is named no more; it was not reached, and what lies there is not fetched`,
      )
    },
  )
  add(
    mailbox,
    'collect',
    'fetch mail from every holder now',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).collectMail({ signal })
      print('mailbox-collect', answer, ({ taken, known, refused, left }) => `${taken} taken, ${known} known, ${refused} refused, ${left} left there`)
    },
  )
  add<readonly [string]>(
    mailbox,
    'check <receipt>',
    'what became of an item, by the storage receipt (base64) that its sender shows',
    (command) => command,
    async ({ client, print, signal }, [receipt]) => {
      const answer = await (await client()).checkReceipt(receipt, { signal })
      print('mailbox-check', answer, ({ holder, seq, verdict }) => `${verdict}: item ${seq} at ${holder}`)
    },
  )
  add(
    mailbox,
    'status',
    'what this node holds for others',
    (command) => command,
    async ({ client, print, signal }) => {
      const held = await (await client()).heldMail({ signal })
      print('mailbox-status', held, ({ serves, recipients, items, bytes }) =>
        serves ? `${items} items, ${mebibytes(bytes)}, for ${recipients} recipients` : 'this node holds no mail: `kindmesh up --serve-mailbox`',
      )
    },
  )
}
