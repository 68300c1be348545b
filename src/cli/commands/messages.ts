import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import { parseCount, parseJson } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { sendFile } from './files.ts'

interface SendOptions {
  readonly type: string
  readonly file?: string
  readonly mediaType?: string
  readonly expires?: string
  readonly wait?: boolean
}

export function addMessageCommands(program: Command, add: AddCommand): void {
  add<readonly [string, string | undefined], SendOptions>(
    program,
    'send <peer> [text]',
    'send a message or a file; done once it is on the receiver’s disk',
    (command) =>
      command
        .option('--type <type>', 'message type', 'text')
        .option('--file <file>', 'send this file instead of a text')
        .option('--media-type <type>', 'of the file, such as image/png')
        .option('--expires <duration>', 'try the file for this long; 7 days unless given')
        .option('--wait', 'wait until the file is received or has expired'),
    async (context, [to, body], { type, file, ...options }) => {
      if ((file === undefined) === (body === undefined)) throw new MeshError('ERR_USAGE', 'give a text or --file')
      if (file !== undefined) {
        await sendFile(context, { to, file, ...options })
        return
      }
      const { client, print, signal, timeoutMs } = context
      const answer = await (await client()).send({ to, body: body ?? '', type, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, { signal })
      print('send', answer, ({ id, status }) => `${status}  ${id}`)
    },
  )
  add<readonly [string, string], { readonly agent: string }>(
    program,
    'ask <peer> <json>',
    'ask an agent of a peer and print its reply',
    (command) => command.option('--agent <name>', 'which agent', 'echo'),
    async ({ client, print, signal, timeoutMs }, [to, json], { agent }) => {
      const data = parseJson(json, 'the question')
      const answer = await (await client()).ask({ to, agent, data, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, { signal })
      print('ask', answer, ({ reply }) => JSON.stringify(reply, undefined, 2))
    },
  )
  add<readonly [], { readonly limit: string }>(
    program,
    'inbox',
    'messages received, oldest first',
    (command) => command.option('--limit <n>', 'how many of the last', '50'),
    async ({ client, print, signal }, _args, { limit }) => {
      const answer = await (await client()).inbox({ limit: parseCount(limit, '--limit', 1_000) }, { signal })
      print(
        'inbox',
        answer,
        ({ messages }) =>
          messages.map(({ from, type, body, receivedAt }) => `${new Date(receivedAt).toISOString()}  ${from}  ${type}  ${body}`).join('\n') || 'no messages',
      )
    },
  )
}
