import type { Command } from 'commander'
import { toMeshError } from '../../base/index.ts'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'

export function addTopicCommands(program: Command, add: AddCommand): void {
  const topic = program.command('topic').description('public topics: everybody may read and write, every message is signed')
  add<readonly [string, string], { readonly type: string }>(
    topic,
    'publish <name> <text>',
    'sign a message and hand it to peers that read the topic; waits for one, 5 s or --timeout',
    (command) => command.option('--type <type>', 'message type', 'text'),
    async ({ client, print, signal, timeoutMs }, [name, body], { type }) => {
      const waiting = timeoutMs === undefined ? {} : { waitMs: timeoutMs }
      const answer = await (await client()).publish({ topic: name, body, type, ...waiting }, { signal })
      print('topic-publish', answer, ({ id, neighbours }) =>
        neighbours === 0
          ? `nobody connected reads '${name}': the message is lost`
          : `published  ${id}  to ${neighbours} neighbour${neighbours === 1 ? '' : 's'}`,
      )
    },
  )
  add<readonly [string], { readonly count?: string }>(
    topic,
    'subscribe <name>',
    'print messages of a topic as they come, until Ctrl-C',
    (command) => command.option('--count <n>', 'end after so many'),
    async ({ client, print, say, signal }, [name], { count }) => {
      let left = count === undefined ? Infinity : parseCount(count, '--count', 1_000_000)
      try {
        for await (const line of (await client()).topic(name, { signal })) {
          if (line.event === 'subscribed') say(`reading '${name}'; Ctrl-C ends`)
          else {
            const { event: _, ...message } = line
            print('topic-message', message, ({ from, body, issuedAt }) => `${new Date(issuedAt).toISOString()}  ${from}  ${body}`)
            left--
          }
          if (left <= 0) return
        }
      } catch (error) {
        if (!signal.aborted || toMeshError(error).code !== 'ERR_ABORTED') throw error
      }
    },
  )
}
