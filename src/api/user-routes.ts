import { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import { requireRight } from './principals.ts'
import type { Call, Route } from './routes.ts'
import * as schemas from './user-schemas.ts'
import { actorOf, inviteView, passkeyView, sessionView, userView } from './user-views.ts'

/** People of this node: `urlOf` makes the link that a one-time token travels in. Who may do what, and step-up, is asked again by node.users. */
export function userRoutes({ users }: MeshNode, urlOf: (token: string) => string): readonly Route[] {
  const idOf = ({ body }: Pick<Call, 'body'>): string => (body as z.infer<typeof schemas.idNamed>).id
  const userOf = (text: string): string => users.user(text).id
  return [
    {
      method: 'GET',
      url: '/v1/users',
      right: '/api/users',
      summary: 'People of this node',
      reply: z.object({ users: z.array(schemas.user) }),
      handle: async () => ({ users: users.users().map(userView) }),
    },
    {
      method: 'POST',
      url: '/v1/users/role',
      right: '/api/users',
      stepUp: true,
      summary: 'Give somebody another role',
      body: schemas.userRoleBody,
      reply: schemas.user,
      async handle({ body, principal }) {
        const { user, role } = body as z.infer<typeof schemas.userRoleBody>
        return userView(await users.setRole(userOf(user), role, actorOf(principal)))
      },
    },
    {
      method: 'POST',
      url: '/v1/users/remove',
      right: '/api/users',
      stepUp: true,
      summary: 'Remove somebody, with passkeys, codes, sessions and the tokens they made',
      body: schemas.userNamed,
      reply: schemas.user,
      handle: async ({ body, principal }) => userView(await users.removeUser(userOf((body as z.infer<typeof schemas.userNamed>).user), actorOf(principal))),
    },
    {
      method: 'POST',
      url: '/v1/user-invites',
      right: '/api/users',
      stepUp: true,
      summary: 'A one-time link with which somebody makes a passkey and is a user from then on',
      body: schemas.userInviteBody,
      reply: schemas.userInvited,
      async handle({ body, principal }) {
        const invite = await users.inviteUser(body as z.infer<typeof schemas.userInviteBody>, actorOf(principal))
        return { ...inviteView(invite), token: invite.token, url: urlOf(invite.token) }
      },
    },
    {
      method: 'GET',
      url: '/v1/user-invites',
      right: '/api/users',
      summary: 'Open one-time links, without their tokens',
      reply: z.object({ invites: z.array(schemas.userInvite) }),
      handle: async () => ({ invites: users.invites().map(inviteView) }),
    },
    {
      method: 'POST',
      url: '/v1/user-invites/revoke',
      right: '/api/users',
      summary: 'Withdraw a one-time link',
      body: schemas.idNamed,
      reply: schemas.userInvite,
      handle: async (call) => inviteView(await users.revokeInvite(idOf(call), actorOf(call.principal))),
    },
    {
      method: 'GET',
      url: '/v1/sessions',
      right: '/api/self',
      summary: 'One’s own sessions; with the right over people those of one user, or of all',
      query: schemas.sessionsQuery,
      reply: z.object({ sessions: z.array(schemas.userSession) }),
      async handle({ query, principal }) {
        const { user } = query as z.infer<typeof schemas.sessionsQuery>
        const own = principal.kind === 'session' ? principal.user.id : undefined
        const asked = user === undefined ? own : user === 'all' ? undefined : userOf(user)
        if (asked !== own || own === undefined) requireRight(principal, '/api/users')
        return { sessions: users.sessions(asked).map(sessionView) }
      },
    },
    {
      method: 'POST',
      url: '/v1/sessions/revoke',
      right: '/api/self',
      summary: 'End a session at once: one’s own, or, by an owner, anybody’s',
      body: schemas.idNamed,
      reply: schemas.userSession,
      handle: async (call) => sessionView(await users.revokeSession(idOf(call), actorOf(call.principal))),
    },
    {
      method: 'GET',
      url: '/v1/users/passkeys',
      right: '/api/users',
      summary: 'Passkeys of somebody',
      query: schemas.userNamed,
      reply: schemas.passkeyList,
      handle: async ({ query }) => ({ passkeys: users.credentials(userOf((query as z.infer<typeof schemas.userNamed>).user)).map(passkeyView) }),
    },
    {
      method: 'POST',
      url: '/v1/auth/credentials/remove',
      right: '/api/self',
      stepUp: true,
      summary: 'Take a passkey away: one’s own, or, by an owner, anybody’s; never the last of the last owner',
      body: schemas.idNamed,
      reply: schemas.passkey,
      handle: async (call) => passkeyView(await users.removeCredential(idOf(call), actorOf(call.principal))),
    },
    {
      method: 'POST',
      url: '/v1/auth/credentials/enable',
      right: '/api/users',
      stepUp: true,
      summary: 'Take a passkey into use again whose counter went back',
      body: schemas.idNamed,
      reply: schemas.passkey,
      handle: async (call) => passkeyView(await users.enableCredential(idOf(call), actorOf(call.principal))),
    },
  ]
}
