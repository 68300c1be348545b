export { type Act, approvalBytesMax, approvedContentBytesMax, type ApprovalVerdict, verifyApproval } from './approval.ts'
export { type Answer, type Auth, type AuthOptions, type Entered, openAuth, type OpenedInvite } from './auth.ts'
export type { FactorType } from './factors.ts'
export type { InviteView } from './invites.ts'
export type { CreationOptions, RequestOptions } from './options.ts'
export type { Begun } from './passkeys.ts'
export type {
  Actor,
  AuthEvent,
  CredentialView,
  LoginContext,
  OpenedSession,
  RecordEvent,
  RoleName,
  Session,
  User,
} from './types.ts'
