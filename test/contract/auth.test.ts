import { describe, expect, test } from 'vitest'
import { createAuthenticator } from '../helpers/authenticator.ts'
import { enrol, login, openPeople, origin } from '../helpers/people.ts'

describe('passkeys', () => {
  test.for(['EdDSA', 'ES256', 'RS256'] as const)('somebody registers by a link and logs in with %s', async (algorithm) => {
    const world = await openPeople()
    const owner = await enrol(world, 'Ada', 'owner', createAuthenticator({ origin, algorithm }))
    expect(owner.session).toMatchObject({ role: 'owner', factors: ['webauthn', 'biometric'] })
    const session = await login(world, owner)
    expect(world.auth.session(session.token)).toMatchObject({ userId: owner.id })
    expect(await world.auth.logout(session.token)).toBe(true)
    expect(world.auth.session(session.token)).toBeUndefined()
    expect(world.events.map(({ kind }) => kind)).toEqual(['user_invited', 'user_registered', 'user_login', 'user_logout'])
  })
})
