import { describe, expect, test } from 'vitest'
import { minuteMs } from '../../src/base/index.ts'
import { type Answers, altered, cbor, coseKey, coseOf, createAuthenticator, flipped, type Twist } from '../helpers/authenticator.ts'
import { codeOf, enrol, login, openPeople, origin, type Person, type PeopleWorld } from '../helpers/people.ts'

interface Scene {
  readonly world: PeopleWorld
  readonly ada: Person
  readonly bob: Person
}
async function scene(): Promise<Scene> {
  const world = await openPeople()
  const ada = await enrol(world, 'Ada')
  return { world, ada, bob: await enrol(world, 'Bob', 'viewer') }
}

/** Every refusal looks the same from outside, opens nothing, and is in the log with its reason. */
async function expectRefused({ world }: Pick<Scene, 'world'>, attempt: Promise<unknown>, reason: string): Promise<void> {
  const before = { sessions: world.auth.sessions().length, users: world.auth.users().length, events: world.events.length }
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown as Error & { readonly code: string },
  )
  expect(error?.code).toBe('ERR_LOGIN_REFUSED')
  expect(error?.message).toBe('the login did not succeed')
  expect(world.refusal()).toBe(reason)
  expect(world.events.slice(before.events).filter(({ kind }) => kind === 'user_login_failed')).toHaveLength(1)
  expect(world.auth.users()).toHaveLength(before.users)
  expect(world.auth.sessions().length).toBeLessThanOrEqual(before.sessions)
}

