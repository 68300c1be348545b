import type { z } from 'zod'
import type { Actor, CredentialView, InviteView, OpenedSession, Session, User } from '../auth/index.ts'
import { MeshError } from '../base/index.ts'
import { cliSurface, type Principal } from './principals.ts'
import type * as schemas from './user-schemas.ts'

type Shown<K extends 'user' | 'userSession' | 'openedSession' | 'passkey' | 'userInvite'> = z.infer<(typeof schemas)[K]>

/** Who asks for a change of people: a live session, or the machine's own command line. @throws ERR_STEP_UP for a program, which nobody stands before */
export function actorOf(principal: Principal): Actor {
  if (principal.kind === 'session') return principal.session
  if (principal.kind === 'token' && principal.surface === cliSurface) return 'machine'
  throw new MeshError('ERR_STEP_UP', 'this is for people, and for the command line of the node')
}

/** The session somebody calls with. @throws ERR_USAGE */
export function sessionOf(principal: Principal): Session {
  if (principal.kind === 'session') return principal.session
  throw new MeshError('ERR_USAGE', 'only somebody who is logged in can do this', { hint: 'log in at the console' })
}

export const userView = ({ lastLoginAt, ...user }: User): Shown<'user'> => ({ ...user, lastLoginAt: lastLoginAt ?? null })

export const sessionView = ({ id, userId, role, createdAt, lastSeenAt, steppedUpAt, factors, device }: Session): Shown<'userSession'> => ({
  ...{ id, userId, role, createdAt, lastSeenAt, steppedUpAt: steppedUpAt ?? null, factors: [...factors], device },
})

export const openedView = (session: OpenedSession): Shown<'openedSession'> => ({ ...sessionView(session), token: session.token, expiresAt: session.expiresAt })

export const passkeyView = ({ lastUsedAt, ...passkey }: CredentialView): Shown<'passkey'> => ({ ...passkey, lastUsedAt: lastUsedAt ?? null })

export const inviteView = ({ id, role, name, createdAt, expiresAt }: InviteView): Shown<'userInvite'> => ({
  id,
  role,
  name: name ?? null,
  createdAt,
  expiresAt,
})
