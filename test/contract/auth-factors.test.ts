import { Secret } from 'otpauth'
import { expect, test } from 'vitest'
import type { FactorPolicy } from '../../src/auth/index.ts'
import { totpCode, totpStepAt } from '../../src/auth/totp.ts'
import { hourMs, minuteMs } from '../../src/base/index.ts'
import { createAuthenticator } from '../helpers/authenticator.ts'
import { codeOf, enrol, login, openPeople, origin, type PeopleWorld, type Person } from '../helpers/people.ts'

const here = { isLoopback: true }

/** Enrols an app for somebody; gives what it shows now. */
async function enrolApp({ auth, clock }: PeopleWorld, { id, session }: Person): Promise<() => string> {
  const by = auth.session(session.token)!
  const { flow, secret } = auth.beginTotp(id, by)
  const shown = (): string => totpCode(Secret.fromBase32(secret).bytes, totpStepAt(clock.now()))
  await auth.finishTotp(id, { flow, code: shown() }, by)
  await clock.advance(minuteMs)
  return shown
}

test('a code and the context open a session that no act of high risk is done with', async () => {
  const world = await openPeople()
  const ada = await enrol(world, 'Ada')
  const shown = await enrolApp(world, ada)
  const result = await world.auth.authenticateUser({ userId: 'ada', totpCode: shown(), contextData: here })
  expect(result).toMatchObject({ success: true, userId: ada.id, missing: [] })
  expect(result.factors.map(({ type, success }) => [type, success])).toEqual([
    ['totp', true],
    ['context', true],
  ])
  const session = world.auth.session(result.sessionToken!)!
  expect(session.factors).toEqual(['totp', 'context'])
  expect(await codeOf(world.auth.inviteUser({ role: 'viewer' }, session))).toBe('ERR_STEP_UP')
  expect(world.events.at(-1)).toMatchObject({ kind: 'user_login', user: ada.id, factors: ['totp', 'context'] })
})

test('where the policy asks for a passkey and a code, either alone opens nothing, in whatever order they come', async () => {
  const policy: FactorPolicy = [['webauthn', 'totp']]
  const world = await openPeople({ policy })
  const ada = await enrol(world, 'Ada')
  const shown = await enrolApp(world, ada)
  const sessions = world.auth.sessions(ada.id).length
  expect(await codeOf(login(world, ada))).toBe('ERR_FACTOR_NEEDED')
  const begun = world.auth.beginLogin()
  const half = await world.auth.authenticateUser({ webAuthnResponse: { flow: begun.flow, response: ada.device.get(begun.options) }, contextData: here })
  expect(half).toMatchObject({ success: false, userId: ada.id, sessionToken: null, missing: ['totp'] })
  expect(world.auth.sessions(ada.id)).toHaveLength(sessions)
  const whole = await world.auth.authenticateUser({ flow: half.flow!, totpCode: shown(), contextData: here })
  expect(world.auth.session(whole.sessionToken!)?.factors.toSorted()).toEqual(['biometric', 'context', 'totp', 'webauthn'])
  await world.clock.advance(minuteMs)
  const code = await world.auth.authenticateUser({ userId: 'Ada', totpCode: shown(), contextData: here })
  const again = world.auth.beginLogin()
  const end = { flow: code.flow!, webAuthnResponse: { flow: again.flow, response: ada.device.get(again.options) }, contextData: here }
  const ends = await Promise.all([world.auth.authenticateUser(end), world.auth.authenticateUser(end)])
  expect(ends.filter(({ success }) => success)).toHaveLength(1)
})

test('a login with one code in parallel and after a restart opens one session', async () => {
  const world = await openPeople()
  const ada = await enrol(world, 'Ada')
  const shown = await enrolApp(world, ada)
  const code = shown()
  const before = world.auth.sessions(ada.id).length
  await Promise.all([1, 2, 3, 4].map(() => world.auth.authenticateUser({ userId: ada.id, totpCode: code, contextData: here })))
  expect(world.auth.sessions(ada.id)).toHaveLength(before + 1)
  world.store.crash()
  const later = await world.again()
  expect((await later.auth.authenticateUser({ userId: ada.id, totpCode: code, contextData: here })).success).toBe(false)
  expect(later.auth.sessions(ada.id)).toHaveLength(before + 1)
})

