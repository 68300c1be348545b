import { expect, test } from 'vitest'
import { commands } from '../../src/policy/commands.ts'
import { apiRights, isOfApi, rightsCover } from '../../src/policy/api-rights.ts'
import { roleCommands } from '../../src/policy/roles.ts'
import { signToken } from '../../src/policy/token.ts'
import { inviteRoutes } from '../../src/api/invite-routes.ts'
import { peopleRoutes } from '../../src/api/people-routes.ts'
import { trustRoutes } from '../../src/api/trust-routes.ts'
import type { MeshNode } from '../../src/node/index.ts'
import { anonymous, cliPrincipal, requireStepUp } from '../../src/api/principals.ts'
import type { Session } from '../../src/auth/index.ts'
import { createOwner } from '../helpers/audit.ts'
import { createSeededRandom } from '../../src/base/index.ts'

const rights = Object.keys(apiRights) as readonly (keyof typeof apiRights)[]

test('no right at the API is among what peers can be granted, and no token names one', () => {
  expect(rights.every(isOfApi)).toBe(true)
  expect(commands.filter(isOfApi)).toEqual([])
  const owner = createOwner(3)
  const keyring = { did: owner.did, sign: (message: Uint8Array) => owner.signer.sign(message) }
  const sign = (command: string) => () =>
    signToken({ audience: createOwner(4).did, owner: owner.did, command, issuedAt: 0, expiresAt: 1_000 }, { keyring, random: createSeededRandom(1) })
  for (const command of ['/api', ...rights]) expect(sign(command)).toThrow(expect.objectContaining({ code: 'ERR_GRANT_INVALID' }))
  expect(sign('/apis')).not.toThrow()
})

test('an owner has every right, an operator none over people, keys, secrets and settings, a viewer only looks', () => {
  const of = (role: keyof typeof roleCommands) => rights.filter((right) => rightsCover(roleCommands[role], right))
  expect(of('owner')).toEqual(rights)
  for (const right of ['/api/users', '/api/identity', '/api/vault', '/api/vault/read', '/api/config', '/api/sign'] as const) {
    expect(of('operator')).not.toContain(right)
  }
  expect(of('viewer')).toEqual(['/api/read', '/api/self', '/api/audit/read'])
  expect(of('agent')).not.toContain('/api/trust')
})

test('what needs a person is done by the command line of the node, by a session whose person was verified, and by no program', () => {
  const asked: unknown[] = []
  const needs = expect.objectContaining({ code: 'ERR_STEP_UP' })
  const session: Session = { id: 's', userId: 'u', role: 'owner', createdAt: 0, lastSeenAt: 0, factors: [], device: '' }
  requireStepUp(cliPrincipal, () => expect.unreachable())
  requireStepUp({ kind: 'session', user: { id: 'u', name: 'Anna', role: 'owner' }, session, rights: ['/'] }, (one) => void asked.push(one))
  expect(asked).toEqual([session])
  for (const principal of [anonymous, { kind: 'token', surface: 'mcp', id: 'x', rights: ['/'] }] as const) {
    expect(() => requireStepUp(principal, () => undefined)).toThrow(needs)
  }
})

test('every way to make somebody an AUTHORITY needs a person who has just shown to be there', () => {
  const node = {} as MeshNode
  const routes = [...trustRoutes(node, (text) => text as never), ...peopleRoutes(node, (text) => text as never), ...inviteRoutes(node)]
  const asks = (url: string, body: unknown): unknown => {
    const stepUp = routes.find((route) => route.url === url && route.method === 'POST')?.stepUp
    return typeof stepUp === 'function' ? stepUp({ body }) : stepUp
  }
  for (const url of ['/v1/attestations', '/v1/invites', '/v1/pending/approve', '/v1/compare/accept']) {
    expect([url, asks(url, { level: 'authority' }), asks(url, { level: 'trusted' })]).toEqual([url, true, false])
  }
  expect([asks('/v1/join', { confirmed: true }), asks('/v1/join', { confirmed: false })]).toEqual([true, false])
})
