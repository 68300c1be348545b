import { describe, expect, test } from 'vitest'
import { createVirtualClock, hourMs, minuteMs, secondMs } from '../../src/base/index.ts'
import { deviceLabel } from '../../src/auth/device.ts'
import { sessionsPerUserMax } from '../../src/auth/sessions.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { codeOf, enrol, login, openPeople } from '../helpers/people.ts'

const withOwner = async () => {
  const world = await openPeople()
  return { world, ada: await enrol(world, 'Ada') }
}

describe('a session ends', () => {
  test('after 30 minutes without a call, and not a second before', async () => {
    const { world, ada } = await withOwner()
    await world.clock.advance(30 * minuteMs - secondMs)
    expect(world.auth.session(ada.session.token)).toBeDefined()
    await world.clock.advance(30 * minuteMs - secondMs)
    expect(world.auth.session(ada.session.token)).toBeDefined()
    await world.clock.advance(30 * minuteMs)
    expect(world.auth.session(ada.session.token)).toBeUndefined()
  })
  test('after 8 hours, however busy', async () => {
    const { world, ada } = await withOwner()
    for (let minutes = 0; minutes < 8 * 60 - 10; minutes += 10) {
      await world.clock.advance(10 * minuteMs)
      expect(world.auth.session(ada.session.token)).toBeDefined()
    }
    await world.clock.advance(10 * minuteMs)
    expect(world.auth.session(ada.session.token)).toBeUndefined()
    expect(world.auth.sessions()).toHaveLength(0)
  })
  test('for good: a clock set back revives nothing, in this life and the next', async () => {
    const { world, ada } = await withOwner()
    await world.clock.advance(31 * minuteMs)
    world.clock.jump(-31 * minuteMs)
    expect(world.auth.session(ada.session.token)).toBeUndefined()
    expect((await world.again()).auth.session(ada.session.token)).toBeUndefined()
  })
  test('when the clock jumps ahead, and does not come back with it', async () => {
    const { world, ada } = await withOwner()
    world.clock.jump(9 * hourMs)
    expect(world.auth.session(ada.session.token)).toBeUndefined()
    world.clock.jump(-9 * hourMs)
    expect(world.auth.session(ada.session.token)).toBeUndefined()
    expect((await world.again()).auth.session(ada.session.token)).toBeUndefined()
  })
  test('by time that goes forward while the wall clock is held back', async () => {
    const { world, ada } = await withOwner()
    for (let minutes = 0; minutes < 8 * 60; minutes += 10) {
      await world.clock.advance(10 * minuteMs)
      world.clock.jump(-10 * minuteMs)
      world.auth.session(ada.session.token)
    }
    expect(world.auth.session(ada.session.token)).toBeUndefined()
  })
  test('when at the start of the node its times lie ahead', async () => {
    const { world, ada } = await withOwner()
    world.clock.jump(-10 * minuteMs)
    const again = await world.again()
    expect(again.auth.session(ada.session.token)).toBeUndefined()
    again.clock.jump(20 * minuteMs)
    expect((await again.again()).auth.session(ada.session.token)).toBeUndefined()
  })
  test('while the node is off, by the time it was off', async () => {
    const { world, ada } = await withOwner()
    await world.clock.advance(10 * minuteMs)
    world.auth.session(ada.session.token)
    await world.clock.advance(29 * minuteMs)
    const again = await world.again()
    expect(again.auth.session(ada.session.token)).toBeDefined()
    await again.clock.advance(31 * minuteMs)
    expect((await again.again()).auth.session(ada.session.token)).toBeUndefined()
  })
  test.for(['logout', 'revocation', 'role', 'removal', 'passkey'] as const)('at once, and in the next life, by %s', async (how) => {
    const { world, ada } = await withOwner()
    const bob = await enrol(world, 'Bob', 'operator')
    const { auth } = world
    const more = auth.beginRegistration({ session: bob.session }, {})
    await auth.finishRegistration({ flow: more.flow, response: bob.device.create(more.options) })
    const id = bob.device.passkeys[0]!.id.toString('base64url')
    const ends = {
      logout: () => auth.logout(bob.session.token),
      revocation: () => auth.revokeSession(bob.session.id, ada.session),
      role: () => auth.setRole(bob.id, 'viewer', ada.session),
      removal: () => auth.removeUser(bob.id, ada.session),
      passkey: () => auth.removeCredential(id, ada.session),
    }
    const ending = ends[how]()
    // It is over before the disk says so, and being seen in between does not bring it back.
    auth.session(bob.session.token)
    await ending
    expect(auth.session(bob.session.token)).toBeUndefined()
    const again = await world.again()
    expect(again.auth.session(bob.session.token)).toBeUndefined()
    expect(again.auth.session(ada.session.token)).toBeDefined()
  })
  test('when another login takes its place', async () => {
    const { world, ada } = await withOwner()
    const { flow, options } = world.auth.beginLogin()
    const { session } = await world.auth.finishLogin({ flow, response: ada.device.get(options), context: { replaces: ada.session.token } })
    expect(world.auth.session(ada.session.token)).toBeUndefined()
    expect(world.auth.session(session.token)).toBeDefined()
  })
  test('when a user has too many: the one not seen for longest', async () => {
    const { world, ada } = await withOwner()
    for (let count = 1; count < sessionsPerUserMax; count++) {
      await world.clock.advance(secondMs)
      await login(world, ada)
    }
    expect(world.auth.session(ada.session.token)).toBeDefined()
    await world.clock.advance(secondMs)
    const second = world.auth.sessions(ada.id).at(-1)
    await login(world, ada)
    expect(world.auth.sessions(ada.id)).toHaveLength(sessionsPerUserMax)
    expect(world.auth.sessions(ada.id).map(({ id }) => id)).not.toContain(second?.id)
    expect(world.events.at(-1)).toMatchObject({ kind: 'session_revoked', reason: 'made room', session: second?.id })
  })
})