describe('an answer to a login is refused and written down', () => {
  const twists: readonly (readonly [what: string, reason: string, twist: (scene: Scene) => Twist])[] = [
    ['from the page of another site', 'origin', () => ({ origin: 'https://localhost.example' })],
    ['from another port of this machine', 'origin', () => ({ origin: 'http://localhost:4181' })],
    ['over https where our pages are not', 'origin', () => ({ origin: 'https://localhost:4180' })],
    ['from a frame in the page of somebody else', 'cross_origin', () => ({ clientData: { crossOrigin: true } })],
    ['that names a page around it', 'cross_origin', () => ({ clientData: { topOrigin: 'https://evil.example' } })],
    ['made for another relying party', 'rp_id', () => ({ rpId: 'evil.example' })],
    ['of the type of a registration', 'type', () => ({ type: 'webauthn.create' })],
    ['to a challenge of its own', 'challenge', () => ({ challenge: Buffer.alloc(32, 1).toString('base64url') })],
    ['without the person verified', 'user_verification', () => ({ flags: 0x01 })],
    ['without the person there', 'user_presence', () => ({ flags: 0x04 })],
    ['with the counter of before', 'counter', () => ({ counter: 1 })],
    ['with the counter gone back to zero', 'counter', () => ({ counter: 0 })],
    ['in the name of another user by the handle', 'user_handle', ({ bob }) => ({ userHandle: bob.id })],
    ['that does not say whose it is', 'user_handle', () => ({ userHandle: undefined })],
    ['under the passkey id of another user', 'signature', ({ bob }) => ({ id: bob.device.passkeys[0]!.id, userHandle: bob.id })],
    ['under a passkey id that nobody has', 'credential_unknown', () => ({ id: Buffer.alloc(32, 3) })],
    ['signed by another key', 'signature', ({ bob }) => ({ signer: bob.device.passkeys[0]!.privateKey })],
    ['signed by a key of another algorithm', 'signature', ({ bob }) => ({ signer: rsaOf(bob) })],
  ]
  const rsaOf = ({ device }: Person) => {
    const rsa = createAuthenticator({ origin, algorithm: 'RS256' })
    rsa.create({ rp: { id: 'localhost' }, user: { id: 'x' }, challenge: 'x' } as never)
    return rsa.passkeys[0]?.privateKey ?? device.passkeys[0]!.privateKey
  }
  test.for(twists)('%s: %s', async ([, reason, twist]) => {
    const here = await scene()
    const { auth } = here.world
    const { flow, options } = auth.beginLogin()
    await expectRefused(here, auth.finishLogin({ flow, response: here.ada.device.get(options, twist(here)) }), reason)
    // Whoever is honest comes in still, unless the passkey itself is in doubt.
    if (reason !== 'counter') expect((await login(here.world, here.ada)).userId).toBe(here.ada.id)
  })

  const mends: readonly (readonly [what: string, reason: string, mend: (answer: Answers, earlier: Answers) => unknown])[] = [
    ['with a space put behind the client data', 'signature', (answer) => altered(answer, { clientDataJSON: spaced(answer) })],
    ['with a bit of the counter turned', 'signature', (answer) => altered(answer, { authenticatorData: flipped(answer.response['authenticatorData'], -1) })],
    ['with a bit of the signature turned', 'signature', (answer) => altered(answer, { signature: flipped(answer.response['signature'], -1) })],
    ['with the signature of an earlier challenge', 'signature', (answer, earlier) => altered(answer, { signature: earlier.response['signature'] })],
    ['with all of an earlier answer', 'challenge', (_answer, earlier) => earlier],
    [
      'with bytes behind the authenticator data',
      'signature',
      (answer) => altered(answer, { authenticatorData: `${String(answer.response['authenticatorData']).slice(0, 48)}AAAA` }),
    ],
    ['with client data that is a list', 'malformed', (answer) => altered(answer, { clientDataJSON: Buffer.from('[]').toString('base64url') })],
    ['with client data that is no text', 'malformed', (answer) => altered(answer, { clientDataJSON: Buffer.from([0xff, 0xfe]).toString('base64url') })],
    ['with an id in another spelling than its bytes', 'credential_id', (answer) => ({ ...answer, id: `${answer.id}=` })],
    [
      'with base64 that has several spellings',
      'malformed',
      (answer) => ({ ...answer, rawId: `${answer.rawId.slice(0, -1)}${answer.rawId.endsWith('B') ? 'C' : 'B'}` }),
    ],
    ['with client data over its limit', 'malformed', (answer) => altered(answer, { clientDataJSON: 'A'.repeat(2_000) })],
    ['with authenticator data over its limit', 'malformed', (answer) => altered(answer, { authenticatorData: 'A'.repeat(1_000) })],
    ['with a signature over its limit', 'malformed', (answer) => altered(answer, { signature: 'A'.repeat(1_000) })],
    ['with a handle over its limit', 'malformed', (answer) => altered(answer, { userHandle: 'A'.repeat(200) })],
    ['with an id over its limit', 'malformed', (answer) => ({ ...answer, rawId: 'A'.repeat(10_000_000) })],
    ['with authenticator data cut short', 'malformed', (answer) => altered(answer, { authenticatorData: 'AAAA' })],
    ['that is nothing', 'malformed', () => null],
    ['that is a registration', 'malformed', (answer) => altered(answer, { attestationObject: 'AAAA', authenticatorData: undefined })],
  ]
  const spaced = (answer: Answers): string =>
    Buffer.concat([Buffer.from(String(answer.response['clientDataJSON']), 'base64url'), Buffer.from(' ')]).toString('base64url')
  test.for(mends)('sent on %s: %s', async ([, reason, mend]) => {
    const here = await scene()
    const { auth } = here.world
    const first = auth.beginLogin()
    const earlier = here.ada.device.get(first.options)
    await auth.finishLogin({ flow: first.flow, response: earlier })
    const { flow, options } = auth.beginLogin()
    await expectRefused(here, auth.finishLogin({ flow, response: mend(here.ada.device.get(options), earlier) }), reason)
    expect((await login(here.world, here.ada)).userId).toBe(here.ada.id)
  })

  test('that was right and comes again', async () => {
    const here = await scene()
    const { auth } = here.world
    const { flow, options } = auth.beginLogin()
    const response = here.ada.device.get(options)
    await auth.finishLogin({ flow, response })
    await expectRefused(here, auth.finishLogin({ flow, response }), 'flow')
  })
  test('that was wrong and comes again, mended', async () => {
    const here = await scene()
    const { auth } = here.world
    const { flow, options } = auth.beginLogin()
    await expectRefused(here, auth.finishLogin({ flow, response: here.ada.device.get(options, { flags: 0 }) }), 'user_presence')
    await expectRefused(here, auth.finishLogin({ flow, response: here.ada.device.get(options) }), 'flow')
  })
  test('five minutes late, also when the clock was set back in between', async () => {
    const here = await scene()
    const { auth } = here.world
    const { flow, options } = auth.beginLogin()
    const response = here.ada.device.get(options)
    await here.world.clock.advance(5 * minuteMs + 1)
    here.world.clock.jump(-5 * minuteMs)
    await expectRefused(here, auth.finishLogin({ flow, response }), 'expired')
  })
  test('where another name was given, one that is known or not', async () => {
    const here = await scene()
    const { auth } = here.world
    for (const name of ['Bob', 'Nobody']) {
      const { flow, options } = auth.beginLogin({ name })
      await expectRefused(here, auth.finishLogin({ flow, response: here.ada.device.get(options) }), 'user_other')
    }
    const { flow, options } = auth.beginLogin({ name: 'ada' })
    expect((await auth.finishLogin({ flow, response: here.ada.device.get(options) })).user.name).toBe('Ada')
  })
  test('for a user who was removed', async () => {
    const here = await scene()
    const { auth } = here.world
    const { flow, options } = auth.beginLogin()
    const response = here.bob.device.get(options)
    await auth.removeUser(here.bob.id, 'machine')
    await expectRefused(here, auth.finishLogin({ flow, response }), 'credential_unknown')
  })
  test('for the ceremony of another kind', async () => {
    const here = await scene()
    const { auth } = here.world
    const link = await auth.inviteUser({ role: 'viewer' }, 'machine')
    const registration = auth.beginRegistration({ token: link.token }, { name: 'Eve' })
    const answer = here.ada.device.get({ rpId: 'localhost', challenge: registration.options.challenge } as never)
    await expectRefused(here, auth.finishLogin({ flow: registration.flow, response: answer }), 'ceremony')
    const stepUp = auth.beginStepUp(here.ada.session)
    await expectRefused(here, auth.finishLogin({ flow: stepUp.flow, response: here.ada.device.get(stepUp.options) }), 'ceremony')
    const begun = auth.beginLogin()
    await expectRefused(here, auth.finishStepUp(here.ada.session, { flow: begun.flow, response: here.ada.device.get(begun.options) }), 'ceremony')
  })
})

