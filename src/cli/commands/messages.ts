import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import { parseCount, parseDuration, parseJson } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { sendFile } from './files.ts'

interface SendOptions {
  readonly type: string
  readonly jsonBody?: string
  readonly agent?: string
  readonly priority?: string
  readonly ttl?: string
  readonly trace?: string
  readonly replyTo?: string
  readonly file?: string
  readonly mediaType?: string
  readonly expires?: string
  readonly wait?: boolean
}

export function addMessageCommands(program: Command, add: AddCommand): void {
  add<readonly [string, string | undefined], SendOptions>(
    program,
    'send <peer> [text]',
    'send a message or a file; a peer that is off gets it later, by its mailboxes or from here',
    (command) =>
      command
        .option('--type <type>', 'message type', 'text')
        .option('--json-body <json>', 'a JSON body instead of a text')
        .option('--agent <name>', 'for an agent of the peer')
        .option('--priority <n>', '0, later, to 9, sooner')
        .option('--ttl <duration>', 'try the message for this long; 7 days unless given')
        .option('--trace <id>', 'trace id, 32 hexadecimal digits')
        .option('--reply-to <id>', 'id of the message this one answers')
        .option('--file <file>', 'send this file instead of a text')
        .option('--media-type <type>', 'of the file, such as image/png')
        .option('--expires <duration>', 'try the file for this long; 7 days unless given')
        .option('--wait', 'wait until the file is received or has expired'),
    async (context, [to, text], { type, file, jsonBody, agent, priority, ttl, trace, replyTo, ...options }) => {
      if ([text, file, jsonBody].filter((given) => given !== undefined).length !== 1) throw new MeshError('ERR_USAGE', 'give a text, --json-body or --file')
      if (file !== undefined) {
        await sendFile(context, { to, file, ...options })
        return
      }
      const { client, print, say, signal, timeoutMs, logLevel } = context
      if (jsonBody !== undefined) parseJson(jsonBody, '--json-body')
      const answer = await (
        await client()
      ).send(
        {
          to,
          type,
          encoding: jsonBody === undefined ? 'text' : 'json',
          body: jsonBody ?? text ?? '',
          agent,
          priority: priority === undefined ? undefined : parseCount(priority, '--priority', 9),
          ttlMs: ttl === undefined ? undefined : parseDuration(ttl),
          traceId: trace,
          replyTo,
          timeoutMs,
        },
        { signal },
      )
      print('send', answer, ({ id, status, route }) => `${status}  ${id}${logLevel === 'info' ? `  ${route ?? 'no route yet'}` : ''}`)
      if (answer.status === 'queued') say('the peer is not reachable: it is tried until its time is over. See: kindmesh outbox')
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
  add(
    program,
    'outbox',
    'messages that wait to be delivered, and those given up of late',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).outbox({ signal })
      print(
        'outbox',
        answer,
        ({ messages }) =>
          messages
            .map(({ id, to, kind, status, tries, expiresAt, code }) =>
              [status.padEnd(9), id, to, kind, `${tries} tries`, `until ${new Date(expiresAt).toISOString()}`, code ?? ''].join('  ').trimEnd(),
            )
            .join('\n') || 'nothing waits',
      )
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
          messages
            .map(
              ({ from, type, body, receivedAt, group }) =>
                `${new Date(receivedAt).toISOString()}  ${from}  ${group === undefined ? '' : `group ${group.slice(0, 12)}  `}${type}  ${body}`,
            )
            .join('\n') || 'no messages',
      )
    },
  )
}
