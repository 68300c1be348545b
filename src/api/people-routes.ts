import { z } from 'zod'
import { type Did } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import { levelName, parseLevel } from '../trust/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'
import { patience } from './patience.ts'

/** The operator's own names for peers, and the peers that wait for the operator. */
export function peopleRoutes(node: MeshNode, who: (text: string) => Did): readonly Route[] {
  const { names, pending } = node
  return [
    {
      method: 'GET',
      url: '/v1/names',
      right: '/api/read',
      summary: 'The operator’s own names for peers',
      reply: z.object({ names: z.array(schemas.petname) }),
      handle: async () => ({ names: names.list() }),
    },
    {
      method: 'POST',
      url: '/v1/names',
      right: '/api/trust',
      summary: 'Give a peer a name; one that leads to somebody else only with `replace`',
      body: schemas.nameBody,
      reply: schemas.petname,
      async handle({ body }) {
        const { name, peer, replace } = body as z.infer<typeof schemas.nameBody>
        return await names.set(name, who(peer), { replace })
      },
    },
    {
      method: 'POST',
      url: '/v1/names/remove',
      right: '/api/trust',
      summary: 'Take a name away',
      body: schemas.nameRemoveBody,
      reply: schemas.petname,
      handle: async ({ body }) => await names.remove((body as z.infer<typeof schemas.nameRemoveBody>).name),
    },
    {
      method: 'POST',
      url: '/v1/compare',
      right: '/api/trust',
      summary: 'Six words and six digits of both keys, to be read to each other',
      body: schemas.compareBody,
      reply: schemas.comparison,
      async handle({ body, signal }) {
        const { peer, timeoutMs } = body as z.infer<typeof schemas.compareBody>
        const limit = patience(signal, timeoutMs, 'the comparison')
        return await node.compare.begin(who(peer), { signal: limit })
      },
    },
    {
      method: 'POST',
      url: '/v1/compare/accept',
      right: '/api/trust',
      summary: 'Sign a statement about a peer that reads the same',
      stepUp: ({ body }) => (body as z.infer<typeof schemas.acceptBody>).level === 'authority',
      body: schemas.acceptBody,
      reply: schemas.approved,
      async handle({ body }) {
        const { peer, level, ...fields } = body as z.infer<typeof schemas.acceptBody>
        const accepted = await node.compare.accept(who(peer), { ...fields, ...(level === undefined ? {} : { level: parseLevel(level) }) })
        return { ...accepted, levelName: levelName(accepted.level) }
      },
    },
    {
      method: 'GET',
      url: '/v1/pending',
      right: '/api/read',
      summary: 'Peers that were refused for want of trust, the last to ask first',
      reply: z.object({ pending: z.array(schemas.pendingPeer) }),
      handle: async () => ({ pending: pending.list() }),
    },
    {
      method: 'POST',
      url: '/v1/pending/approve',
      right: '/api/trust',
      summary: 'Sign a statement about a peer that waits',
      stepUp: ({ body }) => (body as z.infer<typeof schemas.approveBody>).level === 'authority',
      body: schemas.approveBody,
      reply: schemas.approved,
      async handle({ body }) {
        const { peer, level, ...fields } = body as z.infer<typeof schemas.approveBody>
        const approved = await pending.approve(who(peer), { ...fields, ...(level === undefined ? {} : { level: parseLevel(level) }) })
        return { ...approved, levelName: levelName(approved.level) }
      },
    },
    {
      method: 'POST',
      url: '/v1/pending/reject',
      right: '/api/trust',
      summary: 'Turn a peer away for good: it does not come on the list again',
      body: schemas.pendingNamed,
      reply: schemas.pendingPeer,
      handle: async ({ body }) => await pending.reject(who((body as z.infer<typeof schemas.pendingNamed>).peer)),
    },
  ]
}