describe('a passkey', () => {
  test('whose counter goes back is put out of use with its sessions until an owner says otherwise', async () => {
    const here = await scene()
    const { auth, events } = here.world
    const { flow, options } = auth.beginLogin()
    const passkey = here.bob.device.passkeys[0]!
    await expectRefused(here, auth.finishLogin({ flow, response: here.bob.device.get(options, { counter: 1 }) }), 'counter')
    expect(events.some((event) => event.kind === 'credential_disabled' && event.user === here.bob.id)).toBe(true)
    expect(auth.session(here.bob.session.token)).toBeUndefined()
    const again = await here.world.again()
    const next = again.auth.beginLogin()
    await expectRefused({ world: again }, again.auth.finishLogin({ flow: next.flow, response: here.bob.device.get(next.options) }), 'credential_disabled')
    expect(await codeOf(again.auth.enableCredential(passkey.id.toString('base64url'), again.auth.sessions(here.ada.id)[0]!))).toBeUndefined()
    expect((await login(again, here.bob)).userId).toBe(here.bob.id)
  })
  test('is not put out of use by somebody who does not hold it', async () => {
    const here = await scene()
    const { auth } = here.world
    const { flow, options } = auth.beginLogin()
    const twist = { counter: 0, signer: here.bob.device.passkeys[0]!.privateKey }
    await expectRefused(here, auth.finishLogin({ flow, response: here.ada.device.get(options, twist) }), 'signature')
    expect((await login(here.world, here.ada)).userId).toBe(here.ada.id)
  })
  test('without a counter works for ever', async () => {
    const world = await openPeople()
    const ada = await enrol(world, 'Ada', 'owner', createAuthenticator({ origin, counts: false }))
    for (let times = 0; times < 3; times++) await login(world, ada)
    expect(world.auth.sessions()).toHaveLength(4)
  })
  test('that says one counter twice at once is in two hands: no two sessions, and it is out of use', async () => {
    const { world, ada } = await scene()
    const before = world.auth.sessions(ada.id).length
    const begun = [world.auth.beginLogin(), world.auth.beginLogin()]
    const results = await Promise.allSettled(
      begun.map(({ flow, options }) => world.auth.finishLogin({ flow, response: ada.device.get(options, { counter: 9 }) })),
    )
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1)
    expect(world.auth.sessions(ada.id).length).toBeLessThan(before + 1)
    expect(world.events.some((event) => event.kind === 'user_login_failed' && event.reason === 'counter')).toBe(true)
    expect(world.auth.credentials(ada.id)).toMatchObject([{ disabled: true }])
  })
  test('shown 100 times at once for one challenge opens one session', async () => {
    const { world, ada } = await scene()
    const { flow, options } = world.auth.beginLogin()
    const response = ada.device.get(options)
    const before = world.auth.sessions(ada.id).length
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => world.auth.finishLogin({ flow, response })))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(world.auth.sessions(ada.id)).toHaveLength(before + 1)
    expect(world.events.filter(({ kind }) => kind === 'user_login_failed')).toHaveLength(99)
  })
})

