import { describe, expect, test } from 'vitest'
import { createSeededRandom, hourMs, minuteMs, silentLogger } from '../../src/base/index.ts'
import { credentialsMax, usersMax } from '../../src/auth/records.ts'
import { openUserInvites, userInvitesMax } from '../../src/auth/invites.ts'
import { openUserBook } from '../../src/auth/user-book.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createAuthenticator } from '../helpers/authenticator.ts'
import { codeOf, enrol, login, openPeople, origin } from '../helpers/people.ts'

const codeThrown = (act: () => unknown): string | undefined => {
  try {
    act()
    return undefined
  } catch (error) {
    return (error as { readonly code?: string }).code
  }
}

describe('the link for the first owner', () => {
  test('is made anew by each start, and the one before is dead', async () => {
    const world = await openPeople()
    const first = await world.auth.ownerLink()
    const begun = world.auth.beginRegistration({ token: first?.token ?? '' }, { name: 'Ada' })
    const again = await world.again()
    const second = await again.auth.ownerLink()
    expect(codeThrown(() => again.auth.inspectInvite(first?.token ?? ''))).toBe('ERR_LINK_SPENT')
    expect(again.auth.inspectInvite(second?.token ?? '')).toMatchObject({ role: 'owner' })
    expect(begun.options.user.name).toBe('Ada')
    expect(again.auth.invites()).toHaveLength(1)
  })
  test('that a page has open dies with its link', async () => {
    const { auth, ...world } = await openPeople()
    const first = await auth.ownerLink()
    const { flow, options } = auth.beginRegistration({ token: first?.token ?? '' }, { name: 'Eve' })
    await auth.ownerLink()
    expect(await codeOf(auth.finishRegistration({ flow, response: createAuthenticator({ origin }).create(options) }))).toBe('ERR_LOGIN_REFUSED')
    expect(world.refusal()).toBe('flow')
    expect(auth.users()).toHaveLength(0)
  })
  test('is not made while there is an owner', async () => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    expect(await world.auth.ownerLink()).toBeUndefined()
    expect(await (await world.again()).auth.ownerLink()).toBeUndefined()
  })
  test('makes none behind one who came in by another link', async () => {
    const { auth, ...world } = await openPeople()
    const first = await auth.ownerLink()
    const begun = auth.beginRegistration({ token: first?.token ?? '' }, { name: 'Eve' })
    const { token } = await auth.inviteUser({ role: 'owner' }, 'machine')
    const invited = auth.beginRegistration({ token }, { name: 'Ada' })
    await auth.finishRegistration({ flow: invited.flow, response: createAuthenticator({ origin }).create(invited.options) })
    expect(await codeOf(auth.finishRegistration({ flow: begun.flow, response: createAuthenticator({ origin }).create(begun.options) }))).toBe('ERR_LINK_SPENT')
    expect(world.refusal()).toBe('link')
    expect(codeThrown(() => auth.inspectInvite(first?.token ?? ''))).toBe('ERR_LINK_SPENT')
    expect(auth.users()).toHaveLength(1)
  })
  test('makes one owner, however many use it at once', async () => {
    const { auth, ...world } = await openPeople()
    const link = await auth.ownerLink()
    const begun = [1, 2, 3, 4].map((n) => ({
      device: createAuthenticator({ origin }),
      ...auth.beginRegistration({ token: link?.token ?? '' }, { name: `Ada ${n}` }),
    }))
    const results = await Promise.allSettled(begun.map(({ flow, options, device }) => auth.finishRegistration({ flow, response: device.create(options) })))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(auth.users()).toHaveLength(1)
    expect(world.events.filter(({ kind }) => kind === 'user_login_failed')).toHaveLength(3)
  })
})

