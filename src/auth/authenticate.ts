import { base64url, type Clock, createTally, hourMs, minuteMs, type Random, utf8 } from '../base/index.ts'
import { equalSecret, sha256 } from '../crypto/index.ts'
import type { Store, StoreOp } from '../store/index.ts'
import type { Codes } from './codes.ts'
import { contextFactor } from './context.ts'
import { accountOf, type FactorRecord, failedLately, putFactors, readFactors, withDevice, withFailure } from './factor-record.ts'
import type { RecordEvent } from './types.ts'
import {
  type AuthenticationChallenge,
  type AuthenticationContext,
  type AuthenticationFactor,
  type AuthenticationResult,
  failedResult,
  type FactorType,
  shownProofs,
} from './factors.ts'
import { afterTry, mayTry, noTries } from './limits.ts'
import { type FactorPolicy, missingTypes } from './policies.ts'

/** Logins that wait for another factor, and for how long. Source: auth/v1 section 10.3. */
export const loginFlowsMax = 256
export const loginFlowMs = 5 * minuteMs
/** Refused attempts on one account that are written into the audit log in an hour; all of them are counted. */
export const refusalsAuditedMax = 30

/** A passkey's answer that held. */
export interface VerifiedAssertion {
  readonly userId: string
  readonly isUserVerified: boolean
  readonly credential: Uint8Array
}

/** What came of an attempt whose proofs held; `ops` are for the batch of what is done about it. */
export interface Passed<A> {
  readonly factors: readonly FactorType[]
  /** Of this step. */
  readonly assertion: A | undefined
  /** The passkey shown last, in this step or an earlier one. */
  readonly credential: Uint8Array | undefined
  readonly context: AuthenticationContext
  readonly ops: readonly StoreOp[]
}

export interface AuthenticatorOptions<User extends { readonly id: string }, A extends VerifiedAssertion, Entered extends SessionOpened> {
  /** The room's own part of the store. */
  readonly store: Store
  readonly codes: Codes
  /** A login also keeps the device and its time. */
  readonly ceremony: 'login' | 'step_up'
  readonly clock: Clock
  readonly random: Random
  readonly record: RecordEvent
  readonly inTurn: <T>(name: string, act: () => Promise<T>) => Promise<T>
  findUser(nameOrId: string): User | undefined
  /** Undefined when it does not hold, which is then written down; each is taken once. */
  verifyAssertion(shown: NonNullable<AuthenticationChallenge['webAuthnResponse']>, challenge: AuthenticationChallenge): Promise<A | undefined>
  /** The passkey is that user's still, and in use. */
  isHeld(userId: string, credential: Uint8Array): boolean
  policyOf(user: User): FactorPolicy
  contextThreshold(): number
  /** Writes down that types are still missing. */
  wait(user: User, passed: Passed<A>, missing: readonly FactorType[]): Promise<void>
  /** Opens one session, in one durable batch with its audit entry. */
  enter(user: User, passed: Passed<A>): Promise<Entered>
}

interface SessionOpened {
  readonly session: { readonly token: string; readonly expiresAt: number }
}

/** The result, and what a login that succeeded opened. */
export interface Attempt<Entered> {
  readonly result: AuthenticationResult
  readonly entered?: Entered
}

interface Flow {
  readonly userId: string
  readonly passed: readonly AuthenticationFactor[]
  /** The passkey among them: it goes on while that is held and in use. */
  readonly credential: Uint8Array | undefined
  readonly until: number
}

/**
 * Logs somebody in with the factors shown, once all types that the policy of the role names have passed: one login after another for each account.
 * Every attempt that fails has one answer and costs the same: a look-up, a comparison with each code shown, one durable batch. Source: auth/v1 section 10
 */
