import type { StoreOp } from '../store/index.ts'
import type { FactorType } from './factors.ts'

/** What happens with factors, for the audit log of whoever keeps one. Names that strangers give are left out: people type passwords there. */
export type FactorEvent =
  | {
      readonly kind: 'user_login_failed'
      readonly user: string | undefined
      readonly ceremony: 'login'
      readonly reason: string
      readonly credential?: undefined
      /** Refusals since the last entry that were too many to write down. */
      readonly omitted: number
    }
  | { readonly kind: 'user_factors_passed'; readonly user: string; readonly factors: readonly FactorType[]; readonly missing: readonly FactorType[] }
  | { readonly kind: 'totp_enrolled' | 'totp_removed' | 'recovery_codes_made'; readonly user: string }

/** Writes down that something happened and does `ops`, both or neither, on disk when it resolves. The ops name their keys in the root store. */
export type RecordFactorEvent = (event: FactorEvent, ops: readonly StoreOp[]) => Promise<unknown>