describe('a one-time link', () => {
  test('is on disk as a hash only', async () => {
    const { auth, store, events } = await openPeople()
    const link = await auth.ownerLink()
    for await (const [key, value] of store.range({})) {
      expect(key).not.toContain(link?.token)
      expect(Buffer.from(value).includes(link?.token ?? '')).toBe(false)
    }
    expect(JSON.stringify(events)).not.toContain(link?.token)
  })
  test('is spent by success, not by a try, and opens nothing after it', async () => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    const { token } = await world.auth.inviteUser({ role: 'viewer' }, 'machine')
    const first = world.auth.beginRegistration({ token }, { name: 'Eve' })
    expect(await codeOf(world.auth.finishRegistration({ flow: first.flow, response: {} }))).toBe('ERR_LOGIN_REFUSED')
    const second = world.auth.beginRegistration({ token }, { name: 'Eve' })
    await world.auth.finishRegistration({ flow: second.flow, response: createAuthenticator({ origin }).create(second.options) })
    expect(codeThrown(() => world.auth.beginRegistration({ token }, { name: 'Mallory' }))).toBe('ERR_LINK_SPENT')
    expect(codeThrown(() => world.auth.inspectInvite(token))).toBe('ERR_LINK_SPENT')
    const again = await world.again()
    expect(codeThrown(() => again.auth.inspectInvite(token))).toBe('ERR_LINK_SPENT')
  })
  test('lives for a day, also when the clock is set back', async () => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    const { token } = await world.auth.inviteUser({ role: 'viewer' }, 'machine')
    await world.clock.advance(24 * hourMs - minuteMs)
    const begun = world.auth.beginRegistration({ token }, { name: 'Eve' })
    await world.clock.advance(2 * minuteMs)
    world.clock.jump(-hourMs)
    expect(codeThrown(() => world.auth.inspectInvite(token))).toBe('ERR_LINK_SPENT')
    expect(await codeOf(world.auth.finishRegistration({ flow: begun.flow, response: createAuthenticator({ origin }).create(begun.options) }))).toBe(
      'ERR_LINK_SPENT',
    )
    expect(world.refusal()).toBe('link')
    const again = await world.again()
    expect(codeThrown(() => again.auth.inspectInvite(token))).toBe('ERR_LINK_SPENT')
  })
  test('makes what it says, whatever is asked for', async () => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    const { token } = await world.auth.inviteUser({ role: 'viewer', name: 'Bob' }, 'machine')
    const given = { name: 'Mallory', role: 'owner' }
    const { flow, options } = world.auth.beginRegistration({ token }, given)
    const response = { ...createAuthenticator({ origin }).create(options), role: 'owner' }
    const { user } = await world.auth.finishRegistration({ flow, response, ...given })
    expect(user).toMatchObject({ name: 'Bob', role: 'viewer' })
  })
  test('is withdrawn with the registrations begun by it', async () => {
    const world = await openPeople()
    const ada = await enrol(world, 'Ada')
    const { token, id } = await world.auth.inviteUser({ role: 'viewer' }, 'machine')
    const { flow, options } = world.auth.beginRegistration({ token }, { name: 'Eve' })
    await world.auth.revokeInvite(id, ada.session)
    expect(await codeOf(world.auth.finishRegistration({ flow, response: createAuthenticator({ origin }).create(options) }))).toBe('ERR_LOGIN_REFUSED')
    expect(world.auth.invites()).toHaveLength(0)
  })
  const invited = async () => {
    const world = await openPeople()
    const [ada, eve] = [await enrol(world, 'Ada'), await enrol(world, 'Eve')]
    const links = await Promise.all((['owner', 'operator', 'viewer', 'agent'] as const).map((role) => world.auth.inviteUser({ role }, eve.session)))
    const kept = await world.auth.inviteUser({ role: 'owner' }, ada.session)
    const begun = links.map(({ token, role }) => ({ role, ...world.auth.beginRegistration({ token }, { name: `New ${role}` }) }))
    const open = (auth = world.auth) => links.filter(({ token }) => codeThrown(() => auth.inspectInvite(token)) === undefined).map(({ role }) => role)
    const finish = async (role: string) => {
      const { flow, options } = begun.find((one) => one.role === role)!
      return await codeOf(world.auth.finishRegistration({ flow, response: createAuthenticator({ origin }).create(options) }))
    }
    return { world, ada, eve, kept, open, finish }
  }
  test('ends with the role that let its maker make it, and does not come back with it', async () => {
    const { world, ada, eve, open, finish } = await invited()
    await world.auth.setRole(eve.id, 'operator', ada.session)
    expect(open()).toEqual(['viewer', 'agent'])
    expect(world.auth.invites()).toHaveLength(3)
    expect([await finish('owner'), await finish('operator'), await finish('viewer')]).toEqual(['ERR_LOGIN_REFUSED', 'ERR_LOGIN_REFUSED', undefined])
    await world.auth.setRole(eve.id, 'owner', ada.session)
    expect(open()).toEqual(['agent'])
    const again = await world.again()
    expect(open(again.auth)).toEqual(['agent'])
  })
  test('ends with its maker, those of others do not', async () => {
    const { world, ada, eve, kept, open, finish } = await invited()
    await world.auth.removeUser(eve.id, ada.session)
    expect(open()).toEqual([])
    expect(await finish('viewer')).toBe('ERR_LOGIN_REFUSED')
    expect(world.auth.users().map(({ name }) => name)).toEqual(['Ada'])
    const again = await world.again()
    expect(again.auth.invites().map(({ id }) => id)).toEqual([kept.id])
  })
  test('of somebody who is not here, left on the disk, opens nothing', async () => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    const { store, clock } = world
    const left = await openUserInvites({ store: store.sub('user-invites'), clock, random: createSeededRandom(5), logger: silentLogger })
    const { token, ops } = left.make({ role: 'viewer', name: undefined, by: 'somebody', first: false })
    await store.durable(ops)
    const { auth } = await world.again()
    expect(codeThrown(() => auth.beginRegistration({ token }, { name: 'Eve' }))).toBe('ERR_LINK_SPENT')
    expect(auth.invites()).toEqual([])
  })
  test('is one of so many', async () => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    for (let count = 0; count < userInvitesMax; count++) await world.auth.inviteUser({ role: 'viewer' }, 'machine')
    expect(await codeOf(world.auth.inviteUser({ role: 'viewer' }, 'machine'))).toBe('ERR_OVERLOADED')
  })
})

