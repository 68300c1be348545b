import type { Command } from 'commander'
import { parseCount, parseJson } from '../parse.ts'
import type { AddCommand } from '../program.ts'

export function addMessageCommands(program: Command, add: AddCommand): void {
  add<readonly [string, string], { readonly type: string }>(
    program,
    'send <peer> <text>',
    'send a message; done once it is on the receiver’s disk',
    (command) => command.option('--type <type>', 'message type', 'text'),
    async ({ client, print, signal, timeoutMs }, [to, body], { type }) => {
      const answer = await (await client()).send({ to, body, type, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, { signal })
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
