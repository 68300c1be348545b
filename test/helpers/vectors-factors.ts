import type { Vector } from '../../scripts/vectors/world.ts'
import { contextFactor } from '../../src/auth/context.ts'
import type { FactorType } from '../../src/auth/factors.ts'
import { missingTypes } from '../../src/auth/policies.ts'
import { findRecoveryHash, recoveryHash } from '../../src/auth/recovery-codes.ts'
import { matchTotp } from '../../src/auth/totp.ts'
import { fromHex, MeshError } from '../../src/base/index.ts'

function demand(holds: boolean, code: 'ERR_LOGIN_REFUSED' | 'ERR_FACTOR_NEEDED' = 'ERR_LOGIN_REFUSED'): void {
  if (!holds) throw new MeshError(code, 'not enough')
}

/** What our code says to the vectors of factors. */
export const factorReaders: Readonly<Record<string, (vector: Vector) => void>> = {
  totp: ({ secret, code, at, lastStep }) => demand(matchTotp(fromHex(String(secret)), String(code), Number(at), Number(lastStep)) !== undefined),
  'recovery-code': ({ code, account, hash }) => demand(findRecoveryHash([fromHex(String(hash))], recoveryHash(String(code), String(account))) === 0),
  'login-context': ({ isKnownDevice, isLoopback, sinceLoginMs, failedTries, threshold }) =>
    demand(
      contextFactor(
        {
          isKnownDevice: isKnownDevice === true,
          isLoopback: isLoopback === true,
          sinceLoginMs: sinceLoginMs === null ? undefined : Number(sinceLoginMs),
          failedTries: Number(failedTries),
        },
        Number(threshold),
      ).success,
    ),
  'factor-policy': ({ ways, shown }) => demand(missingTypes(ways as FactorType[][], new Set(shown as FactorType[])).length === 0, 'ERR_FACTOR_NEEDED'),
}
