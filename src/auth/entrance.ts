import { base64url, type Clock, createTurns, MeshError, type Random } from '../base/index.ts'
import type { Store } from '../store/index.ts'
import { createAuthenticator, type Passed, type VerifiedAssertion } from './authenticate.ts'
import { type Codes, createCodes } from './codes.ts'
import type { FactorSecrets } from './factor-secrets.ts'
import { type AuthenticationChallenge, type AuthenticationResult, failedResult } from './factors.ts'
import type { Passkeys } from './passkeys.ts'
import { type FactorPolicy, missingTypes } from './policies.ts'
import { factorNeeded, loginRefused, type Refuse } from './refusals.ts'
import { createStepUps, type StepUps } from './step-up.ts'
import type { Sessions } from './sessions.ts'
import type { AnsweredPasskey, Entered, RecordEvent, RoleName } from './types.ts'
import { type UserBook, type UserEntry, viewUser } from './user-book.ts'

/** What the settings say about logins. */
export interface EntranceRules {
  /** Types that a login of a role needs. */
  policy(role: RoleName): FactorPolicy
  /** Types that a step-up of a role needs. */
  stepUp(role: RoleName): FactorPolicy
  /** Confidence at which the context passes, 0 to 1. */
  contextThreshold(): number
}

export interface EntranceOptions {
  /** The room's own part of the store. */
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly book: UserBook
  readonly sessions: Sessions
  readonly passkeys: Passkeys
  readonly secrets: FactorSecrets
  readonly issuer: string
  readonly rules: EntranceRules
  readonly record: RecordEvent
  readonly refuse: Refuse
  /** One change of users and passkeys at a time. */
  readonly inTurn: <T>(act: () => Promise<T>) => Promise<T>
}

/** The one place where a login opens a session: every factor, one policy. Source: auth/v1 section 10 */
export interface Entrance {
  readonly codes: Codes
  readonly stepUps: StepUps
  authenticateUser(challenge: AuthenticationChallenge): Promise<AuthenticationResult>
  /** @throws ERR_LOGIN_REFUSED, ERR_FACTOR_NEEDED */
  finishLogin(answer: AnsweredPasskey): Promise<Entered>
}

export function createEntrance(options: EntranceOptions): Entrance {
  const { store, clock, random, book, sessions, passkeys, secrets, issuer, rules, record, refuse, inTurn } = options
  const inAccountTurn = createTurns()
  const codes = createCodes({ store, secrets, clock, random, record, issuer, inTurn: inAccountTurn })

  /** The entry as it is now, which remembers how the passkey was used. @throws ERR_LOGIN_REFUSED when either went in the meantime */
  async function entryOf({ id }: UserEntry, credential: Uint8Array | undefined): Promise<UserEntry> {
    const entry = book.find(id)
    const isHeld = credential === undefined || book.holds(id, credential)
    if (entry === undefined || !isHeld) throw await refuse({ ceremony: 'login', reason: 'gone', user: id })
    return entry
  }

  const attempt = createAuthenticator<UserEntry, VerifiedAssertion, Entered>({
    store,
    codes,
    clock,
    random,
    record,
    inTurn: inAccountTurn,
    ceremony: 'login',
    findUser: (nameOrId) => book.find(nameOrId) ?? book.named(nameOrId),
    verifyAssertion: ({ flow, response }) =>
      inTurn(async () => {
        try {
          const { user, credential } = await passkeys.assert('login', flow, response)
          // What did not verify its user was refused.
          return { userId: user, isUserVerified: true, credential: credential.id }
        } catch (error) {
          if (error instanceof MeshError && error.code === 'ERR_LOGIN_REFUSED') return undefined
          throw error
        }
      }),
    isHeld: book.holds,
    policyOf: ({ role }) => rules.policy(role),
    contextThreshold: rules.contextThreshold,
    wait: (user, { factors, credential, ops }, missing) =>
      inTurn(async () => {
        const entry = await entryOf(user, credential)
        await record({ kind: 'user_factors_passed', user: user.id, factors, missing }, [...ops, ...book.write(entry)])
        book.remember(entry)
      }),
    enter: (user, passed) => inTurn(() => enter(user, passed)),
  })

  async function enter(user: UserEntry, { factors, credential, context, ops }: Passed<VerifiedAssertion>): Promise<Entered> {
    const entry = { ...(await entryOf(user, credential)), lastLoginAt: clock.now() }
    // Who has just shown all that a step-up asks for need not show it again at once.
    const isVerified = missingTypes(rules.stepUp(entry.role), new Set(factors)).length === 0
    const made = sessions.make({ userId: user.id, factors, credential, context, isVerified })
    const event = {
      kind: 'user_login',
      user: user.id,
      session: made.session.id,
      factors,
      credential: credential === undefined ? undefined : base64url(credential),
    } as const
    await record(event, [...ops, ...book.write(entry), ...made.ops])
    book.remember(entry)
    made.commit()
    for (const { id, userId } of made.ended) await record({ kind: 'session_revoked', user: userId, session: id, by: user.id, reason: 'made room' }, [])
    return { user: viewUser(entry), session: made.session, factors }
  }

  return {
    codes,
    stepUps: createStepUps({ ...options, codes, inAccountTurn }),
    async authenticateUser(challenge) {
      try {
        return (await attempt(challenge)).result
      } catch (error) {
        if (error instanceof MeshError && error.code === 'ERR_LOGIN_REFUSED') return failedResult(challenge)
        throw error
      }
    },
    async finishLogin({ flow, response, context = {} }) {
      const { result, entered } = await attempt({ webAuthnResponse: { flow, response }, contextData: { ...context, isLoopback: context.isLoopback === true } })
      if (entered !== undefined) return { ...entered, ...(result.deviceToken === null ? {} : { deviceToken: result.deviceToken }) }
      throw result.missing.length === 0 ? loginRefused() : factorNeeded(result)
    },
  }
}
