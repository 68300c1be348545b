import { describe, expect, test } from 'vitest'
import { altered, coseKey, coseOf, createAuthenticator, flipped } from '../helpers/authenticator.ts'
import { codeOf, enrol, openPeople, origin } from '../helpers/people.ts'

describe('an answer to a login', () => {
  test('altered client data or authenticator data is refused and written down', async () => {
    const world = await openPeople()
    const owner = await enrol(world, 'Ada')
    const { flow, options } = world.auth.beginLogin()
    const answer = owner.device.get(options)
    const response = altered(answer, { authenticatorData: flipped(answer.response['authenticatorData'], -1) })
    expect(await codeOf(world.auth.finishLogin({ flow, response }))).toBe('ERR_LOGIN_REFUSED')
    expect(world.refusal()).toBe('signature')
  })
  test('a key of another algorithm than it says is refused', async () => {
    const world = await openPeople()
    const link = await world.auth.ownerLink()
    const device = createAuthenticator({ origin, algorithm: 'RS256' })
    const { flow, options } = world.auth.beginRegistration({ token: link?.token ?? '' }, { name: 'Ada' })
    const probe = createAuthenticator({ origin, algorithm: 'RS256' })
    probe.create(options)
    const response = device.create(options, { cose: coseKey(probe.passkeys[0]!.publicKey, coseOf.ES256) })
    expect(await codeOf(world.auth.finishRegistration({ flow, response }))).toBe('ERR_LOGIN_REFUSED')
    expect(world.refusal()).toBe('algorithm')
  })
})
