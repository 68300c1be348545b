import { api, openApi } from './api.ts'
import { device } from './device.ts'
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

type Result = Awaited<ReturnType<typeof openApi.authenticate>>

/** Where a login or a step-up stands whose proofs were right and not all that is asked for. */
export type Unfinished = Pick<Result, 'missing' | 'flow'>

/** One proof, and what it goes on from. */
export interface ShownProof {
  readonly type: 'webauthn' | 'totp' | 'recovery'
  /** Of an app, or a recovery code. */
  readonly code: string
  /** Whose code it is, at the first step of a login. */
  readonly name?: string | undefined
  readonly before: Unfinished | undefined
}

/** One step of a login; gives what is still missing. @throws ERR_LOGIN_REFUSED, ERR_AUTH_FAILED */
export async function logIn({ name, ...shown }: ShownProof): Promise<Unfinished | undefined> {
  const proof = await proofOf(shown, () => openApi.beginLogin({}))
  const result = await openApi.authenticate({ ...proof, userId: name, deviceToken: device.token })
  device.keep(result.deviceToken)
  return goOn(result)
}

/** One step of proving presence anew; at its end the session goes on under another token. @throws ERR_LOGIN_REFUSED, ERR_AUTH_FAILED */
export async function proveSelf(shown: ShownProof): Promise<Unfinished | undefined> {
  return goOn(await api.authenticateStepUp(await proofOf(shown, () => api.beginStepUp({}))))
}

async function proofOf({ type, code, before }: ShownProof, begin: () => ReturnType<typeof openApi.beginLogin>) {
  const flow = before?.flow ?? undefined
  if (type === 'totp') return { flow, totpCode: code.replaceAll(/\s/g, '') }
  if (type === 'recovery') return { flow, recoveryCode: code.trim() }
  const begun = await begin()
  return { flow, webAuthnResponse: { flow: begun.flow, response: await askPasskey(begun.options) } }
}

function goOn({ sessionToken, missing, flow }: Result): Unfinished | undefined {
  if (sessionToken === null) return { missing, flow }
  session.start(sessionToken)
  return undefined
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