describe('a session', () => {
  test('survives a restart with its role, device and last verification', async () => {
    const { world, ada } = await withOwner()
    const { flow, options } = world.auth.beginLogin()
    const userAgent = 'Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0'
    const { session } = await world.auth.finishLogin({ flow, response: ada.device.get(options), context: { userAgent } })
    const again = await world.again()
    expect(again.auth.session(session.token)).toMatchObject({ id: session.id, role: 'owner', device: 'Firefox on Linux', steppedUpAt: session.steppedUpAt })
  })
  test('is on disk without its token', async () => {
    const { world, ada } = await withOwner()
    for await (const [, value] of world.store.range({})) {
      expect(Buffer.from(value).includes(ada.session.token)).toBe(false)
      expect(Buffer.from(value).includes(Buffer.from(ada.session.token, 'base64url'))).toBe(false)
    }
    expect(JSON.stringify(world.events)).not.toContain(ada.session.token)
  })
  test('is written at most once a minute however often it is seen', async () => {
    let writes = 0
    const store = createMemoryStore({
      fault: () => {
        writes++
        return undefined
      },
    })
    const world = await openPeople({ store, clock: createVirtualClock() })
    const ada = await enrol(world, 'Ada')
    const before = writes
    for (let seconds = 0; seconds < 180; seconds++) {
      await world.clock.advance(secondMs)
      world.auth.session(ada.session.token)
    }
    expect(writes - before).toBe(3)
  })
  test('of a node that lost its power is not longer for it', async () => {
    const { world, ada } = await withOwner()
    await world.auth.logout(ada.session.token)
    world.store.crash()
    expect((await world.again()).auth.session(ada.session.token)).toBeUndefined()
  })
  test.for(['', 'x', 'A'.repeat(43), 'A'.repeat(1_000_000), '\u0000'.repeat(43)])('is opened by no other token: %#', async (token) => {
    const { world } = await withOwner()
    expect(world.auth.session(token)).toBeUndefined()
  })
})

