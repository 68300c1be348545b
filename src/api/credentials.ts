import { utf8 } from '../base/index.ts'
import { equalSecret, sha256 } from '../crypto/index.ts'
import type { MeshNode } from '../node/index.ts'
import { cliPrincipal, cliSurface, consoleSurface, type Principal, type SessionPrincipal } from './principals.ts'

/** What a request shows of who sends it. */
export interface Shown {
  readonly bearer: string
  /** The surface it says to be, in `kindmesh-surface`; a credential of another one is refused. */
  readonly surface?: string | undefined
}

export interface CredentialsOptions {
  readonly node: Pick<MeshNode, 'tokens'>
  /** The token of api.json. */
  readonly ownToken: string
  sessionOf?(token: string): SessionPrincipal | undefined
}

/** Whose credential this is; undefined for nobody's, one that ended, and one of another surface. Source: api/v1 section 4. */
export function createCredentials({ node, ownToken, sessionOf }: CredentialsOptions): (shown: Shown) => Principal | undefined {
  // Hashed first, so that the comparison is of equal lengths.
  const own = sha256(utf8(ownToken))
  return ({ bearer, surface }) => {
    if (equalSecret(sha256(utf8(bearer)), own)) return (surface ?? cliSurface) === cliSurface ? cliPrincipal : undefined
    if (bearer.startsWith('km.')) {
      const token = node.tokens.check(bearer, surface)
      return token === undefined ? undefined : { kind: 'token', ...token }
    }
    return (surface ?? consoleSurface) === consoleSurface ? sessionOf?.(bearer) : undefined
  }
}
