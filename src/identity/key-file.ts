import { chmod, link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { base64, type Clock, type Did, didFromKey, fromBase64, hex, MeshError, type Random, utf8 } from '../base/index.ts'
import { createLocalBox, createSigner, deriveFromPassphrase, deriveKey, type PassphraseParams, passphraseParams, saltBytesLength } from '../crypto/index.ts'
import { parseDid } from './did.ts'
import { createKeyring, type Keyring } from './keyring.ts'

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
const keyFileSchema = z.object({
  schema: z.literal('kindmesh.key-file/1'),
  did: z.string(),
  createdAt: z.int(),
  slots: z.array(passphraseSlot).min(1).max(8),
  seed: keyBytes,
})
type KeyFile = z.infer<typeof keyFileSchema>

/** Binds a slot to the identity and to its own parameters: nobody weakens them unseen. */
const slotContext = (did: string, { kdf, memoryKiB, iterations, parallelism, salt }: PassphraseParams): Uint8Array =>
  utf8(`kindmesh.key-file/1 slot ${did} ${kdf} ${memoryKiB} ${iterations} ${parallelism} ${base64(salt)}`)
const seedContext = (did: string): Uint8Array => utf8(`kindmesh.key-file/1 seed ${did}`)

/** Writes `text` so that after a crash the file is whole or absent, and never replaces one. */
async function createPrivateFile(path: string, text: string, random: Random): Promise<void> {
  const temporary = `${path}.${hex(random.bytes(8))}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(temporary, path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw new MeshError('ERR_PROFILE_EXISTS', `${path} exists already; nothing was changed`, { cause })
    throw cause
  } finally {
    await unlink(temporary)
  }
  const folder = await open(dirname(path), 'r')
  await folder.sync().finally(() => folder.close())
}

export interface KeyFileOptions {
  readonly path: string
  readonly passphrase: Uint8Array
  readonly random: Random
}

/** Creates an identity and its file (mode 0600). @throws ERR_PROFILE_EXISTS when there is one, which is left as it is */
export async function createKeyFile({ path, passphrase, random, clock }: KeyFileOptions & { readonly clock: Clock }): Promise<Keyring> {
  const seed = random.bytes(32)
  const rootKey = random.bytes(32)
  const did = didFromKey(createSigner(seed).publicKey)
  const params: PassphraseParams = { ...passphraseParams, salt: random.bytes(saltBytesLength) }
  const wrappingKey = await deriveFromPassphrase(passphrase, params)
  const file = {
    schema: 'kindmesh.key-file/1',
    did,
    createdAt: clock.now(),
    slots: [
      {
        kind: 'passphrase',
        ...params,
        salt: base64(params.salt),
        rootKey: base64(createLocalBox(wrappingKey, random).seal(rootKey, slotContext(did, params))),
      },
    ],
    seed: base64(createLocalBox(deriveKey(rootKey, 'identity'), random).seal(seed, seedContext(did))),
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await chmod(dirname(path), 0o700)
  await createPrivateFile(path, `${JSON.stringify(file, undefined, 2)}\n`, random)
  return createKeyring({ seed, rootKey }, random)
}

/** What the file says without its passphrase. @throws ERR_PROFILE_MISSING, ERR_STORE_FAILED */
export async function readKeyFile(path: string): Promise<KeyFile & { readonly did: Did }> {
  let text: string
  try {
    if ((await stat(path)).size > keyFileBytesMax) throw new MeshError('ERR_STORE_FAILED', `${path} is no key file: too large`)
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw new MeshError('ERR_PROFILE_MISSING', `no identity in ${dirname(path)}`, { cause })
    throw cause instanceof MeshError ? cause : new MeshError('ERR_STORE_FAILED', `${path} cannot be read`, { cause })
  }
  try {
    const file = keyFileSchema.parse(JSON.parse(text))
    return { ...file, did: parseDid(file.did) }
  } catch (cause) {
    throw new MeshError('ERR_STORE_FAILED', `${path} is damaged`, { cause, hint: 'restore it from a backup' })
  }
}

/** Unlocks the identity. @throws ERR_AUTH_FAILED for a wrong passphrase or an altered file, the two looking alike */
export async function openKeyFile({ path, passphrase, random }: KeyFileOptions): Promise<Keyring> {
  const file = await readKeyFile(path)
  for (const slot of file.slots) {
    try {
      const wrappingKey = await deriveFromPassphrase(passphrase, slot)
      const rootKey = createLocalBox(wrappingKey, random).open(slot.rootKey, slotContext(file.did, slot))
      const seed = createLocalBox(deriveKey(rootKey, 'identity'), random).open(file.seed, seedContext(file.did))
      const keyring = createKeyring({ seed, rootKey }, random)
      if (keyring.did === file.did) return keyring
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
    }
  }
  throw new MeshError('ERR_AUTH_FAILED', 'wrong passphrase, or the key file was altered')
}