export function createAuthenticator<User extends { readonly id: string }, A extends VerifiedAssertion, Entered extends SessionOpened>(
  options: AuthenticatorOptions<User, A, Entered>,
): (challenge: AuthenticationChallenge) => Promise<Attempt<Entered>> {
  const { store, codes, clock, random, inTurn, findUser, ceremony } = options
  const flows = new Map<string, Flow>()
  const audited = createTally<string>({ clock, most: refusalsAuditedMax, windowMs: hourMs })
  let omitted = 0

  const openFlow = (id: string | undefined): Flow | undefined => {
    const flow = id === undefined ? undefined : flows.get(id)
    if (flow === undefined || flow.until <= clock.monotonic()) return undefined
    return flow.credential === undefined || options.isHeld(flow.userId, flow.credential) ? flow : undefined
  }

  function keepFlow(id: string | undefined, kept: Omit<Flow, 'until'>): string {
    const now = clock.monotonic()
    for (const [old, { until }] of flows) if (until <= now) flows.delete(old)
    const [eldest] = flows.keys()
    if (id === undefined && flows.size >= loginFlowsMax && eldest !== undefined) flows.delete(eldest)
    const flow = id ?? base64url(random.bytes(16))
    // More factors do not make it live longer.
    flows.set(flow, { ...kept, until: flows.get(flow)?.until ?? now + loginFlowMs })
    return flow
  }

  /** Written in the log while there is room for more of this account, and always on the disk. */
  async function refuse(account: string, facts: { readonly user: string | undefined; readonly reason: string }, kept: FactorRecord): Promise<void> {
    if (!audited.count(account)) {
      omitted++
      return await store.durable([putFactors(account, kept)])
    }
    const before = omitted
    omitted = 0
    await options.record({ kind: 'user_login_failed', ceremony, ...facts, omitted: before }, store.qualify([putFactors(account, kept)]))
  }

  // One passkey at a time, from its answer to the session: of two answers with one counter the first gets in.
  return async (challenge) => (challenge.webAuthnResponse === undefined ? await attempt(challenge) : await inTurn('passkeys', () => attempt(challenge)))

  async function attempt(challenge: AuthenticationChallenge): Promise<Attempt<Entered>> {
    const shown = shownProofs(challenge)
    const { webAuthnResponse, totpCode, recoveryCode, contextData, flow: flowId } = challenge
    const assertion = webAuthnResponse === undefined ? undefined : await options.verifyAssertion(webAuthnResponse, challenge)
    const named = challenge.userId ?? openFlow(flowId)?.userId ?? assertion?.userId ?? ''
    // The passkey named nobody, and its refusal is written down.
    if (shown.every((type) => type === 'webauthn') && named === '') return { result: failedResult(challenge) }
    const user = findUser(named)
    const account = accountOf(user?.id, named)
    return await inTurn(account, async () => {
      const now = clock.now()
      const before = await readFactors(store, account)
      const flow = openFlow(flowId)
      const isOpen = mayTry(before.tries, now)
      const step = totpCode === undefined ? undefined : await codes.totpStep(account, before, totpCode, now)
      const place = recoveryCode === undefined ? -1 : codes.recoveryPlace(account, before, recoveryCode)
      const isTotp = isOpen && step !== undefined
      const held: Readonly<Record<string, boolean>> = { webauthn: assertion !== undefined && assertion.userId === user?.id, totp: isTotp, recovery: place >= 0 }
      const counted = totpCode !== undefined && isOpen ? { ...before, tries: afterTry(before.tries, now, isTotp) } : before
      // A code that was right is spent, whatever else was shown with it.
      const tried: FactorRecord = isTotp ? { ...counted, totpStep: step } : counted

      if (user === undefined || shown.length === 0 || !shown.every((type) => held[type] === true) || (flowId !== undefined && flow?.userId !== user.id)) {
        const reason = user === undefined ? 'unknown' : totpCode === undefined || isOpen ? 'wrong' : 'limited'
        const kept = withFailure(tried, now)
        // A passkey's refusal is written down where it is looked at.
        if (webAuthnResponse !== undefined && assertion === undefined) await store.durable([putFactors(account, kept)])
        else await refuse(account, { user: user?.id, reason: `${reason} ${shown.join(' ')}`.trim() }, kept)
        return { result: failedResult(challenge) }
      }

      const proofs = shown.map((type): AuthenticationFactor => ({ type, success: true, confidence: 1, metadata: {} }))
      const biometric: AuthenticationFactor[] =
        assertion === undefined ? [] : [{ type: 'biometric', success: assertion.isUserVerified, confidence: assertion.isUserVerified ? 1 : 0, metadata: {} }]
      const passed = joined(flow?.passed ?? [], [...proofs, ...biometric])
      const credential = assertion?.credential ?? flow?.credential
      const { factor: context, deviceHash } = contextOf(contextData, before, now, options.contextThreshold())
      const factors = [...passed, context]
      const types = factors.flatMap(({ type, success }) => (success ? [type] : []))
      const missing = missingTypes(options.policyOf(user), new Set(types))
      const spent: FactorRecord = {
        ...tried,
        recoveryHashes: before.recoveryHashes.filter((_hash, index) => index !== place),
        // Another factor opens the way for codes again.
        tries: shown.some((type) => type !== 'totp') ? noTries : tried.tries,
      }
      const passing = (record: FactorRecord): Passed<A> => ({
        factors: types,
        assertion,
        credential,
        context: contextData,
        ops: store.qualify([putFactors(account, record)]),
      })

      if (missing.length > 0) {
        await options.wait(user, passing(spent), missing)
        return { result: { ...failedResult(challenge), userId: user.id, factors, missing, flow: keepFlow(flowId, { userId: user.id, passed, credential }) } }
      }
      if (flowId !== undefined) flows.delete(flowId)
      if (ceremony === 'step_up') {
        const entered = await options.enter(user, passing({ ...spent, failures: [] }))
        const { token, expiresAt } = entered.session
        return { result: { ...failedResult(challenge), success: true, userId: user.id, sessionToken: token, expiresAt, factors }, entered }
      }
      const deviceToken = deviceHash === undefined ? base64url(random.bytes(32)) : null
      const device = deviceHash ?? deviceHashOf(deviceToken ?? '')
      const entered = await options.enter(user, passing(withDevice({ ...spent, lastLoginAt: now, failures: [] }, device, now)))
      const { token, expiresAt } = entered.session
      return { result: { success: true, userId: user.id, sessionToken: token, expiresAt, factors, missing, flow: null, deviceToken }, entered }
    })
  }
}

