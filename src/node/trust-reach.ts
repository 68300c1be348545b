import type { Did } from '../base/index.ts'

/** Heads of issuers in the DHT. Source: trust/v1 section 1.5. */
export const headNamespace = 'kindmesh-head'

/** Which identity a key speaks for, and under which key one is reached. */
export interface Reach {
  subject(key: Did): Did
  currentKnown(did: Did): Did
  current(did: Did, options: { readonly signal: AbortSignal }): Promise<Did>
}