describe('who may what to whom', () => {
  const people = async () => {
    const world = await openPeople()
    const ada = await enrol(world, 'Ada')
    return { world, ada, ole: await enrol(world, 'Ole', 'operator'), vic: await enrol(world, 'Vic', 'viewer') }
  }
  test('an operator invites viewers and agents and no more', async () => {
    const { world, ole, vic } = await people()
    expect(await codeOf(world.auth.inviteUser({ role: 'viewer' }, ole.session))).toBeUndefined()
    expect(await codeOf(world.auth.inviteUser({ role: 'agent' }, ole.session))).toBeUndefined()
    for (const role of ['owner', 'operator'] as const) expect(await codeOf(world.auth.inviteUser({ role }, ole.session))).toBe('ERR_POLICY_DENIED')
    expect(await codeOf(world.auth.inviteUser({ role: 'viewer' }, vic.session))).toBe('ERR_POLICY_DENIED')
  })
  test('only owners change roles, remove people and end what is not theirs', async () => {
    const { world, ada, ole, vic } = await people()
    const theirs = ada.device.passkeys[0]!.id.toString('base64url')
    for (const { session } of [ole, vic]) {
      expect(await codeOf(world.auth.setRole(vic.id, 'owner', session))).toBe('ERR_POLICY_DENIED')
      expect(await codeOf(world.auth.removeUser(ada.id, session))).toBe('ERR_POLICY_DENIED')
      expect(await codeOf(world.auth.revokeSession(ada.session.id, session))).toBe('ERR_POLICY_DENIED')
      expect(await codeOf(world.auth.removeCredential(theirs, session))).toBe('ERR_POLICY_DENIED')
      expect(await codeOf(world.auth.enableCredential(theirs, session))).toBe('ERR_POLICY_DENIED')
    }
    expect(await codeOf(world.auth.revokeSession(vic.session.id, vic.session))).toBeUndefined()
  })
  test('a role that was taken away counts for the session that has it no more', async () => {
    const { world, ada, ole } = await people()
    await world.auth.setRole(ole.id, 'viewer', ada.session)
    expect(await codeOf(world.auth.inviteUser({ role: 'viewer' }, ole.session))).toBe('ERR_POLICY_DENIED')
    expect((await login(world, ole)).role).toBe('viewer')
  })
  test('the last owner stays, whoever asks', async () => {
    const { world, ada, vic } = await people()
    for (const by of [ada.session, 'machine'] as const) {
      expect(await codeOf(world.auth.removeUser(ada.id, by))).toBe('ERR_USER_LAST')
      expect(await codeOf(world.auth.setRole(ada.id, 'operator', by))).toBe('ERR_USER_LAST')
    }
    await world.auth.setRole(vic.id, 'owner', 'machine')
    expect(await codeOf(world.auth.setRole(ada.id, 'viewer', 'machine'))).toBeUndefined()
    expect(await codeOf(world.auth.removeUser(vic.id, 'machine'))).toBe('ERR_USER_LAST')
  })
  test('two owners who demote each other at once leave one', async () => {
    const { world, ada, ole } = await people()
    await world.auth.setRole(ole.id, 'owner', 'machine')
    const owner = await login(world, ole)
    const acts = await Promise.all([codeOf(world.auth.setRole(ole.id, 'viewer', ada.session)), codeOf(world.auth.setRole(ada.id, 'viewer', owner))])
    expect(acts.filter((code) => code === undefined)).toHaveLength(1)
    expect(world.auth.hasOwner()).toBe(true)
  })
  test('each change is in the log with who did it', async () => {
    const { world, ada, vic } = await people()
    await world.auth.setRole(vic.id, 'operator', ada.session)
    await world.auth.removeUser(vic.id, 'machine')
    expect(world.events.slice(-2)).toEqual([
      { kind: 'user_role_changed', user: vic.id, role: 'operator', before: 'viewer', by: ada.id },
      { kind: 'user_removed', user: vic.id, by: 'machine' },
    ])
  })
})

