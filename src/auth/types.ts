import type { StoreOp } from '../store/index.ts'
import type { FactorType } from './factors.ts'

/** What a person may at most; policy names the commands of each. The first may do most. */
export const roleNames = ['owner', 'operator', 'viewer', 'agent'] as const
export type RoleName = (typeof roleNames)[number]

/** Somebody with a right to this node. Times in ms since 1970. */
export interface User {
  /** 16 random bytes, base64url; authenticators keep it as the user handle. */
  readonly id: string
  readonly name: string
  readonly role: RoleName
  readonly createdAt: number
  readonly lastLoginAt?: number | undefined
}

/** A passkey of somebody. */
export interface CredentialView {
  /** As the authenticator named it, base64url. */
  readonly id: string
  readonly label: string
  readonly createdAt: number
  readonly lastUsedAt?: number | undefined
  /** Kept in more than one place by its maker, such as a cloud account. */
  readonly backedUp: boolean
  /** True since its counter went back: perhaps a copy of it exists. */
  readonly disabled: boolean
}

/** Somebody who is logged in. */
export interface Session {
  readonly id: string
  readonly userId: string
  readonly role: RoleName
  readonly createdAt: number
  readonly lastSeenAt: number
  /** When the person was last verified. */
  readonly steppedUpAt?: number | undefined
  readonly factors: readonly FactorType[]
  /** From a list of ours, such as `Firefox on Linux`. */
  readonly device: string
}

/** A session with what opens it; the token is nowhere else and on no disk. */
export interface OpenedSession extends Session {
  readonly token: string
  readonly expiresAt: number
}

/** Who asks for a change: a live session, or whoever holds the command line's own token. */
export type Actor = Session | 'machine'

/** What is known of where a login comes from. */
export interface LoginContext {
  /** On this machine, as whoever serves it sees it. */
  readonly isLoopback?: boolean | undefined
  /** Kept by a browser or command line since its last login. */
  readonly deviceToken?: string | undefined
  readonly userAgent?: string | undefined
  /** A session token that the new one takes the place of. */
  readonly replaces?: string | undefined
}

/** What an authenticator answered, and from where. */
export interface AnsweredPasskey {
  readonly flow: string
  readonly response: unknown
  readonly context?: LoginContext | undefined
}

/** Somebody who came in. */
export interface Entered {
  readonly user: User
  readonly session: OpenedSession
  readonly factors: readonly FactorType[]
  /** Shown once, to a device not known before. */
  readonly deviceToken?: string | undefined
}

/** During what something was refused. */
export type Ceremony = 'registration' | 'login' | 'step_up'

interface About {
  readonly user: string
}
/** What the room reports: each fact goes into the audit log in one durable batch with its change. `by` is a user's id, or `machine`. */
export type AuthEvent =
  | (About & { readonly kind: 'user_factors_passed'; readonly factors: readonly FactorType[]; readonly missing: readonly FactorType[] })
  | (About & { readonly kind: 'totp_enrolled' | 'totp_removed' | 'recovery_codes_made' })
  | (About & { readonly kind: 'user_registered'; readonly name: string; readonly role: RoleName; readonly credential: string; readonly keyHash: Uint8Array })
  | (About & { readonly kind: 'user_login'; readonly session: string; readonly factors: readonly FactorType[]; readonly credential?: string | undefined })
  | {
      readonly kind: 'user_login_failed'
      readonly user: string | undefined
      readonly ceremony: Ceremony
      readonly reason: string
      readonly credential?: string | undefined
      /** Refusals since the last entry that were too many to write down. */
      readonly omitted: number
    }
  | (About & { readonly kind: 'user_step_up'; readonly session: string; readonly act: string; readonly approval?: Uint8Array | undefined })
  | (About & { readonly kind: 'user_logout'; readonly session: string })
  | (About & { readonly kind: 'session_revoked'; readonly session: string; readonly by: string; readonly reason: string })
  | { readonly kind: 'user_invited'; readonly invite: string; readonly role: RoleName; readonly by: string; readonly expiresAt: number }
  | { readonly kind: 'user_invite_revoked'; readonly invite: string; readonly by: string }
  | (About & { readonly kind: 'user_role_changed'; readonly role: RoleName; readonly before: RoleName; readonly by: string })
  | (About & { readonly kind: 'user_removed'; readonly by: string })
  | (About & { readonly kind: 'credential_added'; readonly credential: string; readonly keyHash: Uint8Array })
  | (About & { readonly kind: 'credential_removed'; readonly credential: string; readonly by: string })
  | (About & { readonly kind: 'credential_disabled'; readonly credential: string; readonly reason: string })
  | (About & { readonly kind: 'credential_enabled'; readonly credential: string; readonly by: string })

/** Writes the fact down and does `ops`, both or neither; on disk when it resolves. Keys of `ops` are full ones. */
export type RecordEvent = (event: AuthEvent, ops: readonly StoreOp[]) => Promise<unknown>
