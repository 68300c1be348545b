import { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import { levelName, parseLevel } from '../trust/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'
import { patience } from './patience.ts'

type View = ReturnType<MeshNode['invites']['list']>[number]
const named = (view: View) => ({ ...view, levelName: levelName(view.level as Parameters<typeof levelName>[0]) })

/** Getting the first trust: tickets out, joins in. */
export function inviteRoutes(node: MeshNode): readonly Route[] {
  const { invites } = node
  return [
    {
      method: 'POST',
      url: '/v1/invites',
      right: '/api/trust',
      stepUp: ({ body }) => (body as z.infer<typeof schemas.inviteBody>).level === 'authority',
      summary: 'Make an invite; its ticket is a secret, shown this once',
      body: schemas.inviteBody,
      reply: schemas.invited,
      async handle({ body }) {
        const { level, ...fields } = body as z.infer<typeof schemas.inviteBody>
        const { ticket, invite } = await invites.create({ ...fields, level: parseLevel(level) })
        return { ticket, ...named(invite) }
      },
    },
    {
      method: 'GET',
      url: '/v1/invites',
      right: '/api/read',
      summary: 'Invites of this node, without their tickets',
      reply: z.object({ invites: z.array(schemas.invite) }),
      handle: async () => ({ invites: invites.list().map(named) }),
    },
    {
      method: 'POST',
      url: '/v1/invites/revoke',
      right: '/api/trust',
      summary: 'End an invite; what it gave stays',
      body: schemas.inviteNamed,
      reply: schemas.invite,
      handle: async ({ body }) => named(await invites.revoke((body as z.infer<typeof schemas.inviteNamed>).name)),
    },
    {
      method: 'POST',
      url: '/v1/join',
      right: '/api/trust',
      summary: 'Join by a ticket: both sides sign what it says of each other',
      // Without it no ticket makes anybody an AUTHORITY.
      stepUp: ({ body }) => (body as z.infer<typeof schemas.joinBody>).confirmed,
      body: schemas.joinBody,
      reply: schemas.joined,
      async handle({ body, signal }) {
        const { ticket, confirmed, timeoutMs } = body as z.infer<typeof schemas.joinBody>
        const limit = patience(signal, timeoutMs, 'the join')
        const joined = await invites.join(ticket, { signal: limit, confirmed })
        return { ...joined, levelName: levelName(joined.level as Parameters<typeof levelName>[0]) }
      },
    },
  ]
}
