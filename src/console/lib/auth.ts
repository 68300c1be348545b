import { isErrorCode, MeshError } from '../../base/index.ts'
import { openFetch, sessionFetch } from './api.ts'
import { askPasskey, createPasskey } from './passkey.ts'
import { me } from './me.svelte.ts'
import { session } from './session.svelte.ts'

interface Begun {
  readonly flow: string
  readonly options: unknown
}

interface Opened {
  readonly session: { readonly token: string }
}

/** Whom a one-time link makes. */
export interface Invitation {
  readonly role: string
  readonly name?: string
  readonly expiresAt: number
}

/** @throws ERR_LINK_SPENT */
export const inspectInvitation = (token: string): Promise<Invitation> => post(openFetch, '/v1/auth/invite', { token })

/** A new user by a one-time link, logged in at once. The link is spent when this went through, not before. */
export async function enrol(token: string, name: string): Promise<void> {
  const { flow, options } = await post<Begun>(openFetch, '/v1/auth/register/begin', { token, name })
  const response = await createPasskey(options)
  const done = await post<Opened>(openFetch, '/v1/auth/register/finish', { flow, response })
  session.start(done.session.token)
}

/** @throws ERR_LOGIN_REFUSED, ERR_AUTH_FAILED */
export async function logInWithPasskey(): Promise<void> {
  const { flow, options } = await post<Begun>(openFetch, '/v1/auth/login/begin', {})
  const response = await askPasskey(options)
  const done = await post<Opened>(openFetch, '/v1/auth/login/finish', { flow, response })
  session.start(done.session.token)
}

/** Six digits of an app, or one of the recovery codes. @throws ERR_LOGIN_REFUSED */
export async function logInWithCode(name: string, kind: 'totp' | 'recovery', code: string): Promise<void> {
  const done = await post<Opened>(openFetch, '/v1/auth/login/code', { name, type: kind, code })
  session.start(done.session.token)
}

/** Proves presence anew; the session goes on under another token. */
export async function proveSelf(): Promise<void> {
  const { flow, options } = await post<Begun>(sessionFetch, '/v1/auth/step-up/begin', {})
  const response = await askPasskey(options)
  const done = await post<Opened>(sessionFetch, '/v1/auth/step-up/finish', { flow, response })
  session.start(done.session.token)
}

/** One more passkey for who is logged in. */
export async function addPasskey(label: string): Promise<void> {
  const { flow, options } = await post<Begun>(sessionFetch, '/v1/auth/register/begin', {})
  const response = await createPasskey(options)
  await post(sessionFetch, '/v1/auth/register/finish', { flow, response, label })
}

/** The session is dead at once, here and at the node, also when the node cannot be told. */
export async function logOut(): Promise<void> {
  const said = post(sessionFetch, '/v1/auth/logout', {}).catch(() => undefined)
  await said
  me.forget()
  session.forget()
}

async function post<T>(fetcher: typeof sessionFetch, path: string, body: unknown): Promise<T> {
  const response = await fetcher(location.origin + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const answer = (await response.json().catch(() => undefined)) as T & { readonly code?: unknown; readonly message?: unknown; readonly hint?: unknown }
  if (response.ok) return answer
  if (!isErrorCode(answer.code)) throw new MeshError('ERR_INTERNAL', `the node answered ${response.status}`)
  throw new MeshError(answer.code, typeof answer.message === 'string' ? answer.message : '', typeof answer.hint === 'string' ? { hint: answer.hint } : {})
}
