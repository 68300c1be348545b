import { type Did, type ErrorCode, MeshError } from '../base/index.ts'
import { clockSkewMsMax } from '../identity/index.ts'
import { type KeyBook, type Level, TrustLevel } from '../trust/index.ts'
import type { Caveats } from './caveats.ts'
import type { Command } from './commands.ts'
import type { GrantChain } from './token.ts'

/** A token as the rules see it: what it says, and why it does not hold if it does not. */
export interface HeldToken {
  readonly id: string
  readonly command: Command
  readonly caveats: Caveats
  readonly expiresAt: number
  /** The owner gave it to its bearer itself: nobody stands between. */
  readonly isDirect: boolean
  /** The owner gave it here: for what it says, its bearer has what it says and no more, also when it has ended. */
  readonly binds: boolean
  readonly problem?: { readonly code: ErrorCode; readonly reason: string } | undefined
  /** The lowest level here of those who handed it on; AUTHORITY where nobody did. */
  readonly throughLevel: Level
}

export interface TokenPlace {
  readonly now: number
  /** The identity that shows it. */
  readonly bearer: Did
  /** This node's identity. */
  readonly owner: Did
  readonly keys: KeyBook
  /** How far an identity is trusted to do what the tokens are about. */
  level(did: Did): Level
  /** From when a token of that issuer is void. */
  revokedAt(issuer: Did, id: string): number | undefined
}

/**
 * Why an opened chain gives its bearer nothing here now; undefined when it holds. Source: grant/v1 section 3.
 * Codes: ERR_GRANT_INVALID, ERR_GRANT_REVOKED, ERR_STATEMENT_FUTURE, ERR_STATEMENT_EXPIRED, ERR_STATEMENT_AUDIENCE, ERR_IDENTITY_*.
 */
export function chainProblem({ tokens, token }: GrantChain, { now, bearer, owner, keys, revokedAt }: TokenPlace): MeshError | undefined {
  let holder = owner
  for (const { id, issuer, audience, owner: resource, issuedAt, expiresAt } of tokens) {
    if (keys.subject(resource) !== owner) return new MeshError('ERR_GRANT_INVALID', 'the token is about what belongs to another node')
    if (keys.subject(issuer) !== holder) {
      return new MeshError(
        'ERR_GRANT_INVALID',
        holder === owner ? 'its first token is not by the owner' : 'a token was handed on by somebody whom it was not given to',
      )
    }
    try {
      keys.check(issuer, issuedAt)
    } catch (error) {
      if (error instanceof MeshError) return error
      throw error
    }
    if (issuedAt > now + clockSkewMsMax) return new MeshError('ERR_STATEMENT_FUTURE', 'the token was issued in the future')
    if (now >= expiresAt) return new MeshError('ERR_STATEMENT_EXPIRED', `the token ended ${new Date(expiresAt).toISOString()}`)
    const voidFrom = revokedAt(holder, id)
    if (voidFrom !== undefined && now >= voidFrom) return new MeshError('ERR_GRANT_REVOKED', 'the token was revoked')
    holder = keys.subject(audience)
  }
  return keys.subject(token.audience) === bearer ? undefined : new MeshError('ERR_STATEMENT_AUDIENCE', 'the token was given to somebody else')
}

/** The chain as the rules see it. */
export function heldToken(chain: GrantChain, place: TokenPlace, { binds = false } = {}): HeldToken {
  const { id, command, caveats, expiresAt } = chain.token
  const problem = chainProblem(chain, place)
  return {
    id,
    command,
    caveats,
    expiresAt,
    isDirect: chain.tokens.length === 1,
    binds,
    throughLevel: Math.min(TrustLevel.AUTHORITY, ...chain.tokens.slice(1).map(({ issuer }) => place.level(place.keys.subject(issuer)))) as Level,
    ...(problem === undefined ? {} : { problem: { code: problem.code, reason: problem.message } }),
  }
}
