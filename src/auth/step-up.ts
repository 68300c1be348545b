import { MeshError } from '../base/index.ts'
import { encodeApproval } from './approval.ts'
import { createAuthenticator, type Passed, type VerifiedAssertion } from './authenticate.ts'
import type { EntranceOptions } from './entrance.ts'
import { type AuthenticationChallenge, type AuthenticationResult, failedResult } from './factors.ts'
import type { Codes } from './codes.ts'
import type { Passkeys, StepUpFlow } from './passkeys.ts'
import { factorNeeded, loginRefused } from './refusals.ts'
import type { AnsweredPasskey, OpenedSession, Session } from './types.ts'
import type { UserEntry } from './user-book.ts'

export interface SteppedUp {
  readonly session: OpenedSession
  readonly approval: Uint8Array | undefined
}

/** Asks for the person of a session anew, by the types that the role's step-up needs; the session goes on under a new token. Source: auth/v1 sections 6 and 14 */
export interface StepUps {
  authenticate(session: Session, challenge: AuthenticationChallenge): Promise<AuthenticationResult>
  /** With a passkey alone. @throws ERR_LOGIN_REFUSED, ERR_FACTOR_NEEDED */
  finish(session: Session, answer: AnsweredPasskey): Promise<SteppedUp>
}

interface Assertion extends VerifiedAssertion {
  readonly checked: Awaited<ReturnType<Passkeys['assert']>> & { readonly flow: StepUpFlow }
}
export interface StepUpParts {
  readonly codes: Codes
  /** The same as for logins: codes are spent in one place. */
  readonly inAccountTurn: <T>(account: string, act: () => Promise<T>) => Promise<T>
}

/** Somebody in one session: what is shown there counts there. */
type Person = UserEntry & { readonly session: string }

export function createStepUps({ codes, inAccountTurn, ...options }: EntranceOptions & StepUpParts): StepUps {
  const { book, sessions, passkeys, rules, record, refuse, inTurn } = options

  async function entryOf({ id }: Person, credential: Uint8Array | undefined): Promise<UserEntry> {
    const entry = book.find(id)
    const isHeld = credential === undefined || book.holds(id, credential)
    if (entry === undefined || !isHeld) throw await refuse({ ceremony: 'step_up', reason: 'gone', user: id })
    return entry
  }

  async function enter(person: Person, { assertion, credential, ops }: Passed<Assertion>): Promise<SteppedUp> {
    const entry = await entryOf(person, credential)
    const checked = assertion?.checked
    const statement = checked?.flow.statement
    const approval = checked === undefined || statement === undefined ? undefined : encodeApproval(statement, checked.credential, checked.form)
    const made = sessions.renew(person.session)
    if (made === undefined) throw await refuse({ ceremony: 'step_up', reason: 'session', user: entry.id })
    const act = checked?.flow.act ?? 'verify'
    await record({ kind: 'user_step_up', user: entry.id, session: person.session, act, approval }, [...ops, ...book.write(entry), ...made.ops])
    made.commit()
    return { session: made.session, approval }
  }

  const attempt = createAuthenticator<Person, Assertion, SteppedUp>({
    ...options,
    codes,
    inTurn: inAccountTurn,
    ceremony: 'step_up',
    findUser(id) {
      const session = sessions.get(id)
      const entry = session === undefined ? undefined : book.find(session.userId)
      return session === undefined || entry === undefined ? undefined : { ...entry, session: session.id }
    },
    verifyAssertion: ({ flow, response }, { userId: session = '' }) =>
      inTurn(async () => {
        try {
          const checked = await passkeys.assert('step_up', flow, response, session)
          return { userId: checked.user, isUserVerified: true, credential: checked.credential.id, checked }
        } catch (error) {
          if (error instanceof MeshError && error.code === 'ERR_LOGIN_REFUSED') return undefined
          throw error
        }
      }),
    isHeld: book.holds,
    policyOf: ({ role }) => rules.stepUp(role),
    contextThreshold: rules.contextThreshold,
    wait: (person, { factors, credential, ops }, missing) =>
      inTurn(async () => {
        const entry = await entryOf(person, credential)
        await record({ kind: 'user_factors_passed', user: person.id, factors, missing }, [...ops, ...book.write(entry)])
      }),
    enter: (person, passed) => inTurn(() => enter(person, passed)),
  })
  return {
    async authenticate({ id }, challenge) {
      try {
        return (await attempt({ ...challenge, userId: id })).result
      } catch (error) {
        if (error instanceof MeshError && error.code === 'ERR_LOGIN_REFUSED') return failedResult(challenge)
        throw error
      }
    },
    async finish({ id }, { flow, response }) {
      const { result, entered } = await attempt({ userId: id, webAuthnResponse: { flow, response }, contextData: { isLoopback: false } })
      if (entered !== undefined) return entered
      throw result.missing.length === 0 ? loginRefused() : factorNeeded(result)
    },
  }
}
