import { isErrorCode, MeshError } from '../../base/index.ts'
import { openFetch, sessionFetch } from './api.ts'
import { askPasskey, createPasskey } from './passkey.ts'
import { me, type Me } from './me.svelte.ts'
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
  readonly name: string | null
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
  await post(sessionFetch, '/v1/auth/logout', {}).catch(() => undefined)
  me.forget()
  session.forget()
}

export interface Passkey {
  readonly id: string
  readonly label: string
  readonly createdAt: number
  readonly lastUsedAt: number | null
  readonly backedUp: boolean
  readonly disabled: boolean
}

export interface OwnSession {
  readonly id: string
  readonly createdAt: number
  readonly lastSeenAt: number
  readonly factors: readonly string[]
  readonly device: string
}

export interface Factors {
  readonly totp: boolean
  readonly totpSince: number | null
  readonly recoveryCodesLeft: number
  readonly recoveryMadeAt: number | null
}

/** A secret for an authenticator app, which counts once a first code of it was given. */
export interface TotpOffer {
  readonly flow: string
  readonly uri: string
  readonly secret: string
}

interface Options {
  readonly signal: AbortSignal
}

export const whoAmI = (options: Options): Promise<Me> => get('/v1/auth/me', options)
export const myPasskeys = (options: Options): Promise<{ readonly passkeys: readonly Passkey[] }> => get('/v1/auth/credentials', options)
export const mySessions = (options: Options): Promise<{ readonly sessions: readonly OwnSession[] }> => get('/v1/sessions', options)
export const myFactors = (options: Options): Promise<Factors> => get('/v1/auth/factors', options)
export const removePasskey = (id: string): Promise<unknown> => post(sessionFetch, '/v1/auth/credentials/remove', { id })
export const revokeSession = (id: string): Promise<unknown> => post(sessionFetch, '/v1/sessions/revoke', { id })
export const offerTotp = (): Promise<TotpOffer> => post(sessionFetch, '/v1/auth/totp/begin', {})
export const acceptTotp = (flow: string, code: string): Promise<unknown> => post(sessionFetch, '/v1/auth/totp/finish', { flow, code })
export const removeTotp = (): Promise<unknown> => post(sessionFetch, '/v1/auth/totp/remove', {})
export const makeRecoveryCodes = (): Promise<{ readonly codes: readonly string[] }> => post(sessionFetch, '/v1/auth/recovery-codes', {})

async function get<T>(path: string, { signal }: Options): Promise<T> {
  return await answerOf<T>(await sessionFetch(location.origin + path, { signal }))
}

async function post<T>(fetcher: typeof sessionFetch, path: string, body: unknown): Promise<T> {
  return await answerOf<T>(
    await fetcher(location.origin + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  )
}

async function answerOf<T>(response: Response): Promise<T> {
  const answer = (await response.json().catch(() => ({}))) as T & { readonly code?: unknown; readonly message?: unknown; readonly hint?: unknown }
  if (response.ok) return answer
  if (!isErrorCode(answer.code)) throw new MeshError('ERR_INTERNAL', `the node answered ${response.status}`)
  throw new MeshError(answer.code, typeof answer.message === 'string' ? answer.message : '', typeof answer.hint === 'string' ? { hint: answer.hint } : {})
}
