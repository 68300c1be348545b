import { type Clock, type Did, didFromKey, equal, MeshError, type Random } from '../base/index.ts'
import { createSigner } from '../crypto/index.ts'
import { type Chain, readChain, recoveryHashOf } from './chain.ts'
import { type ChainStatement, commitmentOf, openChainStatement, signInception, signSuccession } from './chain-statements.ts'
import { createKeyring, type Keyring } from './keyring.ts'
import type { RecoveryKey } from './recovery-key.ts'

/** All that makes an identity one's own. Secret. */
export interface OwnKeys {
  /** Root of the keys for data at rest; it outlives rotations. */
  readonly rootKey: Uint8Array
  /** Of the key in force. */
  readonly seed: Uint8Array
  /** Of the key committed to; missing, as the chain is empty, for an identity made before there were chains. */
  readonly next: Uint8Array | undefined
  /** Of the recovery key; missing once it was exported. */
  readonly recovery: Uint8Array | undefined
  readonly chain: readonly Uint8Array[]
  /** ms */
  readonly createdAt: number
}

/** Where keys rest, sealed. Only one process may write to a place at a time. */
export interface SealedPlace {
  /** Undefined when it holds no identity. @throws ERR_SEALED, ERR_AUTH_FAILED */
  read(): Promise<OwnKeys | undefined>
  /** Whole or not at all, and on disk when it resolves: a crash leaves what was there or what comes. */
  write(keys: OwnKeys): Promise<void>
}

export interface OwnKeysOptions {
  readonly place: SealedPlace
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}

/** Fresh keys with their inception, not written anywhere yet. */
export const newKeys = ({ clock, random }: Omit<OwnKeysOptions, 'place'>): OwnKeys =>
  begin({ seed: random.bytes(32), rootKey: random.bytes(32), createdAt: clock.now() }, { clock, random })

/** Who the keys belong to. @throws ERR_IDENTITY_CHAIN */
export const identityOf = ({ chain, seed }: Pick<OwnKeys, 'chain' | 'seed'>): Did =>
  chain.length === 0 ? didFromKey(createSigner(seed).publicKey) : chainOf(chain).did

/** The keyring of what a place holds. @throws ERR_PROFILE_MISSING when that is nothing */
export async function openKeys({ place, random }: Pick<OwnKeysOptions, 'place' | 'random'>): Promise<Keyring> {
  return createKeyring(await held(place), random)
}

/**
 * Puts the next key in force and commits to another; with `newRecovery` also to a fresh recovery key, to be exported. The old seed is gone from the place: whatever it signed is verified without it.
 * @throws ERR_IDENTITY_CHAIN, ERR_WIRE_TOO_LARGE for a chain at its end
 */
export async function rotateKeys(options: OwnKeysOptions & { readonly newRecovery?: boolean }): Promise<Keyring> {
  const { clock, random, place } = options
  const keys = await held(place)
  const tip = chainOf(keys.chain).path.at(-1)
  if (keys.next === undefined || tip === undefined) throw new MeshError('ERR_IDENTITY_CHAIN', 'there is no next key')
  const next = random.bytes(32)
  const recovery = options.newRecovery === true ? random.bytes(32) : undefined
  const recoveryHash = recovery === undefined ? undefined : commitmentOfSeed(recovery)
  const succession = signSuccession(keys.next, { tip, nextHash: commitmentOfSeed(next), recoveryHash, now: clock.now(), random })
  return await write({ ...keys, seed: keys.next, next, recovery: recovery ?? keys.recovery, chain: [...keys.chain, succession.bytes] }, options)
}

/**
 * Hands over the recovery key, then erases it from the place: from here on only the holder of the copy has it.
 * @throws ERR_NOT_FOUND when it was exported before; whatever `deliver` throws, and the place keeps the key
 */
export async function exportRecovery(options: OwnKeysOptions & { deliver(key: RecoveryKey): Promise<void> }): Promise<void> {
  const keys = await held(options.place)
  if (keys.recovery === undefined) {
    throw new MeshError('ERR_NOT_FOUND', 'the recovery key was exported before', { hint: 'use the copy made then; `kindmesh id recover` makes a new one' })
  }
  await options.deliver({ did: identityOf(keys), seed: keys.recovery, chain: keys.chain })
  await options.place.write({ ...(await held(options.place)), recovery: undefined })
}

