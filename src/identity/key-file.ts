import { chmod, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { base64, type Clock, type Did, didFromKey, equal, fromBase64, MeshError, type Random, utf8 } from '../base/index.ts'
import { createLocalBox, createSigner, deriveFromPassphrase, deriveKey, type PassphraseParams, passphraseParams, saltBytesLength } from '../crypto/index.ts'
import { type Chain, readChain, recoveryHashOf } from './chain.ts'
import { type ChainStatement, commitmentOf, openChainStatement, signInception, signSuccession } from './chain-statements.ts'
import { parseDid } from './did.ts'
import { createKeyring, type Keyring } from './keyring.ts'
import { createPrivateFile, type FileCalls, realFiles, replacePrivateFile } from './private-file.ts'
import type { RecoveryKey } from './recovery-key.ts'

export const keyFileBytesMax = 64 * 1024
const keyBytes = z.string().transform((text, context) => {
  const bytes = fromBase64(text)
  if (bytes === undefined) context.addIssue('not base64')
  return bytes ?? new Uint8Array()
})

/** One way to unlock the root key. The vault adds further kinds. Source: identity/v1 section 3. */
const passphraseSlot = z.object({
  kind: z.literal('passphrase'),
  kdf: z.literal('argon2id'),
  memoryKiB: z.int(),
  iterations: z.int(),
  parallelism: z.int(),
  salt: keyBytes,
  rootKey: keyBytes,
})
const common = { did: z.string(), createdAt: z.int(), slots: z.array(passphraseSlot).min(1).max(8), seed: keyBytes }
const keyFileSchema = z.discriminatedUnion('schema', [
  z.object({ schema: z.literal('kindmesh.key-file/1'), ...common }),
  z.object({
    schema: z.literal('kindmesh.key-file/2'),
    ...common,
    /** Seed of the key committed to. */
    next: keyBytes,
    /** Seed of the recovery key until it is exported. */
    recovery: keyBytes.optional(),
    chain: z.array(keyBytes).min(1).max(32),
  }),
])
type KeyFile = z.infer<typeof keyFileSchema>

/** Binds a slot to the identity and to its own parameters: nobody weakens them unseen. */
const slotContext = (did: string, { kdf, memoryKiB, iterations, parallelism, salt }: PassphraseParams): Uint8Array =>
  utf8(`kindmesh.key-file/1 slot ${did} ${kdf} ${memoryKiB} ${iterations} ${parallelism} ${base64(salt)}`)
/** Binds a seed to the identity, to what it is for and to the place in the chain, so that two cannot be exchanged. */
const seedContext = (did: string, { what, chain }: { readonly what: 'seed' | 'next' | 'recovery'; readonly chain: readonly unknown[] }): Uint8Array =>
  utf8(chain.length === 0 ? `kindmesh.key-file/1 seed ${did}` : `kindmesh.key-file/2 ${what} ${did} ${chain.length - 1}`)

export interface KeyFileOptions {
  readonly path: string
  readonly passphrase: Uint8Array
  readonly random: Random
}

export interface KeyFileChange extends KeyFileOptions {
  readonly clock: Pick<Clock, 'now'>
  readonly files?: FileCalls
}

/** All that a key file holds, opened. `recovery` is missing once it was exported. */
interface Secrets {
  readonly rootKey: Uint8Array
  readonly seed: Uint8Array
  readonly next: Uint8Array | undefined
  readonly recovery: Uint8Array | undefined
  readonly chain: readonly Uint8Array[]
}

/** Creates an identity with its inception, and its file (mode 0600). @throws ERR_PROFILE_EXISTS when there is one, which is left as it is */
export async function createKeyFile(options: KeyFileChange): Promise<Keyring> {
  const { path, random, clock, files = realFiles } = options
  const secrets = begin({ seed: random.bytes(32), rootKey: random.bytes(32) }, options)
  const { text, keyring } = await newFile(secrets, { ...options, createdAt: clock.now() })
  await prepareFolder(path)
  await createPrivateFile(path, text, random, files)
  return keyring
}

/** What the file says without its passphrase. @throws ERR_PROFILE_MISSING, ERR_STORE_FAILED, ERR_AUTH_FAILED when its chain was altered */
export async function readKeyFile(path: string): Promise<KeyFile & { readonly did: Did; readonly current: Did; readonly seq: number }> {
  let text: string
  try {
    if ((await stat(path)).size > keyFileBytesMax) throw new MeshError('ERR_STORE_FAILED', `${path} is no key file: too large`)
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw new MeshError('ERR_PROFILE_MISSING', `no identity in ${dirname(path)}`, { cause })
    throw cause instanceof MeshError ? cause : new MeshError('ERR_STORE_FAILED', `${path} cannot be read`, { cause })
  }
  let file: KeyFile & { readonly did: Did }
  try {
    const parsed = keyFileSchema.parse(JSON.parse(text))
    file = { ...parsed, did: parseDid(parsed.did) }
  } catch (cause) {
    throw new MeshError('ERR_STORE_FAILED', `${path} is damaged`, { cause, hint: 'restore it from a backup' })
  }
  return { ...file, ...endOf(file) }
}

/** The key in force by the chain of the file. An altered chain looks like any other alteration. @throws ERR_AUTH_FAILED */
function endOf(file: KeyFile & { readonly did: Did }): { readonly current: Did; readonly seq: number } {
  if (file.schema === 'kindmesh.key-file/1') return { current: file.did, seq: 0 }
  try {
    const chain = chainOf(file.chain)
    if (chain.did === file.did && chain.status === 'active' && chain.path.length === file.chain.length) return { current: chain.current, seq: chain.seq }
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
  }
  throw wrongOrAltered()
}

const wrongOrAltered = (): MeshError => new MeshError('ERR_AUTH_FAILED', 'wrong passphrase, or the key file was altered')

/** Unlocks the identity. @throws ERR_AUTH_FAILED for a wrong passphrase or an altered file, the two looking alike */
export async function openKeyFile(options: KeyFileOptions): Promise<Keyring> {
  const { secrets } = await unlock(options)
  return createKeyring(secrets, options.random)
}

/** Gives an identity made before there were chains its inception; does nothing to another. Only one process may do so at a time. */
export async function beginChain(options: KeyFileChange): Promise<Keyring> {
  const { file, secrets } = await unlock(options)
  return secrets.chain.length > 0 ? createKeyring(secrets, options.random) : await rewrite(file, begin(secrets, options), options)
}

/**
 * Puts the next key in force and commits to another; with `newRecovery` also to a fresh recovery key, to be exported. The old seed is gone from the file: whatever it signed is verified without it.
 * Only one process may do so at a time. A crash leaves the old state or the new one. @throws ERR_IDENTITY_CHAIN, ERR_WIRE_TOO_LARGE for a chain at its end
 */
export async function rotateKeyFile(options: KeyFileChange & { readonly newRecovery?: boolean }): Promise<Keyring> {
  const { file, secrets: found } = await unlock(options)
  const secrets = found.chain.length > 0 ? found : begin(found, options)
  const { clock, random } = options
  const tip = chainOf(secrets.chain).path.at(-1)
  if (secrets.next === undefined || tip === undefined) throw new MeshError('ERR_IDENTITY_CHAIN', 'the key file holds no next key')
  const next = random.bytes(32)
  const recovery = options.newRecovery === true ? random.bytes(32) : undefined
  const recoveryHash = recovery === undefined ? undefined : commitmentOfSeed(recovery)
  const succession = signSuccession(secrets.next, { tip, nextHash: commitmentOfSeed(next), recoveryHash, now: clock.now(), random })
  const after: Secrets = { ...secrets, seed: secrets.next, next, recovery: recovery ?? secrets.recovery, chain: [...secrets.chain, succession.bytes] }
  return await rewrite(file, after, options)
}

/**
 * Hands over the recovery key, then erases it from the file: from here on only the holder of the copy has it.
 * @throws ERR_NOT_FOUND when it was exported before; whatever `deliver` throws, and the file keeps the key
 */
export async function exportRecovery(options: KeyFileChange & { deliver(key: RecoveryKey): Promise<void> }): Promise<void> {
  const { file, secrets: found } = await unlock(options)
  const secrets = found.chain.length > 0 ? found : begin(found, options)
  if (secrets.recovery === undefined) {
    throw new MeshError('ERR_NOT_FOUND', 'the recovery key was exported before', { hint: 'use the copy made then; `kindmesh id recover` makes a new one' })
  }
  if (found !== secrets) await rewrite(file, secrets, options)
  await options.deliver({ did: chainOf(secrets.chain).did, seed: secrets.recovery, chain: secrets.chain })
  const { path, passphrase, random, clock } = options
  const again = await unlock({ path, passphrase, random })
  await rewrite(again.file, { ...again.secrets, recovery: undefined }, { ...options, clock })
}

/**
 * Takes the identity back with its recovery key: a fresh key in force, a fresh next and recovery key. `known` are statements learnt elsewhere,
 * such as those of a thief. Works on the profile's own file or makes one. @throws ERR_IDENTITY_CHAIN when the key is not of that identity
 */
export async function recoverKeyFile(options: KeyFileChange & { readonly recovery: RecoveryKey; readonly known: readonly ChainStatement[] }): Promise<Keyring> {
  const { path, recovery, known, random, clock, files = realFiles } = options
  const own = await unlock(options).catch((error: unknown) => {
    if (error instanceof MeshError && error.code === 'ERR_PROFILE_MISSING') return undefined
    throw error
  })
  if (own !== undefined && own.file.did !== recovery.did) {
    throw new MeshError('ERR_IDENTITY_CHAIN', 'the recovery key is of another identity than this profile', { hint: 'use another --home' })
  }
  const statements = [...(own?.secrets.chain ?? []), ...recovery.chain].map(openChainStatement)
  const chain = readChain([...statements, ...known.filter(({ did }) => did === recovery.did)].map((statement) => ({ ...statement, seenAt: clock.now() })))
  const base = baseFor(chain, recovery.seed)
  const next = random.bytes(32)
  const after = random.bytes(32)
  const tip = base.at(-1) as ChainStatement
  const commitments = { nextHash: commitmentOfSeed(next), recoveryHash: commitmentOfSeed(after) }
  const succession = signSuccession(recovery.seed, { tip, ...commitments, now: clock.now(), random })
  const secrets: Secrets = {
    rootKey: own?.secrets.rootKey ?? random.bytes(32),
    seed: recovery.seed,
    next,
    recovery: after,
    chain: [...base.map(({ signed }) => signed.bytes), succession.bytes],
  }
  if (own !== undefined) return await rewrite(own.file, secrets, options)
  const { text, keyring } = await newFile(secrets, { ...options, createdAt: clock.now() })
  await prepareFolder(path)
  await createPrivateFile(path, text, random, files)
  return keyring
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

const chainOf = (chain: readonly Uint8Array[]): Chain => readChain(chain.map((bytes) => ({ ...openChainStatement(bytes), seenAt: 0 })))

function begin({ seed, rootKey }: Pick<Secrets, 'seed' | 'rootKey'>, { random, clock }: Pick<KeyFileChange, 'random' | 'clock'>): Secrets {
  const next = random.bytes(32)
  const recovery = random.bytes(32)
  const commitments = { nextHash: commitmentOfSeed(next), recoveryHash: commitmentOfSeed(recovery) }
  const inception = signInception(seed, { ...commitments, now: clock.now(), random })
  return { seed, rootKey, next, recovery, chain: [inception.bytes] }
}

async function unlock({ path, passphrase, random }: KeyFileOptions): Promise<{ readonly file: KeyFile; readonly secrets: Secrets }> {
  const file = await readKeyFile(path)
  const chain = file.schema === 'kindmesh.key-file/2' ? file.chain : []
  for (const slot of file.slots) {
    try {
      const wrappingKey = await deriveFromPassphrase(passphrase, slot)
      const rootKey = createLocalBox(wrappingKey, random).open(slot.rootKey, slotContext(file.did, slot))
      const box = createLocalBox(deriveKey(rootKey, 'identity'), random)
      const open = (what: 'seed' | 'next' | 'recovery', sealed: Uint8Array | undefined): Uint8Array | undefined =>
        sealed === undefined ? undefined : box.open(sealed, seedContext(file.did, { what, chain }))
      const seed = box.open(file.seed, seedContext(file.did, { what: 'seed', chain }))
      const [next, recovery] = file.schema === 'kindmesh.key-file/2' ? [open('next', file.next), open('recovery', file.recovery)] : []
      if (didFromKey(createSigner(seed).publicKey) === file.current) return { file, secrets: { rootKey, seed, next, recovery, chain } }
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
    }
  }
  throw wrongOrAltered()
}

const slotText = (slot: KeyFile['slots'][number]): object => ({ ...slot, salt: base64(slot.salt), rootKey: base64(slot.rootKey) })

/** The seeds as the file holds them. */
function sealed({ rootKey, seed, next, recovery, chain }: Secrets, did: Did, random: Random): object {
  const box = createLocalBox(deriveKey(rootKey, 'identity'), random)
  const seal = (what: 'seed' | 'next' | 'recovery', secret: Uint8Array): string => base64(box.seal(secret, seedContext(did, { what, chain })))
  return {
    seed: seal('seed', seed),
    ...(next === undefined ? {} : { next: seal('next', next) }),
    ...(recovery === undefined ? {} : { recovery: seal('recovery', recovery) }),
    chain: chain.map(base64),
  }
}

const textOf = (file: object): string => `${JSON.stringify(file, undefined, 2)}\n`

async function newFile(
  secrets: Secrets,
  { passphrase, random, createdAt }: KeyFileOptions & { readonly createdAt: number },
): Promise<{ readonly text: string; readonly keyring: Keyring }> {
  const { did } = chainOf(secrets.chain)
  const params: PassphraseParams = { ...passphraseParams, salt: random.bytes(saltBytesLength) }
  const wrappingKey = await deriveFromPassphrase(passphrase, params)
  const rootKey = createLocalBox(wrappingKey, random).seal(secrets.rootKey, slotContext(did, params))
  const slots = [slotText({ kind: 'passphrase', ...params, rootKey })]
  return {
    text: textOf({ schema: 'kindmesh.key-file/2', did, createdAt, slots, ...sealed(secrets, did, random) }),
    keyring: createKeyring(secrets, random),
  }
}

/** The same file, its slots as they were, with other seeds and chain. */
async function rewrite({ did, createdAt, slots }: KeyFile, secrets: Secrets, { path, random, files = realFiles }: KeyFileChange): Promise<Keyring> {
  const chain = chainOf(secrets.chain)
  const text = textOf({ schema: 'kindmesh.key-file/2', did, createdAt, slots: slots.map(slotText), ...sealed(secrets, chain.did, random) })
  await replacePrivateFile(path, text, random, files)
  return createKeyring(secrets, random)
}

async function prepareFolder(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await chmod(dirname(path), 0o700)
}
