import { base64url, type Clock, fromBase64, fromHex, MeshError, type Random } from '../base/index.ts'
import { createFlows, flowLifeMs } from './flows.ts'
import type { CreationOptions, RequestOptions } from './options.ts'
import type { StoredCredential } from './records.ts'
import type { Refuse } from './refusals.ts'
import type { Ceremony } from './types.ts'
import type { UserBook, UserEntry } from './user-book.ts'
import { algorithms, type NewPasskey, rpId, verifyAssertion, verifyRegistration } from './webauthn.ts'
import { assertionForm, type AssertionForm, registrationForm, type RegistrationForm } from './webauthn-forms.ts'

interface RegistrationFlow {
  readonly ceremony: 'registration'
  readonly challenge: Uint8Array
  /** For a new user by a link, or one more passkey of a user who is logged in. */
  readonly invite?: string | undefined
  readonly session?: string | undefined
  readonly userId: string
  readonly name: string
}
interface LoginFlow {
  readonly ceremony: 'login'
  readonly challenge: Uint8Array
  /** When a name was given: an id, or nobody's. */
  readonly user?: string | undefined
}
export interface StepUpFlow {
  readonly ceremony: 'step_up'
  readonly challenge: Uint8Array
  readonly session: string
  readonly user: string
  readonly act: string
  /** What the challenge is the hash of, where something is approved. */
  readonly statement?: Uint8Array
}
/** What a ceremony was begun for; the challenge is part of it and never comes back from outside. */
export type Flow = RegistrationFlow | LoginFlow | StepUpFlow
interface FlowOf {
  readonly registration: RegistrationFlow
  readonly login: LoginFlow
  readonly step_up: StepUpFlow
}

/** An answer that was right, and the id of whose it is. */
export interface CheckedAssertion {
  readonly user: string
  readonly credential: StoredCredential
  readonly form: AssertionForm
}

export interface Passkeys {
  creationOptions(flow: RegistrationFlow, known: readonly StoredCredential[]): Begun<CreationOptions>
  requestOptions(flow: LoginFlow | StepUpFlow, allowed: readonly StoredCredential[]): Begun<RequestOptions>
  /** A challenge of chance alone. */
  challenge(): Uint8Array
  /** Ends a registration. @throws ERR_LOGIN_REFUSED after writing down why */
  register(flow: string, response: unknown): Promise<{ readonly flow: RegistrationFlow; readonly passkey: NewPasskey; readonly form: RegistrationForm }>
  /** Ends a login or step-up. The book remembers the passkey's counter, and the caller writes it. @throws ERR_LOGIN_REFUSED after writing down why */
  assert<C extends 'login' | 'step_up'>(
    ceremony: C,
    flow: string,
    response: unknown,
    session?: string,
  ): Promise<CheckedAssertion & { readonly flow: FlowOf[C] }>
  /** Ceremonies of a link or session that is over. */
  drop(owner: string): void
}

export interface Begun<T> {
  readonly flow: string
  readonly options: T
}

export interface PasskeysOptions {
  readonly clock: Clock
  readonly random: Random
  readonly book: UserBook
  readonly refuse: Refuse
  /** Scheme, host and port of our own pages. @throws while nothing is served */
  origin(): string
  /** Given to the `prf` extension, so that a passkey can also open the vault. */
  prfSalt?(): Uint8Array | undefined
  /** Puts a passkey out of use. */
  disable(user: UserEntry, credential: StoredCredential, reason: string): Promise<void>
}

// The base point of P-256 as a key: where there is no such passkey the same work is done in vain.
const nobodysKey = fromHex(
  'a50102032620012158206b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2962258204fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
)
const nobodysPasskey = { publicKey: nobodysKey, algorithm: -7, counter: 0 }

