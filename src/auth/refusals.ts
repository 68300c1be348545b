import { type Clock, createTally, MeshError, minuteMs } from '../base/index.ts'
import type { AuthenticationResult } from './factors.ts'
import type { Ceremony, RecordEvent } from './types.ts'

/** Refused logins and registrations written down per minute; the next entry says how many were left out. Source: auth/v1 section 8. */
export const refusalsNotedMax = 600

export interface RefusedFacts {
  readonly ceremony: Ceremony
  /** From a list of ours. */
  readonly reason: string
  readonly user?: string | undefined
  readonly credential?: string | undefined
}

/** Writes a refusal down, then gives the one answer there is to it. */
export type Refuse = (facts: RefusedFacts) => Promise<MeshError>

/** Whatever was wrong: one code and one text, so that nobody learns which users and passkeys there are. Source: auth/v1 section 3. */
export const loginRefused = (): MeshError => new MeshError('ERR_LOGIN_REFUSED', 'the login did not succeed')

/** What was shown was right, and is not all that is asked for. */
export const factorNeeded = ({ missing, flow }: Pick<AuthenticationResult, 'missing' | 'flow'>): MeshError =>
  new MeshError('ERR_FACTOR_NEEDED', `this needs more: ${missing.join(', ')}`, { details: { missing: [...missing], flow } })

export function createRefusals({ clock, record }: { readonly clock: Clock; readonly record: RecordEvent }): Refuse {
  const tally = createTally<'all'>({ clock, most: refusalsNotedMax, windowMs: minuteMs })
  let omitted = 0
  return async ({ ceremony, reason, user, credential }) => {
    if (!tally.count('all')) {
      omitted++
      return loginRefused()
    }
    const before = omitted
    omitted = 0
    await record({ kind: 'user_login_failed', user, ceremony, reason, credential, omitted: before }, [])
    return loginRefused()
  }
}
