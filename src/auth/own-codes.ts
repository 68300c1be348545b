import { MeshError } from '../base/index.ts'
import type { Codes, FactorStatus, TotpEnrolment } from './codes.ts'
import type { Actor, User } from './types.ts'

/** Codes of people, for whoever may have them made: themselves, freshly verified, and the machine's own. */
export interface OwnCodes {
  /** An app for somebody; it counts once a first code is given. @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP, ERR_OVERLOADED */
  beginTotp(user: string, by: Actor): TotpEnrolment
  /** @throws ERR_NOT_FOUND, ERR_AUTH_FAILED, ERR_POLICY_DENIED */
  finishTotp(user: string, given: { readonly flow: string; readonly code: string }, by: Actor): Promise<FactorStatus>
  /** Also by an owner, for others. @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP, ERR_USER_LAST */
  removeTotp(user: string, by: Actor): Promise<FactorStatus>
  /** Ten codes, shown once; those before are dead. @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP */
  makeRecoveryCodes(user: string, by: Actor): Promise<readonly string[]>
  /** @throws ERR_NOT_FOUND */
  factors(user: string): Promise<FactorStatus>
}

export interface OwnCodesOptions {
  readonly codes: Codes
  /** By id or name. @throws ERR_NOT_FOUND */
  user(idOrName: string): User
  /** @throws ERR_STEP_UP */
  requireFresh(by: Actor): void
  /** @throws ERR_POLICY_DENIED, ERR_STEP_UP */
  requireOwner(by: Actor, what: string): void
  /** Takes an app away unless it is the last way in. @throws ERR_USER_LAST */
  unlessLast(userId: string, act: () => Promise<boolean>): Promise<boolean>
}

export function createOwnCodes({ codes, user, requireFresh, requireOwner, unlessLast }: OwnCodesOptions): OwnCodes {
  function own(idOrName: string, by: Actor): User {
    const found = user(idOrName)
    if (by !== 'machine' && by.userId !== found.id) {
      throw new MeshError('ERR_POLICY_DENIED', 'codes are made for oneself', { hint: 'log in as the one they are for' })
    }
    return found
  }
  return {
    beginTotp(idOrName, by) {
      const found = own(idOrName, by)
      requireFresh(by)
      return codes.beginTotp(found)
    },
    async finishTotp(idOrName, { flow, code }, by) {
      const { id } = own(idOrName, by)
      await codes.finishTotp(id, flow, code)
      return await codes.status(id)
    },
    async removeTotp(idOrName, by) {
      const { id } = user(idOrName)
      if (by !== 'machine' && by.userId !== id) requireOwner(by, 'removes codes of others')
      requireFresh(by)
      const isRemoved = await codes.removeTotp(id, (act) => unlessLast(id, act))
      if (!isRemoved) throw new MeshError('ERR_NOT_FOUND', 'no authenticator app is enrolled', { hint: 'see `kindmesh user list`' })
      return await codes.status(id)
    },
    async makeRecoveryCodes(idOrName, by) {
      const { id } = own(idOrName, by)
      requireFresh(by)
      return await codes.makeRecoveryCodes(id)
    },
    factors: async (idOrName) => await codes.status(user(idOrName).id),
  }
}
