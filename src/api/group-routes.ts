import { z } from 'zod'
import type { Did } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'

type Changed = z.infer<typeof schemas.groupChangeBody>

export function groupRoutes(node: MeshNode, who: (text: string) => Did): readonly Route[] {
  const { groups } = node
  const change = (name: 'add' | 'remove' | 'admin', summary: string): Route => ({
    method: 'POST',
    url: `/v1/groups/${name}`,
    right: '/api/message',
    summary,
    body: schemas.groupChangeBody,
    reply: schemas.group,
    async handle({ body }) {
      const { group, members } = body as Changed
      return await groups[name](group, members.map(who))
    },
  })
  return [
    {
      method: 'GET',
      url: '/v1/groups',
      right: '/api/read',
      summary: 'Groups this node is or was in; a fork is shown with all its ends',
      reply: schemas.groupList,
      handle: async () => ({ groups: groups.list() }),
    },
    {
      method: 'POST',
      url: '/v1/groups',
      right: '/api/message',
      summary: 'Make a group, with this node as its first admin',
      body: schemas.groupBody,
      reply: schemas.group,
      async handle({ body }) {
        const { name, members } = body as z.infer<typeof schemas.groupBody>
        return await groups.create(name, members.map(who))
      },
    },
    change('add', 'Add members; they read what is said from now on'),
    change('remove', 'Remove members; every other member changes its key'),
    change('admin', 'Name further admins'),
    {
      method: 'POST',
      url: '/v1/groups/merge',
      right: '/api/message',
      summary: 'End a fork: the roster that counts goes on, `lost` names those only another branch had added',
      body: schemas.groupNamed,
      reply: schemas.group,
      handle: async ({ body }) => await groups.merge((body as z.infer<typeof schemas.groupNamed>).group),
    },
    {
      method: 'POST',
      url: '/v1/groups/leave',
      right: '/api/message',
      summary: 'Leave a group; of one that was left or that removed this node, forget it',
      body: schemas.groupNamed,
      reply: schemas.groupNamed,
      async handle({ body }) {
        const { group } = body as z.infer<typeof schemas.groupNamed>
        const { id } = groups.find(group)
        await groups.leave(group)
        return { group: id }
      },
    },
    {
      method: 'POST',
      url: '/v1/groups/send',
      right: '/api/message',
      summary: 'Say something to all members: over their links, into their mailboxes, or later',
      body: schemas.groupSendBody,
      reply: schemas.groupSent,
      async handle({ body }) {
        const { group, ...said } = body as z.infer<typeof schemas.groupSendBody>
        return await groups.send(group, said)
      },
    },
    {
      method: 'GET',
      url: '/v1/groups/messages',
      right: '/api/message/read',
      summary: 'The last messages of a group, oldest first',
      query: schemas.groupQuery,
      reply: z.object({ group: z.string(), messages: z.array(schemas.message) }),
      async handle({ query }) {
        const { group, limit } = query as z.infer<typeof schemas.groupQuery>
        const { id } = groups.find(group)
        const messages = await node.inbox.list({ limit, group: id })
        return {
          group: id,
          messages: messages.map(({ traceId, replyTo, token: _token, ...message }) => ({ ...message, traceId: traceId ?? null, replyTo: replyTo ?? null })),
        }
      },
    },
  ]
}
