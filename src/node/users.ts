import {
  type Audit,
  type AuditEvent,
  credentialAdded,
  credentialDisabled,
  credentialEnabled,
  credentialRemoved,
  sessionRevoked,
  userInvited,
  userInviteRevoked,
  userCodesChanged,
  userFactorsPassed,
  userLogin,
  userLoginFailed,
  userLogout,
  userRegistered,
  userRemoved,
  userRoleChanged,
  userStepUp,
} from '../audit/index.ts'
import {
  type AnsweredPasskey,
  type ApprovalVerdict,
  type Auth,
  type AuthEvent,
  type Begun,
  contextThresholdDefault,
  type FactorPolicy,
  factorPolicy,
  type FactorSecrets,
  loginPolicyDefault,
  stepUpPolicyDefault,
  openAuth,
  type OpenedSession,
  type RequestOptions,
  type Session,
  verifyApproval,
} from '../auth/index.ts'
import { type Clock, type Did, hourMs, type Logger, MeshError, minuteMs, type Random, utf8 } from '../base/index.ts'
import type { Config } from '../config/index.ts'
import { sha256 } from '../crypto/index.ts'
import { decodeGrantContent, encodeGrantContent } from '../policy/index.ts'
import type { Store } from '../store/index.ts'
import type { GrantFields, Grants, GrantView } from './grants.ts'

/** Users of this node, their passkeys and sessions. */
export interface UserDoors extends Omit<Auth, 'stop'> {
  /** Where our own pages are: passkeys answer to these alone. Called once the port is known. */
  servedAt(origin: string): void
  /** Asks a person to sign a grant with their passkey. The challenge stands for all that is given: auth/v1 section 7. @throws ERR_USAGE, ERR_NOT_FOUND, ERR_WIRE_TOO_LARGE */
  beginGrant(session: Session, fields: GrantFields): Begun<RequestOptions>
  /** Gives what the passkey signed, and nothing else; the session goes on under a new token. @throws ERR_LOGIN_REFUSED, ERR_USAGE, as `grants.issue` does */
  finishGrant(session: Session, answer: AnsweredPasskey): Promise<{ readonly session: OpenedSession; readonly grant: GrantView }>
  /** Who approved what, from an approval of the log or of a grant; by itself, for anyone. */
  verifyApproval(approval: Uint8Array): Promise<ApprovalVerdict>
}

/** Outlives the rooms: a rotation exchanges them while the pages stay where they are. */
export interface ServedPlace {
  origin?: string
}

export interface UsersParts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly config?: Config | undefined
  readonly did: Did
  readonly served: ServedPlace
  /** Where the secrets of authenticator apps are kept. */
  readonly secrets: FactorSecrets
  readonly grants: Pick<Grants, 'issue' | 'find'>
}

export interface Users {
  readonly doors: UserDoors
  stop(): void
}

export async function openUsers({ audit, config, did, served, grants, ...parts }: UsersParts): Promise<Users> {
  const setting = (key: string, fallback: number): number => Number(config?.setting(key).value ?? fallback)
  function policyIn(key: string): FactorPolicy | undefined {
    const written = config?.setting(key).value
    return written === undefined ? undefined : factorPolicy(written as FactorPolicy)
  }
  const { stop, ...auth } = await openAuth({
    ...parts,
    did,
    record: (event, ops) => audit.record(entryOf(event, did), ops),
    origin() {
      if (served.origin === undefined) throw new MeshError('ERR_STOPPED', 'the pages of this node are served nowhere', { hint: 'start it with `kindmesh up`' })
      return served.origin
    },
    life: () => ({ absoluteMs: setting('auth.session_hours', 8) * hourMs, idleMs: setting('auth.idle_minutes', 30) * minuteMs }),
    rules: {
      policy: (role) => policyIn(`auth.require.${role}`) ?? loginPolicyDefault,
      stepUp: (role) => policyIn(`auth.step_up.${role}`) ?? stepUpPolicyDefault,
      contextThreshold: () => setting('auth.context_min', contextThresholdDefault),
    },
    prfSalt: () => prfSaltOf(did),
  })
  return {
    doors: {
      ...auth,
      servedAt(origin) {
        served.origin = origin
      },
      beginGrant(session, { audience, command, caveats = {}, lifetimeMs, proof }) {
        const from = proof === undefined ? undefined : grants.find(proof).id
        return auth.beginStepUp(session, { name: grantAct, content: encodeGrantContent({ audience, command, caveats, lifetimeMs, proof: from }) })
      },
      async finishGrant(session, answer) {
        const { session: next, approval } = await auth.finishStepUp(session, answer)
        const verdict = approval === undefined ? undefined : await verifyApproval(approval)
        if (verdict?.ok !== true || verdict.act.name !== grantAct) throw new MeshError('ERR_USAGE', 'this was begun for something else than a grant')
        return { session: next, grant: await grants.issue(decodeGrantContent(verdict.act.content), approval) }
      },
      verifyApproval,
    },
    stop,
  }
}

/** What an approval of a grant is called. Source: auth/v1 section 7, grant/v1 section 7 */
const grantAct = 'grant'

/** What passkeys make the vault's key from; of this node alone. Source: auth/v1 section 3.4 */
const prfSaltOf = (did: Did): Uint8Array => sha256(utf8(`kindmesh vault prf v1 ${did}`))

function entryOf(event: AuthEvent, did: Did): AuditEvent {
  switch (event.kind) {
    case 'user_registered':
      return userRegistered({ ...event, did })
    case 'user_login':
      return userLogin({ ...event, did })
    case 'user_login_failed':
      return userLoginFailed({ ...event, did })
    case 'user_factors_passed':
      return userFactorsPassed({ ...event, did })
    case 'totp_enrolled':
    case 'totp_removed':
    case 'recovery_codes_made':
      return userCodesChanged({ ...event, did })
    case 'user_step_up':
      return userStepUp({ ...event, did })
    case 'user_logout':
      return userLogout({ ...event, did })
    case 'session_revoked':
      return sessionRevoked({ ...event, did })
    case 'user_invited':
      return userInvited({ ...event, did })
    case 'user_invite_revoked':
      return userInviteRevoked({ ...event, did })
    case 'user_role_changed':
      return userRoleChanged({ ...event, did })
    case 'user_removed':
      return userRemoved({ ...event, did })
    case 'credential_added':
      return credentialAdded({ ...event, did })
    case 'credential_removed':
      return credentialRemoved({ ...event, did })
    case 'credential_disabled':
      return credentialDisabled({ ...event, did })
    case 'credential_enabled':
      return credentialEnabled({ ...event, did })
  }
}
