import { z } from 'zod'
import { base64, fromBase64, MeshError, utf8 } from '../base/index.ts'
import type { OwnKeys } from './own-keys.ts'

const text = z.string().max(2_048)
const schema = z.object({
  schema: z.literal('kindmesh.own-keys/1'),
  createdAt: z.int(),
  rootKey: text,
  seed: text,
  next: text.optional(),
  recovery: text.optional(),
  chain: z.array(text).max(32),
})

/** The keys as a sealed place holds them. Source: identity/v1 section 3. */
export const encodeOwnKeys = ({ createdAt, rootKey, seed, next, recovery, chain }: OwnKeys): Uint8Array =>
  utf8(
    JSON.stringify({
      schema: 'kindmesh.own-keys/1',
      createdAt,
      rootKey: base64(rootKey),
      seed: base64(seed),
      ...(next === undefined ? {} : { next: base64(next) }),
      ...(recovery === undefined ? {} : { recovery: base64(recovery) }),
      chain: chain.map(base64),
    }),
  )

/** @throws ERR_STORE_FAILED, saying nothing of what it read */
export function decodeOwnKeys(bytes: Uint8Array): OwnKeys {
  try {
    const { createdAt, rootKey, seed, next, recovery, chain } = schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
    return {
      createdAt,
      rootKey: bytesOf(rootKey, 32),
      seed: bytesOf(seed, 32),
      next: next === undefined ? undefined : bytesOf(next, 32),
      recovery: recovery === undefined ? undefined : bytesOf(recovery, 32),
      chain: chain.map((item) => bytesOf(item)),
    }
  } catch {
    throw new MeshError('ERR_STORE_FAILED', 'the keys of the identity do not parse', { hint: 'bring a backup in: `kindmesh vault import FILE`' })
  }
}

function bytesOf(given: string, length?: number): Uint8Array {
  const bytes = fromBase64(given)
  if (bytes === undefined || (length !== undefined && bytes.length !== length)) throw new RangeError('not bytes')
  return bytes
}
