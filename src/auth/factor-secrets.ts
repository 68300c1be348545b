import { utf8 } from '../base/index.ts'
import type { LocalBox } from '../crypto/index.ts'
import { del, put, type Store } from '../store/index.ts'

/** Keeps what codes are made of, by account. The vault of a node is one. */
export interface FactorSecrets {
  /** @throws ERR_SEALED */
  get(account: string): Promise<Uint8Array | undefined>
  set(account: string, secret: Uint8Array): Promise<void>
  remove(account: string): Promise<void>
}

/** Sealed in the store, each to its account: for a node without a vault. */
export const sealedFactorSecrets = ({ store, box }: { readonly store: Store; readonly box: LocalBox }): FactorSecrets => ({
  async get(account) {
    const sealed = await store.get(account)
    return sealed === undefined ? undefined : box.open(sealed, utf8(account))
  },
  set: async (account, secret) => await store.durable([put(account, box.seal(secret, utf8(account)))]),
  remove: async (account) => await store.durable([del(account)]),
})
