import type { Session, User } from '../auth/index.ts'
import { MeshError } from '../base/index.ts'
import { type ApiRight, type Command, rightsCover } from '../policy/index.ts'

/** Who calls: a program with a token, or a person with a session. Source: api/v1 section 2. */
export type Principal = TokenPrincipal | SessionPrincipal | AnonymousPrincipal

export interface TokenPrincipal {
  readonly kind: 'token'
  /** The surface the token is bound to; `cli` is the one of api.json. */
  readonly surface: string
  readonly id: string
  readonly rights: readonly Command[]
  /** ms since 1970 */
  readonly expiresAt?: number
}

export interface SessionPrincipal {
  readonly kind: 'session'
  readonly user: Pick<User, 'id' | 'name' | 'role'>
  readonly session: Session
  readonly rights: readonly Command[]
}

/** Nobody yet: whoever logs in, and whoever looks at the open pages. */
export interface AnonymousPrincipal {
  readonly kind: 'anonymous'
  readonly rights: readonly Command[]
}

export const anonymous: AnonymousPrincipal = { kind: 'anonymous', rights: [] }

export const cliSurface = 'cli'
export const consoleSurface = 'console'
export const cliPrincipal: TokenPrincipal = { kind: 'token', surface: cliSurface, id: cliSurface, rights: ['/'] }

/** How a principal is named to people: `the role viewer`, `the token of surface mcp`. */
export function nameOf(principal: Principal): string {
  if (principal.kind === 'anonymous') return 'nobody in particular'
  return principal.kind === 'session' ? `the role ${principal.user.role}` : `the token of surface ${principal.surface}`
}

/** A person's fresh verification is asked of `requireFresh`; programs cannot give one, but whoever reads api.json is the owner of the files. @throws ERR_STEP_UP */
export function requireStepUp(principal: Principal, requireFresh: (session: Session) => void): void {
  if (principal.kind === 'session') return requireFresh(principal.session)
  if (principal.kind === 'token' && principal.surface === cliSurface) return
  throw new MeshError('ERR_STEP_UP', 'this act needs a person, verified just now')
}

export const mayDo = (principal: Principal, right: ApiRight): boolean => rightsCover(principal.rights, right)

/** @throws ERR_POLICY_DENIED naming the right and who lacks it */
export function requireRight(principal: Principal, right: ApiRight): void {
  if (mayDo(principal, right)) return
  throw new MeshError('ERR_POLICY_DENIED', `${nameOf(principal)} does not have the right ${right}`, {
    hint: principal.kind === 'session' ? 'ask an owner of the node' : 'make a token with this right: `kindmesh token create`',
    details: { right },
  })
}
