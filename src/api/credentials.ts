import { utf8 } from '../base/index.ts'
import { equalSecret, sha256 } from '../crypto/index.ts'
import type { MeshNode } from '../node/index.ts'
import { roleCommands } from '../policy/index.ts'
import { cliPrincipal, cliSurface, consoleSurface, type Principal, type SessionPrincipal } from './principals.ts'

/** What a request shows of who sends it. */
export interface Shown {
  readonly bearer: string
  /** The surface it says to be, in `kindmesh-surface`; a credential of another one is refused. */
  readonly surface?: string | undefined
}

export interface CredentialsOptions {
  readonly node: { readonly tokens: Pick<MeshNode['tokens'], 'check'>; readonly users: Pick<MeshNode['users'], 'session' | 'sessions' | 'users'> }
  /** The token of api.json. */
  readonly ownToken: string
}

export interface Credentials {
  /** Whose credential this is; undefined for nobody's, one that ended, and one of another surface. Source: api/v1 section 4 */
  principalOf(shown: Shown): Principal | undefined
  /** Has it not ended since? Does not count as being seen. */
  isStillGood(principal: Principal, shown: Shown): boolean
}

export function createCredentials({ node: { tokens, users }, ownToken }: CredentialsOptions): Credentials {
  // Hashed first, so that the comparison is of equal lengths.
  const own = sha256(utf8(ownToken))
  function sessionOf(bearer: string): SessionPrincipal | undefined {
    const session = users.session(bearer)
    const user = users.users().find(({ id }) => id === session?.userId)
    return session === undefined || user === undefined ? undefined : { kind: 'session', user, session, rights: roleCommands[user.role] }
  }
  function principalOf({ bearer, surface }: Shown): Principal | undefined {
    if (equalSecret(sha256(utf8(bearer)), own)) return (surface ?? cliSurface) === cliSurface ? cliPrincipal : undefined
    if (bearer.startsWith('km.')) {
      const token = tokens.check(bearer, surface)
      return token === undefined ? undefined : { kind: 'token', ...token }
    }
    return (surface ?? consoleSurface) === consoleSurface ? sessionOf(bearer) : undefined
  }
  return {
    principalOf,
    isStillGood(principal, shown) {
      if (principal.kind !== 'session') return principalOf(shown) !== undefined
      // Under its next token it is still the session that opened the stream.
      return users.sessions(principal.user.id).some(({ id }) => id === principal.session.id)
    },
  }
}