test('codes are made for oneself, freshly verified; an owner takes them away from others', async () => {
  const world = await openPeople()
  const { auth } = world
  const ada = await enrol(world, 'Ada')
  const ben = await enrol(world, 'Ben', 'viewer')
  const shown = await enrolApp(world, ben)
  const [asAda, asBen] = [auth.session(ada.session.token)!, auth.session(ben.session.token)!]
  expect(await codeOf(Promise.resolve().then(() => auth.beginTotp(ben.id, asAda)))).toBe('ERR_POLICY_DENIED')
  expect(await codeOf(auth.makeRecoveryCodes(ben.id, asAda))).toBe('ERR_POLICY_DENIED')
  expect(await codeOf(auth.removeTotp(ada.id, asBen))).toBe('ERR_POLICY_DENIED')
  await world.clock.advance(5 * minuteMs)
  expect(await codeOf(Promise.resolve().then(() => auth.beginTotp(ben.id, asBen)))).toBe('ERR_STEP_UP')
  expect(await codeOf(auth.makeRecoveryCodes(ben.id, asBen))).toBe('ERR_STEP_UP')
  const owner = auth.session((await login(world, ada)).token)!
  await auth.removeTotp(ben.id, owner)
  expect((await auth.authenticateUser({ userId: ben.id, totpCode: shown(), contextData: here })).success).toBe(false)
  expect(world.events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['totp_enrolled', 'totp_removed']))
})

test('who is removed leaves no code behind, not even in a login under way', async () => {
  const world = await openPeople({ policy: [['totp', 'recovery']] })
  const { auth } = world
  await enrol(world, 'Ada')
  const ben = await enrol(world, 'Ben', 'viewer')
  const shown = await enrolApp(world, ben)
  const [recoveryCode = ''] = await auth.makeRecoveryCodes(ben.id, 'machine')
  const { flow } = await auth.authenticateUser({ userId: 'Ben', totpCode: shown(), contextData: here })
  const [, result] = await Promise.all([auth.removeUser(ben.id, 'machine'), auth.authenticateUser({ flow: flow!, recoveryCode, contextData: here })])
  expect(result.success).toBe(false)
  for await (const [key] of world.store.range({ gte: 'user-factors/', lt: 'user-factors0' })) expect(key).not.toContain(ben.id)
  for await (const [key] of world.store.range({ gte: 'factor-secrets/', lt: 'factor-secrets0' })) expect(key).not.toContain(ben.id)
})

test('a passkey opens the way for codes again after a hundred wrong ones', async () => {
  const world = await openPeople()
  const ada = await enrol(world, 'Ada')
  const shown = await enrolApp(world, ada)
  for (let hour = 0; hour < 6; hour++) {
    for (let tries = 0; tries < 20; tries++) {
      world.clock.jump(3 * minuteMs + 1)
      await world.auth.authenticateUser({ userId: 'Ada', totpCode: 'wrong!', contextData: here })
    }
  }
  world.clock.jump(48 * hourMs)
  expect((await world.auth.authenticateUser({ userId: 'Ada', totpCode: shown(), contextData: here })).success).toBe(false)
  await login(world, ada)
  expect((await world.auth.authenticateUser({ userId: 'Ada', totpCode: shown(), contextData: here })).success).toBe(true)
})

