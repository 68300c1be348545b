import { z } from 'zod'
import { base64, type Did, fromBase64, MeshError } from '../base/index.ts'
import { parseDid } from './did.ts'

/** Longest recovery file read. Source: identity/v1 section 8. */
export const recoveryFileBytesMax = 32 * 1024

/** What gets an identity back, kept away from its node. */
export interface RecoveryKey {
  readonly did: Did
  /** Seed of the recovery key. Secret. */
  readonly seed: Uint8Array
  /** The chain as it was when the key was exported. */
  readonly chain: readonly Uint8Array[]
}

const text = z.string().max(2_048)
const schema = z.object({ schema: z.literal('kindmesh.recovery/1'), did: text, seed: text, chain: z.array(text).min(1).max(32) })

export const encodeRecoveryKey = ({ did, seed, chain }: RecoveryKey): string =>
  `${JSON.stringify({ schema: 'kindmesh.recovery/1', did, seed: base64(seed), chain: chain.map(base64) })}\n`

/** @throws ERR_USAGE, saying nothing of what it read */
export function decodeRecoveryKey(file: string): RecoveryKey {
  try {
    if (file.length > recoveryFileBytesMax) throw new RangeError('too large')
    const { did, seed, chain } = schema.parse(JSON.parse(file))
    return { did: parseDid(did), seed: bytesOf(seed, 32), chain: chain.map((item) => bytesOf(item)) }
  } catch {
    throw new MeshError('ERR_USAGE', 'not a recovery key', { hint: 'give the file that `kindmesh id export-recovery --out FILE` wrote' })
  }
}

function bytesOf(given: string, length?: number): Uint8Array {
  const bytes = fromBase64(given)
  if (bytes === undefined || (length !== undefined && bytes.length !== length)) throw new RangeError('not bytes')
  return bytes
}