describe('a step-up', () => {
  test('gives the session a new token, and the one before opens nothing', async () => {
    const { world, ada } = await withOwner()
    const { flow, options } = world.auth.beginStepUp(ada.session)
    const { session } = await world.auth.finishStepUp(ada.session, { flow, response: ada.device.get(options) })
    expect(session.id).toBe(ada.session.id)
    expect(session.token).not.toBe(ada.session.token)
    expect(world.auth.session(ada.session.token)).toBeUndefined()
    expect(world.auth.session(session.token)).toBeDefined()
    const again = await world.again()
    expect(again.auth.session(ada.session.token)).toBeUndefined()
    expect(again.auth.session(session.token)).toBeDefined()
  })
  test('makes the session no longer', async () => {
    const { world, ada } = await withOwner()
    let { session } = ada
    for (let minutes = 0; minutes < 8 * 60; minutes += 20) {
      const { flow, options } = world.auth.beginStepUp(session)
      session = (await world.auth.finishStepUp(session, { flow, response: ada.device.get(options) })).session
      await world.clock.advance(20 * minuteMs)
    }
    expect(world.auth.session(session.token)).toBeUndefined()
  })
  test('is needed for acts of high risk five minutes after the last, and counts no longer when the clock is set back', async () => {
    const { world, ada } = await withOwner()
    await world.clock.advance(5 * minuteMs)
    world.clock.jump(-4 * minuteMs)
    const acts = [
      world.auth.inviteUser({ role: 'viewer' }, ada.session),
      world.auth.removeUser(ada.id, ada.session),
      world.auth.setRole(ada.id, 'viewer', ada.session),
      world.auth.removeCredential(ada.device.passkeys[0]!.id.toString('base64url'), ada.session),
      world.auth.enableCredential(ada.device.passkeys[0]!.id.toString('base64url'), ada.session),
      (async () => world.auth.beginRegistration({ session: ada.session }, {}))(),
    ]
    for (const act of acts) expect(await codeOf(act)).toBe('ERR_STEP_UP')
    const { flow, options } = world.auth.beginStepUp(ada.session)
    const { session } = await world.auth.finishStepUp(ada.session, { flow, response: ada.device.get(options) })
    expect(await codeOf(world.auth.inviteUser({ role: 'viewer' }, session))).toBeUndefined()
  })
  test('is refused from another session, and by the passkey of another user', async () => {
    const { world, ada } = await withOwner()
    const bob = await enrol(world, 'Bob', 'viewer')
    const first = world.auth.beginStepUp(ada.session)
    expect(await codeOf(world.auth.finishStepUp(ada.session, { flow: first.flow, response: bob.device.get(first.options) }))).toBe('ERR_LOGIN_REFUSED')
    expect(world.refusal()).toBe('user_other')
    const second = world.auth.beginStepUp(ada.session)
    const other = await login(world, ada)
    expect(await codeOf(world.auth.finishStepUp(other, { flow: second.flow, response: ada.device.get(second.options) }))).toBe('ERR_LOGIN_REFUSED')
    expect(world.refusal()).toBe('session_other')
  })
  test('of a session that ended in between is refused', async () => {
    const { world, ada } = await withOwner()
    const { flow, options } = world.auth.beginStepUp(ada.session)
    await world.clock.advance(4 * minuteMs)
    await world.auth.revokeSession(ada.session.id, 'machine')
    expect(await codeOf(world.auth.finishStepUp(ada.session, { flow, response: ada.device.get(options) }))).toBe('ERR_LOGIN_REFUSED')
    expect(world.auth.sessions()).toHaveLength(0)
  })
})

test.for([
  [undefined, 'unknown device'],
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36', 'Chrome on Linux'],
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0', 'Edge on Windows'],
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1', 'Safari on iOS'],
  ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15', 'Safari on macOS'],
  ['<script>alert(1)</script>\u202e', 'unknown device'],
  ['curl on Linux', 'a program on Linux'],
] as const)('the device of %s is %s', ([userAgent, label]) => {
  expect(deviceLabel(userAgent)).toBe(label)
})
