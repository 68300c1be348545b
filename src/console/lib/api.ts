import { createClient } from '../../client/index.ts'
import { session } from './session.svelte.ts'
import { stepUp } from './step-up.svelte.ts'

/**
 * The API of this node with the session of this tab. A call that needs a fresh proof of presence asks for it and goes on;
 * one whose session has ended waits until the user has logged in again, and goes on.
 */
export const api = createClient({ url: location.origin, token: '', fetch: sessionFetch })

/** The same without the session, for what comes before there is one: login and enrolment. */
export const openApi = createClient({ url: location.origin, token: '', fetch: (url, init) => send(url, init, undefined) })

/** `fetch` with the session's token, for what is read as a stream. */
export async function sessionFetch(url: string, init: RequestInit): Promise<Response> {
  const { token } = session
  const response = await send(url, init, token)
  if (response.status !== 401 && response.status !== 403) return response
  const { code } = (await response
    .clone()
    .json()
    .catch(() => ({}))) as { readonly code?: string }
  if (code === 'ERR_STEP_UP') return (await stepUp.ask()) ? await send(url, init, session.token) : response
  if (code === 'ERR_AUTH_FAILED' && token !== undefined && (await isOver(token))) session.end(token)
  return response
}

/** A wrong passphrase is answered like a wrong session: which of the two it was, another call tells. */
const isOver = async (token: string): Promise<boolean> => (await send(`${location.origin}/v1/auth/me`, {}, token)).status === 401 && !(await isSealed())

/** Whether the node waits for its vault to be opened: until then it knows no session. @throws ERR_NODE_DOWN */
export const isSealed = async (): Promise<boolean> => (await openApi.health()).sealed === true

function send(url: string, init: RequestInit, token: string | undefined): Promise<Response> {
  const headers = withoutToken(init)
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
  return fetch(url, { ...init, headers, credentials: 'omit', redirect: 'error', cache: 'no-store' })
}

function withoutToken(init: RequestInit): Headers {
  const headers = new Headers(init.headers)
  headers.delete('authorization')
  return headers
}
