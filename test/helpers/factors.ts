import { Secret } from 'otpauth'
import { createSeededRandom, createTurns, createVirtualClock, type VirtualClock } from '../../src/base/index.ts'
import { createAuthenticator, type VerifiedAssertion } from '../../src/auth/authenticate.ts'
import { type Codes, createCodes } from '../../src/auth/codes.ts'
import type { AuthEvent } from '../../src/auth/types.ts'
import { sealedFactorSecrets } from '../../src/auth/factor-secrets.ts'
import type { AuthenticationChallenge, AuthenticationContext, AuthenticationResult, FactorType } from '../../src/auth/factors.ts'
import type { FactorPolicy } from '../../src/auth/policies.ts'
import { totpCode, totpStepAt } from '../../src/auth/totp.ts'
import { createLocalBox } from '../../src/crypto/index.ts'
import { createMemoryStore, type MemoryStore, type Store } from '../../src/store/index.ts'
import { prefixed } from '../../src/store/prefixed.ts'

export interface World {
  readonly clock: VirtualClock
  readonly store: MemoryStore
  readonly codes: Codes
  readonly events: AuthEvent[]
  /** Sessions that were opened, with their factors. */
  readonly sessions: { readonly userId: string; readonly factors: readonly FactorType[] }[]
  readonly login: (challenge: AuthenticationChallenge) => Promise<AuthenticationResult>
  /** Everything made anew over what is on the disk. */
  reopen(): World
}

export interface WorldOptions {
  readonly policy?: FactorPolicy
  readonly threshold?: number
  readonly store?: MemoryStore
  readonly clock?: VirtualClock
}

export const anna = { id: 'u-anna', name: 'anna' }
export const ben = { id: 'u-ben', name: 'ben' }
export const here: AuthenticationContext = { isLoopback: true }

/** Two people, and passkeys that say themselves whose they are. */
export function factorWorld({ policy = [['totp']], threshold = 0.5, store = createMemoryStore(), clock = createVirtualClock() }: WorldOptions = {}): World {
  const random = createSeededRandom(clock.now() % 2 ** 31)
  const inTurn = createTurns()
  // Calls of sub stores go through the store's own, where a test can count them.
  const counted: Store = { ...store, get: (key) => store.get(key), durable: (ops) => store.durable(ops), sub: (prefix) => prefixed(counted, prefix) }
  const events: AuthEvent[] = []
  const sessions: World['sessions'] = []
  const record = async (event: AuthEvent, ops: Parameters<MemoryStore['durable']>[0]): Promise<void> => {
    await store.durable(ops)
    events.push(event)
  }
  const secrets = sealedFactorSecrets({ store: counted.sub('factor-secrets'), box: createLocalBox(new Uint8Array(32).fill(7), random) })
  const codes = createCodes({ store: counted.sub('factors'), secrets, clock, random, record, issuer: 'kindmesh', inTurn })
  const attempt = createAuthenticator({
    store: counted.sub('factors'),
    codes,
    clock,
    random,
    record,
    inTurn,
    findUser: (named: string) => [anna, ben].find(({ id, name }) => id === named || name === named),
    ceremony: 'login',
    verifyAssertion: async ({ response }) =>
      response === undefined ? undefined : { credential: new Uint8Array(16), ...(response as Omit<VerifiedAssertion, 'credential'>) },
    isHeld: () => true,
    policyOf: () => policy,
    contextThreshold: () => threshold,
    wait: async ({ id }, { factors, ops }, missing) => await record({ kind: 'user_factors_passed', user: id, factors, missing }, ops),
    async enter({ id }, { factors, ops }) {
      await store.durable(ops)
      sessions.push({ userId: id, factors })
      return { session: { token: `session ${sessions.length}`, expiresAt: clock.now() + 1 } }
    },
  })
  const login: World['login'] = async (challenge) => (await attempt(challenge)).result
  return {
    clock,
    store,
    codes,
    events,
    sessions,
    login,
    reopen() {
      store.crash()
      return factorWorld({ policy, threshold, store, clock })
    },
  }
}

/** Enrols an app; gives what it shows at a time, now unless said. */
export async function enrolApp({ codes, clock }: World, user = anna): Promise<(at?: number) => string> {
  const { flow, secret } = codes.beginTotp(user)
  const bytes = Secret.fromBase32(secret).bytes
  const shown = (at = clock.now()): string => totpCode(bytes, totpStepAt(at))
  await codes.finishTotp(user.id, flow, shown())
  clock.jump(60_000)
  return shown
}
