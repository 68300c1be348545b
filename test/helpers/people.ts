import {
  type Auth,
  type AuthEvent,
  type FactorPolicy,
  loginPolicyDefault,
  openAuth,
  type OpenedSession,
  sealedFactorSecrets,
  stepUpPolicyDefault,
} from '../../src/auth/index.ts'
import { createSeededRandom, createVirtualClock, type Did, didFromKey, hourMs, minuteMs, silentLogger, type VirtualClock } from '../../src/base/index.ts'
import { createLocalBox } from '../../src/crypto/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { type Authenticator, createAuthenticator } from './authenticator.ts'

export const origin = 'http://localhost:4180'
export const nodeDid: Did = didFromKey(new Uint8Array(32).fill(7))

/** The room of people over a memory store, with what it wrote down. */
export interface PeopleWorld {
  readonly auth: Auth
  readonly store: MemoryStore
  readonly clock: VirtualClock
  readonly events: AuthEvent[]
  /** The last refusal's reason. */
  refusal(): string | undefined
  /** The room opened again over the same store, as after a restart. */
  again(): Promise<PeopleWorld>
}

export interface WorldOptions {
  readonly store?: MemoryStore
  readonly clock?: VirtualClock
  readonly seed?: number
  readonly events?: AuthEvent[]
  /** What logins need. */
  readonly policy?: FactorPolicy
  /** Called when a login asks for it: its proofs have held, and nothing is open yet. */
  readonly onPolicy?: () => void
  /** What step-ups need. */
  readonly stepUp?: FactorPolicy
}

export async function openPeople({
  store = createMemoryStore(),
  clock = createVirtualClock(),
  seed = 1,
  events = [],
  policy = loginPolicyDefault,
  onPolicy = () => undefined,
  stepUp = stepUpPolicyDefault,
}: WorldOptions = {}): Promise<PeopleWorld> {
  const random = createSeededRandom(seed)
  const auth = await openAuth({
    ...{ store, clock, random, logger: silentLogger, did: nodeDid },
    async record(event, ops) {
      await store.durable(ops)
      events.push(event)
    },
    origin: () => origin,
    life: () => ({ absoluteMs: 8 * hourMs, idleMs: 30 * minuteMs }),
    rules: {
      policy() {
        onPolicy()
        return policy
      },
      stepUp: () => stepUp,
      contextThreshold: () => 0.5,
    },
    secrets: sealedFactorSecrets({ store: store.sub('factor-secrets'), box: createLocalBox(new Uint8Array(32).fill(3), random) }),
    prfSalt: () => new Uint8Array(32).fill(9),
  })
  return {
    ...{ auth, store, clock, events },
    refusal: () => events.findLast((event) => event.kind === 'user_login_failed')?.reason,
    async again() {
      auth.stop()
      return await openPeople({ store, clock, seed: seed + 1, events, policy, stepUp })
    },
  }
}

export interface Person {
  readonly id: string
  readonly device: Authenticator
  session: OpenedSession
}

/** A new user by a link of the role: the first is the owner. */
export async function enrol(
  { auth }: Pick<PeopleWorld, 'auth'>,
  name: string,
  role: 'owner' | 'operator' | 'viewer' | 'agent' = 'owner',
  device = createAuthenticator({ origin }),
): Promise<Person> {
  const link = auth.hasOwner() ? await auth.inviteUser({ role }, 'machine') : await auth.ownerLink()
  if (link === undefined) throw new Error('no link')
  const { flow, options } = auth.beginRegistration({ token: link.token }, { name })
  const { user, session } = await auth.finishRegistration({ flow, response: device.create(options) })
  if (session === undefined) throw new Error('no session')
  return { id: user.id, device, session }
}

export async function login({ auth }: Pick<PeopleWorld, 'auth'>, { device }: Person): Promise<OpenedSession> {
  const { flow, options } = auth.beginLogin()
  return (await auth.finishLogin({ flow, response: device.get(options) })).session
}

/** The code of what a promise rejects with; undefined when it does not. */
export const codeOf = async (promise: Promise<unknown>): Promise<string | undefined> =>
  await promise.then(
    () => undefined,
    (error: unknown) => (error as { readonly code?: string }).code ?? String(error),
  )
