import type { z } from 'zod'
import { type Actor, type AuthenticationResult, type FactorStatus, loginRefused } from '../auth/index.ts'
import { MeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import * as schemas from './factor-schemas.ts'
import { cliSurface, type Principal } from './principals.ts'
import type { Route } from './routes.ts'

/** Codes with which people log in, and the login with any factors. Source: auth/v1 sections 10 to 12 */
export const factorRoutes = ({ users }: MeshNode): readonly Route[] => {
  /** @throws ERR_POLICY_DENIED, ERR_USAGE, ERR_NOT_FOUND */
  function whose({ user }: z.infer<typeof schemas.codesOf>, principal: Principal): { readonly id: string; readonly by: Actor } {
    if (principal.kind === 'session') {
      const by = users.sessions(principal.user.id).find(({ id }) => id === principal.session.id)
      if (by === undefined) throw new MeshError('ERR_AUTH_FAILED', 'the session is over', { hint: 'log in again' })
      return { id: user === undefined ? principal.user.id : users.user(user).id, by }
    }
    if (principal.kind !== 'token' || principal.surface !== cliSurface) throw new MeshError('ERR_POLICY_DENIED', 'codes are made for people by themselves')
    if (user === undefined) throw new MeshError('ERR_USAGE', 'whose codes?', { hint: 'name a user: `kindmesh user list`' })
    return { id: users.user(user).id, by: 'machine' }
  }
  const view = (id: string, { totpSince, recoveryMadeAt, ...rest }: FactorStatus) => ({
    ...{ user: users.user(id).name, totp: totpSince !== undefined, totpSince: totpSince ?? null, recoveryMadeAt: recoveryMadeAt ?? null },
    ...rest,
  })
  return [
    {
      method: 'POST',
      url: '/v1/auth/authenticate',
      right: 'open',
      summary: 'Log in with any factors, in one step or several: an answer that is not a success names what is missing and the flow to go on in',
      body: schemas.challengeBody,
      reply: schemas.authenticationResult,
      async handle({ body, from }) {
        const { deviceToken, ...shown } = shownIn(body)
        // Nobody but this machine reaches the API.
        return answered(await users.authenticateUser({ ...shown, contextData: { isLoopback: true, deviceToken, userAgent: from?.userAgent } }))
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/step-up/authenticate',
      right: '/api/self',
      summary: 'Show who one is anew with any factors, in one step or several; the session goes on under a new token',
      body: schemas.challengeBody.omit({ userId: true, deviceToken: true }),
      reply: schemas.authenticationResult,
      async handle({ body, principal }) {
        const { by } = whose({}, principal)
        if (by === 'machine') throw new MeshError('ERR_USAGE', 'only somebody who is logged in can do this')
        return answered(await users.stepUp(by, { ...shownIn(body), contextData: { isLoopback: true } }))
      },
    },
    {
      method: 'GET',
      url: '/v1/auth/factors',
      right: '/api/self',
      summary: 'Which codes somebody has, without the codes',
      query: schemas.codesOf,
      reply: schemas.factorStatus,
      async handle({ query, principal }) {
        const { id, by } = whose(query as z.infer<typeof schemas.codesOf>, principal)
        if (by !== 'machine' && by.userId !== id && by.role !== 'owner') throw new MeshError('ERR_POLICY_DENIED', 'only an owner sees what others log in with')
        return view(id, await users.factors(id))
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/totp/begin',
      right: '/api/self',
      stepUp: true,
      summary: 'A secret for an authenticator app, shown once; it counts when a first code is given',
      body: schemas.codesOf,
      reply: schemas.totpEnrolment,
      async handle({ body, principal }) {
        const { id, by } = whose(body as z.infer<typeof schemas.codesOf>, principal)
        return users.beginTotp(id, by)
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/totp/finish',
      right: '/api/self',
      summary: 'The first code of an app that was shown a secret',
      body: schemas.totpFinishBody,
      reply: schemas.factorStatus,
      async handle({ body, principal }) {
        const { flow, code, ...named } = body as z.infer<typeof schemas.totpFinishBody>
        const { id, by } = whose(named, principal)
        return view(id, await users.finishTotp(id, { flow, code }, by))
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/totp/remove',
      right: '/api/self',
      stepUp: true,
      summary: 'Take an authenticator app away: one’s own, or, by an owner, that of somebody else',
      body: schemas.codesOf,
      reply: schemas.factorStatus,
      async handle({ body, principal }) {
        const { id, by } = whose(body as z.infer<typeof schemas.codesOf>, principal)
        return view(id, await users.removeTotp(id, by))
      },
    },
    {
      method: 'POST',
      url: '/v1/auth/recovery-codes',
      right: '/api/self',
      stepUp: true,
      summary: 'Ten recovery codes, shown once; those before are dead',
      body: schemas.codesOf,
      reply: schemas.recoveryCodes,
      async handle({ body, principal }) {
        const { id, by } = whose(body as z.infer<typeof schemas.codesOf>, principal)
        return { user: users.user(id).name, codes: await users.makeRecoveryCodes(id, by) }
      },
    },
  ]
}

/** The factors shown, as the room of people takes them. */
function shownIn(body: unknown) {
  const { webAuthnResponse: passkey, ...shown } = body as z.infer<typeof schemas.challengeBody>
  return { ...shown, webAuthnResponse: passkey === undefined ? undefined : { flow: passkey.flow, response: passkey.response } }
}

/** A result that leads on, or every refusal alike. @throws ERR_LOGIN_REFUSED */
function answered(result: AuthenticationResult): AuthenticationResult {
  if (!result.success && result.missing.length === 0) throw loginRefused()
  return result
}
