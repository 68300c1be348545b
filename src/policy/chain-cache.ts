import { hex } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { type GrantChain, openChain } from './token.ts'

/** Chains whose signatures were checked and are not checked again. Source: grant/v1 section 6. */
export const chainsCachedMax = 512

/** Opens chains, each once: what was verified by its bytes is not verified again. @throws as `openChain` */
export function createChainOpener(): (bytes: Uint8Array) => GrantChain {
  const known = new Map<string, GrantChain>()
  return (bytes) => {
    const key = hex(sha256(bytes))
    const opened = known.get(key) ?? openChain(bytes)
    // The one used last goes last: the first is the one to forget.
    known.delete(key)
    known.set(key, opened)
    const [oldest] = known.keys()
    if (known.size > chainsCachedMax && oldest !== undefined) known.delete(oldest)
    return opened
  }
}
