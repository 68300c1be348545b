import type { Did } from '../base/index.ts'

/** Which identity a key speaks for, and under which key one is reached. */
export interface Reach {
  subject(key: Did): Did
  currentKnown(did: Did): Did
  current(did: Did, options: { readonly signal: AbortSignal }): Promise<Did>
}
