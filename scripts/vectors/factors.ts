import { hex, utf8 } from '../../src/base/index.ts'
import { contextConfidence, type ContextFacts } from '../../src/auth/context.ts'
import type { FactorType } from '../../src/auth/factors.ts'
import { newRecoveryCode, recoveryHash } from '../../src/auth/recovery-codes.ts'
import { totpCode, totpStepAt } from '../../src/auth/totp.ts'
import { chance, now, type Vector, type Vectors } from './world.ts'

/** The secret of RFC 6238 appendix B. */
const secret = utf8('12345678901234567890')
const step = totpStepAt(now)

export function factorVectors(): Vectors {
  const totp = (comment: string, spec: string, expect: string, away: number, lastStep: number): Vector => ({
    ...{ comment, spec, expect, kind: 'totp', secret: hex(secret), code: totpCode(secret, step + away), at: now, lastStep },
  })
  const code = newRecoveryCode(chance(61))
  const recovery = (comment: string, written: string, account: string, expect: string): Vector => ({
    ...{ comment, spec: '12.1', expect, kind: 'recovery-code', code: written, account, hash: hex(recoveryHash(code, 'user-a')) },
  })
  const context = (comment: string, facts: ContextFacts, threshold: number): Vector => {
    const confidence = contextConfidence(facts)
    return {
      ...{ comment, spec: '13.1', expect: confidence >= threshold ? 'ok' : 'ERR_LOGIN_REFUSED', kind: 'login-context' },
      ...{ ...facts, sinceLoginMs: facts.sinceLoginMs ?? null, threshold },
    }
  }
  const policy = (comment: string, spec: string, ways: readonly (readonly FactorType[])[], shown: readonly FactorType[], expect: string): Vector => ({
    ...{ comment, spec, expect, kind: 'factor-policy', ways, shown },
  })
  const home: ContextFacts = { isKnownDevice: true, isLoopback: true, sinceLoginMs: 0, failedTries: 0 }
  const ways: readonly (readonly FactorType[])[] = [['webauthn', 'biometric'], ['totp', 'context'], ['recovery']]
  return {
    totp: totp('The code of now, after one of the step before.', '11.2', 'ok', 0, step - 1),
    'totp-ahead': totp('A clock that is one step ahead.', '11', 'ok', 1, step - 1),
    'totp-far': totp('A clock that is two steps ahead.', '11', 'ERR_LOGIN_REFUSED', 2, step - 1),
    'totp-again': totp('The code of a step that was taken.', '11.2', 'ERR_LOGIN_REFUSED', 0, step),
    'totp-older': totp('The code of the step before the last taken.', '11.2', 'ERR_LOGIN_REFUSED', -1, step),
    'recovery-code': recovery('A code as it was shown.', code, 'user-a', 'ok'),
    'recovery-code-written': recovery('The same code as a person writes it down.', ` ${code.toUpperCase().replaceAll('-', ' ')} `, 'user-a', 'ok'),
    'recovery-code-other': recovery('The same code for another account.', code, 'user-b', 'ERR_LOGIN_REFUSED'),
    'context-home': context('A known device on this machine, just after a login.', home, 1),
    'context-first': context('A first login from a new device.', { ...home, isKnownDevice: false, sinceLoginMs: undefined }, 0.5),
    'context-tries': context('The same after three failed attempts.', { ...home, isKnownDevice: false, sinceLoginMs: undefined, failedTries: 3 }, 0.5),
    'context-away': context('A known device elsewhere after half a year.', { ...home, isLoopback: false, sinceLoginMs: 182 * 86_400_000 }, 0.5),
    'policy-way': policy('A second way in is as good as the first.', '14', ways, ['totp', 'context'], 'ok'),
    'policy-counted': policy('Three factors, and none of the types that a way still misses.', '14.1', ways, ['totp', 'totp', 'biometric'], 'ERR_FACTOR_NEEDED'),
    'policy-context-alone': policy('A way without a proof leads nowhere.', '14.2', [['context', 'biometric']], ['context', 'biometric'], 'ERR_FACTOR_NEEDED'),
  }
}
