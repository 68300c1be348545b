import { expect, test } from 'vitest'
import { approvalRoutes } from '../../src/api/approval-routes.ts'
import { grantApproval } from '../../src/api/approval-schemas.ts'
import { grantRoutes } from '../../src/api/grant-routes.ts'
import { decode, encode } from '../../src/wire/index.ts'
import { createTestMesh } from '../../src/testing/index.ts'
import { createAuthenticator } from '../helpers/authenticator.ts'
import { codeOf, origin } from '../helpers/people.ts'

const command = '/vault/access'

async function scene() {
  const mesh = await createTestMesh({ nodes: 2, seed: 5 })
  const [node, peer] = [mesh.node(0), mesh.node(1)]
  const device = createAuthenticator({ origin, algorithm: 'EdDSA' })
  const link = await node.users.ownerLink()
  node.users.servedAt(origin)
  const begun = node.users.beginRegistration({ token: link?.token ?? '' }, { name: 'Ada' })
  const { user, session } = await node.users.finishRegistration({ flow: begun.flow, response: device.create(begun.options) })
  if (session === undefined) throw new Error('no session')
  return { mesh, node, peer, device, user, session }
}

test('a grant is signed by the passkey of the person who gives it, and anyone sees who gave what', async () => {
  const { mesh, node, peer, device, user, session } = await scene()
  await using _ = mesh
  const asked = node.users.beginGrant(session, { audience: peer.did, command, caveats: { secrets: ['mail'] }, lifetimeMs: 60_000 })
  const { grant, session: next } = await node.users.finishGrant(session, { flow: asked.flow, response: device.get(asked.options) })
  expect(grant).toMatchObject({ audience: peer.did, command, caveats: { secrets: ['mail'] }, expiresAt: grant.issuedAt + 60_000 })
  expect(node.users.session(session.token)).toBeUndefined()
  expect(node.users.session(next.token)).toBeDefined()

  const approval = await node.grants.approvalOf(grant.id)
  const verdict = await peer.users.verifyApproval(approval ?? new Uint8Array())
  expect(verdict).toMatchObject({ ok: true, did: node.did, user: user.id, act: { name: 'grant' } })
  const entries = await node.audit.tail({ limit: 20 })
  const issued = entries.find(({ event }) => event === 'grant_issued')
  expect(Buffer.from(issued?.data['approval'] as Uint8Array).equals(approval ?? new Uint8Array())).toBe(true)
  const registered = entries.find(({ event }) => event === 'user_registered')
  if (!verdict.ok) throw new Error('not verified')
  expect(Buffer.from(registered?.data['keyHash'] as Uint8Array).equals(verdict.keyHash)).toBe(true)
  // Whoever changes a byte of it has an approval of nothing.
  for (let index = 0; index < (approval?.length ?? 0); index++) {
    const changed = Buffer.from(approval ?? [])
    changed[index] = (changed[index] ?? 0) ^ 1
    expect({ index, ok: (await node.users.verifyApproval(changed)).ok }).toEqual({ index, ok: false })
  }
  await node.grants.revoke(grant.id)
  await node.grants.forget(grant.id)
  expect(await codeOf(node.grants.approvalOf(grant.id))).toBe('ERR_NOT_FOUND')
  mesh.crash(0)
  expect((await mesh.restart(0)).grants.list()).toEqual([])
})

test('an approval stands for one grant and no other', async () => {
  const { mesh, node, peer, device, session } = await scene()
  await using _ = mesh
  const grants = () => node.grants.list().length
  const asked = node.users.beginGrant(session, { audience: peer.did, command })
  const response = device.get(asked.options)
  // Begun for one thing, answered with the signature of another.
  const wider = node.users.beginGrant(session, { audience: peer.did, command: '/system/api' })
  expect(await codeOf(node.users.finishGrant(session, { flow: wider.flow, response }))).toBe('ERR_LOGIN_REFUSED')
  const { session: next } = await node.users.finishGrant(session, { flow: asked.flow, response })
  expect(grants()).toBe(1)
  expect(await codeOf(node.users.finishGrant(next, { flow: asked.flow, response }))).toBe('ERR_LOGIN_REFUSED')
  const again = node.users.beginGrant(next, { audience: peer.did, command })
  expect(again.options.challenge).not.toBe(asked.options.challenge)
  expect(await codeOf(node.users.finishGrant(next, { flow: again.flow, response }))).toBe('ERR_LOGIN_REFUSED')
  // A verification that was begun for nothing in particular gives nothing.
  const plain = node.users.beginStepUp(next)
  expect(await codeOf(node.users.finishGrant(next, { flow: plain.flow, response: device.get(plain.options) }))).toBe('ERR_USAGE')
  const other = node.users.beginStepUp(node.users.sessions()[0]!, { name: 'other', content: encode([1]) })
  expect(await codeOf(node.users.finishGrant(node.users.sessions()[0]!, { flow: other.flow, response: device.get(other.options) }))).toBe('ERR_USAGE')
  expect(grants()).toBe(1)
})