test('a step-up asks for the types of its own policy: a code where that is said, and a passkey is not enough where both are', async () => {
  const world = await openPeople({
    stepUp: [
      ['totp', 'recovery'],
      ['webauthn', 'totp'],
    ],
  })
  const { auth, clock } = world
  const ada = await enrol(world, 'Ada')
  const shown = await enrolApp(world, ada)
  const [recoveryCode = ''] = await auth.makeRecoveryCodes(ada.id, 'machine')
  const opened = await login(world, ada)
  const session = auth.session(opened.token)!
  // A login with a passkey is not all that this step-up asks for.
  expect(await codeOf(auth.inviteUser({ role: 'viewer' }, session))).toBe('ERR_STEP_UP')
  const begun = auth.beginStepUp(session)
  expect(await codeOf(auth.finishStepUp(session, { flow: begun.flow, response: ada.device.get(begun.options) }))).toBe('ERR_FACTOR_NEEDED')
  expect(await codeOf(auth.inviteUser({ role: 'viewer' }, session))).toBe('ERR_STEP_UP')
  const half = await auth.stepUp(session, { totpCode: shown(), contextData: here })
  expect(half).toMatchObject({ success: false, sessionToken: null, userId: ada.id })
  const whole = await auth.stepUp(session, { flow: half.flow!, recoveryCode, contextData: here })
  expect(whole).toMatchObject({ success: true, deviceToken: null })
  expect(auth.session(opened.token)).toBeUndefined()
  const renewed = auth.session(whole.sessionToken!)!
  expect(renewed.id).toBe(session.id)
  expect((await auth.inviteUser({ role: 'viewer' }, renewed)).role).toBe('viewer')
  expect(world.events.findLast(({ kind }) => kind === 'user_step_up')).toMatchObject({ session: session.id, act: 'verify' })
  // Codes spent here are spent for logins too, and the other way round.
  await clock.advance(minuteMs)
  const code = shown()
  expect((await auth.authenticateUser({ userId: 'Ada', totpCode: code, contextData: here })).success).toBe(true)
  expect((await auth.stepUp(renewed, { totpCode: code, contextData: here })).userId).toBeNull()
  expect((await auth.authenticateUser({ userId: 'Ada', recoveryCode, contextData: here })).success).toBe(false)
})

test('a passkey that is taken away while its login is under way opens nothing', async () => {
  let removal: Promise<unknown> | undefined
  let remove: () => Promise<unknown> = async () => undefined
  const world = await openPeople({ onPolicy: () => (removal ??= remove()) })
  const { auth } = world
  const ada = await enrol(world, 'Ada')
  const second = createAuthenticator({ origin })
  const registration = auth.beginRegistration({ session: auth.session(ada.session.token)! }, {})
  const { credential } = await auth.finishRegistration({ flow: registration.flow, response: second.create(registration.options) })
  remove = () => auth.removeCredential(credential.id, 'machine')
  const { flow, options } = auth.beginLogin()
  const before = auth.sessions().length
  const late = await codeOf(auth.finishLogin({ flow, response: second.get(options) }))
  await removal
  expect([late, auth.sessions().length, auth.credentials(ada.id).length]).toEqual(['ERR_LOGIN_REFUSED', before, 1])
  expect(world.refusal()).toBe('gone')
})

/** Ada with an app and a second passkey, and the first step of a login with that passkey, where both are asked for. */
async function halfIn() {
  const world = await openPeople({ policy: [['webauthn', 'totp']], stepUp: [['webauthn', 'totp']] })
  const { auth } = world
  const ada = await enrol(world, 'Ada')
  const shown = await enrolApp(world, ada)
  const registration = auth.beginRegistration({ session: auth.session(ada.session.token)! }, {})
  const { credential } = await auth.finishRegistration({ flow: registration.flow, response: ada.device.create(registration.options) })
  const answered = (counter?: number) => {
    const { flow, options } = auth.beginLogin()
    return { flow, response: ada.device.get(options, { passkey: ada.device.passkeys[1]!, ...(counter === undefined ? {} : { counter }) }) }
  }
  const half = await auth.authenticateUser({ webAuthnResponse: answered(50), contextData: here })
  const whole = () => auth.authenticateUser({ flow: half.flow!, totpCode: shown(), contextData: here })
  return { world, auth, ada, id: credential.id, answered, whole, shown }
}
const takenAway = {
  removed: ({ auth, id }: Awaited<ReturnType<typeof halfIn>>) => auth.removeCredential(id, 'machine'),
  disabled: ({ auth, answered }: Awaited<ReturnType<typeof halfIn>>) => codeOf(auth.finishLogin(answered(40))),
}

test.for(['removed', 'disabled'] as const)('a login that waits for a code ends with its passkey being %s', async (how) => {
  const half = await halfIn()
  const before = half.auth.sessions().length
  await takenAway[how](half)
  expect(await half.whole()).toMatchObject({ success: false, sessionToken: null, userId: null })
  expect(half.auth.sessions()).toHaveLength(before)
})