const deviceHashOf = (token: string): Uint8Array => sha256(utf8(`kindmesh/1/device\0${token.slice(0, 128)}`))

/** The context as it was before this attempt; the hash of the device when it is known. */
function contextOf(
  { isLoopback, deviceToken }: AuthenticationContext,
  record: FactorRecord,
  now: number,
  threshold: number,
): { readonly factor: AuthenticationFactor; readonly deviceHash: Uint8Array | undefined } {
  const hash = deviceToken === undefined ? undefined : deviceHashOf(deviceToken)
  const isKnownDevice = hash !== undefined && record.devices.some((device) => equalSecret(device.hash, hash))
  const sinceLoginMs = record.lastLoginAt === undefined ? undefined : Math.max(0, now - record.lastLoginAt)
  const factor = contextFactor({ isKnownDevice, isLoopback, sinceLoginMs, failedTries: failedLately(record, now) }, threshold)
  return { factor, deviceHash: isKnownDevice ? hash : undefined }
}

/** Factors of earlier steps and of this one, one of each type; what passed once stays. */
const joined = (earlier: readonly AuthenticationFactor[], now: readonly AuthenticationFactor[]): readonly AuthenticationFactor[] => [
  ...earlier.filter(({ type, success }) => success || !now.some((factor) => factor.type === type)),
  ...now.filter(({ type }) => !earlier.some((factor) => factor.type === type && factor.success)),
]
