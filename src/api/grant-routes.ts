import { z } from 'zod'
import { type Did, MeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import { explicitCommands, policyView } from '../policy/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'
import { begun, openedSession, passkeyAnswer } from './user-schemas.ts'
import { openedView, sessionOf } from './user-views.ts'

type View = ReturnType<MeshNode['grants']['list']>[number]
const shown = ({ revokedAt, ...view }: View) => ({ ...view, revokedAt: revokedAt ?? null })

/** Capability tokens, and what this node allows whom. */
export function grantRoutes(node: MeshNode, who: (text: string) => Did): readonly Route[] {
  return [
    {
      method: 'POST',
      url: '/v1/grants',
      right: '/api/grant',
      // Secrets, the system and native code.
      stepUp: ({ body }) => explicitCommands.has((body as z.infer<typeof schemas.grantBody>).command),
      summary: 'Sign a capability token for somebody, or hand one on',
      body: schemas.grantBody,
      reply: schemas.grant,
      async handle({ body, principal }) {
        const { audience, ...fields } = body as z.infer<typeof schemas.grantBody>
        if (principal.kind === 'session' && explicitCommands.has(fields.command)) {
          throw new MeshError('ERR_STEP_UP', 'a person gives this by signing it', { hint: 'begin and finish an approval of the grant with your passkey' })
        }
        return shown(await node.grants.issue({ ...fields, audience: who(audience) }))
      },
    },
    {
      method: 'POST',
      url: '/v1/grants/approve/begin',
      right: '/api/grant',
      summary: 'Ask the person of a session to sign a grant with their passkey: the challenge stands for all that is given',
      body: schemas.grantBody,
      reply: begun,
      async handle({ body, principal }) {
        const { audience, ...fields } = body as z.infer<typeof schemas.grantBody>
        return node.users.beginGrant(sessionOf(principal), { ...fields, audience: who(audience) })
      },
    },
    {
      method: 'POST',
      url: '/v1/grants/approve/finish',
      right: '/api/grant',
      summary: 'Give what the passkey signed, and nothing else; the session goes on under a new token',
      body: passkeyAnswer,
      reply: z.object({ session: openedSession, grant: schemas.grant }),
      async handle({ body, principal }) {
        const { flow, response } = body as z.infer<typeof passkeyAnswer>
        const { session, grant } = await node.users.finishGrant(sessionOf(principal), { flow, response })
        return { session: openedView(session), grant: shown(grant) }
      },
    },
    {
      method: 'GET',
      url: '/v1/grants',
      right: '/api/read',
      summary: 'Capability tokens signed here and given to this node, the newest first',
      reply: z.object({ grants: z.array(schemas.grant) }),
      handle: async () => ({ grants: node.grants.list().map(shown) }),
    },
    {
      method: 'GET',
      url: '/v1/grants/check',
      right: '/api/read',
      summary: 'May somebody do this here now, and why',
      query: schemas.grantCheckQuery,
      reply: schemas.grantCheck,
      async handle({ query }) {
        const { did, command } = query as z.infer<typeof schemas.grantCheckQuery>
        return node.grants.check(who(did), command)
      },
    },
    {
      method: 'GET',
      url: '/v1/grants/:id',
      right: '/api/grant',
      summary: 'One token; the beginning of its id is enough',
      params: schemas.grantNamed,
      reply: schemas.grant,
      handle: async ({ params }) => shown(node.grants.find((params as z.infer<typeof schemas.grantNamed>).id)),
    },
    {
      method: 'POST',
      url: '/v1/grants/revoke',
      right: '/api/grant',
      summary: 'Withdraw a token signed here; what runs by it is stopped',
      body: schemas.grantRevokeBody,
      reply: schemas.grant,
      async handle({ body }) {
        const { id, kind } = body as z.infer<typeof schemas.grantRevokeBody>
        return shown(await node.grants.revoke(id, kind))
      },
    },
    {
      method: 'POST',
      url: '/v1/grants/forget',
      right: '/api/grant',
      summary: 'Put away a token that ended: its audience is not held to it any more',
      body: schemas.grantNamed,
      reply: schemas.grant,
      handle: async ({ body }) => shown(await node.grants.forget((body as z.infer<typeof schemas.grantNamed>).id)),
    },
    {
      method: 'POST',
      url: '/v1/grants/import',
      right: '/api/grant',
      summary: 'Keep a token that was given to this node',
      body: schemas.grantTextBody,
      reply: schemas.grant,
      handle: async ({ body }) => shown(await node.grants.import((body as z.infer<typeof schemas.grantTextBody>).text)),
    },
    {
      method: 'GET',
      url: '/v1/policy',
      right: '/api/read',
      summary: 'What this node allows others, and where each word of it came from',
      reply: schemas.policyView,
      handle: async () => policyView(node.policy()),
    },
  ]
}