test.for(['removed', 'disabled'] as const)('a session of a login in two steps ends with its passkey being %s, also after a restart', async (how) => {
  const half = await halfIn()
  const { sessionToken } = await half.whole()
  expect(half.auth.session(sessionToken!)).toMatchObject({ userId: half.ada.id })
  expect(half.world.events.at(-1)).toMatchObject({ kind: 'user_login', credential: half.id })
  await takenAway[how](half)
  expect(half.auth.session(sessionToken!)).toBeUndefined()
  const again = await half.world.again()
  expect(again.auth.session(sessionToken!)).toBeUndefined()
})

test('a step-up that waits for a code ends with its passkey', async () => {
  const half = await halfIn()
  const { auth, ada, id, shown } = half
  const session = auth.session(ada.session.token)!
  const { flow, options } = auth.beginStepUp(session)
  const response = ada.device.get(options, { passkey: ada.device.passkeys[1]!, counter: 60 })
  const first = await auth.stepUp(session, { webAuthnResponse: { flow, response }, contextData: here })
  expect(first).toMatchObject({ success: false, missing: ['totp'] })
  await auth.removeCredential(id, 'machine')
  expect(await auth.stepUp(session, { flow: first.flow!, totpCode: shown(), contextData: here })).toMatchObject({ success: false, sessionToken: null })
  expect(auth.session(ada.session.token)).toBeDefined()
})

test('of two answers with one counter at once the first gets in', async () => {
  const world = await openPeople()
  const { auth } = world
  const ada = await enrol(world, 'Ada')
  const [one, two] = [auth.beginLogin(), auth.beginLogin()]
  const copy = ada.device.get(one.options, { counter: 50 })
  const twin = ada.device.get(two.options, { counter: 50 })
  const ends = await Promise.all([codeOf(auth.finishLogin({ flow: one.flow, response: copy })), codeOf(auth.finishLogin({ flow: two.flow, response: twin }))])
  expect(ends).toEqual([undefined, 'ERR_LOGIN_REFUSED'])
})

test('the last passkey in use goes only where the codes of an enrolled app open the login by themselves; then the app stays', async () => {
  const world = await openPeople()
  const { auth } = world
  const ada = await enrol(world, 'Ada')
  const by = auth.session(ada.session.token)!
  const { flow, options } = auth.beginRegistration({ session: by }, {})
  await auth.finishRegistration({ flow, response: ada.device.create(options) })
  const [first, second] = auth.credentials(ada.id).map(({ id }) => id)
  // A passkey out of use lets nobody in.
  for (const counter of [50, 40]) {
    const begun = auth.beginLogin()
    await codeOf(auth.finishLogin({ flow: begun.flow, response: ada.device.get(begun.options, { passkey: ada.device.passkeys[1]!, counter }) }))
  }
  expect(auth.credentials(ada.id).map(({ disabled }) => disabled)).toEqual([false, true])
  expect(await codeOf(auth.removeCredential(first!, 'machine'))).toBe('ERR_USER_LAST')
  const shown = await enrolApp(world, ada)
  const strict = await openPeople({ store: world.store, clock: world.clock, policy: [['webauthn', 'totp'], ['totp', 'recovery'], ['webauthn'], ['recovery']] })
  expect(await codeOf(strict.auth.removeCredential(first!, 'machine'))).toBe('ERR_USER_LAST')
  // Each of the two removals alone would do no harm.
  const ends = await Promise.all([codeOf(auth.removeTotp(ada.id, 'machine')), codeOf(auth.removeCredential(first!, 'machine'))])
  expect(ends).toEqual(['ERR_USER_LAST', undefined])
  expect(await codeOf(auth.removeCredential(second!, 'machine'))).toBeUndefined()
  expect([auth.credentials(ada.id), auth.sessions(ada.id)]).toEqual([[], []])
  expect(await auth.authenticateUser({ userId: 'Ada', totpCode: shown(), contextData: here })).toMatchObject({ success: true })
})