/** The three ceremonies of passkeys, over challenges that are used once. Source: auth/v1 section 3. */
export function createPasskeys({ clock, random, book, refuse, origin, prfSalt, disable }: PasskeysOptions): Passkeys {
  const flows = createFlows<Flow>({ clock, random })
  const prf = (): CreationOptions['extensions'] => {
    const salt = prfSalt?.()
    return salt === undefined ? {} : { prf: { eval: { first: base64url(salt) } } }
  }
  /** @throws ERR_LOGIN_REFUSED when there is none, or one that was begun for something else */
  async function taken<C extends Ceremony>(ceremony: C, id: string): Promise<FlowOf[C]> {
    const flow = flows.take(id)
    if (flow === undefined) throw await refuse({ ceremony, reason: 'flow' })
    if (flow.isLate) throw await refuse({ ceremony, reason: 'expired' })
    if (flow.value.ceremony !== ceremony) throw await refuse({ ceremony, reason: 'ceremony' })
    return flow.value as FlowOf[C]
  }
  const described = ({ id, transports }: StoredCredential) => ({ id: base64url(id), type: 'public-key' as const, transports: [...transports] })

  return {
    challenge: () => random.bytes(32),
    creationOptions(flow, known) {
      origin()
      const options = {
        rp: { name: 'kindmesh', id: rpId },
        user: { id: flow.userId, name: flow.name, displayName: flow.name },
        challenge: base64url(flow.challenge),
        pubKeyCredParams: algorithms.map((alg) => ({ alg, type: 'public-key' as const })),
        timeout: flowLifeMs,
        attestation: 'none' as const,
        excludeCredentials: known.map(described),
        // Known to the authenticator by itself: a login names no passkey to whoever asks.
        authenticatorSelection: { residentKey: 'required' as const, requireResidentKey: true, userVerification: 'required' as const },
        extensions: { credProps: true, ...prf() },
      } satisfies CreationOptions
      return { flow: flows.open(flow, flow.invite ?? flow.session), options }
    },
    requestOptions(flow, allowed) {
      origin()
      const options = {
        rpId,
        challenge: base64url(flow.challenge),
        allowCredentials: allowed.map(described),
        timeout: flowLifeMs,
        userVerification: 'required' as const,
        // Of a step-up all must fit an approval.
        extensions: flow.ceremony === 'login' ? prf() : {},
      } satisfies RequestOptions
      return { flow: flows.open(flow, flow.ceremony === 'login' ? undefined : flow.session), options }
    },
    async register(id, response) {
      const flow = await taken('registration', id)
      const form = registrationForm.safeParse(response)
      if (!form.success) throw await refuse({ ceremony: 'registration', reason: 'malformed' })
      const verdict = await verifyRegistration(form.data, { challenge: flow.challenge, origin: origin() })
      if (!verdict.ok) throw await refuse({ ceremony: 'registration', reason: verdict.reason })
      const holder = book.holder(verdict.passkey.id)
      if (holder !== undefined) throw await refuse({ ceremony: 'registration', reason: 'credential_taken', user: holder.user.id })
      return { flow, passkey: verdict.passkey, form: form.data }
    },
    async assert(ceremony, id, response, session) {
      const flow = await taken(ceremony, id)
      const begun: LoginFlow | StepUpFlow = flow
      const form = assertionForm.safeParse(response)
      if (!form.success) throw await refuse({ ceremony, reason: 'malformed' })
      const { rawId, response: answer } = form.data
      const holder = book.holder(rawId)
      const facts = { ceremony, user: holder?.user.id, credential: holder === undefined ? undefined : base64url(rawId) }
      const passkey = holder?.credential ?? nobodysPasskey
      const verdict = await verifyAssertion(form.data, { challenge: begun.challenge, origin: origin(), passkey })
      if (holder === undefined) throw await refuse({ ...facts, reason: 'credential_unknown' })
      if (!verdict.ok) {
        if (verdict.reason === 'counter' && !holder.credential.disabled) await disable(holder.user, holder.credential, 'counter')
        throw await refuse({ ...facts, reason: verdict.reason })
      }
      if (holder.credential.disabled) throw await refuse({ ...facts, reason: 'credential_disabled' })
      const handle = answer.userHandle === undefined ? undefined : base64url(answer.userHandle)
      // A login says who it is by the handle alone; elsewhere it may be left out, never another's.
      if (handle === undefined ? ceremony === 'login' : handle !== holder.user.id) throw await refuse({ ...facts, reason: 'user_handle' })
      if (begun.user !== undefined && begun.user !== holder.user.id) throw await refuse({ ...facts, reason: 'user_other' })
      if (begun.ceremony === 'step_up' && begun.session !== session) throw await refuse({ ...facts, reason: 'session_other' })
      const credential: StoredCredential = { ...holder.credential, counter: verdict.counter, backedUp: verdict.backedUp, lastUsedAt: clock.now() }
      // The next answer is held against this counter, before it is on disk; whoever goes on writes the user as remembered.
      book.remember(withCredential(holder.user, credential))
      return { flow, credential, form: form.data, user: holder.user.id }
    },
    drop: (owner) => flows.drop(owner),
  }
}

export const withCredential = (user: UserEntry, credential: StoredCredential): UserEntry => ({
  ...user,
  credentials: [...user.credentials.filter(({ id }) => base64url(id) !== base64url(credential.id)), credential],
})

/** The bytes of an id that came as text. @throws ERR_USAGE */
export function credentialIdOf(text: string): Uint8Array {
  const id = text.length <= 1_364 ? fromBase64(text) : undefined
  if (id === undefined) throw new MeshError('ERR_USAGE', 'no id of a passkey', { hint: 'see `kindmesh user list`' })
  return id
}
