import type { Client } from '../../../client/index.ts'
import { api } from '../../lib/api.ts'
import { askPasskey } from '../../lib/passkey.ts'
import { session } from '../../lib/session.svelte.ts'

type Grant = Parameters<Client['beginGrant']>[0]

/** Rights that nobody gives without a passkey of theirs under the very grant. Source: grant/v1 section 4. */
export const needsPasskey = (command: string): boolean => ['/vault/access', '/system/api', '/sandbox/native'].includes(command)

/** Signs a grant after a passkey has signed what it says; the session goes on under another token. */
export async function approveGrant(body: Grant, options: { readonly signal: AbortSignal }): Promise<void> {
  const begun = await api.beginGrant(body, options)
  const response = await askPasskey(begun.options)
  const done = await api.finishGrant({ flow: begun.flow, response }, options)
  session.start(done.session.token)
}
