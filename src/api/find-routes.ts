import { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'

/** Peers by what they do. */
export function findRoutes(node: Pick<MeshNode, 'find' | 'capabilities'>): readonly Route[] {
  return [
    {
      method: 'GET',
      url: '/v1/find',
      right: '/api/read',
      summary: 'Peers that say they offer a capability, asked one by one',
      query: schemas.findQuery,
      reply: z.object({ peers: z.array(schemas.foundPeer) }),
      async handle({ query, signal }) {
        const { capability, limit } = query as z.infer<typeof schemas.findQuery>
        return { peers: await node.find(capability, { limit, signal }) }
      },
    },
    {
      method: 'POST',
      url: '/v1/presence',
      right: '/api/mesh',
      summary: 'How this node says it is; peers on a link are told at once',
      body: schemas.presenceBody,
      reply: schemas.presenceBody,
      async handle({ body }) {
        const { presence } = body as z.infer<typeof schemas.presenceBody>
        node.capabilities.setPresence(presence)
        return { presence }
      },
    },
  ]
}
