import { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import type { LinesRoute, Route } from './routes.ts'
import * as schemas from './schemas.ts'

export function topicRoutes(node: MeshNode): readonly (Route | LinesRoute)[] {
  return [
    {
      method: 'POST',
      url: '/v1/topics/publish',
      right: '/api/message',
      summary: 'Publish a signed message in a public topic; `neighbours` is how many peers took it',
      body: schemas.publishBody,
      reply: schemas.published,
      async handle({ body, signal }) {
        const { topic, waitMs, ...draft } = body as z.infer<typeof schemas.publishBody>
        return await node.topics.publish(topic, draft, { signal, ...(waitMs === undefined ? {} : { waitMs }) })
      },
    },
    {
      method: 'GET',
      url: '/v1/topics/messages',
      right: '/api/message/read',
      summary: 'Read a public topic as lines of JSON until the connection closes; the first says that it is being read',
      query: schemas.topicQuery,
      reply: schemas.topicLine,
      async *lines({ query, signal }) {
        const { topic } = query as z.infer<typeof schemas.topicQuery>
        const messages = await node.topics.subscribe(topic, { signal })
        yield { event: 'subscribed', topic }
        for await (const message of messages) yield { event: 'message', ...message }
      },
    },
    {
      method: 'GET',
      url: '/v1/topics',
      right: '/api/read',
      summary: 'Topics that are read here now',
      reply: z.object({ topics: z.array(z.string()) }),
      handle: async () => ({ topics: node.topics.list() }),
    },
  ]
}