describe('passkeys of one user', () => {
  test('are several; the last one stays', async () => {
    const world = await openPeople()
    const ada = await enrol(world, 'Ada')
    const { auth } = world
    const begun = auth.beginRegistration({ session: ada.session }, {})
    expect(begun.options.excludeCredentials.map(({ id }) => id)).toEqual([ada.device.passkeys[0]!.id.toString('base64url')])
    const { session, credential } = await auth.finishRegistration({ flow: begun.flow, response: ada.device.create(begun.options), label: 'Blue key' })
    expect(session).toBeUndefined()
    expect(credential.label).toBe('Blue key')
    const { flow, options } = auth.beginLogin()
    await auth.finishLogin({ flow, response: ada.device.get(options, { passkey: ada.device.passkeys[1]! }) })
    const [first, second] = auth.credentials(ada.id).map(({ id }) => id)
    expect(await codeOf(auth.removeCredential(first ?? '', auth.sessions(ada.id)[0]!))).toBeUndefined()
    expect(await codeOf(auth.removeCredential(second ?? '', 'machine'))).toBe('ERR_USER_LAST')
    expect(world.events.map(({ kind }) => kind).slice(-3)).toEqual(['credential_added', 'user_login', 'credential_removed'])
    expect((await world.again()).auth.credentials(ada.id)).toHaveLength(1)
  })
  test('are so many at most', async () => {
    const world = await openPeople()
    const ada = await enrol(world, 'Ada')
    for (let count = 1; count < credentialsMax; count++) {
      const { flow, options } = world.auth.beginRegistration({ session: ada.session }, {})
      await world.auth.finishRegistration({ flow, response: ada.device.create(options) })
    }
    expect(codeThrown(() => world.auth.beginRegistration({ session: ada.session }, {}))).toBe('ERR_OVERLOADED')
  })
})

