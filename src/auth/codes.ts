import { type Clock, MeshError, minuteMs, type Random, base64url } from '../base/index.ts'
import { del, type Store, type StoreOp } from '../store/index.ts'
import { type FactorRecord, putFactors, readFactors } from './factor-record.ts'
import type { FactorSecrets } from './factor-secrets.ts'
import type { RecordEvent } from './types.ts'
import { findRecoveryHash, newRecoveryCodes, recoveryCodesCount, recoveryHash } from './recovery-codes.ts'
import { matchTotp, newTotpSecret, totpSecretBytesLength, totpSecretText, totpUri } from './totp.ts'

/** Enrolments under way at a time, how long one waits for its first code, and wrong codes it bears. Source: auth/v1 section 11.1. */
export const enrolmentsMax = 32
export const enrolmentMs = 10 * minuteMs
export const enrolmentTriesMax = 5

/** What an app is shown, once. */
export interface TotpEnrolment {
  readonly flow: string
  /** `otpauth://`, for a QR code. It holds the secret. */
  readonly uri: string
  /** The secret as text, for typing. */
  readonly secret: string
  readonly expiresAt: number
}

/** Which factors besides passkeys an account has. */
export interface FactorStatus {
  readonly totpSince: number | undefined
  readonly recoveryCodesLeft: number
  readonly recoveryMadeAt: number | undefined
  readonly devices: number
}

/** Codes of people: enrolled, made anew, taken away, and compared. */
export interface Codes {
  beginTotp(user: { readonly id: string; readonly name: string }): TotpEnrolment
  /** Keeps the secret once a first code shows that the app has it. @throws ERR_NOT_FOUND, ERR_AUTH_FAILED */
  finishTotp(userId: string, flow: string, code: string): Promise<void>
  /** False when there was none. `within` says when, and whether at all. */
  removeTotp(userId: string, within?: (act: () => Promise<boolean>) => Promise<boolean>): Promise<boolean>
  /** Ten codes, shown once; those before are dead. */
  makeRecoveryCodes(userId: string): Promise<readonly string[]>
  status(userId: string): Promise<FactorStatus>
  /** Writes with which what is kept of an account goes. */
  erase(userId: string): readonly StoreOp[]
  /** Its secret goes too, and what an attempt under way wrote since. Call when nobody finds the account any more. */
  forget(userId: string): Promise<void>
  /** The step a code is of, newer than the last; undefined also where nothing is enrolled, after the same work. */
  totpStep(account: string, record: FactorRecord, code: string, now: number): Promise<number | undefined>
  /** The place of a recovery code among those left, -1 when it is none; the same work with and without codes. */
  recoveryPlace(account: string, record: FactorRecord, code: string): number
}

export interface CodesOptions {
  /** The room's own part of the store. */
  readonly store: Store
  readonly secrets: FactorSecrets
  readonly clock: Clock
  readonly random: Random
  readonly record: RecordEvent
  /** Name under which apps show the code, such as that of the node. */
  readonly issuer: string
  readonly inTurn: <T>(name: string, act: () => Promise<T>) => Promise<T>
}

interface Pending {
  readonly userId: string
  readonly secret: Uint8Array
  readonly until: number
  tries: number
}

/** The account whose secret nobody has: what is computed for those without one. */
const nobody = '-'

export function createCodes({ store, secrets, clock, random, record, issuer, inTurn }: CodesOptions): Codes {
  const pending = new Map<string, Pending>()
  const dummyHashes = Array.from({ length: recoveryCodesCount }, () => random.bytes(32))

  function sweep(): void {
    const now = clock.monotonic()
    for (const [flow, { until }] of pending) if (until <= now) pending.delete(flow)
  }
  async function secretFor(account: string, hasApp: boolean): Promise<Uint8Array> {
    return (await secrets.get(hasApp ? account : nobody)) ?? random.bytes(totpSecretBytesLength)
  }
  const change = (userId: string, kind: 'totp_enrolled' | 'totp_removed' | 'recovery_codes_made', changed: FactorRecord): Promise<unknown> =>
    record({ kind, user: userId }, store.qualify([putFactors(userId, changed)]))

  return {
    beginTotp({ id, name }) {
      sweep()
      for (const [flow, { userId }] of pending) if (userId === id) pending.delete(flow)
      if (pending.size >= enrolmentsMax) throw new MeshError('ERR_OVERLOADED', `${enrolmentsMax} authenticator apps are being enrolled`)
      const flow = base64url(random.bytes(16))
      const secret = newTotpSecret(random)
      pending.set(flow, { userId: id, secret, until: clock.monotonic() + enrolmentMs, tries: 0 })
      return { flow, uri: totpUri(secret, { issuer, label: name }), secret: totpSecretText(secret), expiresAt: clock.now() + enrolmentMs }
    },
    finishTotp: (userId, flow, code) =>
      inTurn(userId, async () => {
        sweep()
        const enrolment = pending.get(flow)
        if (enrolment?.userId !== userId) {
          throw new MeshError('ERR_NOT_FOUND', 'no such enrolment, or its time is over', { hint: 'begin again and scan the new QR code' })
        }
        const step = matchTotp(enrolment.secret, code, clock.now(), -1)
        if (step === undefined) {
          if (++enrolment.tries >= enrolmentTriesMax) pending.delete(flow)
          throw new MeshError('ERR_AUTH_FAILED', 'the code is not of the secret shown', {
            hint: 'give the six digits the app shows now; check the clock of the phone and of this machine',
          })
        }
        // What names without an app are compared with has to be there before the first app is.
        if ((await secrets.get(nobody)) === undefined) await secrets.set(nobody, newTotpSecret(random))
        await secrets.set(userId, enrolment.secret)
        await change(userId, 'totp_enrolled', { ...(await readFactors(store, userId)), totpSince: clock.now(), totpStep: step })
        pending.delete(flow)
      }),
    removeTotp: (userId, within = (act) => act()) =>
      inTurn(userId, () =>
        within(async () => {
          const before = await readFactors(store, userId)
          if (before.totpSince === undefined) return false
          await change(userId, 'totp_removed', { ...before, totpSince: undefined })
          await secrets.remove(userId)
          return true
        }),
      ),
    makeRecoveryCodes: (userId) =>
      inTurn(userId, async () => {
        const codes = newRecoveryCodes(random)
        const recoveryHashes = codes.map((code) => recoveryHash(code, userId))
        await change(userId, 'recovery_codes_made', { ...(await readFactors(store, userId)), recoveryHashes, recoveryMadeAt: clock.now() })
        return codes
      }),
    async status(userId) {
      const { totpSince, recoveryHashes, recoveryMadeAt, devices } = await readFactors(store, userId)
      return { totpSince, recoveryMadeAt, recoveryCodesLeft: recoveryHashes.length, devices: devices.length }
    },
    erase: (userId) => store.qualify([del(userId)]),
    forget: (userId) =>
      inTurn(userId, async () => {
        await store.durable([del(userId)])
        await secrets.remove(userId)
      }),
    async totpStep(account, { totpSince, totpStep }, code, now) {
      const hasApp = totpSince !== undefined
      const step = matchTotp(await secretFor(account, hasApp), code, now, totpStep)
      return hasApp ? step : undefined
    },
    recoveryPlace(account, { recoveryHashes }, code) {
      const hashes = [...recoveryHashes, ...dummyHashes.slice(recoveryHashes.length)]
      const place = findRecoveryHash(hashes, recoveryHash(code, account))
      return place < recoveryHashes.length ? place : -1
    },
  }
}