describe('a registration is refused and written down', () => {
  async function begun(role: 'viewer' | 'operator' = 'viewer') {
    const here = await scene()
    const { token } = await here.world.auth.inviteUser({ role }, 'machine')
    const device = createAuthenticator({ origin })
    return { ...here, token, device, ...here.world.auth.beginRegistration({ token }, { name: 'Eve' }) }
  }
  const other = (algorithm: 'EdDSA' | 'ES256' | 'RS256') => {
    const device = createAuthenticator({ origin, algorithm })
    device.create({ rp: { id: 'localhost' }, user: { id: 'x' }, challenge: 'x' } as never)
    return device.passkeys[0]!.publicKey
  }
  /** The curve of Bitcoin in place of P-256. */
  const otherCurve = (): Buffer => {
    const bytes = coseKey(other('ES256'))
    // After `a5 01 02 03 26 20`, the curve.
    bytes[6] = 8
    return bytes
  }
  const twists: readonly (readonly [what: string, reason: string, twist: () => Twist])[] = [
    ['from the page of another site', 'origin', () => ({ origin: 'https://evil.example' })],
    ['from another port of this machine', 'origin', () => ({ origin: 'http://localhost:4181' })],
    ['from a frame in the page of somebody else', 'cross_origin', () => ({ clientData: { crossOrigin: true } })],
    ['for another relying party', 'rp_id', () => ({ rpId: 'evil.example' })],
    ['of the type of a login', 'type', () => ({ type: 'webauthn.get' })],
    ['to a challenge of its own', 'challenge', () => ({ challenge: Buffer.alloc(32).toString('base64url') })],
    ['without the person verified', 'user_verification', () => ({ flags: 0x01 })],
    ['without the person there', 'user_presence', () => ({ flags: 0x04 })],
    ['with an RSA key that says it is of P-256', 'algorithm', () => ({ cose: coseKey(other('RS256'), coseOf.ES256) })],
    ['with a key of P-256 that says it is RSA', 'algorithm', () => ({ cose: coseKey(other('ES256'), coseOf.RS256) })],
    ['with a key of Ed25519 that says it is of P-256', 'algorithm', () => ({ cose: coseKey(other('EdDSA'), coseOf.ES256) })],
    ['with a key of another curve of that size', 'algorithm', () => ({ cose: otherCurve() })],
    ['with an algorithm that was not offered', 'algorithm', () => ({ cose: coseKey(other('ES256'), -35) })],
    ['with no algorithm', 'algorithm', () => ({ cose: coseKey(other('ES256'), 0) })],
    [
      'with a key of small order',
      'algorithm',
      () => ({
        cose: cbor(
          new Map<number, number | Uint8Array>([
            [1, 1],
            [3, -8],
            [-1, 6],
            [-2, new Uint8Array(32)],
          ]),
        ),
      }),
    ],
    ['with a certificate that would be looked up', 'attestation', () => ({ format: 'packed', statement: new Map([['x5c', Uint8Array.of(1)]]) })],
    ['with an attestation of another form', 'attestation', () => ({ format: 'fido-u2f' })],
    ['with an attestation that says more than none', 'malformed', () => ({ statement: new Map([['sig', Uint8Array.of(1)]]) })],
  ]
  test.for(twists)('%s: %s', async ([, reason, twist]) => {
    const { world, device, flow, options, token } = await begun()
    await expectRefused({ world }, world.auth.finishRegistration({ flow, response: device.create(options, twist()) }), reason)
    // The link is spent by success alone.
    expect(world.auth.inspectInvite(token).role).toBe('viewer')
  })
  test('under an id that is another than that of its key', async () => {
    const { world, device, flow, options } = await begun()
    const answer = device.create(options)
    const id = Buffer.alloc(32, 5).toString('base64url')
    await expectRefused({ world }, world.auth.finishRegistration({ flow, response: { ...answer, id, rawId: id } }), 'credential_id')
  })
  test('under the id of a passkey that somebody has', async () => {
    const { world, device, flow, options, bob } = await begun()
    const response = device.create(options, { id: bob.device.passkeys[0]!.id })
    await expectRefused({ world }, world.auth.finishRegistration({ flow, response }), 'credential_taken')
    expect((await login(world, bob)).userId).toBe(bob.id)
  })
  test('with an attestation over its limit, cut short, or nested deep', async () => {
    const deep = Buffer.alloc(3_000, 0x81).toString('base64url')
    for (const attestationObject of ['A'.repeat(6_000), 'o2Nm', deep, Buffer.from('bbffffffffffffffff', 'hex').toString('base64url')]) {
      const { world, device, flow, options } = await begun()
      await expectRefused({ world }, world.auth.finishRegistration({ flow, response: altered(device.create(options), { attestationObject }) }), 'malformed')
    }
  })
  test('five minutes late', async () => {
    const { world, device, flow, options } = await begun()
    const response = device.create(options)
    await world.clock.advance(5 * minuteMs + 1)
    await expectRefused({ world }, world.auth.finishRegistration({ flow, response }), 'expired')
  })
  test('with a challenge that was answered before', async () => {
    const { world, device, flow, options } = await begun()
    const response = device.create(options)
    await world.auth.finishRegistration({ flow, response })
    await expectRefused({ world }, world.auth.finishRegistration({ flow, response }), 'flow')
  })
  test('with the flow of a login', async () => {
    const { world, device, options } = await begun()
    const { flow, options: asked } = world.auth.beginLogin()
    await expectRefused({ world }, world.auth.finishRegistration({ flow, response: device.create({ ...options, challenge: asked.challenge }) }), 'ceremony')
  })
  test('when the session that began it is over', async () => {
    const { world, ada } = await scene()
    const { flow, options } = world.auth.beginRegistration({ session: ada.session }, {})
    await world.auth.logout(ada.session.token)
    await expectRefused({ world }, world.auth.finishRegistration({ flow, response: ada.device.create(options) }), 'flow')
  })
})

test('refusals beyond the limit are counted in the next entry', async () => {
  const { world } = await scene()
  const fail = async (): Promise<unknown> => await codeOf(world.auth.finishLogin({ flow: 'x', response: {} }))
  for (let times = 0; times < 605; times++) await fail()
  await world.clock.advance(minuteMs)
  await fail()
  const failed = world.events.filter((event) => event.kind === 'user_login_failed')
  expect(failed).toHaveLength(601)
  expect(failed.at(-1)).toMatchObject({ omitted: 5, reason: 'flow' })
})

test('ceremonies begun by strangers leave those of users alone', async () => {
  const { world, ada } = await scene()
  const stepUp = world.auth.beginStepUp(ada.session)
  const first = world.auth.beginLogin()
  for (let times = 0; times < 1_000; times++) world.auth.beginLogin({ name: `Nobody ${times}` })
  expect((await world.auth.finishStepUp(ada.session, { flow: stepUp.flow, response: ada.device.get(stepUp.options) })).session.id).toBe(ada.session.id)
  await expectRefused({ world }, world.auth.finishLogin({ flow: first.flow, response: ada.device.get(first.options) }), 'flow')
})