/**
 * The identity taken back with its recovery key, not written anywhere yet: a fresh key in force, a fresh next and recovery key. `known` are statements learnt
 * elsewhere, such as those of a thief; `own` is what the place holds. @throws ERR_IDENTITY_CHAIN when the key is not of that identity
 */
export function recovered(
  own: OwnKeys | undefined,
  { recovery, known, clock, random }: Omit<OwnKeysOptions, 'place'> & { readonly recovery: RecoveryKey; readonly known: readonly ChainStatement[] },
): OwnKeys {
  if (own !== undefined && identityOf(own) !== recovery.did) {
    throw new MeshError('ERR_IDENTITY_CHAIN', 'the recovery key is of another identity than this profile', { hint: 'use another --home' })
  }
  const statements = [...(own?.chain ?? []), ...recovery.chain].map(openChainStatement)
  const chain = readChain([...statements, ...known.filter(({ did }) => did === recovery.did)].map((statement) => ({ ...statement, seenAt: clock.now() })))
  const base = baseFor(chain, recovery.seed)
  const next = random.bytes(32)
  const after = random.bytes(32)
  const tip = base.at(-1) as ChainStatement
  const commitments = { nextHash: commitmentOfSeed(next), recoveryHash: commitmentOfSeed(after) }
  const succession = signSuccession(recovery.seed, { tip, ...commitments, now: clock.now(), random })
  return {
    rootKey: own?.rootKey ?? random.bytes(32),
    seed: recovery.seed,
    next,
    recovery: after,
    chain: [...base.map(({ signed }) => signed.bytes), succession.bytes],
    createdAt: own?.createdAt ?? clock.now(),
  }
}

/** The chain up to the last statement that this recovery key answers to. */
function baseFor(chain: Chain, recoverySeed: Uint8Array): readonly ChainStatement[] {
  const commitment = commitmentOfSeed(recoverySeed)
  for (let length = chain.path.length; length > 0; length--) {
    const path = chain.path.slice(0, length)
    const hash = recoveryHashOf({ ...chain, path })
    if (hash !== undefined && equal(hash, commitment)) return path
  }
  throw new MeshError('ERR_IDENTITY_CHAIN', 'this is not the recovery key of that identity', { hint: 'the newest copy counts: each recovery makes a new key' })
}

const commitmentOfSeed = (seed: Uint8Array): Uint8Array => commitmentOf(createSigner(seed).publicKey)

/** The chain as its statements say, with no memory of when they were seen. @throws ERR_IDENTITY_CHAIN */
export const chainOf = (chain: readonly Uint8Array[]): Chain => readChain(chain.map((bytes) => ({ ...openChainStatement(bytes), seenAt: 0 })))

/** The keys with an inception, which those made before there were chains get now. */
export const begun = (keys: OwnKeys, options: Omit<OwnKeysOptions, 'place'>): OwnKeys => (keys.chain.length > 0 ? keys : begin(keys, options))

function begin({ seed, rootKey, createdAt }: Pick<OwnKeys, 'seed' | 'rootKey' | 'createdAt'>, { random, clock }: Omit<OwnKeysOptions, 'place'>): OwnKeys {
  const next = random.bytes(32)
  const recovery = random.bytes(32)
  const commitments = { nextHash: commitmentOfSeed(next), recoveryHash: commitmentOfSeed(recovery) }
  const inception = signInception(seed, { ...commitments, now: clock.now(), random })
  return { seed, rootKey, next, recovery, chain: [inception.bytes], createdAt }
}

async function held(place: SealedPlace): Promise<OwnKeys> {
  const keys = await place.read()
  if (keys === undefined) throw new MeshError('ERR_PROFILE_MISSING', 'there is no identity yet')
  return keys
}

async function write(keys: OwnKeys, { place, random }: OwnKeysOptions): Promise<Keyring> {
  await place.write(keys)
  return createKeyring(keys, random)
}
