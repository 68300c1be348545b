import { createClient } from '../../client/index.ts'
import { session } from './session.svelte.ts'
import { stepUp } from './step-up.svelte.ts'

/**
 * The API of this node with the session of this tab. A call that needs a fresh proof of presence asks for it and goes on;
 * one whose session has ended waits until the user has logged in again, and goes on.
 */
export const api = createClient({ url: location.origin, token: '', fetch: sessionFetch })

/** `fetch` without the session, for what comes before there is one: login and enrolment. */
export const openFetch = (url: string, init: RequestInit): Promise<Response> => send(url, init, undefined)

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
  if (response.status === 401 && token !== undefined) session.end(token)
  return response
}

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
