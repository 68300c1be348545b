import { z } from 'zod'
import { base64, type Did, didFromKey, fromBase64, MeshError, type Random, utf8 } from '../base/index.ts'
import { createLocalBox, createSigner, deriveFromPassphrase, deriveKey, type PassphraseParams } from '../crypto/index.ts'
import { chainOf, type OwnKeys } from './own-keys.ts'

const keyBytes = z.string().transform((text, context) => {
  const bytes = fromBase64(text)
  if (bytes === undefined) context.addIssue('not base64')
  return bytes ?? new Uint8Array()
})

const passphraseSlot = z.object({
  kind: z.literal('passphrase'),
  kdf: z.literal('argon2id'),
  memoryKiB: z.int(),
  iterations: z.int(),
  parallelism: z.int(),
  salt: keyBytes,
  rootKey: keyBytes,
})
/** What a file says without any passphrase. */
const named = { did: z.string(), createdAt: z.int() }
const statements = z.array(keyBytes).min(1).max(32)
const sealed = { ...named, slots: z.array(passphraseSlot).min(1).max(8), seed: keyBytes }

/** All forms of `identity.json`: the one of today, and two that held the keys themselves. Source: identity/v1 sections 3 and 8. */
export const identityFileSchema = z.discriminatedUnion('schema', [
  z.object({ schema: z.literal('kindmesh.identity/1'), ...named, chain: statements }),
  z.object({ schema: z.literal('kindmesh.key-file/1'), ...sealed }),
  z.object({ schema: z.literal('kindmesh.key-file/2'), ...sealed, next: keyBytes, recovery: keyBytes.optional(), chain: statements }),
])
export type IdentityFile = z.infer<typeof identityFileSchema> & { readonly did: Did }
/** A file that holds the keys themselves, as profiles did before there was a vault. */
export type KeyFile = Exclude<IdentityFile, { readonly schema: 'kindmesh.identity/1' }>

/** Binds a slot to the identity and to its own parameters: nobody weakens them unseen. */
export const slotContext = (did: string, { kdf, memoryKiB, iterations, parallelism, salt }: PassphraseParams): Uint8Array =>
  utf8(`kindmesh.key-file/1 slot ${did} ${kdf} ${memoryKiB} ${iterations} ${parallelism} ${base64(salt)}`)
/** Binds a seed to the identity, to what it is for and to the place in the chain, so that two cannot be exchanged. */
export const seedContext = (did: string, { what, chain }: { readonly what: 'seed' | 'next' | 'recovery'; readonly chain: readonly unknown[] }): Uint8Array =>
  utf8(chain.length === 0 ? `kindmesh.key-file/1 seed ${did}` : `kindmesh.key-file/2 ${what} ${did} ${chain.length - 1}`)

/** Unlocks a key file. @throws ERR_AUTH_FAILED for a wrong passphrase or an altered file, the two looking alike */
export async function openKeyFile(file: KeyFile, { passphrase, random }: { readonly passphrase: Uint8Array; readonly random: Random }): Promise<OwnKeys> {
  const chain = file.schema === 'kindmesh.key-file/2' ? file.chain : []
  const current = chain.length === 0 ? file.did : chainOf(chain).current
  for (const slot of file.slots) {
    try {
      const wrappingKey = await deriveFromPassphrase(passphrase, slot)
      const rootKey = createLocalBox(wrappingKey, random).open(slot.rootKey, slotContext(file.did, slot))
      const box = createLocalBox(deriveKey(rootKey, 'identity'), random)
      const open = (what: 'seed' | 'next' | 'recovery', secret: Uint8Array | undefined): Uint8Array | undefined =>
        secret === undefined ? undefined : box.open(secret, seedContext(file.did, { what, chain }))
      const seed = box.open(file.seed, seedContext(file.did, { what: 'seed', chain }))
      const [next, recovery] = file.schema === 'kindmesh.key-file/2' ? [open('next', file.next), open('recovery', file.recovery)] : []
      if (didFromKey(createSigner(seed).publicKey) === current) return { rootKey, seed, next, recovery, chain, createdAt: file.createdAt }
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
    }
  }
  throw wrongOrAltered()
}

export const wrongOrAltered = (): MeshError => new MeshError('ERR_AUTH_FAILED', 'wrong passphrase, or the key file was altered')
