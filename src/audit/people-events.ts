import type { Did } from '../base/index.ts'
import type { Plain } from '../wire/index.ts'
import { type AuditEvent, cut } from './entry.ts'
import { reasonCharsMax } from './events.ts'

// What people do at this node, and what is done about them. `did` is the node whose log it is; users are named by their id.
// No token, link, code or answer of an authenticator goes in, except the approval that a person signed for others to see.

interface AboutUser {
  readonly did: Did
  readonly user: string
}
interface ByActor {
  /** A user's id, or `machine` for the command line's own token. */
  readonly by: string
}

export const userRegistered = ({
  did,
  user,
  name,
  role,
  credential,
  keyHash,
}: AboutUser & { readonly name: string; readonly role: string; readonly credential: string; readonly keyHash: Uint8Array }): AuditEvent =>
  of('user_registered', did, user, { name, role, credential, keyHash })

export const userLogin = ({
  did,
  user,
  session,
  factors,
  credential,
}: AboutUser & { readonly session: string; readonly factors: readonly string[]; readonly credential?: string | undefined }): AuditEvent =>
  of('user_login', did, user, { session, factors: [...factors], credential })

/** `reason` is from a fixed list; nothing that was sent goes in. `omitted` counts refusals before it that were too many to write down. */
export const userLoginFailed = ({
  did,
  user,
  ceremony,
  reason,
  credential,
  omitted,
}: Pick<AboutUser, 'did'> & {
  readonly user: string | undefined
  readonly ceremony: string
  readonly reason: string
  readonly credential?: string | undefined
  readonly omitted: number
}): AuditEvent => of('user_login_failed', did, user, { ceremony, reason, credential, omitted: omitted === 0 ? undefined : omitted })

/** `approval`: what the person approved, with the passkey's signature over it; see auth/v1 section 7. */
export const userStepUp = ({
  did,
  user,
  session,
  act,
  approval,
}: AboutUser & { readonly session: string; readonly act: string; readonly approval?: Uint8Array | undefined }): AuditEvent =>
  of('user_step_up', did, user, { session, act, approval })

/** Some factors of a login were right, and others are still asked for. */
export const userFactorsPassed = ({
  did,
  user,
  factors,
  missing,
}: AboutUser & { readonly factors: readonly string[]; readonly missing: readonly string[] }): AuditEvent =>
  of('user_factors_passed', did, user, { factors: [...factors], missing: [...missing] })

/** An authenticator app was enrolled or taken away, or recovery codes were made anew. */
export const userCodesChanged = ({ did, user, kind }: AboutUser & { readonly kind: 'totp_enrolled' | 'totp_removed' | 'recovery_codes_made' }): AuditEvent =>
  of(kind, did, user, {})

export const userLogout = ({ did, user, session }: AboutUser & { readonly session: string }): AuditEvent => of('user_logout', did, user, { session })

export const sessionRevoked = ({ did, user, session, by, reason }: AboutUser & ByActor & { readonly session: string; readonly reason: string }): AuditEvent =>
  of('session_revoked', did, user, { session, actor: by, reason })

interface InvitedFacts extends ByActor {
  readonly did: Did
  /** Names the link; opens nothing. */
  readonly invite: string
}
export const userInvited = ({ did, invite, role, by, expiresAt }: InvitedFacts & { readonly role: string; readonly expiresAt: number }): AuditEvent =>
  of('user_invited', did, undefined, { invite, role, actor: by, expiresAt })

export const userInviteRevoked = ({ did, invite, by }: InvitedFacts): AuditEvent => of('user_invite_revoked', did, undefined, { invite, actor: by })

export const userRoleChanged = ({ did, user, role, before, by }: AboutUser & ByActor & { readonly role: string; readonly before: string }): AuditEvent =>
  of('user_role_changed', did, user, { role, before, actor: by })

export const userRemoved = ({ did, user, by }: AboutUser & ByActor): AuditEvent => of('user_removed', did, user, { actor: by })

interface CredentialFacts extends AboutUser {
  readonly credential: string
}
/** `keyHash`: SHA-256 of the passkey's COSE key, by which approvals are tied to it. */
export const credentialAdded = ({ did, user, credential, keyHash }: CredentialFacts & { readonly keyHash: Uint8Array }): AuditEvent =>
  of('credential_added', did, user, { credential, keyHash })

export const credentialRemoved = ({ did, user, credential, by }: CredentialFacts & ByActor): AuditEvent =>
  of('credential_removed', did, user, { credential, actor: by })

/** Its counter went back: perhaps a copy of the passkey exists. */
export const credentialDisabled = ({ did, user, credential, reason }: CredentialFacts & { readonly reason: string }): AuditEvent =>
  of('credential_disabled', did, user, { credential, reason })

export const credentialEnabled = ({ did, user, credential, by }: CredentialFacts & ByActor): AuditEvent =>
  of('credential_enabled', did, user, { credential, actor: by })

/** Facts that are not known leave no trace; texts are cut, bytes and numbers stay. */
function of(event: string, did: Did, user: string | undefined, facts: Readonly<Record<string, Plain | undefined>>): AuditEvent {
  const data: Record<string, Plain> = {}
  for (const [name, value] of Object.entries(facts)) {
    if (value !== undefined) data[name] = typeof value === 'string' && name !== 'credential' ? cut(value, reasonCharsMax) : value
  }
  return { event, actor: did, subject: user, data }
}