test('an approval is of a page of this machine, of a person who was there, and of the form there is', async () => {
  const { mesh, node, peer, device, session } = await scene()
  await using _ = mesh
  const asked = node.users.beginGrant(session, { audience: peer.did, command })
  const { grant } = await node.users.finishGrant(session, { flow: asked.flow, response: device.get(asked.options) })
  const approval = (await node.grants.approvalOf(grant.id)) ?? new Uint8Array()
  for (const bytes of [new Uint8Array(), Uint8Array.of(0xff), encode([1]), approval.slice(1), new Uint8Array(1 << 20)]) {
    expect(await node.users.verifyApproval(bytes)).toEqual({ ok: false, reason: 'malformed' })
  }
  const passkey = device.passkeys[0]!
  for (const [twist, reason] of [
    [{ origin: 'https://evil.example' }, 'malformed'],
    [{ rpId: 'evil.example' }, 'rp_id'],
    [{ flags: 0x01 }, 'user_verification'],
    [{ type: 'webauthn.create' }, 'type'],
  ] as const) {
    const answer = device.get(asked.options, { ...twist, passkey })
    const parts = ['authenticatorData', 'clientDataJSON', 'signature'].map((name) => Buffer.from(String(answer.response[name]), 'base64url'))
    const held = decode(approval, 4_096) as readonly unknown[]
    expect(await node.users.verifyApproval(encode([...held.slice(0, 4), ...parts] as never))).toEqual({ ok: false, reason })
  }
})

test('over the API a person gives secrets by signing, and anyone who may read sees who gave what', async () => {
  const { mesh, node, peer, device, user, session } = await scene()
  await using _ = mesh
  const whom = (text: string) => text as typeof peer.did
  const routes = [...grantRoutes(node as never, whom), ...approvalRoutes(node as never)]
  const call = async <T>(url: string, principal: unknown, body: unknown): Promise<T> =>
    (await routes.find((route) => route.method === 'POST' && route.url === url)?.handle({ body, principal } as never)) as T
  const person = (held: unknown) => ({ kind: 'session', user, session: held, rights: ['/'] })
  const body = { audience: peer.did, command }
  expect(await codeOf(call('/v1/grants', person(session), body))).toBe('ERR_STEP_UP')
  const begun = await call<ReturnType<typeof node.users.beginGrant>>('/v1/grants/approve/begin', person(session), body)
  const answer = { flow: begun.flow, response: device.get(begun.options) }
  const done = await call<{ readonly session: unknown; readonly grant: { readonly id: string } }>('/v1/grants/approve/finish', person(session), answer)
  expect(done.grant).toMatchObject({ command, audience: peer.did })
  const seen = await call<object>('/v1/grants/approval', person(done.session), { id: done.grant.id })
  expect(grantApproval.parse(seen)).toMatchObject({ ok: true, user: user.id })
  const plain = await node.grants.issue({ audience: peer.did, command: '/task/run' })
  expect(await codeOf(call('/v1/grants/approval', person(done.session), { id: plain.id }))).toBe('ERR_NOT_FOUND')
})

test('a grant whose limits are too long to be approved is refused at the beginning', async () => {
  const { mesh, node, peer, session } = await scene()
  await using _ = mesh
  const hosts = Array.from({ length: 16 }, (_unused, index) => `${'a'.repeat(60)}.${'b'.repeat(60)}${index}.example`)
  expect(() => node.users.beginGrant(session, { audience: peer.did, command, caveats: { hosts } })).toThrow(/exceeds/)
})

test('users, sessions and the place of the pages survive a new key of the node', async () => {
  const { mesh, device, user, session } = await scene()
  await using _ = mesh
  const node = await mesh.rotate(0)
  expect(node.users.session(session.token)).toMatchObject({ userId: user.id })
  node.users.servedAt(origin)
  const { flow, options } = node.users.beginLogin()
  expect((await node.users.finishLogin({ flow, response: device.get(options) })).user.name).toBe('Ada')
})
