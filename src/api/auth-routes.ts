import type { z } from 'zod'
import { base64, fromBase64, MeshError } from '../base/index.ts'
import { loginRefused } from '../auth/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { Call, Route } from './routes.ts'
import * as schemas from './user-schemas.ts'
import { openedView, passkeyView, sessionOf, sessionView, userView } from './user-views.ts'

type Answer = z.infer<typeof schemas.passkeyAnswer>

/** How people come in and go. Source: auth/v1 sections 2 to 6 */
export function authRoutes({ users }: MeshNode): readonly Route[] {
  function answerOf({ body, from }: Call) {
    const { deviceToken, ...answer } = body as Answer
    // Nobody but this machine reaches the API.
    return { ...answer, context: { userAgent: from?.userAgent, isLoopback: true, deviceToken } }
  }
  return [
    {
      method: 'POST',
      url: '/v1/auth/invite',
      right: 'open',
      summary: 'Whom a one-time link makes',
      body: schemas.enrolToken,
      reply: schemas.enrolInvite,
      async handle({ body }) {
        const { role, name, createdAt, expiresAt } = users.inspectInvite((body as z.infer<typeof schemas.enrolToken>).token)
        return { role, name: name ?? null, createdAt, expiresAt }
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/register/begin',
      right: 'open',
      summary: 'Ask for a passkey: of a new user by a one-time link, or one more of who is logged in',
      body: schemas.registerBegin,
      reply: schemas.begun,
      async handle({ body, principal }) {
        const { token, name } = body as z.infer<typeof schemas.registerBegin>
        return users.beginRegistration(token === undefined ? { session: loggedIn(principal) } : { token }, { name })
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/register/finish',
      right: 'open',
      summary: 'Keep a passkey; a new user is logged in by it, and the link is spent',
      body: schemas.passkeyAnswer,
      reply: schemas.registered,
      async handle(call) {
        const { user, credential, session } = await users.finishRegistration(answerOf(call))
        return { user: userView(user), credential: passkeyView(credential), session: session === undefined ? null : openedView(session) }
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/login/begin',
      right: 'open',
      summary: 'Ask for a passkey to log in with; the same for every name',
      body: schemas.loginBegin,
      reply: schemas.begun,
      handle: async ({ body }) => users.beginLogin(body as z.infer<typeof schemas.loginBegin>),
    },
    {
      method: 'POST',
      url: '/v1/auth/login/finish',
      right: 'open',
      summary: 'Log in with a passkey',
      body: schemas.passkeyAnswer,
      reply: schemas.entered,
      async handle(call) {
        const { user, session, factors, deviceToken } = await users.finishLogin(answerOf(call))
        return { user: userView(user), session: openedView(session), factors: [...factors], deviceToken: deviceToken ?? null }
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/login/code',
      right: 'open',
      summary: 'Log in with one code where that is enough; /v1/auth/authenticate takes several factors in several steps',
      body: schemas.codeLogin,
      reply: schemas.codeEntered,
      async handle({ body }) {
        const { name, type, code } = body as z.infer<typeof schemas.codeLogin>
        const shown = type === 'totp' ? { totpCode: code } : { recoveryCode: code }
        // Nobody but this machine reaches the API.
        const result = await users.authenticateUser({ userId: name, ...shown, contextData: { isLoopback: true } })
        const { userId, sessionToken, expiresAt, missing, flow } = result
        if (missing.length > 0) throw new MeshError('ERR_FACTOR_NEEDED', `the role also asks for ${missing.join(', ')}`, { details: { missing, flow } })
        if (userId === null || sessionToken === null || expiresAt === null) throw loginRefused()
        return { user: userView(users.user(userId)), session: { token: sessionToken, expiresAt } }
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/step-up/begin',
      right: '/api/self',
      summary: 'Ask for the person of a session anew; with an act the passkey signs what is approved',
      body: schemas.stepUpBegin,
      reply: schemas.begun,
      async handle({ body, principal }) {
        const { act } = body as z.infer<typeof schemas.stepUpBegin>
        return users.beginStepUp(sessionOf(principal), act === undefined ? undefined : { name: act.name, content: bytesOf(act.content) })
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/step-up/finish',
      right: '/api/self',
      summary: 'The session goes on under a new token, its person verified now',
      body: schemas.passkeyAnswer,
      reply: schemas.steppedUp,
      async handle(call) {
        const { session, approval } = await users.finishStepUp(sessionOf(call.principal), answerOf(call))
        return { session: openedView(session), approval: approval === undefined ? null : base64(approval) }
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/logout',
      right: '/api/self',
      summary: 'End the session that asks, at once',
      body: schemas.nothing,
      reply: schemas.loggedOut,
      async handle({ principal, from }) {
        sessionOf(principal)
        return { loggedOut: await users.logout(from?.bearer ?? '') }
      },
    },
    {
      method: 'GET',
      url: '/v1/auth/me',
      right: '/api/self',
      summary: 'Who is logged in, and what they may do',
      reply: schemas.me,
      async handle({ principal }) {
        const session = sessionOf(principal)
        return { user: userView(users.user(session.userId)), session: sessionView(session), rights: [...principal.rights] }
      },
    },
    {
      method: 'GET',
      url: '/v1/auth/credentials',
      right: '/api/self',
      summary: 'One’s own passkeys',
      reply: schemas.passkeyList,
      handle: async ({ principal }) => ({ passkeys: users.credentials(sessionOf(principal).userId).map(passkeyView) }),
    },
  ]
}

function loggedIn(principal: Call['principal']) {
  if (principal.kind === 'session') return principal.session
  throw new MeshError('ERR_AUTH_FAILED', 'neither a link nor a session was given', { hint: 'open the one-time link again, or log in' })
}

function bytesOf(text: string): Uint8Array {
  const bytes = fromBase64(text)
  if (bytes === undefined) throw new MeshError('ERR_USAGE', 'the content of an act is base64')
  return bytes
}
