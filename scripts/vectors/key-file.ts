import { readFile } from 'node:fs/promises'
import { base64, type Random } from '../../src/base/index.ts'
import { createLocalBox, deriveFromPassphrase, deriveKey, type PassphraseParams, passphraseParams, saltBytesLength } from '../../src/crypto/index.ts'
import { seedContext, slotContext } from '../../src/identity/key-file.ts'
import { createPrivateFile, identityOf, type OwnKeys, replacePrivateFile, type SealedPlace } from '../../src/identity/index.ts'

interface KeyFilePlace {
  readonly path: string
  readonly passphrase: Uint8Array
  readonly random: Random
}

/** Writes the key files that profiles had before there was a vault; nodes only read them. Knows what it wrote, and nothing else. */
export function keyFilePlace({ path, passphrase, random }: KeyFilePlace): SealedPlace {
  let held: OwnKeys | undefined
  return {
    read: () => Promise.resolve(held),
    async write(keys) {
      if (held === undefined) await createPrivateFile(path, keyFileText(keys, { slots: [await slotOf(keys, { passphrase, random })], random }), random)
      else await replacePrivateFile(path, keyFileText(keys, { slots: await slotsIn(path), random }), random)
      held = keys
    },
  }
}

export function keyFileText(keys: OwnKeys, { slots, random }: { readonly slots: readonly object[]; readonly random: Random }): string {
  const { createdAt, rootKey, seed, next, recovery, chain } = keys
  const did = identityOf(keys)
  const box = createLocalBox(deriveKey(rootKey, 'identity'), random)
  const seal = (what: 'seed' | 'next' | 'recovery', secret: Uint8Array): string => base64(box.seal(secret, seedContext(did, { what, chain })))
  const file = {
    schema: chain.length === 0 ? 'kindmesh.key-file/1' : 'kindmesh.key-file/2',
    did,
    createdAt,
    slots,
    seed: seal('seed', seed),
    ...(next === undefined ? {} : { next: seal('next', next) }),
    ...(recovery === undefined ? {} : { recovery: seal('recovery', recovery) }),
    ...(chain.length === 0 ? {} : { chain: chain.map(base64) }),
  }
  return `${JSON.stringify(file, undefined, 2)}\n`
}

export async function slotOf(keys: OwnKeys, { passphrase, random }: { readonly passphrase: Uint8Array; readonly random: Random }): Promise<object> {
  const params: PassphraseParams = { ...passphraseParams, salt: random.bytes(saltBytesLength) }
  const wrappingKey = await deriveFromPassphrase(passphrase, params)
  const rootKey = createLocalBox(wrappingKey, random).seal(keys.rootKey, slotContext(identityOf(keys), params))
  return { kind: 'passphrase', ...params, salt: base64(params.salt), rootKey: base64(rootKey) }
}

const slotsIn = async (path: string): Promise<readonly object[]> => (JSON.parse(await readFile(path, 'utf8')) as { readonly slots: readonly object[] }).slots
