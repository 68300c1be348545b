import { api, openApi } from './api.ts'
import { me } from './me.svelte.ts'
import { askPasskey, createPasskey } from './passkey.ts'
import { session } from './session.svelte.ts'

/** A new user by a one-time link, logged in at once. The link is spent when this went through, not before. @throws ERR_LINK_SPENT, ERR_AUTH_FAILED */
export async function enrol(token: string, name: string): Promise<void> {
  const { flow, options } = await openApi.beginRegistration({ token, name })
  const response = await createPasskey(options)
  const { session: opened } = await openApi.finishRegistration({ flow, response })
  if (opened !== null) session.start(opened.token)
}

/** @throws ERR_LOGIN_REFUSED, ERR_AUTH_FAILED */
export async function logInWithPasskey(): Promise<void> {
  const { flow, options } = await openApi.beginLogin({})
  const response = await askPasskey(options)
  const { session: opened } = await openApi.finishLogin({ flow, response })
  session.start(opened.token)
}

/** Six digits of an app, or one of the recovery codes. @throws ERR_LOGIN_REFUSED */
export async function logInWithCode(name: string, type: 'totp' | 'recovery', code: string): Promise<void> {
  const { session: opened } = await openApi.loginWithCode({ name, type, code })
  session.start(opened.token)
}

/** Proves presence anew; the session goes on under another token. @throws ERR_LOGIN_REFUSED, ERR_AUTH_FAILED */
export async function proveSelf(): Promise<void> {
  const { flow, options } = await api.beginStepUp({})
  const response = await askPasskey(options)
  const { session: opened } = await api.finishStepUp({ flow, response })
  session.start(opened.token)
}

/** One more passkey for who is logged in. @throws ERR_STEP_UP, ERR_AUTH_FAILED */
export async function addPasskey(label: string): Promise<void> {
  const { flow, options } = await api.beginRegistration({})
  const response = await createPasskey(options)
  await api.finishRegistration({ flow, response, label })
}

/** The session is dead at once, here and at the node; here also when the node cannot be told. */
export async function logOut(): Promise<void> {
  if (!session.isEnded) await api.logout().catch(() => undefined)
  me.value = undefined
  session.forget()
}