describe('names', () => {
  test.for(['', ' ', 'a'.repeat(49), 'Ada\u202eadA', 'Ada\u200b', 'A\u0000da', '<b>', 'did:key:z6Mk', 'Аda', 'Ada\nOwner', '../ada', 'a'.repeat(1_000_000)])(
    'of a form that could mislead are refused: %#',
    async (name) => {
      const { auth } = await openPeople()
      const link = await auth.ownerLink()
      expect(codeThrown(() => auth.beginRegistration({ token: link?.token ?? '' }, { name }))).toBe('ERR_USAGE')
    },
  )
  test.for(['ada', 'ADA', ' Ada ', 'Ａｄａ'])('that look like one there is are refused: %s', async (name) => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    expect(await codeOf(world.auth.inviteUser({ role: 'viewer', name }, 'machine'))).toBe('ERR_NAME_TAKEN')
  })
  test('taken while a registration is under way are refused at its end', async () => {
    const world = await openPeople()
    await enrol(world, 'Ada')
    const links = [await world.auth.inviteUser({ role: 'viewer' }, 'machine'), await world.auth.inviteUser({ role: 'viewer' }, 'machine')]
    const begun = links.map(({ token }) => world.auth.beginRegistration({ token }, { name: 'Bob' }))
    const codes = await Promise.all(
      begun.map(({ flow, options }) => codeOf(world.auth.finishRegistration({ flow, response: createAuthenticator({ origin }).create(options) }))),
    )
    expect(codes).toEqual([undefined, 'ERR_NAME_TAKEN'])
    expect(world.auth.invites()).toHaveLength(1)
  })
})

test('users are so many at most', async () => {
  const book = await openUserBook(createMemoryStore())
  for (let count = 0; count < usersMax; count++) {
    book.remember({ id: `user-${count}`, name: `Name ${count}`, role: 'viewer', createdAt: 0, lastLoginAt: undefined, credentials: [] })
  }
  expect(codeThrown(() => book.freeName('One more'))).toBe('ERR_OVERLOADED')
})

test('a change that the disk does not take has not happened', async () => {
  const failing = { now: false }
  const store = createMemoryStore({ fault: () => (failing.now ? 'fail' : undefined) })
  const world = await openPeople({ store })
  const ada = await enrol(world, 'Ada')
  const vic = await enrol(world, 'Vic', 'viewer')
  const { token } = await world.auth.inviteUser({ role: 'viewer' }, 'machine')
  const { flow, options } = world.auth.beginRegistration({ token }, { name: 'Eve' })
  const begun = world.auth.beginLogin()
  failing.now = true
  expect(await codeOf(world.auth.finishRegistration({ flow, response: createAuthenticator({ origin }).create(options) }))).toBe('ERR_STORE_FAILED')
  expect(await codeOf(world.auth.setRole(vic.id, 'owner', 'machine'))).toBe('ERR_STORE_FAILED')
  expect(await codeOf(world.auth.removeUser(vic.id, 'machine'))).toBe('ERR_STORE_FAILED')
  expect(await codeOf(world.auth.finishLogin({ flow: begun.flow, response: ada.device.get(begun.options) }))).toBe('ERR_STORE_FAILED')
  failing.now = false
  expect(world.auth.users().map(({ name, role }) => [name, role])).toEqual([
    ['Ada', 'owner'],
    ['Vic', 'viewer'],
  ])
  expect(world.auth.sessions(ada.id)).toHaveLength(1)
  expect(world.auth.inspectInvite(token).role).toBe('viewer')
})

test('a login says the same for every name', async () => {
  const world = await openPeople()
  await enrol(world, 'Ada')
  const shape = (name?: string) => {
    const { flow, options } = world.auth.beginLogin(name === undefined ? {} : { name })
    return { flow: flow.length, options: { ...options, challenge: options.challenge.length } }
  }
  expect(shape('Ada')).toEqual(shape('Nobody'))
  expect(shape('Ada')).toEqual(shape())
  expect(shape('Ada').options.allowCredentials).toEqual([])
})

test('options ask for what the rules need', async () => {
  const world = await openPeople()
  const ada = await enrol(world, 'Ada')
  const { options } = world.auth.beginRegistration({ session: ada.session }, {})
  expect(options).toMatchObject({
    rp: { id: 'localhost' },
    user: { id: ada.id, name: 'Ada' },
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    attestation: 'none',
  })
  expect(options.pubKeyCredParams.map(({ alg }) => alg)).toEqual([-8, -7, -257])
  expect(Buffer.from(options.challenge, 'base64url')).toHaveLength(32)
  expect(options.extensions.prf?.eval.first).toBe(Buffer.alloc(32, 9).toString('base64url'))
  expect(world.auth.beginLogin().options.extensions.prf?.eval.first).toBe(options.extensions.prf?.eval.first)
  expect(world.auth.beginStepUp(ada.session).options.extensions).toEqual({})
})
